// Timers, microtasks, and errors that nothing catches (HTML 8.1.4, 8.6, 8.7).
import { defineProperty, mapDelete, mapGet, mapSet, NativeMap, NativeWeakSet, resolved, then, weakAdd, weakDelete } from "./intrinsics.js";
import { ErrorEvent, PromiseRejectionEvent, dispatch, setReportException, trust } from "./events.js";
import { expose, required, toLong } from "./webidl.js";

const active = new NativeMap();
let lastTimer = 0;
let nesting = 0;
let awake = false;

export const setAwake = (is) => { awake = is; };
export const isAwake = () => awake;
export function needAwake(what) {
  if (awake) return;
  throw new Error(`${what} cannot be used at start-up, while the worker's modules are evaluated: use it in a handler`);
}

function add(callback, delay, interval, argumentsOf) {
  needAwake(interval ? "setInterval" : "setTimeout");
  const id = ++lastTimer;
  start(id, { callback, delay, interval, argumentsOf, nesting: nesting + 1, isTask: false });
  return id;
}

function start(id, timer) {
  mapSet(active, id, timer);
  const clamped = timer.nesting > 5 && timer.delay < 4 ? 4 : timer.delay;
  host.timer(id, clamped < 0 ? 0 : clamped);
}

export function addTimeout(callback, delay) {
  needAwake("AbortSignal.timeout");
  const id = ++lastTimer;
  mapSet(active, id, { callback, delay, interval: false, argumentsOf: [], nesting: 0, isTask: false });
  host.timer(id, delay);
  return id;
}

// A task of the event loop: after what runs now and its microtasks. Unlike a timer it may be for another event than the
// one that it is made in, and outlives that.
export function addTask(callback) {
  const id = ++lastTimer;
  mapSet(active, id, { callback, delay: 0, interval: false, argumentsOf: [], nesting: 0, isTask: true });
  host.timer(id, 0, true);
}

// `isOver`: the event that it was set in is, and its timers with it.
export function fireTimer(id, isOver) {
  const timer = mapGet(active, id);
  if (timer === undefined) return;
  const isLate = isOver && !timer.isTask;
  if (!timer.interval || isLate) mapDelete(active, id);
  if (isLate) return;
  nesting = timer.nesting;
  try {
    Reflect.apply(timer.callback, globalThis, timer.argumentsOf);
  } catch (error) {
    reportException(error);
  }
  if (timer.interval && mapGet(active, id) === timer) {
    timer.nesting = Math.min(nesting + 1, 6);
    start(id, timer);
  }
  nesting = 0;
}

function toCallback(handler) {
  if (typeof handler === "function") return handler;
  const source = `${handler}`;
  return () => (0, eval)(source);
}

function setTimeout(handler, timeout = 0, ...rest) {
  required("setTimeout", arguments.length, 1);
  const callback = toCallback(handler);
  return add(callback, toLong(timeout), false, rest);
}
function setInterval(handler, timeout = 0, ...rest) {
  required("setInterval", arguments.length, 1);
  const callback = toCallback(handler);
  return add(callback, toLong(timeout), true, rest);
}
function clearTimeout(id = 0) {
  const number = toLong(id);
  if (mapDelete(active, number)) host.clearTimer(number);
}
function clearInterval(id = 0) { clearTimeout(id); }
defineProperty(setTimeout, "length", { value: 1 });
defineProperty(setInterval, "length", { value: 1 });

const settled = resolved(undefined);
function queueMicrotask(callback) {
  required("queueMicrotask", arguments.length, 1);
  if (typeof callback !== "function") throw new TypeError("queueMicrotask: the callback is not a function");
  then(settled, () => {
    try {
      callback();
    } catch (error) {
      reportException(error);
    }
  });
}

let reporting = false;
export function reportException(error) {
  if (!reporting) {
    reporting = true;
    try {
      const at = host.positionOf(error);
      const init = { message: at[0], filename: at[1], lineno: at[2], colno: at[3], error, cancelable: true };
      const event = trust(new ErrorEvent("error", init));
      if (!dispatch(globalThis, event)) return;
    } finally {
      reporting = false;
    }
  }
  host.uncaught(error);
}
setReportException(reportException);

const told = new NativeWeakSet();  // promises that were reported
// `isHandled`: somebody handles now what nobody did; HTML 8.1.6.5.
export function reportRejection(promise, reason, isHandled) {
  if (isHandled) {
    if (weakDelete(told, promise)) dispatch(globalThis, trust(new PromiseRejectionEvent("rejectionhandled", { promise, reason })));
    return;
  }
  weakAdd(told, promise);
  const event = trust(new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true }));
  if (dispatch(globalThis, event)) host.uncaught(reason);
}

function reportError(error) {
  required("reportError", arguments.length, 1);
  reportException(error);
}

for (const value of [setTimeout, setInterval, clearTimeout, clearInterval, queueMicrotask, reportError]) {
  defineProperty(globalThis, value.name, { value, writable: true, enumerable: true, configurable: true });
}
