// Headers (Fetch 5.1). Fields that came from the host stay one string until somebody looks; names are lower case.
import { push, replace, splice, split, test, toLowerCase } from "./intrinsics.js";
import { expose, interfaceOf, iterableOf, recordOf, required, sequenceOf, toByteString } from "./webidl.js";

const kToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const kForbiddenInValue = /[\0\r\n]/;
const kControl = /[\x01-\x08\x0A-\x1F\x7F]/;
const kControlInValue = /[\0-\x08\x0A-\x1F\x7F]/;
const kOuterSpace = /^[\t\n\r ]+|[\t\n\r ]+$/g;
const kHasOuterSpace = /^[\t\n\r ]|[\t\n\r ]$/;
const kUpperCase = /[A-Z]/;

const normalize = (value) => (test(kHasOuterSpace, value) ? replace(value, kOuterSpace, "") : value);
const lower = (name) => (test(kUpperCase, name) ? toLowerCase(name) : name);

function checkName(name) {
  if (!test(kToken, name)) throw new TypeError(`'${name}' is not a valid header name`);
}
let hasControl = false;  // whether a value had one, ever
function checkValue(value) {
  if (!test(kControlInValue, value)) return;
  hasControl = true;
  if (test(kForbiddenInValue, value)) throw new TypeError("The header value has a character that is not allowed");
}

// The name of a field that Fetch allows and HTTP does not (RFC 9110 section 5.5): its value has a control character.
export function unsendable(block) {
  if (!hasControl || !test(kControl, block)) return undefined;
  const list = split(block, "\0");
  for (let at = 0; at < list.length - 1; at += 2) {
    if (test(kControl, list[at + 1])) return list[at];
  }
  return undefined;
}

