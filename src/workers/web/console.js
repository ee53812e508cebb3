// console (Console Standard).
import { defineProperty, hasOwn } from "./intrinsics.js";
import { inspect } from "./inspect.js";

const kDebug = 0;
const kLog = 1;
const kInfo = 2;
const kWarn = 3;
const kError = 4;

let indent = "";
const counts = new Map();
const timers = new Map();

function format(values) {
  if (values.length === 0) return "";
  let next = 0;
  let text = "";
  if (typeof values[0] === "string") {
    next = 1;
    text = values[0].replace(/%[sdifoOc%]/g, (directive) => {
      if (directive === "%%") return "%";
      if (next >= values.length) return directive;
      const value = values[next++];
      switch (directive) {
        case "%s": return typeof value === "string" ? value : typeof value === "object" && value !== null ? inspect(value) : String(value);
        case "%d": return typeof value === "symbol" ? "NaN" : `${typeof value === "bigint" ? `${value}n` : Number(value)}`;
        case "%i": return typeof value === "symbol" ? "NaN" : `${typeof value === "bigint" ? `${value}n` : Number.parseInt(value, 10)}`;
        case "%f": return typeof value === "symbol" ? "NaN" : `${Number.parseFloat(value)}`;
        case "%c": return "";
        default: return inspect(value);
      }
    });
  } else {
    text = inspect(values[0]);
    next = 1;
  }
  for (; next < values.length; ++next) text += ` ${typeof values[next] === "string" ? values[next] : inspect(values[next])}`;
  return text;
}

function print(level, values) {
  const text = format(values);
  host.console(level, indent === "" ? text : indent + text.replace(/\n/g, `\n${indent}`));
}

const labelOf = (label) => (label === undefined ? "default" : `${label}`);

function elapsed(label) {
  const start = timers.get(label);
  if (start === undefined) return undefined;
  return `${label}: ${Math.round((host.now() - start) * 1000) / 1000} ms`;
}

function table(data, columns) {
  if (typeof data !== "object" || data === null) return print(kLog, [data]);
  const rows = Object.entries(data);
  const names = columns === undefined ? [] : [...columns].map(String);
  let values = false;
  for (const [, row] of rows) {
    if (typeof row !== "object" || row === null) values = true;
    else if (columns === undefined) for (const key of Object.keys(row)) if (!names.includes(key)) names.push(key);
  }
  const head = ["(index)", ...names, ...(values ? ["Values"] : [])];
  const lines = rows.map(([index, row]) => {
    const plain = typeof row !== "object" || row === null;
    return [index, ...names.map((name) => (!plain && hasOwn(row, name) ? inspect(row[name]) : "")), ...(values ? [plain ? inspect(row) : ""] : [])];
  });
  const widths = head.map((_, column) => Math.max(...[head, ...lines].map((line) => line[column].length)));
  const draw = (line) => `│ ${line.map((cell, column) => cell.padEnd(widths[column])).join(" │ ")} │`;
  const rule = (left, middle, right) => left + widths.map((width) => "─".repeat(width + 2)).join(middle) + right;
  print(kLog, [[rule("┌", "┬", "┐"), draw(head), rule("├", "┼", "┤"), ...lines.map(draw), rule("└", "┴", "┘")].join("\n")]);
}

const console = Object.create({});
const methods = {
  assert(condition = false, ...values) {
    if (condition) return;
    if (typeof values[0] === "string") values[0] = `Assertion failed: ${values[0]}`;
    else values.unshift("Assertion failed");
    print(kError, values);
  },
  clear() { indent = ""; },
  debug(...values) { print(kDebug, values); },
  error(...values) { print(kError, values); },
  info(...values) { print(kInfo, values); },
  log(...values) { print(kLog, values); },
  table(data = undefined, columns = undefined) { table(data, columns); },
  trace(...values) {
    const holder = {};
    Error.captureStackTrace(holder, methods.trace);
    const stack = `${holder.stack}`.replace(/^.*\n?/, "");
    print(kDebug, [`Trace${values.length > 0 ? `: ${format(values)}` : ""}\n${stack}`]);
  },
  warn(...values) { print(kWarn, values); },
  dir(value = undefined) { print(kLog, [inspect(value)]); },
  dirxml(...values) { print(kLog, values); },
  count(label = "default") {
    const name = labelOf(label);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    print(kInfo, [`${name}: ${counts.get(name)}`]);
  },
  countReset(label = "default") {
    if (!counts.delete(labelOf(label))) print(kWarn, [`Count for '${labelOf(label)}' does not exist`]);
  },
  group(...values) {
    if (values.length > 0) print(kLog, values);
    if (indent.length < 40) indent += "  ";
  },
  groupCollapsed(...values) { methods.group(...values); },
  groupEnd() { indent = indent.slice(2); },
  time(label = "default") {
    const name = labelOf(label);
    if (timers.has(name)) print(kWarn, [`Timer '${name}' already exists`]);
    else timers.set(name, host.now());
  },
  timeLog(label = "default", ...values) {
    const text = elapsed(labelOf(label));
    print(text === undefined ? kWarn : kLog, [text ?? `Timer '${labelOf(label)}' does not exist`, ...values]);
  },
  timeEnd(label = "default") {
    const text = elapsed(labelOf(label));
    timers.delete(labelOf(label));
    print(text === undefined ? kWarn : kInfo, [text ?? `Timer '${labelOf(label)}' does not exist`]);
  },
};
for (const name of Object.keys(methods)) {
  defineProperty(console, name, { value: methods[name], writable: true, enumerable: true, configurable: true });
}
defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
defineProperty(globalThis, "console", { value: console, writable: true, enumerable: false, configurable: true });
