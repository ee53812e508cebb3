// Response (Fetch 5.5).
import { test, toLowerCase } from "./intrinsics.js";
import { cloneBody, extractBody, isUnusable, mixBody } from "./body.js";
import { isDecodable } from "./content_coding.js";
import { blockOf, codingOf, fieldOf, fill, guardOf, makeHeaders, removeField, setCoding, setField } from "./headers.js";
import { extractMime, serializeMime } from "./mime.js";
import { resolveUrl, withoutFragment } from "./url.js";
import { Body, TEXT } from "./body.js";
import { isWebSocket } from "./websocket.js";
import { expose, interfaceOf, required, toByteString, toDictionary, toUnsignedShort, toUSVString } from "./webidl.js";

const kReason = /^[\t\x20-\x7E\x80-\xFF]*$/;
const isNullBody = (status) => status === 204 || status === 304 || status === 205 || status === 101 || status === 103;
const kTextBlock = "content-type\0text/plain;charset=UTF-8\0";

class State {
  constructor() {
    this.type = "default";
    this.url = "";
    this.redirected = false;
    this.status = 200;
    this.reason = "";
    this.headers = undefined;  // a Headers, made when it is asked for
    this.block = "";           // until then
    this.guard = "none";
    this.body = null;
  }
}

// Only answers that switch to one have it.
State.prototype.webSocket = null;
// The content coding with which an answer came, if it is one that is decoded for its readers.
State.prototype.coding = undefined;

function headersOf(state) {
  if (state.headers !== undefined) return state.headers;
  state.headers = makeHeaders(state.block, state.guard);
  if (state.coding !== undefined) setCoding(state.headers, state.coding);
  return state.headers;
}
const codingOfState = (state) => (state.headers === undefined ? state.coding : codingOf(state.headers));

