// The Streams Standard: web-streams-polyfill, with what bodies need to know of a stream.
import {
  ByteLengthQueuingStrategy, CountQueuingStrategy, ReadableByteStreamController, ReadableStream, ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest, ReadableStreamDefaultController, ReadableStreamDefaultReader, TransformStream,
  TransformStreamDefaultController, WritableStream, WritableStreamDefaultController, WritableStreamDefaultWriter,
} from "web-streams-polyfill";
import { defineProperty } from "./intrinsics.js";
import { expose } from "./webidl.js";

// ES2024's ArrayBuffer.prototype.transfer, which V8 10.2 has not, by the name under which the polyfill looks for it.
const { transfer: moveMemory, kindOf } = host;
if (ArrayBuffer.prototype.transfer === undefined) {
  const transfer = {
    transfer() {
      if (kindOf(this) !== 8) throw new TypeError("transfer: the receiver is not an ArrayBuffer");
      return moveMemory(this);
    },
  }.transfer;
  defineProperty(ArrayBuffer.prototype, "transfer", { value: transfer, writable: true, configurable: true });
  const detached = Object.getOwnPropertyDescriptor({
    get detached() {
      if (kindOf(this) !== 8) throw new TypeError("detached: the receiver is not an ArrayBuffer");
      return host.isDetached(this);
    },
  }, "detached").get;
  defineProperty(ArrayBuffer.prototype, "detached", { get: detached, configurable: true });
}

const streams = {
  ByteLengthQueuingStrategy, CountQueuingStrategy, ReadableByteStreamController, ReadableStream, ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest, ReadableStreamDefaultController, ReadableStreamDefaultReader, TransformStream,
  TransformStreamDefaultController, WritableStream, WritableStreamDefaultController, WritableStreamDefaultWriter,
};
expose(streams);

const lockedOf = Object.getOwnPropertyDescriptor(ReadableStream.prototype, "locked").get;
// The standard's asynchronous iterator, which the polyfill makes without its prototype.
const iteratorPrototype = Object.getPrototypeOf(new ReadableStream().values());
delete iteratorPrototype[Symbol.asyncIterator];
Object.setPrototypeOf(iteratorPrototype, Object.getPrototypeOf(Object.getPrototypeOf((async function* () {}).prototype)));

export const isStream = (value) => value instanceof ReadableStream;
export const isLocked = (stream) => Reflect.apply(lockedOf, stream, []);
export const isDisturbed = (stream) => stream._disturbed === true;
const { getReader, cancel, tee } = ReadableStream.prototype;
const { read, releaseLock, cancel: cancelReader } = ReadableStreamDefaultReader.prototype;
export const readerOf = (stream) => Reflect.apply(getReader, stream, []);
export const readFrom = (reader) => Reflect.apply(read, reader, []);
export const release = (reader) => Reflect.apply(releaseLock, reader, []);
export const cancelStream = (stream, reason) => Reflect.apply(cancel, stream, [reason]);
export const cancelBy = (reader, reason) => Reflect.apply(cancelReader, reader, [reason]);

export const isByteStream = (stream) => stream._readableStreamController instanceof ReadableByteStreamController;
// Two byte streams, the chunks of one copied.
export const teeBytes = (stream) => Reflect.apply(tee, stream, []);
export function errorStream(stream, reason) {
  if (stream._state === "readable" && stream._reader !== kTaken) stream._readableStreamController.error(reason);
}

// What a stream has as its reader once its source was taken from under it.
const kTaken = readerOf(new ReadableStream());
export function take(stream) {
  stream._disturbed = true;
  stream._reader = kTaken;
}

// A byte stream that is set up when somebody first reads from it: most bodies whose stream is asked for are handed on as
// they are. It has what the polyfill's have, but for the controller, which it takes from one that is made then.
const kController = Object.getOwnPropertyDescriptor({
  get controller() {
    const source = this._source;
    this._source = undefined;
    const made = new ReadableStream(source, { highWaterMark: 0 });
    const controller = made._readableStreamController;
    controller._controlledReadableByteStream = this;
    defineProperty(this, "_readableStreamController", { value: controller, writable: true, enumerable: true, configurable: true });
    return controller;
  },
}, "controller");
function UnreadStream(source) {
  this._state = "readable";
  this._reader = undefined;
  this._storedError = undefined;
  this._disturbed = false;
  this._source = source;
  defineProperty(this, "_readableStreamController", kController);
}
UnreadStream.prototype = ReadableStream.prototype;
export const byteStream = (source) => new UnreadStream(source);

export { ReadableStream, WritableStream, TransformStream };
