// Members of env that stand for something of the node's: namespaces of keys and values, queues. A call is one frame each way:
// what is asked, a key, options as fields, a body; the answer is a status, fields, a body.
import {
  Bytes, bytesOf, bytesSet, bytesSlice, bytesSubarray, defineProperty, deferred, indexOf, isArray, isBufferSource, mapGet, mapSet, NativeMap,
  rejected, resolved, slice, test, then,
} from "./intrinsics.js";
import { BYTES, Body, consume, extractBody, sendBody, streamOf, TEXT } from "./body.js";
import { decodeText, encodeText } from "./encoding.js";
import { expectOperation, forgetOperation, nextOperation } from "./fetch.js";
import { fieldOf, makeHeaders } from "./headers.js";
import { delayOf } from "./queue.js";
import { isStream } from "./streams.js";
import { needAwake } from "./timers.js";
import { interfaceOf, required, sequenceOf, toDictionary } from "./webidl.js";

const { parse, stringify } = JSON;
const toNumber = Number;
const kKeysMax = 100;  // of one get

class Asked {
  constructor(what, give) {
    this.what = what;
    this.give = give;
    this.made = deferred();
  }
  answered(status, reason, fields, answer) {
    try {
      this.made.resolve(this.give(status, fields, answer, reason));
    } catch (error) {
      this.made.reject(error);
    }
  }
  failed(text) { this.made.reject(new Error(`${this.what} failed: ${text}`)); }
}

// `give(status, block, body, reason)` makes the promise's value; a string body is the whole of it, wanted as text.
function ask(what, binding, operation, key, block, body, asText, give) {
  const asked = new Asked(what, give);
  const { made } = asked;
  const id = nextOperation();
  expectOperation(id, asked);
  if (body === null) {
    host.askBinding(id, binding, operation, key, block, 0, undefined, 0, asText);
    return made.promise;
  }
  sendBody(body, (kind, source, length) => host.askBinding(id, binding, operation, key, block, kind, source, length, asText), (error) => {
    if (!forgetOperation(id)) return;
    host.abortFetch(id);
    made.reject(error);
  });
  return made.promise;
}

// Fields are Latin-1: UTF-8 goes as its bytes.
const kBeyondAscii = /[^\x00-\x7F]/;
const toField = (text) => (test(kBeyondAscii, text) ? host.latin1Decode(encodeText(text)) : text);
function ofField(text) {
  if (!test(kBeyondAscii, text)) return text;
  const bytes = new Bytes(text.length);
  for (let at = 0; at < text.length; ++at) bytes[at] = text.charCodeAt(at);
  return decodeText(bytes);
}

const attempt = (action) => {
  try {
    return action();
  } catch (error) {
    return rejected(error);
  }
};

let making = false;
const guard = () => {
  if (!making) throw new TypeError("Illegal constructor");
};

// --- Keys and values

const kTypes = { __proto__: null, text: true, json: true, arrayBuffer: false, stream: false };
function typeOf(options, name) {
  const type = typeof options === "string" ? options : toDictionary(options, name).type ?? "text";
  if (kTypes[type] === undefined) throw new TypeError(`${name}: the type is text, json, arrayBuffer or stream, not '${type}'`);
  return type;
}
function keyOf(key, name) {
  const text = `${key}`;
  if (text === "") throw new TypeError(`${name}: a key must not be empty`);
  return text;
}

const wholeText = (text) => text;
const memoryOf = (bytes) => (bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytesSlice(bytes).buffer);
// The value as it was asked for; a promise where it has not all come yet.
function valueOf(body, type) {
  if (type === "text") return typeof body === "string" ? body : body === null ? "" : then(consume(body, true), wholeText);
  if (type === "json") return typeof body === "string" ? parse(body) : body === null ? parse("") : then(consume(body, true), (text) => parse(text));
  const its = body === null ? new Body(BYTES, new Bytes(0), 0) : body;
  return type === "stream" ? streamOf(its) : then(consume(its, false), memoryOf);
}

function secondsOf(value, name) {
  const seconds = Number(value);
  if (!(seconds > 0) || Math.floor(seconds) !== seconds || seconds > 1e12) throw new TypeError(`KV put: ${name} is a whole number of seconds`);
  return seconds;
}

// Values that were read of late, good for as long as nothing was written to their namespace, or to one that shares its counter
// (calls/write_counts.h). The answer's reason says which that is and where it stood: "COUNTER WRITES".
const kKeptMax = 256;
const kKeptCharactersMax = 1 << 18;
const kKeptOneMax = 4096;  // a longer one may be a view of what was received with it (text_of() of realm_values.cc)
class KeptValues {
  constructor() { this.clear(); }
  clear() {
    this.byKey = new NativeMap();
    this.count = 0;
    this.characters = 0;
  }
  // Undefined: there is none.
  find(key) {
    const kept = mapGet(this.byKey, key);
    return kept !== undefined && host.writesOf(kept.counter) === kept.writes ? kept : undefined;
  }
  // A string, or null.
  keep(key, value, reason) {
    const space = indexOf(reason, " ");
    if (space < 0) return;
    const characters = key.length + (value === null ? 0 : value.length);
    if (characters >= kKeptOneMax) return;
    if (++this.count > kKeptMax || this.characters + characters > kKeptCharactersMax) {
      this.clear();
      this.count = 1;
    }
    this.characters += characters;
    mapSet(this.byKey, key, { value, counter: toNumber(slice(reason, 0, space)), writes: toNumber(slice(reason, space + 1)) });
  }
}

