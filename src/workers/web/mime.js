// MIME types (MIME Sniffing 4.4, 4.5).
import { test, toLowerCase } from "./intrinsics.js";

const kToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const kQuotable = /^[\t\x20-\x7E\x80-\xFF]*$/;
const kOuterSpace = /^[\t\n\r ]+|[\t\n\r ]+$/g;

// {essence, parameters: [[name, value]…]}, or null.
export function parseMime(input) {
  const text = input.replace(kOuterSpace, "");
  const semicolon = text.indexOf(";");
  const essence = (semicolon < 0 ? text : text.slice(0, semicolon)).replace(/[\t\n\r ]+$/, "");
  const slash = essence.indexOf("/");
  if (slash < 0 || !test(kToken, essence.slice(0, slash)) || !test(kToken, essence.slice(slash + 1))) return null;
  const mime = { essence: toLowerCase(essence), parameters: [] };
  let at = semicolon < 0 ? text.length : semicolon;
  while (at < text.length) {
    ++at;
    while (at < text.length && /[\t\n\r ]/.test(text[at])) ++at;
    let start = at;
    while (at < text.length && text[at] !== ";" && text[at] !== "=") ++at;
    const name = toLowerCase(text.slice(start, at));
    if (at >= text.length) break;
    if (text[at] === ";") continue;
    ++at;
    let value = "";
    if (text[at] === '"') {
      ++at;
      while (at < text.length && text[at] !== '"') {
        if (text[at] === "\\" && at + 1 < text.length) ++at;
        value += text[at++];
      }
      while (at < text.length && text[at] !== ";") ++at;
    } else {
      start = at;
      while (at < text.length && text[at] !== ";") ++at;
      value = text.slice(start, at).replace(/[\t\n\r ]+$/, "");
      if (value === "") continue;
    }
    if (test(kToken, name) && test(kQuotable, value) && parameterOf(mime, name) === undefined) mime.parameters.push([name, value]);
  }
  return mime;
}

export function parameterOf(mime, name) {
  for (const [key, value] of mime.parameters) {
    if (key === name) return value;
  }
  return undefined;
}

export function serializeMime(mime) {
  let text = mime.essence;
  for (const [name, value] of mime.parameters) {
    text += `;${name}=${test(kToken, value) ? value : `"${value.replace(/(["\\])/g, "\\$1")}"`}`;
  }
  return text;
}

// Fetch 2.2.2, "extract a MIME type" from the values of Content-Type.
export function extractMime(value) {
  if (value === null) return null;
  let charset;
  let essence;
  let mime = null;
  for (const part of splitValues(value)) {
    const next = parseMime(part);
    if (next === null || next.essence === "*/*") continue;
    mime = next;
    if (next.essence !== essence) {
      charset = parameterOf(next, "charset");
      essence = next.essence;
    } else if (parameterOf(next, "charset") === undefined && charset !== undefined) {
      next.parameters.push(["charset", charset]);
    }
  }
  return mime;
}

// At commas that are in no quoted string.
function splitValues(text) {
  const parts = [];
  let part = "";
  for (let at = 0; at < text.length; ++at) {
    if (text[at] === ",") {
      parts.push(part);
      part = "";
    } else if (text[at] === '"') {
      const start = at++;
      while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
      part += text.slice(start, at + 1);
    } else {
      part += text[at];
    }
  }
  parts.push(part);
  return parts;
}
