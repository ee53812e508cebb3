// AbortController and AbortSignal (DOM 3).
import { push } from "./intrinsics.js";
import { DOMException } from "./dom_exception.js";
import { EventTarget, Event, dispatch, handlerAttribute, setSignals, trust } from "./events.js";
import { addTimeout } from "./timers.js";
import { expose, interfaceOf, required, sequenceOf, toEnforcedUnsignedLongLong } from "./webidl.js";

const Reference = WeakRef;
const dereference = WeakRef.prototype.deref;
const deref = (reference) => Reflect.apply(dereference, reference, []);

let making = false;
let stateOf;

export class AbortSignal extends EventTarget {
  // aborted, reason, algorithms to run; signals this one depends on; weak references to those that depend on it, and at how
  // many the dead ones are taken out; those of them that somebody listens to; how many reasons there are to keep this one
  #state = {
    aborted: false, reason: undefined, algorithms: [], sources: undefined, dependents: undefined, limit: 16, held: undefined, keeps: 0,
  };
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
      if (own.sources.has(source)) continue;
      own.sources.add(source);
      addDependent(stateOf(source), result);
    }
  }
  return result;
}

function addDependent(state, dependent) {
  const references = state.dependents ??= [];
  if (references.length >= state.limit) {
    let live = 0;
    for (let at = 0; at < references.length; ++at) {
      if (deref(references[at]) !== undefined) references[live++] = references[at];
    }
    references.length = live;
    state.limit = live < 8 ? 16 : live * 2;
  }
  push(references, new Reference(dependent));
}

// DOM 3.2.2: a signal that depends on others stays as long as these and somebody who listens.
function hold(signal) {
  const { sources } = stateOf(signal);
  if (sources === undefined) return;
  for (const source of sources) (stateOf(source).held ??= new Set()).add(signal);
}
function release(signal) {
  const { sources } = stateOf(signal);
  if (sources === undefined) return;
  for (const source of sources) stateOf(source).held?.delete(signal);
}
function keep(signal) {
  const state = stateOf(signal);
  if (!state.aborted && ++state.keeps === 1) hold(signal);
}

export function abortSignal(signal, reason) {
  const state = stateOf(signal);
  if (state.aborted) return;
  mark(state, reason);
  const affected = [];
  for (const reference of state.dependents ?? []) {
    const dependent = deref(reference);
    if (dependent === undefined || stateOf(dependent).aborted) continue;
    mark(stateOf(dependent), state.reason);
    push(affected, dependent);
  }
  state.dependents = state.held = undefined;
  for (const dependent of affected) release(dependent);
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

// Runs `algorithm` when the signal aborts; the function that takes it back. Unless `keeps`, only as long as somebody else has the signal.
export function onAbort(signal, algorithm, keeps = true) {
  const state = stateOf(signal);
  if (!state.aborted) {
    push(state.algorithms, algorithm);
    if (keeps) keep(signal);
  }
  return () => {
    const at = state.algorithms.indexOf(algorithm);
    if (at < 0) return;
    state.algorithms.splice(at, 1);
    if (keeps && --state.keeps === 0) release(signal);
  };
}
setSignals(isSignal, onAbort, keep);

export class AbortController {
  #signal = newSignal();
  get signal() { return this.#signal; }
  abort(reason = undefined) { abortSignal(this.#signal, reason); }
}
interfaceOf(AbortController);

expose({ AbortController, AbortSignal });
