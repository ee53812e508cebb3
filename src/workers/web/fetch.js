// fetch() (Fetch 5.6): what the host does is one HTTP exchange; redirections, data: and blob: URLs are done here.
import { Bytes, deferred, defineProperty, indexOf, mapDelete, mapGet, mapSet, NativeMap, rejected, then } from "./intrinsics.js";
import { onAbort } from "./abort.js";
import { blobBytes, blobType } from "./blob.js";
import { BYTES, Body, consume, discardBody, endWith, incomingBody, INCOMING, sendBody, stopSending, STREAM, takeHeld } from "./body.js";
import { encodeText } from "./encoding.js";
import { blockOf, fieldOf, makeHeaders, removeField, setField } from "./headers.js";
import { parseMime, serializeMime } from "./mime.js";
import { Request, requestBlock, requestState } from "./request.js";
import { receivedResponse, responseState } from "./response.js";
import { needAwake } from "./timers.js";
import { normalizeUrl, originOf, resolveUrl, withoutFragment } from "./url.js";
import { required } from "./webidl.js";
import { fetchSocket } from "./websocket.js";

const kRedirections = 20;
let lastOperation = 0;
export const nextOperation = () => ++lastOperation;
const operations = new NativeMap();  // number → {resolve, reject, …}
export const expectOperation = (id, waiting) => mapSet(operations, id, waiting);
export const forgetOperation = (id) => take(id) !== undefined;
const take = (id) => {
  const waiting = mapGet(operations, id);
  mapDelete(operations, id);
  return waiting;
};

export const hooks = {
  answered(id, status, reason, block, body, length) {
    const waiting = take(id);
    if (waiting === undefined) {
      if (typeof body === "number") host.cancel(body);
      return;
    }
    waiting.answered(status, reason, block, typeof body === "string" ? body : incomingBody(body, length));
  },
  missed(id) { take(id)?.missed(); },
  done(id, found) { take(id)?.done(found); },
  failed(id, text) { take(id)?.failed(text); },
};

// One exchange without a Request, for who speaks another protocol over it; `waiting` has answered(), failed(), missed().
// Gives its number.
export function openExchange(href, block, body, waiting, method = "GET") {
  const id = nextOperation();
  mapSet(operations, id, waiting);
  sendBody(body, (kind, value, length) => host.fetch(id, method, withoutFragment(href), block, kind, value, length), () => {});
  return id;
}

function fetch(input, init = undefined) {
  try {
    required("fetch", arguments.length, 1);
    needAwake("fetch");
    const request = new Request(input, init);
    const state = requestState(request);
    if (state.signal !== undefined && state.signal.aborted) {
      discardBody(state.body, state.signal.reason);
      return rejected(state.signal.reason);
    }
    if (state.method === "GET" && state.body === null && asksForSocket(state)) {
      return fetchSocket(withoutFragment(state.url), requestBlock(state), giveSocket);
    }
    return new Exchange(state).promise;
  } catch (error) {
    return rejected(error);
  }
}
defineProperty(fetch, "length", { value: 1 });
defineProperty(globalThis, "fetch", { value: fetch, writable: true, enumerable: true, configurable: true });

const asksForSocket = (state) => {
  const block = requestBlock(state);
  if (indexOf(block, "pgrade\0") < 0) return false;  // nearly none
  const upgrade = fieldOf(makeHeaders(block, "none"), "upgrade");
  return upgrade !== null && upgrade.toLowerCase() === "websocket";
};
const giveSocket = (status, block, body, socket, reason = "") => {
  const response = receivedResponse(status, reason, block, body, "", false);
  if (socket !== undefined) responseState(response).webSocket = socket;
  return response;
};

// Fetch 4.5, "HTTP-network-or-cache fetch", steps 15 to 17: a cache mode as fields, which the node's cache understands.
function cacheFields(state, block) {
  if (state.cache !== "no-store" && state.cache !== "reload" && state.cache !== "no-cache") return block;
  const headers = makeHeaders(block, "none");
  const put = (name, value) => {
    if (fieldOf(headers, name) === null) setField(headers, name, value);
  };
  if (state.cache === "no-cache") {
    put("cache-control", "max-age=0");
  } else {
    put("pragma", "no-cache");
    put("cache-control", "no-cache");
  }
  return blockOf(headers);
}

// Fetch 5.6, "fetching", step 13.
const withAccept = (block) =>
  indexOf(block, "ccept\0") >= 0 && fieldOf(makeHeaders(block, "none"), "accept") !== null ? block : `${block}accept\0*/*\0`;

