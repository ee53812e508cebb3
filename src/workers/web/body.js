// Bodies (Fetch 5.2): what a Request and a Response have in common. A body keeps the form it was given in until somebody
// asks for another one; a stream is made only for who reads `body`.
import { Bytes, bytesOf, bytesSet, bytesSlice, bytesTag, charCodeAt, deferred, defineProperty, isBufferSource, isView, mapDelete, mapGet, mapSet, NativeMap, rejected, resolved, slice, then, weakGet, weakSet } from "./intrinsics.js";
import { onAbort } from "./abort.js";
import { blobBytes, blobType, isBlob, newBlob } from "./blob.js";
import { decodedStream } from "./content_coding.js";
import { decodeText, encodeText } from "./encoding.js";
import { formOf, isFormData, parseMultipart, serializeForm } from "./form_data.js";
import { byteStream, cancelBy, cancelStream, errorStream, isByteStream, isDisturbed, isLocked, isStream, readerOf, readFrom, ReadableStream, take, teeBytes, TransformStream } from "./streams.js";
import { isParams, parseQuery, serializeParams } from "./url.js";
import { parseMime, parameterOf } from "./mime.js";
import { structuredClone } from "./structured_clone.js";
import { toUSVString } from "./webidl.js";

// text: a string, whose lone surrogates are replaced when it is read. bytes: a Uint8Array nobody else changes. incoming: a stream of the host's, by its number.
// held: what came whole with an event, by its number: the host holds it while the event is under way, until somebody wants
// it. stream: a ReadableStream. Once `stream` is there, it is the body.
export const TEXT = 1;
export const BYTES = 2;
export const INCOMING = 3;
export const STREAM = 4;
export const HELD = 5;

export class Body {
  constructor(kind, source, length) {
    this.kind = kind;
    this.source = source;
    this.length = length;  // in bytes, -1 unknown; of a text it is not computed
    this.stream = undefined;
    this.used = false;  // read without a stream
  }
}
// Few have them: the signal of the fetch that it came from, the stream of which `stream` is a clone's branch, and the content
// coding of the source. Who reads gets it decoded; `passes`: it goes out as it came.
Body.prototype.signal = undefined;
Body.prototype.root = undefined;
Body.prototype.coding = undefined;
Body.prototype.passes = false;

// The same bytes for somebody else.
function sameBody(body) {
  const next = new Body(body.kind, body.source, body.length);
  if (body.signal !== undefined) next.signal = body.signal;
  if (body.coding !== undefined) next.coding = body.coding;
  return next;
}
const isAborted = (body) => body.signal !== undefined && body.signal.aborted;

// From here on `signal` ends the body with its reason. The signal is kept by who reads the body, and keeps neither.
export function endWith(body, signal) {
  body.signal = signal;
  const id = body.kind === INCOMING ? body.source : 0;
  onAbort(signal, (reason) => {
    const entry = id === 0 ? undefined : mapGet(incoming, id);
    if (id !== 0 && (entry !== undefined || !isUsed(body))) host.cancel(id);
    entry?.broken(reason);
    const stream = body.root ?? body.stream;
    if (stream !== undefined) errorStream(stream, reason);
    mapDelete(incoming, id);
  }, false);
}

// "extract a body": [body, content type or null].
export function extractBody(value, keepalive = false) {
  if (typeof value === "string") return [new Body(TEXT, value, -1), "text/plain;charset=UTF-8"];
  if (typeof value === "object" && value !== null) {
    if (isStream(value)) {
      if (keepalive) throw new TypeError("A stream cannot be the body of a request with keepalive");
      if (isDisturbed(value) || isLocked(value)) throw new TypeError("The stream has been read from, or is locked");
      const own = weakGet(bodyOfStream, value);
      if (own !== undefined) return [takeOver(own), null];
      const body = new Body(STREAM, undefined, -1);
      body.stream = value;
      return [body, null];
    }
    if (isBufferSource(value)) {
      const bytes = bytesSlice(bytesOf(value));
      return [new Body(BYTES, bytes, bytes.length), null];
    }
    if (isBlob(value)) {
      const bytes = blobBytes(value);
      return [new Body(BYTES, bytes, bytes.length), blobType(value) === "" ? null : blobType(value)];
    }
    if (isParams(value)) {
      return [new Body(TEXT, serializeParams(value), -1), "application/x-www-form-urlencoded;charset=UTF-8"];
    }
    if (isFormData(value)) {
      const { bytes, type } = serializeForm(value);
      return [new Body(BYTES, bytes, bytes.length), type];
    }
  }
  return [new Body(TEXT, toUSVString(value), -1), "text/plain;charset=UTF-8"];
}

