// Request (Fetch 5.4). A worker is a server: there are no forbidden headers, no credentials and no cache of a browser;
// attributes of those kinds are kept as they were given.
import { assign, slice, test, toUpperCase } from "./intrinsics.js";
import { dependentSignal, isSignal, newSignal } from "./abort.js";
import { blobOfUrl } from "./blob_urls.js";
import { cloneBody, extractBody, isUnusable, mixBody, moveBody } from "./body.js";
import { blockOf, fieldOf, fill, makeHeaders, setField } from "./headers.js";
import { extractMime, serializeMime } from "./mime.js";
import { ReadableStream } from "./streams.js";
import { baseUrl, normalizeUrl, originOf, resolveUrl, withoutFragment } from "./url.js";
import { expose, interfaceOf, required, toByteString, toDictionary, toEnumeration, toUSVString } from "./webidl.js";

const { parse } = JSON;
const kToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const kUsualMethods = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
const kReferrerPolicies = [
  "", "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin", "origin-when-cross-origin",
  "strict-origin-when-cross-origin", "unsafe-url",
];

class State {
  constructor() {
    this.method = "GET";
    this.url = "";
    this.headers = undefined;
    this.block = "";
    this.guard = "none";
    this.body = null;
    this.signal = undefined;  // made when it is asked for
  }
}