let making = null;
export let responseState;
export let isResponse;
export class Response {
  #state;
  constructor(body = null, init = undefined) {
    if (making !== null) {
      this.#state = making;
      return;
    }
    const state = this.#state = new State();
    // Nearly every answer is made this way.
    if (init === undefined && typeof body === "string") {
      state.body = new Body(TEXT, body, -1);
      state.block = kTextBlock;
      return;
    }
    initialize(state, toDictionary(init, "ResponseInit"), body === null || body === undefined ? null : extractBody(body));
  }
  static error() {
    const state = new State();
    state.type = "error";
    state.status = 0;
    state.guard = "immutable";
    return newResponse(state);
  }
  static redirect(url, status = 302) {
    required("Response.redirect", arguments.length, 1);
    const target = resolveUrl(toUSVString(url));
    if (target === null) throw new TypeError(`Invalid URL: ${url}`);
    const code = toUnsignedShort(status);
    if (![301, 302, 303, 307, 308].includes(code)) throw new RangeError(`${status} is not the status of a redirection`);
    const state = new State();
    state.status = code;
    state.block = `location\0${target.href}\0`;
    state.guard = "immutable";
    return newResponse(state);
  }
  static json(data, init = undefined) {
    required("Response.json", arguments.length, 1);
    const text = stringify(data);
    if (text === undefined) throw new TypeError("The value cannot be written as JSON");
    const state = new State();
    initialize(state, toDictionary(init, "ResponseInit"), [new Body(TEXT, text, -1), "application/json"]);
    return newResponse(state);
  }
  get type() { return this.#state.type; }
  get url() { return this.#state.url; }
  get redirected() { return this.#state.redirected; }
  get status() { return this.#state.status; }
  get ok() { return this.#state.status >= 200 && this.#state.status <= 299; }
  get statusText() { return this.#state.reason; }
  get headers() { return headersOf(this.#state); }
  get webSocket() { return this.#state.webSocket; }
  clone() {
    const state = this.#state;
    if (state.webSocket !== null) throw new TypeError("A Response with a WebSocket cannot be cloned");
    if (isUnusable(state.body)) throw new TypeError("The body has been read already, or its stream is locked");
    const copy = new State();
    copy.type = state.type;
    copy.url = state.url;
    copy.redirected = state.redirected;
    copy.status = state.status;
    copy.reason = state.reason;
    copy.guard = state.headers === undefined ? state.guard : guardOf(state.headers);
    copy.block = state.headers === undefined ? state.block : blockOf(state.headers);
    const coding = codingOfState(state);
    if (coding !== undefined) copy.coding = coding;
    copy.body = state.body === null ? null : cloneBody(state.body);
    return newResponse(copy);
  }
  static {
    responseState = (response) => response.#state;
    isResponse = (value) => typeof value === "object" && value !== null && #state in value;
  }
}
const { stringify } = JSON;

function initialize(state, init, extracted) {
  const status = init.status === undefined ? 200 : toUnsignedShort(init.status);
  const reason = init.statusText === undefined ? "" : toByteString(init.statusText);
  const { headers } = init;
  const webSocket = init.webSocket ?? null;
  if (webSocket !== null) {
    if (!isWebSocket(webSocket)) throw new TypeError("webSocket is no WebSocket");
    if (status !== 101) throw new RangeError("A Response with a WebSocket has the status 101");
    if (extracted !== null) throw new TypeError("A Response with a WebSocket has no body");
    state.webSocket = webSocket;
  } else if (status < 200 || status > 599) throw new RangeError(`${status} is not a status from 200 to 599`);
  if (!test(kReason, reason)) throw new TypeError("The status text has characters that are not allowed");
  state.status = status;
  state.reason = reason;
  if (headers !== undefined) {
    state.headers = makeHeaders("", "none");
    fill(state.headers, headers);
  }
  if (extracted === null) return;
  if (isNullBody(status)) throw new TypeError(`A response with status ${status} has no body`);
  state.body = extracted[0];
  const type = extracted[1];
  if (type === null) return;
  if (state.headers === undefined) state.block = `content-type\0${type}\0`;
  else if (fieldOf(state.headers, "content-type") === null) setField(state.headers, "content-type", type);
}

export function newResponse(state) {
  making = state;
  try {
    return new Response();
  } finally {
    making = null;
  }
}

// One that came from outside.
export function receivedResponse(status, reason, block, body, url, redirected) {
  const state = new State();
  state.type = "basic";
  state.status = status;
  state.reason = reason;
  state.block = block;
  state.guard = "immutable";
  state.body = isNullBody(status) ? null : body;
  state.url = withoutFragment(url);
  state.redirected = redirected;
  if (body !== null && test(kCoded, block)) takeCoding(state);
  return newResponse(state);
}

const kCoded = /content-encoding\0/i;
function takeCoding(state) {
  const coding = toLowerCase(fieldOf(makeHeaders(state.block, "none"), "content-encoding") ?? "");
  if (isDecodable(coding) && state.body !== null) state.coding = state.body.coding = coding;
}

export const responseBlock = (state) => (state.headers === undefined ? state.block : blockOf(state.headers));

// The fields with which the response goes out: those that came with coded bytes go with these bytes only.
export function sentBlock(state) {
  const coding = codingOfState(state);
  const block = responseBlock(state);
  const { body } = state;
  if (body === null || (coding === undefined && body.coding === undefined)) return block;
  const headers = makeHeaders(block, "none");
  if (body.coding !== undefined && toLowerCase(fieldOf(headers, "content-encoding") ?? "") === body.coding) {
    body.passes = true;
    return block;
  }
  if (coding !== undefined) removeField(headers, "content-encoding");
  removeField(headers, "content-length");
  return blockOf(headers);
}

interfaceOf(Response);
mixBody(Response, responseState, (state) => {
  const headers = headersOf(state);
  const mime = extractMime(fieldOf(headers, "content-type"));
  return mime === null ? "" : serializeMime(mime);
});
expose({ Response });