// Makes bytes of a body that the host holds.
export function takeHeld(body) {
  if (body.kind !== HELD) return;
  const memory = host.takeHeld(body.source);
  if (memory === undefined) throw new TypeError("The event has ended, and the body of its request is gone");
  body.kind = BYTES;
  body.source = new Bytes(memory);
}

// A stream that `body` made for one of ours, which has not been touched: its source can be had without it.
const bodyOfStream = new WeakMap();
function takeOver(body) {
  const { stream } = body;
  const next = sameBody(body);
  // Who still holds the stream sees it as taken.
  next.stream = stream;
  next.fresh = true;
  return next;
}

// Entering streams that JavaScript reads: number → what waits for them.
const incoming = new NativeMap();

export const hooks = {
  chunk(id, memory) { mapGet(incoming, id)?.chunk(new Bytes(memory)); },
  end(id) {
    const entry = mapGet(incoming, id);
    mapDelete(incoming, id);
    entry?.end();
  },
  broken(id, text) {
    const entry = mapGet(incoming, id);
    mapDelete(incoming, id);
    entry?.broken(new TypeError(text));
  },
  collected(id, value) {
    const entry = mapGet(incoming, id);
    mapDelete(incoming, id);
    entry?.collected(value);
  },
};

// The stream of an entering body: chunks are pulled as they are read.
function streamOfIncoming(id, signal) {
  let pending;
  const entry = {
    signal,
    chunk(bytes) {
      if (bytes.length > 0) controllerOf.enqueue(bytes);
      const { resolve } = pending;
      pending = undefined;
      if (bytes.length === 0) host.pull(id), pending = { resolve };
      else resolve();
    },
    end() {
      controllerOf.close();
      controllerOf.byobRequest?.respond(0);
      pending?.resolve();
    },
    broken(error) {
      controllerOf.error(error);
      pending?.resolve();
    },
  };
  let controllerOf;
  return byteStream({
    type: "bytes",
    start(controller) {
      controllerOf = controller;
      mapSet(incoming, id, entry);
    },
    pull() {
      pending = deferred();
      if (host.pull(id) === false) throw new TypeError("The event has ended, and the body of its request is gone");
      return pending.promise;
    },
    cancel() {
      mapDelete(incoming, id);
      host.cancel(id);
    },
  });
}

function streamOfBytes(bytesFrom) {
  return byteStream({
    type: "bytes",
    pull(controller) {
      const bytes = bytesFrom();
      if (bytes.length > 0) controller.enqueue(bytesSlice(bytes));
      controller.close();
      controller.byobRequest?.respond(0);
    },
  });
}

function streamOfAborted(signal) {
  const stream = byteStream({ type: "bytes" });
  errorStream(stream, signal.reason);
  return stream;
}

export function streamOf(body) {
  if (body.stream === undefined) {
    const { kind, source, signal, coding } = body;
    const stream = isAborted(body) && !body.used ? streamOfAborted(signal) : kind === INCOMING ? streamOfIncoming(source, signal) : streamOfBytes(() => {
      takeHeld(body);
      return kind === TEXT ? encodeText(source) : body.source;
    });
    body.stream = coding === undefined ? stream : decodedStream(stream, coding);
    if (body.used) {
      // It was read without a stream: what is shown is one that was read.
      const reader = readerOf(body.stream);
      then(readFrom(reader), undefined, () => {});
    } else {
      weakSet(bodyOfStream, body.stream, body);
    }
  }
  return body.stream;
}

