// Events and their targets (DOM 2): no tree, so an event has one target and no path.
import { defineProperty, push, splice } from "./intrinsics.js";
import { DOMException } from "./dom_exception.js";
import { expose, interfaceOf, required, toDictionary, toUnsignedLong } from "./webidl.js";

const now = () => host.now();

let readEvent;
let initialize;
export class Event {
  #state;
  constructor(type, init = {}) {
    required("Event", arguments.length, 1);
    const name = `${type}`;
    const options = toDictionary(init, "EventInit");
    this.#state = {
      type: name, bubbles: !!options.bubbles, cancelable: !!options.cancelable, composed: !!options.composed,
      target: null, currentTarget: null, phase: 0, stop: false, stopImmediate: false, canceled: false, passive: false,
      dispatching: false, initialized: true, trusted: false, timeStamp: now(),
    };
    defineProperty(this, "isTrusted", isTrustedProperty);
  }
  get type() { return this.#state.type; }
  get target() { return this.#state.target; }
  get srcElement() { return this.#state.target; }
  get currentTarget() { return this.#state.currentTarget; }
  composedPath() { return this.#state.currentTarget === null ? [] : [this.#state.currentTarget]; }
  get eventPhase() { return this.#state.phase; }
  stopPropagation() { this.#state.stop = true; }
  get cancelBubble() { return this.#state.stop; }
  set cancelBubble(value) { if (value) this.#state.stop = true; }
  stopImmediatePropagation() { this.#state.stop = this.#state.stopImmediate = true; }
  get bubbles() { return this.#state.bubbles; }
  get cancelable() { return this.#state.cancelable; }
  get returnValue() { return !this.#state.canceled; }
  set returnValue(value) { if (!value) this.preventDefault(); }
  preventDefault() {
    const state = this.#state;
    if (state.cancelable && !state.passive) state.canceled = true;
  }
  get defaultPrevented() { return this.#state.canceled; }
  get composed() { return this.#state.composed; }
  get timeStamp() { return this.#state.timeStamp; }
  initEvent(type, bubbles = false, cancelable = false) {
    required("initEvent", arguments.length, 1);
    const name = `${type}`;
    if (!this.#state.dispatching) initialize(this, name, !!bubbles, !!cancelable);
  }
  static {
    readEvent = (event) => event.#state;
    initialize = (event, type, bubbles, cancelable) => {
      const state = event.#state;
      state.initialized = true;
      state.stop = state.stopImmediate = state.canceled = false;
      state.target = null;
      state.type = type;
      state.bubbles = bubbles;
      state.cancelable = cancelable;
    };
  }
}
// [LegacyUnforgeable]: an own property of each event.
const isTrustedGet = getOwn({ get isTrusted() { return readEvent(this).trusted; } });
function getOwn(object) { return Object.getOwnPropertyDescriptor(object, "isTrusted").get; }
const isTrustedProperty = { get: isTrustedGet, set: undefined, enumerable: true, configurable: false };
interfaceOf(Event, { constants: { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 } });

export const trust = (event) => {
  readEvent(event).trusted = true;
  return event;
};

export class CustomEvent extends Event {
  #detail;
  constructor(type, init = {}) {
    required("CustomEvent", arguments.length, 1);
    super(type, init);
    const options = toDictionary(init, "CustomEventInit");
    this.#detail = options.detail === undefined ? null : options.detail;
  }
  get detail() { return this.#detail; }
  initCustomEvent(type, bubbles = false, cancelable = false, detail = null) {
    required("initCustomEvent", arguments.length, 1);
    if (readEvent(this).dispatching) return;
    initialize(this, `${type}`, !!bubbles, !!cancelable);
    this.#detail = detail;
  }
}
interfaceOf(CustomEvent);

export class ErrorEvent extends Event {
  #init;
  constructor(type, init = {}) {
    required("ErrorEvent", arguments.length, 1);
    super(type, init);
    const options = toDictionary(init, "ErrorEventInit");
    this.#init = {
      message: options.message === undefined ? "" : `${options.message}`,
      filename: options.filename === undefined ? "" : `${options.filename}`,
      lineno: toUnsignedLong(options.lineno ?? 0), colno: toUnsignedLong(options.colno ?? 0), error: options.error,
    };
  }
  get message() { return this.#init.message; }
  get filename() { return this.#init.filename; }
  get lineno() { return this.#init.lineno; }
  get colno() { return this.#init.colno; }
  get error() { return this.#init.error; }
}
interfaceOf(ErrorEvent);

export class PromiseRejectionEvent extends Event {
  #promise;
  #reason;
  constructor(type, init) {
    required("PromiseRejectionEvent", arguments.length, 2);
    super(type, init);
    if (toDictionary(init, "PromiseRejectionEventInit").promise === undefined) {
      throw new TypeError("PromiseRejectionEvent: init.promise is required");
    }
    this.#promise = init.promise;
    this.#reason = init.reason;
  }
  get promise() { return this.#promise; }
  get reason() { return this.#reason; }
}
interfaceOf(PromiseRejectionEvent);

export class MessageEvent extends Event {
  #init;
  constructor(type, init = {}) {
    required("MessageEvent", arguments.length, 1);
    super(type, init);
    const options = toDictionary(init, "MessageEventInit");
    this.#init = {
      data: options.data === undefined ? null : options.data, origin: options.origin === undefined ? "" : `${options.origin}`,
      lastEventId: options.lastEventId === undefined ? "" : `${options.lastEventId}`, source: options.source ?? null,
      ports: Object.freeze(options.ports === undefined ? [] : [...options.ports]),
    };
  }
  get data() { return this.#init.data; }
  get origin() { return this.#init.origin; }
  get lastEventId() { return this.#init.lastEventId; }
  get source() { return this.#init.source; }
  get ports() { return this.#init.ports; }
}
interfaceOf(MessageEvent);

export class ProgressEvent extends Event {
  #init;
  constructor(type, init = {}) {
    required("ProgressEvent", arguments.length, 1);
    super(type, init);
    const options = toDictionary(init, "ProgressEventInit");
    this.#init = { lengthComputable: !!options.lengthComputable, loaded: Number(options.loaded ?? 0), total: Number(options.total ?? 0) };
  }
  get lengthComputable() { return this.#init.lengthComputable; }
  get loaded() { return this.#init.loaded; }
  get total() { return this.#init.total; }
}
interfaceOf(ProgressEvent);

// DOM 2.10: window.event is the event that a listener of the global object runs for.
let currentGlobalEvent;
defineProperty(globalThis, "event", {
  get() { return currentGlobalEvent; },
  set(value) { defineProperty(globalThis, "event", { value, writable: true, enumerable: true, configurable: true }); },
  enumerable: true, configurable: true,
});

let reportException = () => {};
export const setReportException = (report) => { reportException = report; };

const globalListeners = [];
class Listeners extends (function (object) { return object; }) {
  #listeners = [];
  static of(target) { return target.#listeners; }
}
// Makes an object an EventTarget that EventTarget's constructor has not made.
export const makeTarget = (object) => new Listeners(object);
function listenersOf(target) {
  return target === undefined || target === null || target === globalThis ? globalListeners : Listeners.of(target);
}

export class EventTarget {
  constructor() { new Listeners(this); }
  addEventListener(type, callback, options = {}) {
    required("addEventListener", arguments.length, 2);
    const listeners = listenersOf(this);
    const name = `${type}`;
    let capture = false;
    let once = false;
    let passive = false;
    let signal;
    if (typeof options === "object" && options !== null || typeof options === "function") {
      capture = !!options.capture;
      once = !!options.once;
      passive = !!options.passive;
      signal = options.signal;
      if (signal !== undefined && !isSignal(signal)) throw new TypeError("addEventListener: signal is not an AbortSignal");
    } else {
      capture = !!options;
    }
    if (callback !== null && callback !== undefined && typeof callback !== "object" && typeof callback !== "function") {
      throw new TypeError("addEventListener: the listener is not an object");
    }
    if (signal !== undefined && signal.aborted) return;
    if (callback === null || callback === undefined) return;
    for (let at = 0; at < listeners.length; ++at) {
      const other = listeners[at];
      if (other.type === name && other.callback === callback && other.capture === capture) return;
    }
    const listener = { type: name, callback, capture, once, passive, removed: false, attribute: false };
    push(listeners, listener);
    if (name === "abort" && isSignal(this)) keepSignal(this);
    if (signal !== undefined) onAbort(signal, () => removeListener(listeners, listener));
  }
  removeEventListener(type, callback, options = {}) {
    required("removeEventListener", arguments.length, 2);
    const listeners = listenersOf(this);
    const name = `${type}`;
    if (callback !== null && callback !== undefined && typeof callback !== "object" && typeof callback !== "function") {
      throw new TypeError("removeEventListener: the listener is not an object");
    }
    const capture = typeof options === "object" && options !== null || typeof options === "function" ? !!options.capture : !!options;
    for (let at = 0; at < listeners.length; ++at) {
      const listener = listeners[at];
      if (listener.type === name && listener.callback === callback && listener.capture === capture && !listener.attribute) {
        removeListener(listeners, listener);
        return;
      }
    }
  }
  dispatchEvent(event) {
    required("dispatchEvent", arguments.length, 1);
    listenersOf(this);
    if (!(event instanceof Event)) throw new TypeError("dispatchEvent: the argument is not an Event");
    const state = readEvent(event);
    if (state.dispatching || !state.initialized) {
      throw new DOMException("The event is already being dispatched", "InvalidStateError");
    }
    state.trusted = false;
    return dispatch(this ?? globalThis, event);
  }
}
interfaceOf(EventTarget);

function removeListener(listeners, listener) {
  listener.removed = true;
  const at = listeners.indexOf(listener);
  if (at >= 0) splice(listeners, at, 1);
}

// Set by abort.js, which needs EventTarget.
let isSignal = () => false;
let onAbort = () => {};
let keepSignal = () => {};
export const setSignals = (is, on, keep) => {
  isSignal = is;
  onAbort = on;
  keepSignal = keep;
};

export function dispatch(target, event) {
  const state = readEvent(event);
  state.dispatching = true;
  state.target = target;
  state.currentTarget = target;
  state.phase = 2;
  const listeners = listenersOf(target);
  if (listeners.length > 0) {
    const all = listeners.slice();
    // Capturing listeners come first at the target too.
    for (let phase = 0; phase < 2; ++phase) {
      if (phase === 1 && state.stop) break;
      for (let at = 0; at < all.length && !state.stopImmediate; ++at) {
        const listener = all[at];
        if (listener.removed || listener.type !== state.type || listener.capture !== (phase === 0)) continue;
        if (listener.once) removeListener(listeners, listener);
        invoke(listener, target, event, state);
      }
    }
  }
  state.phase = 0;
  state.currentTarget = null;
  state.dispatching = state.stop = state.stopImmediate = false;
  return !state.canceled;
}

function invoke(listener, target, event, state) {
  const previous = currentGlobalEvent;
  if (target === globalThis || target instanceof EventTarget) currentGlobalEvent = event;
  if (listener.passive) state.passive = true;
  try {
    const { callback } = listener;
    if (typeof callback === "function") {
      Reflect.apply(callback, target, [event]);
    } else {
      const method = callback.handleEvent;
      if (typeof method !== "function") throw new TypeError("EventListener.handleEvent is not a function");
      Reflect.apply(method, callback, [event]);
    }
  } catch (error) {
    reportException(error);
  }
  state.passive = false;
  currentGlobalEvent = previous;
}

// An event handler attribute such as onabort (HTML 8.1.8.1). `special` for the global's onerror.
export function handlerAttribute(object, name, special) {
  const type = name.slice(2);
  const stored = new WeakMap();
  const property = {
    get() { return stored.get(this ?? globalThis)?.value ?? null; },
    set(value) {
      const target = this ?? globalThis;
      const usable = typeof value === "function" || (typeof value === "object" && value !== null) ? value : null;
      let entry = stored.get(target);
      const listeners = listenersOf(target);
      if (entry === undefined) stored.set(target, entry = { value: null, listener: undefined });
      entry.value = usable;
      if (usable === null) {
        if (entry.listener !== undefined) removeListener(listeners, entry.listener);
        entry.listener = undefined;
      } else if (entry.listener === undefined) {
        const callback = function (event) {
          if (typeof entry.value !== "function") return;
          if (special && event instanceof ErrorEvent) {
            const result = Reflect.apply(entry.value, this, [event.message, event.filename, event.lineno, event.colno, event.error]);
            if (result === true) event.preventDefault();
            return;
          }
          if (Reflect.apply(entry.value, this, [event]) === false) event.preventDefault();
        };
        entry.listener = { type, callback, capture: false, once: false, passive: false, removed: false, attribute: true };
        push(listeners, entry.listener);
        if (type === "abort" && isSignal(target)) keepSignal(target);
      }
    },
    enumerable: true, configurable: true,
  };
  defineProperty(object, name, property);
}

expose({ Event, CustomEvent, ErrorEvent, PromiseRejectionEvent, MessageEvent, ProgressEvent, EventTarget });
for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"]) {
  defineProperty(globalThis, name, { value: EventTarget.prototype[name], writable: true, enumerable: true, configurable: true });
}
handlerAttribute(globalThis, "onerror", true);
handlerAttribute(globalThis, "onunhandledrejection", false);
handlerAttribute(globalThis, "onrejectionhandled", false);
