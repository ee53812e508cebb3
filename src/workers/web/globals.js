// self, navigator, performance, and what else of a global scope is small.
import { defineProperty } from "./intrinsics.js";
import { EventTarget } from "./events.js";
import { DOMException } from "./dom_exception.js";
import { expose, interfaceOf, required } from "./webidl.js";

let making = true;
const guard = () => {
  if (!making) throw new TypeError("Illegal constructor");
};

class Navigator {
  #brand;
  constructor() { guard(); }
  get userAgent() {
    this.#brand;
    return "Verge";
  }
  get hardwareConcurrency() {
    this.#brand;
    return 1;
  }
  get language() {
    this.#brand;
    return "en";
  }
  get onLine() {
    this.#brand;
    return true;
  }
}
interfaceOf(Navigator);

// Of User Timing: marks and measures, kept up to a bound.
const kEntries = 1000;
const entries = [];
class PerformanceEntry {
  #init;
  constructor(init) {
    guard();
    this.#init = init;
  }
  get name() { return this.#init.name; }
  get entryType() { return this.#init.entryType; }
  get startTime() { return this.#init.startTime; }
  get duration() { return this.#init.duration; }
  get detail() { return this.#init.detail; }
  toJSON() {
    const { name, entryType, startTime, duration } = this.#init;
    return { name, entryType, startTime, duration };
  }
}
interfaceOf(PerformanceEntry);
class PerformanceMark extends PerformanceEntry {}
interfaceOf(PerformanceMark);
class PerformanceMeasure extends PerformanceEntry {}
interfaceOf(PerformanceMeasure);

function entry(type, init) {
  making = true;
  const made = new type(init);
  making = false;
  if (entries.length === kEntries) entries.shift();
  entries.push(made);
  return made;
}

function timeOf(mark) {
  if (typeof mark === "number") return mark;
  for (let at = entries.length - 1; at >= 0; --at) {
    if (entries[at].entryType === "mark" && entries[at].name === `${mark}`) return entries[at].startTime;
  }
  throw new DOMException(`There is no mark '${mark}'`, "SyntaxError");
}

class Performance extends EventTarget {
  #brand;
  constructor() {
    guard();
    super();
  }
  now() {
    this.#brand;
    return host.now();
  }
  get timeOrigin() {
    this.#brand;
    return host.timeOrigin();
  }
  mark(name, options = {}) {
    required("mark", arguments.length, 1);
    const startTime = options?.startTime === undefined ? host.now() : Number(options.startTime);
    return entry(PerformanceMark, { name: `${name}`, entryType: "mark", startTime, duration: 0, detail: options?.detail ?? null });
  }
  measure(name, startOrOptions = undefined, endMark = undefined) {
    required("measure", arguments.length, 1);
    const options = typeof startOrOptions === "object" && startOrOptions !== null ? startOrOptions : { start: startOrOptions, end: endMark };
    const end = options.end !== undefined ? timeOf(options.end)
      : options.start !== undefined && options.duration !== undefined ? timeOf(options.start) + Number(options.duration) : host.now();
    const start = options.start !== undefined ? timeOf(options.start) : options.duration !== undefined ? end - Number(options.duration) : 0;
    return entry(PerformanceMeasure, { name: `${name}`, entryType: "measure", startTime: start, duration: end - start, detail: options.detail ?? null });
  }
  getEntries() { return entries.slice().sort((a, b) => a.startTime - b.startTime); }
  getEntriesByType(type) { return this.getEntries().filter((entry) => entry.entryType === `${type}`); }
  getEntriesByName(name, type = undefined) {
    return this.getEntries().filter((entry) => entry.name === `${name}` && (type === undefined || entry.entryType === `${type}`));
  }
  clearMarks(name = undefined) { clear("mark", name); }
  clearMeasures(name = undefined) { clear("measure", name); }
  toJSON() { return { timeOrigin: this.timeOrigin }; }
}
interfaceOf(Performance);
function clear(type, name) {
  for (let at = entries.length - 1; at >= 0; --at) {
    if (entries[at].entryType === type && (name === undefined || entries[at].name === `${name}`)) entries.splice(at, 1);
  }
}

class WorkerGlobalScope extends EventTarget {
  constructor() {
    guard();
    super();
  }
}
interfaceOf(WorkerGlobalScope);

const navigator = new Navigator();
const performance = new Performance();
making = false;

expose({ Navigator, Performance, PerformanceEntry, PerformanceMark, PerformanceMeasure, WorkerGlobalScope });
for (const [name, value] of Object.entries({ navigator, performance, self: globalThis })) {
  defineProperty(globalThis, name, { get: () => value, set(other) {
    defineProperty(globalThis, name, { value: other, writable: true, enumerable: true, configurable: true });
  }, enumerable: true, configurable: true });
}
defineProperty(globalThis, Symbol.toStringTag, { value: "WorkerGlobalScope", configurable: true });
Object.setPrototypeOf(globalThis, WorkerGlobalScope.prototype);