const decoded = (bytes, type) => {
  if (bytes === null) return null;
  if (type === "text") return decodeText(bytes);
  if (type === "json") return parse(decodeText(bytes));
  return type === "stream" ? streamOf(new Body(BYTES, bytes, bytes.length)) : memoryOf(bytes);
};

// Several keys in one call, as node/binding_calls.cc reads them: of each its length (u32, little-endian) and its bytes. The answer
// has of each u8 1 or 0 (there or not), the lengths of the metadata and of the value, and these. `make` makes of both what is given.
function getAll(binding, keys, name, make) {
  const names = sequenceOf(keys, (key) => keyOf(key, name), name);
  if (names.length > kKeysMax) throw new TypeError(`${name}: ${kKeysMax} keys at most`);
  if (names.length === 0) return resolved(new NativeMap());
  const parts = [];
  let size = 0;
  for (let at = 0; at < names.length; ++at) {
    parts[at] = encodeText(names[at]);
    size += 4 + parts[at].length;
  }
  const asked = new Bytes(size);
  let end = 0;
  for (let at = 0; at < parts.length; ++at) {
    for (let shift = 0; shift < 32; shift += 8) asked[end++] = parts[at].length >>> shift;
    bytesSet(asked, parts[at], end);
    end += parts[at].length;
  }
  return ask(name, binding, "getAll", "", "", new Body(BYTES, asked, size), false, (status, block, body) => then(consume(body, false), (bytes) => {
    const found = new NativeMap();
    let from = 0;
    const number = () => (bytes[from++] | bytes[from++] << 8 | bytes[from++] << 16 | bytes[from++] << 24) >>> 0;
    for (let at = 0; at < names.length; ++at) {
      const isThere = bytes[from++] === 1;
      const metadata = number();
      const value = number();
      const text = decodeText(bytesSubarray(bytes, from, from + metadata));
      from += metadata;
      mapSet(found, names[at], make(isThere ? bytesSlice(bytes, from, from + value) : null, text));
      from += value;
    }
    return found;
  }));
}

class KVNamespace {
  #binding;
  #kept = new KeptValues();
  constructor(binding) {
    guard();
    this.#binding = binding;
  }
  get(key, options = undefined) {
    return attempt(() => {
      const binding = this.#binding;
      required("KV get", arguments.length, 1);
      needAwake("KV get");
      const type = typeOf(options, "KV get");
      if (isArray(key)) return getAll(binding, key, "KV get", (bytes) => decoded(bytes, type));
      const name = keyOf(key, "KV get");
      const asText = kTypes[type];
      const kept = asText ? this.#kept.find(name) : undefined;
      if (kept !== undefined) return resolved(kept.value === null || type === "text" ? kept.value : parse(kept.value));
      return ask("KV get", binding, "get", name, "", null, asText, (status, block, body, reason) => {
        const value = status === 404 ? null : body;
        if (asText && (value === null ? status === 404 : typeof value === "string")) this.#kept.keep(name, value, reason);
        return status === 404 ? null : valueOf(body, type);
      });
    });
  }
  getWithMetadata(key, options = undefined) {
    return attempt(() => {
      const binding = this.#binding;
      required("KV getWithMetadata", arguments.length, 1);
      needAwake("KV getWithMetadata");
      const type = typeOf(options, "KV getWithMetadata");
      if (isArray(key)) {
        return getAll(binding, key, "KV getWithMetadata", (bytes, metadata) => ({
          value: bytes === null ? null : decoded(bytes, type), metadata: metadata === "" ? null : parse(metadata), cacheStatus: null,
        }));
      }
      return ask("KV getWithMetadata", binding, "get", keyOf(key, "KV getWithMetadata"), "", null, kTypes[type], (status, block, body) => {
        if (status === 404) return { value: null, metadata: null, cacheStatus: null };
        const text = fieldOf(makeHeaders(block, "none"), "metadata");
        const metadata = text === null ? null : parse(ofField(text));
        return then(resolved(valueOf(body, type)), (value) => ({ value, metadata, cacheStatus: null }));
      });
    });
  }
  put(key, value, options = undefined) {
    return attempt(() => {
      const binding = this.#binding;
      required("KV put", arguments.length, 2);
      needAwake("KV put");
      const name = keyOf(key, "KV put");
      const { expiration, expirationTtl, metadata } = toDictionary(options, "KVPutOptions");
      let block = "";
      if (expirationTtl !== undefined && expirationTtl !== null) block += `ttl\0${secondsOf(expirationTtl, "expirationTtl")}\0`;
      else if (expiration !== undefined && expiration !== null) block += `expiration\0${secondsOf(expiration, "expiration")}\0`;
      if (metadata !== undefined && metadata !== null) {
        const text = stringify(metadata);
        if (text === undefined) throw new TypeError("KV put: the metadata cannot be written as JSON");
        block += `metadata\0${toField(text)}\0`;
      }
      if (typeof value !== "string" && !isBufferSource(value) && !isStream(value)) {
        throw new TypeError("KV put: the value is a string, an ArrayBuffer, a view of one, or a ReadableStream");
      }
      const body = typeof value === "string" ? new Body(TEXT, value, -1) : extractBody(value)[0];
      return ask("KV put", binding, "put", name, block, body, false, () => undefined);
    });
  }
  delete(key) {
    return attempt(() => {
      const binding = this.#binding;
      required("KV delete", arguments.length, 1);
      needAwake("KV delete");
      return ask("KV delete", binding, "delete", keyOf(key, "KV delete"), "", null, false, () => undefined);
    });
  }
  list(options = undefined) {
    return attempt(() => {
      const binding = this.#binding;
      needAwake("KV list");
      const { prefix, limit, cursor } = toDictionary(options, "KVListOptions");
      let block = "";
      if (limit !== undefined && limit !== null) {
        const count = Number(limit);
        if (!(count >= 1 && count <= 1000) || Math.floor(count) !== count) throw new TypeError("KV list: the limit is a whole number from 1 to 1000");
        block += `limit\0${count}\0`;
      }
      if (cursor !== undefined && cursor !== null && cursor !== "") block += `cursor\0${toField(`${cursor}`)}\0`;
      const from = prefix === undefined || prefix === null ? "" : `${prefix}`;
      return ask("KV list", binding, "list", from, block, null, true, (status, fields, body) => then(resolved(valueOf(body, "json")), (listed) => listed));
    });
  }
}
interfaceOf(KVNamespace, { tag: "KvNamespace" });