export const isUsed = (body) => body !== null && (body.used || (body.stream !== undefined && isDisturbed(body.stream)));
export const isUnusable = (body) => body !== null && (isUsed(body) || (body.stream !== undefined && isLocked(body.stream)));

// Whether the source may still be used in place of the stream.
const hasSource = (body) => body.kind !== STREAM && (body.coding === undefined || body.passes) && !isAborted(body) && (body.stream === undefined || (!isDisturbed(body.stream) && !isLocked(body.stream)));

// Marks the stream that somebody may hold as read, when its source is taken from under it.
function lockStream(body) {
  if (body.stream === undefined) return;
  if (body.kind !== INCOMING) {
    then(readFrom(readerOf(body.stream)), undefined, () => {});
    return;
  }
  mapDelete(incoming, body.source);
  take(body.stream);
}

// "tee" with cloned chunks, of a stream of values: what one side does to a chunk the other does not see.
function cloneStream(stream) {
  const reader = readerOf(stream);
  const branches = [];
  const cancelled = [false, false];
  const reasons = [undefined, undefined];
  const cancelling = deferred();
  let reading = false;
  let again = false;
  const settle = (action) => {
    for (let side = 0; side < 2; ++side) {
      if (!cancelled[side]) action(branches[side], side);
    }
  };
  const pull = () => {
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    then(readFrom(reader), ({ done, value }) => {
      reading = false;
      if (done) {
        settle((controller) => controller.close());
        cancelling.resolve(undefined);
        return;
      }
      let copy;
      try {
        copy = cancelled[1] ? undefined : structuredClone(value);
      } catch (error) {
        settle((controller) => controller.error(error));
        cancelling.resolve(cancelBy(reader, error));
        return;
      }
      settle((controller, side) => controller.enqueue(side === 0 ? value : copy));
      if (again) {
        again = false;
        pull();
      }
    }, (error) => {
      settle((controller) => controller.error(error));
      cancelling.resolve(undefined);
    });
  };
  const branch = (side) => new ReadableStream({
    start(controller) { branches[side] = controller; },
    pull,
    cancel(reason) {
      cancelled[side] = true;
      reasons[side] = reason;
      if (cancelled[1 - side]) cancelling.resolve(cancelBy(reader, reasons));
      return cancelling.promise;
    },
  }, { highWaterMark: 0 });
  return [branch(0), branch(1)];
}

export function cloneBody(body) {
  takeHeld(body);
  if (hasSource(body) && body.kind !== INCOMING) return sameBody(body);
  const stream = streamOf(body);
  const [one, two] = isByteStream(stream) ? teeBytes(stream) : cloneStream(stream);
  body.root ??= stream;
  body.kind = STREAM;
  body.source = undefined;
  body.coding = undefined;
  body.stream = one;
  const copy = new Body(STREAM, undefined, body.length);
  copy.stream = two;
  return copy;
}

// A body for another Request that takes over this one's.
export function moveBody(body) {
  takeHeld(body);
  if (hasSource(body)) {
    const next = sameBody(body);
    lockStream(body);
    body.used = true;
    return next;
  }
  const next = new Body(STREAM, undefined, body.length);
  const { readable, writable } = new TransformStream();
  then(streamOf(body).pipeTo(writable), undefined, () => {});
  next.stream = readable;
  return next;
}

const kNoBytes = new Bytes(0);
const { parse } = JSON;
const parseJson = (text) => parse(text);

function collect(id, asText, signal) {
  const made = deferred();
  mapSet(incoming, id, { collected: made.resolve, broken: made.reject, signal });
  host.collect(id, asText);
  return made.promise;
}

