// AbortController and AbortSignal (DOM 3).
import { push } from "./intrinsics.js";
import { DOMException } from "./dom_exception.js";
import { EventTarget, Event, dispatch, handlerAttribute, setSignals, trust } from "./events.js";
import { addTimeout } from "./timers.js";
import { expose, interfaceOf, required, sequenceOf, toEnforcedUnsignedLongLong } from "./webidl.js";

let making = false;
let stateOf;

export class AbortSignal extends EventTarget {
  // aborted, reason, algorithms to run, signals this one depends on, signals that depend on it
  #state = { aborted: false, reason: undefined, algorithms: [], sources: undefined, dependents: undefined };
  constructor() {
    if (!making) throw new TypeError("Illegal constructor");
    super();
  }
  static abort(reason = undefined) {
    const signal = newSignal();
    const state = signal.#state;
    state.aborted = true;
    state.reason = reason === undefined ? new DOMException("This operation was aborted", "AbortError") : reason;
    return signal;
  }
  static timeout(milliseconds) {
    required("AbortSignal.timeout", arguments.length, 1);
    const delay = toEnforcedUnsignedLongLong(milliseconds);
    const signal = newSignal();
    addTimeout(() => abortSignal(signal, new DOMException("The operation timed out.", "TimeoutError")), delay);
    return signal;
  }
  static any(signals) {
    required("AbortSignal.any", arguments.length, 1);
    const all = sequenceOf(signals, (signal) => {
      if (!isSignal(signal)) throw new TypeError("AbortSignal.any: an element is not an AbortSignal");
      return signal;
    }, "AbortSignal.any: signals");
    return dependentSignal(all);
  }
  get aborted() { return this.#state.aborted; }
  get reason() { return this.#state.reason; }
  throwIfAborted() { if (this.#state.aborted) throw this.#state.reason; }
  static {
    stateOf = (signal) => signal.#state;
  }
}
interfaceOf(AbortSignal);
handlerAttribute(AbortSignal.prototype, "onabort", false);

export function newSignal() {
  making = true;
  try {
    return new AbortSignal();
  } finally {
    making = false;
  }
}

export function isSignal(value) {
  if (typeof value !== "object" || value === null) return false;
  try {
    stateOf(value);
    return true;
  } catch {
    return false;
  }
}

export function dependentSignal(signals) {
  const result = newSignal();
  for (let at = 0; at < signals.length; ++at) {
    const state = stateOf(signals[at]);
    if (!state.aborted) continue;
    const own = stateOf(result);
    own.aborted = true;
    own.reason = state.reason;
    return result;
  }
  const own = stateOf(result);
  own.sources = new Set();
  for (let at = 0; at < signals.length; ++at) {
    const state = stateOf(signals[at]);
    const sources = state.sources === undefined ? [signals[at]] : [...state.sources];
    for (const source of sources) {
      own.sources.add(source);
      const dependents = stateOf(source).dependents ??= [];
      if (!dependents.includes(result)) push(dependents, result);
    }
  }
  return result;
}

export function abortSignal(signal, reason) {
  const state = stateOf(signal);
  if (state.aborted) return;
  mark(state, reason);
  const affected = [];
  for (const dependent of state.dependents ?? []) {
    if (stateOf(dependent).aborted) continue;
    mark(stateOf(dependent), state.reason);
    push(affected, dependent);
  }
  run(signal);
  for (const dependent of affected) run(dependent);
}

function mark(state, reason) {
  state.aborted = true;
  state.reason = reason === undefined ? new DOMException("This operation was aborted", "AbortError") : reason;
}

function run(signal) {
  const state = stateOf(signal);
  const { algorithms } = state;
  state.algorithms = [];
  for (let at = 0; at < algorithms.length; ++at) algorithms[at](state.reason);
  dispatch(signal, trust(new Event("abort")));
}

// Runs `algorithm` when the signal aborts; the function that takes it back.
export function onAbort(signal, algorithm) {
  const state = stateOf(signal);
  if (!state.aborted) push(state.algorithms, algorithm);
  return () => {
    const at = state.algorithms.indexOf(algorithm);
    if (at >= 0) state.algorithms.splice(at, 1);
  };
}
setSignals(isSignal, onAbort);

export class AbortController {
  #signal = newSignal();
  get signal() { return this.#signal; }
  abort(reason = undefined) { abortSignal(this.#signal, reason); }
}
interfaceOf(AbortController);

expose({ AbortController, AbortSignal });