// One fetch, over all its redirections.
class Exchange {
  constructor(state) {
    const made = deferred();
    this.promise = made.promise;
    this.settle = made;
    this.state = state;
    this.method = state.method;
    this.url = state.url;
    this.block = withAccept(cacheFields(state, requestBlock(state)));
    this.body = state.body;
    if (state.body !== null) takeHeld(state.body);
    this.replay = state.body !== null && state.body.kind !== STREAM && state.body.kind !== INCOMING ? state.body : null;
    this.redirections = 0;
    this.operation = 0;
    this.sending = 0;  // the leaving stream that is the body, if it is one
    this.over = false;
    this.forget = state.signal === undefined ? () => {} : onAbort(state.signal, (reason) => this.abort(reason));
    this.start();
  }

  start() {
    const scheme = this.url.slice(0, this.url.indexOf(":"));
    if (scheme === "http" || scheme === "https") return this.send();
    if (this.method !== "GET" && scheme === "blob") return this.fail(`${this.method} is no method for a blob: URL`);
    if (scheme === "data") return this.giveData();
    if (scheme === "blob") return this.giveBlob();
    this.fail(`The scheme of ${this.url} is not supported`);
  }

  send() {
    const id = this.operation = nextOperation();
    mapSet(operations, id, this);
    const send = (kind, body, length) => {
      this.sending = kind === 2 ? body : 0;
      host.fetch(id, this.method, withoutFragment(this.url), this.block, kind, body, length);
    };
    sendBody(this.body, send, (error) => {
      if (this.over || take(id) === undefined) return;
      host.abortFetch(id);
      this.finish();
      this.settle.reject(error);
    });
  }

  answered(status, reason, block, body) {
    if (status >= 301 && status <= 308 && status !== 304 && status !== 305 && status !== 306) {
      const headers = makeHeaders(block, "none");
      const location = fieldOf(headers, "location");
      if (this.state.redirect === "error") {
        discardBody(body);
        return this.fail("The answer is a redirection, and redirect is 'error'");
      }
      if (location !== null && this.state.redirect === "follow") {
        discardBody(body);
        return this.follow(status, location);
      }
    }
    this.give(receivedResponse(status, reason, block, this.method === "HEAD" ? null : body, this.url, this.redirections > 0));
  }

  follow(status, location) {
    if (++this.redirections > kRedirections) return this.fail(`There are more than ${kRedirections} redirections`);
    const target = resolveUrl(location, this.url);
    if (target === null || (target.scheme !== "http" && target.scheme !== "https")) {
      return this.fail(`The redirection to ${location} cannot be followed`);
    }
    const parsed = normalizeUrl(target.href);
    const headers = makeHeaders(this.block, "none");
    if ((status === 303 && this.method !== "GET" && this.method !== "HEAD") ||
        ((status === 301 || status === 302) && this.method === "POST")) {
      this.method = "GET";
      this.body = null;
      this.replay = null;
      for (const name of ["content-encoding", "content-language", "content-location", "content-type", "content-length"]) {
        removeField(headers, name);
      }
    } else if (this.body !== null) {
      if (this.replay === null) return this.fail("The redirection needs the body again, which was a stream");
      this.body = new Body(this.replay.kind, this.replay.source, this.replay.length);
    }
    if (originOf(this.url) !== originOf(parsed.href)) {
      removeField(headers, "authorization");
      removeField(headers, "cookie");
      removeField(headers, "proxy-authorization");
    }
    this.block = blockOf(headers);
    const hash = this.url.indexOf("#");
    this.url = target.fragment === null && hash >= 0 ? parsed.href + this.url.slice(hash) : parsed.href;
    this.start();
  }

  giveData() {
    const data = parseDataUrl(withoutFragment(this.url));
    if (data === null) return this.fail("The data: URL is malformed");
    const body = this.method === "HEAD" ? null : new Body(BYTES, data.bytes, data.bytes.length);
    this.give(receivedResponse(200, "OK", `content-type\0${data.type}\0`, body, this.url, false));
  }

  giveBlob() {
    const { blob } = this.state;
    if (blob === undefined) return this.fail("The blob: URL is not known");
    const all = blobBytes(blob);
    const type = blobType(blob);
    const asked = fieldOf(makeHeaders(this.block, "none"), "range");
    if (asked === null) {
      const block = `content-length\0${all.length}\0content-type\0${type}\0`;
      return this.give(receivedResponse(200, "OK", block, new Body(BYTES, all, all.length), this.url, false));
    }
    const match = /^bytes[\t ]*=[\t ]*(\d*)[\t ]*-[\t ]*(\d*)$/.exec(asked);
    if (match === null || (match[1] === "" && match[2] === "")) return this.fail("The range is malformed");
    let first = match[1] === "" ? Math.max(all.length - Number(match[2]), 0) : Number(match[1]);
    let last = match[1] === "" || match[2] === "" ? all.length - 1 : Math.min(Number(match[2]), all.length - 1);
    if (first >= all.length || first > last) return this.fail("The range is outside the blob");
    const part = all.slice(first, last + 1);
    const block = `content-length\0${part.length}\0content-type\0${type}\0content-range\0bytes ${first}-${last}/${all.length}\0`;
    this.give(receivedResponse(206, "Partial Content", block, new Body(BYTES, part, part.length), this.url, false));
  }