// Fetch 2.2.2: what a request with mode "no-cors" may carry.
const kSafelisted = ["accept", "accept-language", "content-language", "content-type"];
const kUnsafe = /[\x00-\x08\x0A-\x1F"():<>?@[\\\]{}\x7F]/;
const kUnsafeLanguage = /[^0-9A-Za-z *,\-.;=]/;
function isSafelisted(name, value) {
  if (!kSafelisted.includes(name) || value.length > 128) return false;
  if (name === "accept") return !test(kUnsafe, value);
  if (name !== "content-type") return !test(kUnsafeLanguage, value);
  if (test(kUnsafe, value)) return false;
  const essence = toLowerCase(split(value, ";")[0].trim());
  return ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"].includes(essence);
}

let listOf;
export let makeHeaders;
export let isHeaders;
export class Headers {
  #block;  // "name\0value\0…" not taken apart yet, or undefined
  #list = undefined;  // [name, value, name, value, …]
  #guard = "none";  // none, immutable, request-no-cors
  #sorted = undefined;  // pairs, as iteration sees them
  #coding = undefined;  // the Content-Encoding that came with an answer, which only its own bytes have
  constructor(init = undefined) {
    this.#block = "";
    if (init !== undefined) fill(this, init);
  }
  append(name, value) {
    required("Headers.append", arguments.length, 2);
    const key = lower(toByteString(name));
    const text = normalize(toByteString(value));
    checkName(key);
    checkValue(text);
    checkGuard(this);
    if (this.#guard === "request-no-cors") {
      const before = this.get(key);
      if (!isSafelisted(key, before === null ? text : `${before}, ${text}`)) return;
    }
    if (key === "content-encoding") this.#coding = undefined;
    add(this, key, text);
  }
  delete(name) {
    required("Headers.delete", arguments.length, 1);
    const key = lower(toByteString(name));
    checkName(key);
    checkGuard(this);
    if (this.#guard === "request-no-cors" && !kSafelisted.includes(key) && key !== "range") return;
    if (key === "content-encoding") this.#coding = undefined;
    const list = listOf(this);
    for (let at = list.length - 2; at >= 0; at -= 2) {
      if (list[at] === key) splice(list, at, 2);
    }
    this.#sorted = undefined;
  }
  get(name) {
    required("Headers.get", arguments.length, 1);
    const key = lower(toByteString(name));
    checkName(key);
    return fieldOf(this, key);
  }
  getSetCookie() {
    const list = listOf(this);
    const values = [];
    for (let at = 0; at < list.length; at += 2) {
      if (list[at] === "set-cookie") push(values, list[at + 1]);
    }
    return values;
  }
  has(name) {
    required("Headers.has", arguments.length, 1);
    const key = lower(toByteString(name));
    checkName(key);
    const list = listOf(this);
    for (let at = 0; at < list.length; at += 2) {
      if (list[at] === key) return true;
    }
    return false;
  }
  set(name, value) {
    required("Headers.set", arguments.length, 2);
    const key = lower(toByteString(name));
    const text = normalize(toByteString(value));
    checkName(key);
    checkValue(text);
    checkGuard(this);
    if (this.#guard === "request-no-cors" && !isSafelisted(key, text)) return;
    if (key === "content-encoding") this.#coding = undefined;
    setField(this, key, text);
  }

  static {
    isHeaders = (value) => #list in value;
    makeHeaders = (block, guard) => {
      const headers = new Headers();
      headers.#block = block;
      headers.#guard = guard;
      return headers;
    };
    listOf = (headers) => {
      if (headers.#list !== undefined) return headers.#list;
      const list = headers.#block === "" ? [] : split(headers.#block, "\0");
      if (list.length > 0) {
        list.length -= 1;
        for (let at = 0; at < list.length; at += 2) list[at] = lower(list[at]);
      }
      headers.#list = list;
      headers.#block = undefined;
      return list;
    };
    blockOf = (headers) => {
      if (headers.#list === undefined) return headers.#block;
      const list = headers.#list;
      let block = "";
      for (let at = 0; at < list.length; at += 2) block += list[at] + "\0" + list[at + 1] + "\0";
      return block;
    };
    guardOf = (headers) => headers.#guard;
    codingOf = (headers) => headers.#coding;
    setCoding = (headers, coding) => { headers.#coding = coding; };
    setGuard = (headers, guard) => { headers.#guard = guard; };
    sortedOf = (headers) => headers.#sorted ??= sortedPairs(listOf(headers));
    changed = (headers) => { headers.#sorted = undefined; };
  }
}
export let blockOf;
export let setGuard;
export let codingOf;
export let setCoding;
export let guardOf;
let sortedOf;
let changed;

function checkGuard(headers) {
  if (guardOf(headers) === "immutable") throw new TypeError("The headers are immutable: copy them with new Headers(headers)");
}

function add(headers, name, value) {
  push(listOf(headers), name, value);
  changed(headers);
}

// The combined value of a lower-case name, or null.
export function fieldOf(headers, name) {
  const list = listOf(headers);
  let value = null;
  for (let at = 0; at < list.length; at += 2) {
    if (list[at] === name) value = value === null ? list[at + 1] : `${value}, ${list[at + 1]}`;
  }
  return value;
}

export function setField(headers, name, value) {
  const list = listOf(headers);
  let found = false;
  for (let at = 0; at < list.length; at += 2) {
    if (list[at] !== name) continue;
    if (found) {
      splice(list, at, 2);
      at -= 2;
    } else {
      found = true;
      list[at + 1] = value;
    }
  }
  if (!found) push(list, name, value);
  changed(headers);
}
export const removeField = (headers, name) => {
  const list = listOf(headers);
  for (let at = list.length - 2; at >= 0; at -= 2) {
    if (list[at] === name) splice(list, at, 2);
  }
  changed(headers);
};

export function fill(headers, init) {
  if ((typeof init !== "object" && typeof init !== "function") || init === null) {
    throw new TypeError("Headers: the argument is neither a sequence nor a record");
  }
  const method = init[Symbol.iterator];
  if (method === undefined || method === null) {
    const pairs = recordOf(init, toByteString, toByteString);
    for (let at = 0; at < pairs.length; ++at) headers.append(pairs[at][0], pairs[at][1]);
    return;
  }
  if (isHeaders(init) && method === ownIterator) {
    // A copy of ours, unless its iterator was replaced.
    const list = listOf(init);
    for (let at = 0; at < list.length; at += 2) headers.append(list[at], list[at + 1]);
    setCoding(headers, codingOf(init));
    return;
  }
  const pairs = sequenceOf(init, (pair) => {
    const parts = sequenceOf(pair, toByteString, "Headers: a pair");
    if (parts.length !== 2) throw new TypeError("Headers: a pair has not two elements");
    return parts;
  }, "Headers: the argument");
  for (let at = 0; at < pairs.length; ++at) headers.append(pairs[at][0], pairs[at][1]);
}

// "sort and combine"; set-cookie stays apart.
function sortedPairs(list) {
  const names = [];
  for (let at = 0; at < list.length; at += 2) {
    if (!names.includes(list[at])) push(names, list[at]);
  }
  names.sort();
  const pairs = [];
  for (let index = 0; index < names.length; ++index) {
    const name = names[index];
    let value = null;
    for (let at = 0; at < list.length; at += 2) {
      if (list[at] !== name) continue;
      if (name === "set-cookie") push(pairs, [name, list[at + 1]]);
      else value = value === null ? list[at + 1] : `${value}, ${list[at + 1]}`;
    }
    if (value !== null) push(pairs, [name, value]);
  }
  return pairs;
}

interfaceOf(Headers);
iterableOf(Headers, "Headers", (headers) => sortedOf(headers));
expose({ Headers });
const ownIterator = Headers.prototype[Symbol.iterator];
