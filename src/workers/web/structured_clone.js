// structuredClone, MessageChannel (HTML 2.7, 9.4).
import { defineProperty, push, NativeMap, mapGet, mapSet } from "./intrinsics.js";
import { cloneBlob, isBlob } from "./blob.js";
import { cloneCryptoKey, isCryptoKey } from "./crypto_key.js";
import { cloneDOMException, DOMException, isDOMException } from "./dom_exception.js";
import { Event, EventTarget, MessageEvent, dispatch, handlerAttribute, makeTarget, trust } from "./events.js";
import { isFormData } from "./form_data.js";
import { isHeaders } from "./headers.js";
import { isRequest } from "./request.js";
import { isResponse } from "./response.js";
import { isStream, TransformStream, WritableStream } from "./streams.js";
import { isParams, isUrl } from "./url.js";
import { addTask, needAwake } from "./timers.js";
import { expose, interfaceOf, required, sequenceOf, toDictionary } from "./webidl.js";

let movedPorts;  // port → its successor, while a clone is made

// Hook: the copy of a platform object; undefined where it cannot be cloned.
export function cloneHostObject(object) {
  if (isBlob(object)) return cloneBlob(object);
  if (isDOMException(object)) return cloneDOMException(object);
  if (isCryptoKey(object)) return cloneCryptoKey(object);
  if (isPort(object)) return mapGet(movedPorts, object);
  return undefined;
}

const dataCloneError = (message) => new DOMException(message, "DataCloneError");


// What V8 would take for plain objects. Looked for at the top only.
const isUncloneable = (value) =>
  isHeaders(value) || isRequest(value) || isResponse(value) || isUrl(value) || isParams(value) || isFormData(value) ||
  isStream(value) || value instanceof WritableStream || value instanceof TransformStream ||
  (value instanceof EventTarget && !isPort(value)) || value instanceof Event;

// Clones `value`; [copy, ports that moved].
function cloneWithTransfer(value, transfer) {
  const buffers = [];
  const ports = [];
  for (let at = 0; at < transfer.length; ++at) {
    const item = transfer[at];
    if (buffers.includes(item) || ports.includes(item)) throw dataCloneError("A value is transferred twice");
    if (host.kindOf(item) === 8) {
      if (!host.isDetachable(item) || host.isDetached(item)) throw dataCloneError("The ArrayBuffer is detached already");
      push(buffers, item);
    } else if (isPort(item)) {
      if (portState(item).detached) throw dataCloneError("The MessagePort is detached already");
      push(ports, item);
    } else {
      throw dataCloneError("A value cannot be transferred");
    }
  }
  if (typeof value === "object" && value !== null) {
    if (isUncloneable(value)) throw dataCloneError("The object could not be cloned.");
  }
  const before = movedPorts;
  movedPorts = new NativeMap();
  try {
    const successors = [];
    for (let at = 0; at < ports.length; ++at) {
      const next = newPort();
      mapSet(movedPorts, ports[at], next);
      push(successors, next);
    }
    const copy = host.clone(value, buffers, dataCloneError);
    for (let at = 0; at < ports.length; ++at) movePort(ports[at], successors[at]);
    return [copy, successors];
  } finally {
    movedPorts = before;
  }
}

export function structuredClone(value, options = {}) {
  required("structuredClone", arguments.length, 1);
  const { transfer } = toDictionary(options, "StructuredSerializeOptions");
  return cloneWithTransfer(value, transfer === undefined ? [] : sequenceOf(transfer, (item) => item, "transfer"))[0];
}
defineProperty(structuredClone, "length", { value: 1 });
defineProperty(globalThis, "structuredClone", { value: structuredClone, writable: true, enumerable: true, configurable: true });

class Stamp extends (function (object) { return object; }) {
  #state = { other: null, queue: [], started: false, detached: false };
  static of(object) { return object.#state; }
  static marks(object) { return #state in object; }
}
const isPort = (value) => typeof value === "object" && value !== null && Stamp.marks(value);
const portState = (port) => Stamp.of(port);

export class MessagePort extends EventTarget {
  constructor() {
    super();
    throw new TypeError("Illegal constructor");
  }
  postMessage(message, options = {}) {
    required("postMessage", arguments.length, 1);
    needAwake("MessagePort.postMessage");
    const state = Stamp.of(this);
    const list = typeof options === "object" && options !== null && typeof options[Symbol.iterator] === "function"
      ? options : toDictionary(options, "StructuredSerializeOptions").transfer ?? [];
    const transfer = sequenceOf(list, (item) => item, "transfer");
    if (transfer.includes(this)) throw dataCloneError("A port cannot be sent through itself");
    const { other } = state;
    const [data, ports] = cloneWithTransfer(message, transfer);
    if (other === null) return;
    const target = Stamp.of(other);
    push(target.queue, { data, ports });
    if (target.started) addTask(() => deliver(target));
  }
  start() {
    const state = Stamp.of(this);
    if (state.started) return;
    state.started = true;
    for (let at = 0; at < state.queue.length; ++at) addTask(() => deliver(state));
  }
  close() {
    const state = Stamp.of(this);
    state.detached = true;
    if (state.other !== null) Stamp.of(state.other).other = null;
    state.other = null;
  }
}
interfaceOf(MessagePort);
handlerAttribute(MessagePort.prototype, "onmessageerror", false);
handlerAttribute(MessagePort.prototype, "onmessage", false);
const onmessage = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
defineProperty(MessagePort.prototype, "onmessage", {
  ...onmessage,
  set(value) {
    Reflect.apply(onmessage.set, this, [value]);
    this.start();
  },
});

function deliver(state) {
  const message = state.queue.shift();
  if (message === undefined || state.port === undefined) return;
  dispatch(state.port, trust(new MessageEvent("message", { data: message.data, ports: message.ports })));
}

function newPort() {
  const made = host.platformObject(MessagePort.prototype);
  makeTarget(made);
  new Stamp(made);
  Stamp.of(made).port = made;
  return made;
}

// The entanglement and the queue go to a new port.
function movePort(from, to) {
  const old = Stamp.of(from);
  const next = Stamp.of(to);
  next.other = old.other;
  next.queue = old.queue;
  if (old.other !== null) Stamp.of(old.other).other = to;
  old.other = null;
  old.queue = [];
  old.detached = true;
}

export class MessageChannel {
  #ports;
  constructor() {
    const one = newPort();
    const two = newPort();
    Stamp.of(one).other = two;
    Stamp.of(two).other = one;
    this.#ports = [one, two];
  }
  get port1() { return this.#ports[0]; }
  get port2() { return this.#ports[1]; }
}
interfaceOf(MessageChannel);
expose({ MessageChannel, MessagePort });