  give(response) {
    if (this.over) return;
    const hashes = this.state.integrity === "" ? null : readIntegrity(this.state.integrity);
    if (hashes === null) this.hand(response);
    else this.check(response, hashes);
  }

  // Subresource Integrity 3.3: nothing of an answer is given before all of it is what was promised.
  check(response, hashes) {
    const state = responseState(response);
    if (state.body !== null && this.state.signal !== undefined) endWith(state.body, this.state.signal);
    then(consume(state.body, false), (bytes) => {
      if (!hashes.values.includes(hashed(bytes, hashes.number))) return this.fail("The body is not what 'integrity' says");
      if (state.body !== null) state.body = new Body(BYTES, bytes, bytes.length);
      this.hand(response);
    }, (error) => {
      if (this.over) return;
      this.finish();
      this.settle.reject(error);
    });
  }

  hand(response) {
    if (this.over) return;
    this.finish();
    const { body } = responseState(response);
    const { signal } = this.state;
    if (signal !== undefined) {
      // It still ends what comes, and what goes.
      if (body !== null) endWith(body, signal);
      if (this.sending !== 0) onAbort(signal, (reason) => stopSending(this.sending, reason), false);
    }
    this.settle.resolve(response);
  }

  missed() { this.fail("There is no answer"); }
  failed(text) { this.fail(text); }
  fail(text) {
    if (this.over) return;
    this.finish();
    this.settle.reject(new TypeError(`fetch failed: ${text}`));
  }
  finish() {
    this.over = true;
    this.forget();
  }
  abort(reason) {
    if (this.over) return;
    this.over = true;
    if (take(this.operation) !== undefined) host.abortFetch(this.operation);
    if (this.sending !== 0) stopSending(this.sending, reason);
    else discardBody(this.body, reason);
    this.settle.reject(reason);
  }
}

// Subresource Integrity 3.3.3: the values of the strongest hash, in Base64 without padding, and its number in hashBegin();
// null where none is named.
const kStrengths = { sha256: 1, sha384: 2, sha512: 3 };
const kHash = /^(sha256|sha384|sha512)-([A-Za-z0-9+/_-]+)={0,2}(?:\?.*)?$/i;
function readIntegrity(text) {
  let number = 0;
  let values = [];
  for (const word of text.split(/[\t\n\f\r ]+/)) {
    const match = kHash.exec(word);
    if (match === null) continue;
    const strength = kStrengths[match[1].toLowerCase()];
    if (strength > number) values = [];
    if (strength < number) continue;
    number = strength;
    values.push(match[2].replace(/-/g, "+").replace(/_/g, "/"));
  }
  return number === 0 ? null : { number, values };
}
function hashed(bytes, number) {
  const hash = host.hashBegin(number);
  host.hashAdd(hash, bytes);
  return host.base64EncodeText(host.latin1Decode(new Bytes(host.hashFinish(hash)))).replace(/=+$/, "");
}

// Fetch 6, "data: URL processor".
export function parseDataUrl(url) {
  const comma = url.indexOf(",");
  if (comma < 0) return null;
  let type = url.slice(5, comma).replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, "");
  let bytes = percentDecode(url.slice(comma + 1));
  const base64 = /; *base64$/i;
  if (base64.test(type)) {
    const text = host.base64DecodeText(host.latin1Decode(bytes));
    if (text === null) return null;
    bytes = new Bytes(text.length);
    for (let at = 0; at < text.length; ++at) bytes[at] = text.charCodeAt(at);
    type = type.replace(base64, "");
  }
  if (type.startsWith(";")) type = `text/plain${type}`;
  const mime = parseMime(type);
  return { bytes, type: mime === null ? "text/plain;charset=US-ASCII" : serializeMime(mime) };
}

function percentDecode(text) {
  const input = encodeText(text);
  const output = new Bytes(input.length);
  let size = 0;
  const digit = (byte) => (byte >= 48 && byte <= 57 ? byte - 48 : byte >= 65 && byte <= 70 ? byte - 55 : byte >= 97 && byte <= 102 ? byte - 87 : -1);
  for (let at = 0; at < input.length; ++at) {
    let byte = input[at];
    if (byte === 37 && at + 2 < input.length) {
      const high = digit(input[at + 1]);
      const low = digit(input[at + 2]);
      if (high >= 0 && low >= 0) {
        byte = high * 16 + low;
        at += 2;
      }
    }
    output[size++] = byte;
  }
  return output.slice(0, size);
}
