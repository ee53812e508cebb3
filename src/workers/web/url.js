// URL and URLSearchParams (URL Standard). Parsing is whatwg-url's; an http(s) URL that is in its final form already, as
// nearly all are that a worker sees, is recognised by one regular expression and not parsed.
import "./native_text.js";
import usm from "whatwg-url/lib/url-state-machine.js";
import urlencoded from "whatwg-url/lib/urlencoded.js";
import { exec, indexOf, push, replace, slice, sort, splice, split, test } from "./intrinsics.js";
import { createObjectURL, revokeObjectURL } from "./blob_urls.js";
import { expose, interfaceOf, iterableOf, recordOf, required, sequenceOf, toUSVString } from "./webidl.js";

const { parseUrlencodedString, serializeUrlencoded } = urlencoded;

// scheme, host, port, path, query, fragment. The host is lower case, its last label no number, or four of them.
const kPlainUrl =
  /^(https?):\/\/((?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z](?:[a-z0-9-]*[a-z0-9])?|(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))(?::([1-9]\d{1,3}))?(\/[A-Za-z0-9\-_~!$&()*+,;=:@/.%]*)(\?[A-Za-z0-9\-_~!$&()*+,;=:@/.%?]*)?(#[A-Za-z0-9\-_~!$&()*+,;=:@/.%?]*)?$/;
const kOddPath = /\/\.|%2e/i;

// A parsed URL: `plain` (the match) until something is changed, then a record of whatwg-url's.
class Record {
  constructor(plain, parsed) {
    this.plain = plain;
    this.parsed = parsed;
    this.text = plain === null ? undefined : plain[0];
  }
}

export function parsePlain(text) {
  const match = exec(kPlainUrl, text);
  if (match === null || test(kOddPath, match[4]) || indexOf(match[2], "xn--") >= 0) return null;
  if (match[3] === "80" && match[1] === "http" || match[3] === "443" && match[1] === "https") return null;
  return match;
}

function parseRecord(text, base) {
  const plain = parsePlain(text);
  if (plain !== null) return new Record(plain, null);
  const parsed = usm.basicURLParse(text, { baseURL: base === undefined ? null : parsedOf(base) });
  return parsed === null ? null : new Record(null, parsed);
}

// whatwg-url's record; the plain form is given up, since the caller may change it.
function parsedOf(record) {
  if (record.parsed === null) {
    record.parsed = usm.basicURLParse(record.text);
    record.plain = null;
  }
  record.text = undefined;
  return record.parsed;
}
const textOf = (record) => record.text ??= usm.serializeURL(record.parsed);

export let isUrl;
export class URL {
  #record;
  #query;  // the URLSearchParams, once asked for
  constructor(url, base = undefined) {
    required("URL", arguments.length, 1);
    const text = toUSVString(url);
    let baseRecord;
    if (base !== undefined) {
      baseRecord = parseRecord(toUSVString(base));
      if (baseRecord === null) throw new TypeError(`Invalid base URL: ${base}`);
    }
    const record = parseRecord(text, baseRecord);
    if (record === null) throw new TypeError(`Invalid URL: ${text}`);
    this.#record = record;
  }
  static parse(url, base = undefined) {
    required("URL.parse", arguments.length, 1);
    try {
      return new URL(url, base);
    } catch (error) {
      if (error instanceof TypeError) return null;
      throw error;
    }
  }
  static canParse(url, base = undefined) {
    required("URL.canParse", arguments.length, 1);
    const text = toUSVString(url);
    let baseRecord;
    if (base !== undefined) {
      baseRecord = parseRecord(toUSVString(base));
      if (baseRecord === null) return false;
    }
    return parseRecord(text, baseRecord) !== null;
  }
  static createObjectURL(object) {
    required("URL.createObjectURL", arguments.length, 1);
    return createObjectURL(object);
  }
  static revokeObjectURL(url) {
    required("URL.revokeObjectURL", arguments.length, 1);
    revokeObjectURL(toUSVString(url));
  }

  get href() { return textOf(this.#record); }
  set href(value) {
    const record = parseRecord(toUSVString(value));
    if (record === null) throw new TypeError(`Invalid URL: ${value}`);
    this.#record = record;
    this.#refresh();
  }
  toString() { return textOf(this.#record); }
  toJSON() { return textOf(this.#record); }
  get origin() {
    const { plain, parsed } = this.#record;
    if (plain === null) return usm.serializeURLOrigin(parsed);
    return plain[1] + "://" + plain[2] + (plain[3] === undefined ? "" : ":" + plain[3]);
  }
  get protocol() {
    const { plain, parsed } = this.#record;
    return (plain === null ? parsed.scheme : plain[1]) + ":";
  }
  set protocol(value) { this.#change(`${toUSVString(value)}:`, "scheme start"); }
  get username() { return this.#record.plain === null ? this.#record.parsed.username : ""; }
  set username(value) {
    const text = toUSVString(value);
    const parsed = parsedOf(this.#record);
    if (!usm.cannotHaveAUsernamePasswordPort(parsed)) usm.setTheUsername(parsed, text);
  }
  get password() { return this.#record.plain === null ? this.#record.parsed.password : ""; }
  set password(value) {
    const text = toUSVString(value);
    const parsed = parsedOf(this.#record);
    if (!usm.cannotHaveAUsernamePasswordPort(parsed)) usm.setThePassword(parsed, text);
  }
  get host() {
    const { plain, parsed } = this.#record;
    if (plain !== null) return plain[3] === undefined ? plain[2] : plain[2] + ":" + plain[3];
    if (parsed.host === null) return "";
    const text = usm.serializeHost(parsed.host);
    return parsed.port === null ? text : `${text}:${parsed.port}`;
  }
  set host(value) {
    const text = toUSVString(value);
    if (!usm.hasAnOpaquePath(parsedOf(this.#record))) this.#change(text, "host");
  }
  get hostname() {
    const { plain, parsed } = this.#record;
    if (plain !== null) return plain[2];
    return parsed.host === null ? "" : usm.serializeHost(parsed.host);
  }
  set hostname(value) {
    const text = toUSVString(value);
    if (!usm.hasAnOpaquePath(parsedOf(this.#record))) this.#change(text, "hostname");
  }
  get port() {
    const { plain, parsed } = this.#record;
    if (plain !== null) return plain[3] ?? "";
    return parsed.port === null ? "" : `${parsed.port}`;
  }
  set port(value) {
    const text = toUSVString(value);
    const parsed = parsedOf(this.#record);
    if (usm.cannotHaveAUsernamePasswordPort(parsed)) return;
    if (text === "") parsed.port = null;
    else this.#change(text, "port");
  }
  get pathname() {
    const { plain, parsed } = this.#record;
    return plain === null ? usm.serializePath(parsed) : plain[4];
  }
  set pathname(value) {
    const text = toUSVString(value);
    const parsed = parsedOf(this.#record);
    if (usm.hasAnOpaquePath(parsed)) return;
    parsed.path = [];
    this.#change(text, "path start");
  }
  get search() {
    const { plain, parsed } = this.#record;
    if (plain !== null) return plain[5] === undefined || plain[5] === "?" ? "" : plain[5];
    return parsed.query === null || parsed.query === "" ? "" : `?${parsed.query}`;
  }
  set search(value) {
    const text = toUSVString(value);
    const parsed = parsedOf(this.#record);
    if (text === "") {
      parsed.query = null;
    } else {
      parsed.query = "";
      this.#change(text[0] === "?" ? slice(text, 1) : text, "query");
    }
    this.#refresh();
  }
  get searchParams() {
    if (this.#query === undefined) {
      const { plain, parsed } = this.#record;
      const query = plain === null ? parsed.query ?? "" : plain[5] === undefined ? "" : slice(plain[5], 1);
      this.#query = paramsOf(query, (text) => {
        parsedOf(this.#record).query = text === "" ? null : text;
      });
    }
    return this.#query;
  }
  get hash() {
    const { plain, parsed } = this.#record;
    if (plain !== null) return plain[6] === undefined || plain[6] === "#" ? "" : plain[6];
    return parsed.fragment === null || parsed.fragment === "" ? "" : `#${parsed.fragment}`;
  }
  set hash(value) {
    const text = toUSVString(value);
    const parsed = parsedOf(this.#record);
    if (text === "") {
      parsed.fragment = null;
    } else {
      parsed.fragment = "";
      this.#change(text[0] === "#" ? slice(text, 1) : text, "fragment");
    }
  }

  #change(text, stateOverride) { usm.basicURLParse(text, { url: parsedOf(this.#record), stateOverride }); }
  // The query has changed under the URLSearchParams.
  #refresh() {
    if (this.#query === undefined) return;
    const { plain, parsed } = this.#record;
    refill(this.#query, plain === null ? parsed.query ?? "" : plain[5] === undefined ? "" : slice(plain[5], 1));
  }
  static {
    isUrl = (value) => #record in value;
  }
}
interfaceOf(URL);

// [name, value] pairs of a query; most have nothing to decode.
const kPlainQuery = /^[A-Za-z0-9\-_.~!$()*,;:@/?=&']*$/;
export function parseQuery(query) {
  if (query === "") return [];
  if (!test(kPlainQuery, query)) return parseUrlencodedString(query);
  const pairs = [];
  const parts = split(query, "&");
  for (let at = 0; at < parts.length; ++at) {
    const part = parts[at];
    if (part === "") continue;
    const equals = indexOf(part, "=");
    push(pairs, equals < 0 ? [part, ""] : [slice(part, 0, equals), slice(part, equals + 1)]);
  }
  return pairs;
}
export const serializeQuery = (pairs) => serializeUrlencoded(pairs);

let paramsOf;
let refill;
let pairsOf;
export let isParams;
export class URLSearchParams {
  #pairs;
  #changed;  // of a URL's: tells it
  constructor(init = "") {
    this.#changed = undefined;
    if ((typeof init === "object" && init !== null) || typeof init === "function") {
      const method = init[Symbol.iterator];
      if (method !== undefined && method !== null) {
        this.#pairs = sequenceOf(init, (pair) => {
          const parts = sequenceOf(pair, toUSVString, "URLSearchParams: a pair");
          if (parts.length !== 2) throw new TypeError("URLSearchParams: a pair has not two elements");
          return parts;
        }, "URLSearchParams: the argument");
      } else {
        const merged = new Map(recordOf(init, toUSVString, toUSVString));
        this.#pairs = [...merged];
      }
      return;
    }
    const text = toUSVString(init);
    this.#pairs = parseQuery(text[0] === "?" ? slice(text, 1) : text);
  }
  get size() { return this.#pairs.length; }
  append(name, value) {
    required("URLSearchParams.append", arguments.length, 2);
    push(this.#pairs, [toUSVString(name), toUSVString(value)]);
    this.#tell();
  }
  delete(name, value = undefined) {
    required("URLSearchParams.delete", arguments.length, 1);
    const key = toUSVString(name);
    const wanted = value === undefined ? undefined : toUSVString(value);
    for (let at = this.#pairs.length - 1; at >= 0; --at) {
      const pair = this.#pairs[at];
      if (pair[0] === key && (wanted === undefined || pair[1] === wanted)) splice(this.#pairs, at, 1);
    }
    this.#tell();
  }
  get(name) {
    required("URLSearchParams.get", arguments.length, 1);
    const key = toUSVString(name);
    for (let at = 0; at < this.#pairs.length; ++at) {
      if (this.#pairs[at][0] === key) return this.#pairs[at][1];
    }
    return null;
  }
  getAll(name) {
    required("URLSearchParams.getAll", arguments.length, 1);
    const key = toUSVString(name);
    const values = [];
    for (let at = 0; at < this.#pairs.length; ++at) {
      if (this.#pairs[at][0] === key) push(values, this.#pairs[at][1]);
    }
    return values;
  }
  has(name, value = undefined) {
    required("URLSearchParams.has", arguments.length, 1);
    const key = toUSVString(name);
    const wanted = value === undefined ? undefined : toUSVString(value);
    for (let at = 0; at < this.#pairs.length; ++at) {
      if (this.#pairs[at][0] === key && (wanted === undefined || this.#pairs[at][1] === wanted)) return true;
    }
    return false;
  }
  set(name, value) {
    required("URLSearchParams.set", arguments.length, 2);
    const key = toUSVString(name);
    const text = toUSVString(value);
    let found = false;
    for (let at = 0; at < this.#pairs.length; ++at) {
      if (this.#pairs[at][0] !== key) continue;
      if (found) {
        splice(this.#pairs, at--, 1);
      } else {
        found = true;
        this.#pairs[at][1] = text;
      }
    }
    if (!found) push(this.#pairs, [key, text]);
    this.#tell();
  }
  sort() {
    sort(this.#pairs, (a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    this.#tell();
  }
  toString() { return serializeQuery(this.#pairs); }

  #tell() { this.#changed?.(serializeQuery(this.#pairs)); }
  static {
    paramsOf = (query, changed) => {
      const params = new URLSearchParams();
      params.#pairs = parseQuery(query);
      params.#changed = changed;
      return params;
    };
    refill = (params, query) => { params.#pairs = parseQuery(query); };
    pairsOf = (params) => params.#pairs;
    isParams = (value) => #pairs in value;
  }
}
interfaceOf(URLSearchParams);
iterableOf(URLSearchParams, "URLSearchParams", pairsOf);
expose({ URL, URLSearchParams });

export const serializeParams = (params) => serializeQuery(pairsOf(params));

// The URL as text without its fragment; null where it is not one, or (with `strict`) has credentials.
export function normalizeUrl(text) {
  const plain = parsePlain(text);
  if (plain !== null) return { href: plain[0], scheme: plain[1], credentials: false };
  const parsed = usm.basicURLParse(text);
  if (parsed === null) return null;
  return {
    href: usm.serializeURL(parsed), scheme: parsed.scheme, credentials: parsed.username !== "" || parsed.password !== "",
  };
}
// What relative URLs are resolved against: a worker has no place of its own, but a script may define `location`.
export function baseUrl() {
  const { location } = globalThis;
  return typeof location === "object" && location !== null && typeof location.href === "string" ? location.href : undefined;
}
export function resolveUrl(text, base = baseUrl()) {
  const parsed = usm.basicURLParse(text, { baseURL: base === undefined ? null : usm.basicURLParse(base) });
  return parsed === null ? null : { href: usm.serializeURL(parsed), scheme: parsed.scheme, fragment: parsed.fragment };
}
const { fromCharCode } = String;
const { parseInt } = Number;
const kEscapes = /%([0-9A-Fa-f]{2})/g;
// The URL without user and password, and what these are as an Authorization field ("" where there are none).
export function withoutCredentials(href) {
  const parsed = usm.basicURLParse(href);
  if (parsed.username === "" && parsed.password === "") return { bare: href, authorization: "" };
  const bytes = replace(`${parsed.username}:${parsed.password}`, kEscapes, (_, hex) => fromCharCode(parseInt(hex, 16)));
  parsed.username = parsed.password = "";
  return { bare: usm.serializeURL(parsed), authorization: `Basic ${host.base64EncodeText(bytes)}` };
}
export const withoutFragment = (href) => {
  const hash = indexOf(href, "#");
  return hash < 0 ? href : slice(href, 0, hash);
};
export const originOf = (href) => {
  const parsed = usm.basicURLParse(href);
  return parsed === null ? null : usm.serializeURLOrigin(parsed);
};