// All bytes of a ReadableStream of Uint8Arrays.
function readAll(stream) {
  const reader = readerOf(stream);
  const pieces = [];
  let size = 0;
  const made = deferred();
  const step = ({ done, value }) => {
    if (done) {
      try {
        const bytes = new Bytes(size);
        let offset = 0;
        for (let at = 0; at < pieces.length; ++at) {
          bytesSet(bytes, pieces[at], offset);
          offset += pieces[at].length;
        }
        made.resolve(bytes);
      } catch (error) {
        made.reject(error);  // no memory for them
      }
      return;
    }
    if (!isUint8Array(value)) {
      const error = new TypeError("A chunk of the body is not a Uint8Array");
      made.reject(error);
      then(reader.cancel(error), undefined, () => {});
      return;
    }
    // A copy: whoever enqueued the chunk may change it, or transfer its memory.
    try {
      pieces[pieces.length] = bytesSlice(value);
    } catch (error) {
      made.reject(error);
      then(cancelBy(reader, error), undefined, () => {});
      return;
    }
    size += value.length;
    next();
  };
  const next = () => then(readFrom(reader), step, made.reject);
  next();
  return made.promise;
}
const isUint8Array = (value) => isView(value) && bytesTag(value) === "Uint8Array";

// A promise of the bytes (or, `asText`, of a string), made without a stream where none is needed.
export function consume(body, asText) {
  if (body === null) return resolved(asText ? "" : kNoBytes);
  if (!hasSource(body)) return then(readAll(streamOf(body)), (bytes) => (asText ? decodeText(bytes) : bytes));
  const { kind, source } = body;
  if (kind === INCOMING) {
    lockStream(body);
    body.used = true;
    return then(collect(source, asText, body.signal), (value) => (asText ? value : new Bytes(value)));
  }
  if (kind === HELD && asText && body.stream === undefined) {
    body.used = true;
    return resolved(host.takeHeldText(source));
  }
  takeHeld(body);
  lockStream(body);
  body.used = true;
  if (kind === TEXT) {
    if (!asText) return resolved(encodeText(source));
    // A byte order mark is an encoder's affair; a decoder takes it off.
    return resolved(toUSVString(charCodeAt(source, 0) === 0xFEFF ? slice(source, 1) : source));
  }
  return resolved(asText ? host.textOf(body.source) : bytesSlice(body.source));
}

// The methods of the Body mixin, over stateOf(this).body; mimeOf(state) the Content-Type.
export function mixBody(type, stateOf, mimeOf) {
  const reading = (name, read) => ({
    [name]() {
      try {
        const state = stateOf(this);
        if (isUnusable(state.body)) return rejected(new TypeError("The body has been read already, or its stream is locked"));
        return read(state);
      } catch (error) {
        return rejected(error);
      }
    },
  })[name];
  const methods = {
    arrayBuffer: reading("arrayBuffer", (state) => then(consume(state.body, false), (bytes) => bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytesSlice(bytes).buffer)),
    blob: reading("blob", (state) => then(consume(state.body, false), (bytes) => newBlob(bytes, mimeOf(state)))),
    bytes: reading("bytes", (state) => consume(state.body, false)),
    formData: reading("formData", (state) => {
      const mime = parseMime(mimeOf(state) ?? "");
      if (mime !== null && mime.essence === "multipart/form-data") {
        return then(consume(state.body, false), (bytes) => {
          const boundary = parameterOf(mime, "boundary");
          if (boundary === undefined) throw new TypeError("The Content-Type has no boundary");
          return parseMultipart(bytes, boundary);
        });
      }
      return then(consume(state.body, false), (bytes) => {
        if (mime === null || mime.essence !== "application/x-www-form-urlencoded") {
          throw new TypeError("The Content-Type is not that of a form");
        }
        return formOf(parseQuery(host.utf8Decode(bytes, false, true)));
      });
    }),
    json: reading("json", (state) => then(consume(state.body, true), parseJson)),
    text: reading("text", (state) => consume(state.body, true)),
  };
  for (const name of Object.keys(methods)) {
    defineProperty(type.prototype, name, { value: methods[name], writable: true, enumerable: true, configurable: true });
  }
  const accessors = {
    get body() {
      const { body } = stateOf(this);
      return body === null ? null : streamOf(body);
    },
    get bodyUsed() { return isUsed(stateOf(this).body); },
  };
  for (const name of ["body", "bodyUsed"]) {
    defineProperty(type.prototype, name, { ...Object.getOwnPropertyDescriptor(accessors, name), enumerable: true });
  }
}