// --- Queues

const kContent = { __proto__: null, json: 0, text: 1, bytes: 2 };
// [kind, body] of a message.
function contentOf(body, contentType, name) {
  const type = contentType ?? "json";
  if (kContent[type] === undefined) throw new TypeError(`${name}: the contentType is json, text or bytes, not '${type}'`);
  if (type === "text") {
    if (typeof body !== "string") throw new TypeError(`${name}: a message of text is a string`);
    return [1, encodeText(body)];
  }
  if (type === "bytes") {
    if (!isBufferSource(body)) throw new TypeError(`${name}: a message of bytes is an ArrayBuffer or a view of one`);
    return [2, bytesSlice(bytesOf(body))];
  }
  const text = stringify(body);
  if (text === undefined) throw new TypeError(`${name}: the message cannot be written as JSON`);
  return [0, encodeText(text)];
}

class Queue {
  #binding;
  constructor(binding) {
    guard();
    this.#binding = binding;
  }
  send(body, options = undefined) {
    return attempt(() => {
      const binding = this.#binding;
      required("Queue send", arguments.length, 1);
      needAwake("Queue send");
      const { contentType } = toDictionary(options, "QueueSendOptions");
      const [kind, bytes] = contentOf(body, contentType, "Queue send");
      return send(binding, "Queue send", [[kind, bytes, delayOf(options, "QueueSendOptions")]]);
    });
  }
  sendBatch(messages, options = undefined) {
    return attempt(() => {
      const binding = this.#binding;
      required("Queue sendBatch", arguments.length, 1);
      needAwake("Queue sendBatch");
      const delay = delayOf(options, "QueueSendBatchOptions");
      const all = sequenceOf(messages, (message) => {
        const { body, contentType } = toDictionary(message, "MessageSendRequest");
        const [kind, bytes] = contentOf(body, contentType, "Queue sendBatch");
        const own = delayOf(message, "MessageSendRequest");
        return [kind, bytes, own < 0 ? delay : own];
      }, "Queue sendBatch");
      if (all.length > 100) throw new TypeError("Queue sendBatch: 100 messages at most");
      return all.length === 0 ? resolved(undefined) : send(binding, "Queue sendBatch", all);
    });
  }
}
interfaceOf(Queue);

// The messages as fields (kind, length, delay), their bodies one after the other.
function send(binding, what, messages) {
  let block = "";
  let size = 0;
  for (let at = 0; at < messages.length; ++at) {
    const [kind, bytes, delay] = messages[at];
    block += `message\0${kind} ${bytes.length} ${delay < 0 ? "-" : delay}\0`;
    size += bytes.length;
  }
  let all = messages[0][1];
  if (messages.length > 1) {
    all = new Bytes(size);
    let offset = 0;
    for (let at = 0; at < messages.length; ++at) {
      all.set(messages[at][1], offset);
      offset += messages[at][1].length;
    }
  }
  return ask(what, binding, "send", "", block, new Body(BYTES, all, size), false, () => undefined);
}

// `bindings`: name, kind, name, …
export function addBindings(env, bindings) {
  for (let at = 0; at < bindings.length; at += 2) {
    making = true;
    const value = bindings[at + 1] === 0 ? new KVNamespace(bindings[at]) : new Queue(bindings[at]);
    making = false;
    defineProperty(env, bindings[at], { value, writable: true, enumerable: true, configurable: true });
  }
}
