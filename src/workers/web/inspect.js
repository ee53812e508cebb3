// How console shows values: readable, on one line where it fits, to a bounded depth and length.
import { hasOwn, keys } from "./intrinsics.js";
import { isBlob } from "./blob.js";
import { isDOMException } from "./dom_exception.js";
import { isHeaders } from "./headers.js";
import { isRequest } from "./request.js";
import { isResponse } from "./response.js";

const kDepth = 4;
const kItems = 100;
const kLine = 96;
const kText = 100000;

export function inspect(value) {
  try {
    return show(value, 0, []);
  } catch {
    return "[a value that cannot be shown]";
  }
}

const quote = (text) => JSON.stringify(text.length > kText ? `${text.slice(0, kText)}…` : text);

function show(value, depth, above) {
  switch (typeof value) {
    case "string": return quote(value);
    case "bigint": return `${value}n`;
    case "symbol": return value.toString();
    case "number": return Object.is(value, -0) ? "-0" : `${value}`;
    case "function": return showFunction(value);
    case "object": return value === null ? "null" : showObject(value, depth, above);
    default: return `${value}`;
  }
}

function showFunction(value) {
  const isClass = /^class\b/.test(Function.prototype.toString.call(value));
  return `[${isClass ? "class" : "Function"}${value.name ? `${isClass ? " " : ": "}${value.name}` : isClass ? "" : " (anonymous)"}]`;
}

function showObject(value, depth, above) {
  if (above.includes(value)) return "[Circular]";
  const kind = host.kindOf(value);
  if (kind === 2) return `Proxy ${depth >= kDepth ? "[…]" : show(host.proxyTarget(value), depth + 1, [...above, value])}`;
  if (kind === 7 || isDOMException(value)) return showError(value, depth, above);
  if (kind === 5) return Number.isNaN(Date.prototype.getTime.call(value)) ? "Invalid Date" : Date.prototype.toISOString.call(value);
  if (kind === 6) return RegExp.prototype.toString.call(value);
  const name = nameOf(value);
  if (depth >= kDepth) return Array.isArray(value) ? "[Array]" : `[${name || "Object"}]`;
  const next = [...above, value];
  const sub = (item) => show(item, depth + 1, next);
  if (Array.isArray(value)) return list(name === "Array" ? "" : `${name}(${value.length}) `, arrayItems(value, sub), "[", "]", depth);
  if (kind === 3) return list(`Map(${value.size}) `, some(Map.prototype.entries.call(value), ([key, item]) => `${sub(key)} => ${sub(item)}`, value.size), "{", "}", depth);
  if (kind === 4) return list(`Set(${value.size}) `, some(Set.prototype.values.call(value), sub, value.size), "{", "}", depth);
  if (kind === 1) return showPromise(value, sub);
  if (kind === 8 || kind === 9) return `${name} { byteLength: ${value.byteLength} }`;
  if (kind === 10 && value.length !== undefined) return list(`${name}(${value.length}) `, arrayItems(value, sub), "[", "]", depth);
  if (isHeaders(value)) return list("Headers ", [...value].map(([key, item]) => `${quote(key)}: ${quote(item)}`), "{", "}", depth);
  if (isRequest(value)) return `Request { method: ${quote(value.method)}, url: ${quote(value.url)} }`;
  if (isResponse(value)) return `Response { status: ${value.status}, url: ${quote(value.url)} }`;
  if (isBlob(value)) return `${name} { size: ${value.size}, type: ${quote(value.type)} }`;
  const items = keys(value).map((key) => `${/^[A-Za-z_$][\w$]*$/.test(key) ? key : quote(key)}: ${property(value, key, sub)}`);
  for (const symbol of Object.getOwnPropertySymbols(value)) {
    if (Object.prototype.propertyIsEnumerable.call(value, symbol)) items.push(`[${symbol.toString()}]: ${property(value, symbol, sub)}`);
  }
  return list(name === "Object" ? "" : `${name || "[Object: null prototype]"} `, items.slice(0, kItems), "{", "}", depth);
}

function property(object, key, sub) {
  const found = Object.getOwnPropertyDescriptor(object, key);
  if (found === undefined) return "undefined";
  if (found.get !== undefined) return found.set === undefined ? "[Getter]" : "[Getter/Setter]";
  return found.set !== undefined ? "[Setter]" : sub(found.value);
}

function nameOf(value) {
  for (let at = value; at !== null; at = Object.getPrototypeOf(at)) {
    const found = Object.getOwnPropertyDescriptor(at, "constructor");
    if (found !== undefined && typeof found.value === "function" && found.value.name !== "") return `${found.value.name}`;
    if (host.kindOf(at) === 2) break;
  }
  return "";
}

function showPromise(value, sub) {
  const [state, result] = host.promiseState(value);
  return state === 0 ? "Promise { <pending> }" : `Promise { ${state === 2 ? "<rejected> " : ""}${sub(result)} }`;
}

function showError(error, depth, above) {
  const { stack } = error;
  let text = typeof stack === "string" && stack !== "" ? stack : `${error}`;
  const extra = keys(error).filter((key) => key !== "stack").map((key) => `${key}: ${property(error, key, (item) => show(item, depth + 1, [...above, error]))}`);
  if (extra.length > 0) text += ` { ${extra.join(", ")} }`;
  if (hasOwn(error, "cause") && depth < kDepth) text += `\n  cause: ${show(error.cause, depth + 1, [...above, error])}`;
  return depth > 0 && !text.includes("\n") ? `[${text}]` : text;
}

function arrayItems(value, sub) {
  const items = [];
  for (let at = 0; at < Math.min(value.length, kItems); ++at) items.push(at in value ? sub(value[at]) : "<empty>");
  if (value.length > kItems) items.push(`… ${value.length - kItems} more`);
  return items;
}

function some(iterator, convert, size) {
  const items = [];
  for (const item of iterator) {
    if (items.length === kItems) {
      items.push(`… ${size - kItems} more`);
      break;
    }
    items.push(convert(item));
  }
  return items;
}

function list(prefix, items, open, close, depth) {
  if (items.length === 0) return `${prefix}${open}${close}`;
  const line = `${prefix}${open} ${items.join(", ")} ${close}`;
  if (line.length <= kLine && !line.includes("\n")) return line;
  const indent = "  ".repeat(depth + 1);
  return `${prefix}${open}\n${indent}${items.join(`,\n${indent}`)}\n${"  ".repeat(depth)}${close}`;
}