let lastStream = 0;
const leaving = new NativeMap();  // number → {ready, dropped}
hooks.writable = (id) => mapGet(leaving, id)?.ready();
hooks.dropped = (id) => mapGet(leaving, id)?.dropped();
// Takes no more of a body that send() was told to be the stream `id`.
export const stopSending = (id, reason) => mapGet(leaving, id)?.dropped(reason);

// Uses up a body that is at hand as a whole: what is to be sent is its source, and the kind as body_at() has it
// (realm_host_bindings.cc). -1: it is a stream.
export function useWhole(body) {
  const { kind, source } = body;
  if (kind === INCOMING || !hasSource(body)) return -1;
  if (body.stream !== undefined) take(body.stream);
  body.used = true;
  return kind === HELD ? 4 : source.length === 0 ? 0 : 1;
}

// Uses up a body that the host may pass on itself as the answer to an event: whether it may.
export function relay(body, event) {
  if (body.kind !== INCOMING || !hasSource(body) || !host.relays(event, body.source)) return false;
  lockStream(body);
  body.used = true;
  return true;
}

// Hands a body to the host: calls `send(kind, body, length)` (realm_host_bindings.cc, body_at), then moves what is
// streamed. The promise resolves when all has been handed over; it does not reject.
export function sendBody(body, send, signalFailure) {
  if (body === null) {
    send(0, undefined, 0);
    return undefined;
  }
  takeHeld(body);
  const kind = useWhole(body);
  if (kind >= 0) {
    send(kind, body.source, 0);
    return undefined;
  }
  if (hasSource(body)) {
    const { source, length } = body;
    lockStream(body);
    body.used = true;
    const id = ++lastStream;
    send(2, id, length);
    return pumpIncoming(source, id, body.signal);
  }
  const id = ++lastStream;
  send(2, id, -1);
  return pumpStream(streamOf(body), id, signalFailure);
}

// From the host to the host, chunk by chunk, without a ReadableStream.
function pumpIncoming(from, to, signal) {
  const made = deferred();
  const finish = () => {
    mapDelete(leaving, to);
    made.resolve();
  };
  mapSet(leaving, to, {
    ready() { host.pull(from); },
    dropped() {
      mapDelete(incoming, from);
      host.cancel(from);
      finish();
    },
  });
  mapSet(incoming, from, {
    signal,
    chunk(bytes) { if (host.write(to, bytes)) host.pull(from); },
    end() {
      host.close(to);
      finish();
    },
    broken(error) {
      host.abort(to, error);
      finish();
    },
  });
  host.pull(from);
  return made.promise;
}

function pumpStream(stream, id, signalFailure) {
  const made = deferred();
  const reader = readerOf(stream);
  let over = false;
  const finish = () => {
    over = true;
    mapDelete(leaving, id);
    made.resolve();
  };
  const fail = (error) => {
    if (over) return;
    host.abort(id, error);
    signalFailure?.(error);
    finish();
  };
  const step = ({ done, value }) => {
    if (over) return;
    if (done) {
      host.close(id);
      finish();
      return;
    }
    if (!isUint8Array(value)) {
      const error = new TypeError("A chunk of the body is not a Uint8Array");
      then(reader.cancel(error), undefined, () => {});
      fail(error);
      return;
    }
    if (value.length === 0 || host.write(id, value)) next();
  };
  const next = () => then(readFrom(reader), step, fail);
  mapSet(leaving, id, {
    ready: next,
    dropped(reason = new TypeError("The other side has gone")) {
      finish();
      then(cancelBy(reader, reason), undefined, () => {});
    },
  });
  next();
  return made.promise;
}

// A body that came from the host: undefined, memory, or the number of a stream.
export function incomingBody(value, length, event = 0) {
  if (value === undefined) return null;
  if (value === true) return new Body(HELD, event, length);
  if (typeof value === "number") return new Body(INCOMING, value, length);
  const bytes = new Bytes(value);
  return new Body(BYTES, bytes, bytes.length);
}

export function discardBody(body, reason = undefined) {
  if (body === null || isUsed(body)) return;
  if (body.stream !== undefined && isLocked(body.stream)) return;
  if (body.kind === INCOMING) host.cancel(body.source);
  else if (body.kind === STREAM) then(cancelStream(body.stream, reason), undefined, () => {});
}