// What the URL parser would leave different: dots, and what it writes as %XX or as a slash.
const kUnusual = /\/(?:\.|%2e)|[\\"<>^`{}' ]/i;
const receivedUrl = (text) => (test(kUnusual, text) ? normalizeUrl(text)?.href ?? text : text);

// The request of a fetch event, as it came: "METHODURLname\0value\0…", not taken apart until somebody looks. `ownUrl` is
// given where the URL is not ASCII, and not in the text.
class ReceivedState {
  constructor(text, methodEnd, urlEnd, ownUrl, body, place) {
    this.text = text;
    this.methodEnd = methodEnd;
    this.urlEnd = urlEnd;
    this.ownUrl = ownUrl;
    this.headers = undefined;
    this.body = body;
    this.signal = undefined;
    if (place !== undefined) this.cf = place;
  }
  get method() { return slice(this.text, 0, this.methodEnd); }
  get url() { return this.ownUrl ??= receivedUrl(slice(this.text, this.methodEnd, this.urlEnd)); }
  get block() { return slice(this.text, this.urlEnd); }
  get guard() { return "immutable"; }
}

// What nearly every request leaves as it is costs none of them a field.
const kUsual = {
  cf: undefined,    // where the client is; a string as long as nobody has looked
  blob: undefined,  // of a blob: URL, as it was when the request was made
  redirect: "follow",
  mode: "cors",
  credentials: "same-origin",
  cache: "default",
  referrer: "about:client",
  referrerPolicy: "",
  integrity: "",
  keepalive: false,
  duplex: "half",
};
assign(State.prototype, kUsual);
assign(ReceivedState.prototype, kUsual);

let making = null;
export let requestState;
export let isRequest;
export class Request {
  #state;
  constructor(input, init = undefined) {
    if (making !== null) {
      this.#state = making;
      return;
    }
    required("Request", arguments.length, 1);
    this.#state = stateFrom(input, toDictionary(init, "RequestInit"));
  }
  get method() { return this.#state.method; }
  get url() { return this.#state.url; }
  get headers() {
    const state = this.#state;
    return state.headers ??= makeHeaders(state.block, state.guard);
  }
  get destination() {
    this.#state;
    return "";
  }
  get referrer() { return this.#state.referrer; }
  get referrerPolicy() { return this.#state.referrerPolicy; }
  get mode() { return this.#state.mode; }
  get credentials() { return this.#state.credentials; }
  get cache() { return this.#state.cache; }
  get redirect() { return this.#state.redirect; }
  get integrity() { return this.#state.integrity; }
  get keepalive() { return this.#state.keepalive; }
  get isReloadNavigation() {
    this.#state;
    return false;
  }
  get isHistoryNavigation() {
    this.#state;
    return false;
  }
  get cf() {
    const state = this.#state;
    if (typeof state.cf === "string") state.cf = parse(state.cf);
    return state.cf;
  }
  get signal() { return this.#state.signal ??= newSignal(); }
  get duplex() { return this.#state.duplex; }
  clone() {
    const state = this.#state;
    if (isUnusable(state.body)) throw new TypeError("The body has been read already, or its stream is locked");
    const copy = copyState(state);
    copy.body = state.body === null ? null : cloneBody(state.body);
    copy.signal = dependentSignal([this.signal]);
    return newRequest(copy);
  }
  static {
    requestState = (request) => request.#state;
    isRequest = (value) => typeof value === "object" && value !== null && #state in value;
  }
}

function copyState(state) {
  const copy = new State();
  copy.method = state.method;
  copy.url = state.url;
  copy.cf = state.cf;
  copy.blob = state.blob;
  copy.block = state.headers === undefined ? state.block : blockOf(state.headers);
  copy.guard = state.guard;
  copy.redirect = state.redirect;
  copy.mode = state.mode;
  copy.credentials = state.credentials;
  copy.cache = state.cache;
  copy.referrer = state.referrer;
  copy.referrerPolicy = state.referrerPolicy;
  copy.integrity = state.integrity;
  copy.keepalive = state.keepalive;
  return copy;
}

function parseUrl(text) {
  const parsed = normalizeUrl(text) ?? resolveAgainstBase(text);
  if (parsed === null) throw new TypeError(`Invalid URL: ${text}`);
  if (parsed.credentials) throw new TypeError(`The URL has credentials: ${text}`);
  return parsed.href;
}
function resolveAgainstBase(text) {
  const resolved = resolveUrl(text);
  return resolved === null ? null : normalizeUrl(resolved.href);
}

function readMethod(value) {
  const method = toByteString(value);
  if (!test(kToken, method)) throw new TypeError(`'${method}' is not a valid method`);
  const upper = toUpperCase(method);
  if (upper === "CONNECT" || upper === "TRACE" || upper === "TRACK") throw new TypeError(`The method ${method} is not allowed`);
  return kUsualMethods.includes(upper) ? upper : method;
}

function readReferrer(value) {
  const text = toUSVString(value);
  if (text === "") return "no-referrer";
  const parsed = resolveUrl(text);
  if (parsed === null) throw new TypeError(`Invalid URL of a referrer: ${text}`);
  if (parsed.scheme === "about" && parsed.href === "about:client") return "about:client";
  if (originOf(parsed.href) !== originOf(baseUrl() ?? "")) return "about:client";
  return parsed.href;
}

function stateFrom(input, init) {
  const from = isRequest(input) ? requestState(input) : null;
  const state = from === null ? new State() : copyState(from);
  if (from === null) {
    state.url = parseUrl(toUSVString(input));
    if (state.url.slice(0, 5) === "blob:") state.blob = blobOfUrl(withoutFragment(state.url));
  }
  // Members are read in the order of the dictionary, each once.
  const bodyInit = init.body;
  if (init.cache !== undefined) {
    state.cache = toEnumeration(init.cache, ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"], "RequestCache");
  }
  if (init.cf !== undefined) state.cf = init.cf === null ? undefined : toDictionary(init.cf, "cf");
  if (init.credentials !== undefined) {
    state.credentials = toEnumeration(init.credentials, ["omit", "same-origin", "include"], "RequestCredentials");
  }
  const { duplex, headers: headersInit } = init;
  if (duplex !== undefined) toEnumeration(duplex, ["half"], "RequestDuplex");
  if (init.integrity !== undefined) state.integrity = `${init.integrity}`;
  if (init.keepalive !== undefined) state.keepalive = !!init.keepalive;
  if (init.method !== undefined) state.method = readMethod(init.method);
  let noCors = false;
  if (init.mode !== undefined) {
    const mode = toEnumeration(init.mode, ["navigate", "same-origin", "no-cors", "cors"], "RequestMode");
    if (mode === "navigate") throw new TypeError("The mode 'navigate' is not for programs");
    state.mode = mode;
    noCors = mode === "no-cors";
  }
  if (init.priority !== undefined) toEnumeration(init.priority, ["high", "low", "auto"], "RequestPriority");
  if (init.redirect !== undefined) state.redirect = toEnumeration(init.redirect, ["follow", "error", "manual"], "RequestRedirect");
  if (init.referrer !== undefined) state.referrer = readReferrer(init.referrer);
  if (init.referrerPolicy !== undefined) {
    state.referrerPolicy = toEnumeration(init.referrerPolicy, kReferrerPolicies, "ReferrerPolicy");
  }
  let signal = from === null ? undefined : input.signal;
  if (init.signal !== undefined) {
    signal = init.signal;
    if (signal !== null && !isSignal(signal)) throw new TypeError("Request: the signal is not an AbortSignal");
  }
  if (init.window !== undefined && init.window !== null) throw new TypeError("Request: window can only be null");
  if (state.cache === "only-if-cached" && state.mode !== "same-origin") {
    throw new TypeError("The cache mode 'only-if-cached' needs the mode 'same-origin'");
  }
  if (noCors && !["GET", "HEAD", "POST"].includes(state.method)) throw new TypeError(`The method ${state.method} needs another mode than 'no-cors'`);
  if (signal !== undefined && signal !== null) state.signal = dependentSignal([signal]);

  // A copy may be changed, also where what it copies may not.
  state.guard = state.mode === "no-cors" ? "request-no-cors" : "none";
  if (headersInit !== undefined) {
    state.headers = makeHeaders("", state.guard);
    fill(state.headers, headersInit);
  } else if (noCors) {
    const copied = makeHeaders(state.block, "none");
    state.headers = makeHeaders("", state.guard);
    fill(state.headers, copied);
  }
  takeBody(state, from, bodyInit, duplex);
  return state;
}

function takeBody(state, from, bodyInit, duplex) {
  const hasInit = bodyInit !== undefined && bodyInit !== null;
  if ((hasInit || (from !== null && from.body !== null)) && (state.method === "GET" || state.method === "HEAD")) {
    throw new TypeError(`A request with method ${state.method} has no body`);
  }
  if (!hasInit) {
    if (from === null || from.body === null) return;
    if (isUnusable(from.body)) throw new TypeError("The body has been read already, or its stream is locked");
    state.body = moveBody(from.body);
    return;
  }
  if (bodyInit instanceof ReadableStream && duplex === undefined) {
    throw new TypeError("A request whose body is a stream needs duplex: 'half'");
  }
  const extracted = extractBody(bodyInit, state.keepalive);
  const type = extracted[1];
  state.body = extracted[0];
  if (type === null) return;
  if (state.headers === undefined && state.block === "") {
    state.block = `content-type\0${type}\0`;
    return;
  }
  const headers = state.headers ??= makeHeaders(state.block, state.guard);
  if (fieldOf(headers, "content-type") === null) setField(headers, "content-type", type);
}

function newRequest(state) {
  making = state;
  try {
    return new Request(undefined);
  } finally {
    making = null;
  }
}

// The one of a fetch event.
export function receivedRequest(text, methodEnd, urlEnd, ownUrl, body, place) {
  return newRequest(new ReceivedState(text, methodEnd, urlEnd, ownUrl, body, place));
}

export const requestBlock = (state) => (state.headers === undefined ? state.block : blockOf(state.headers));

interfaceOf(Request);
mixBody(Request, requestState, (state) => {
  const headers = state.headers ??= makeHeaders(state.block, state.guard);
  const mime = extractMime(fieldOf(headers, "content-type"));
  return mime === null ? "" : serializeMime(mime);
});
expose({ Request });
