// Web IDL's binding of interfaces to JavaScript, as far as the platform's classes need it.
import { defineProperty, getOwnPropertyDescriptor, includes, ownKeys, replace, test } from "./intrinsics.js";

// Names on the global object: there, but not enumerated.
export function expose(values) {
  for (const name of ownKeys(values)) {
    defineProperty(globalThis, name, { value: values[name], writable: true, enumerable: false, configurable: true });
  }
}

// Attributes and operations of an interface are enumerable, its prototype has a tag, constants are on both objects.
export function interfaceOf(type, { tag = type.name, constants = {}, hidden = [] } = {}) {
  for (const object of [type, type.prototype]) {
    for (const key of ownKeys(object)) {
      if (typeof key === "symbol" || key === "constructor" || hidden.includes(key)) continue;
      if (object === type && (key === "prototype" || key === "name" || key === "length")) continue;
      const property = getOwnPropertyDescriptor(object, key);
      if (property.configurable) defineProperty(object, key, { ...property, enumerable: true });
    }
    for (const name of ownKeys(constants)) {
      defineProperty(object, name, { value: constants[name], enumerable: true, writable: false, configurable: false });
    }
  }
  defineProperty(type.prototype, Symbol.toStringTag, { value: tag, configurable: true });
  return type;
}

const kLoneSurrogate = /\p{Surrogate}/u;
const kLoneSurrogates = /\p{Surrogate}/gu;
export const toDOMString = (value) => `${value}`;
export function toUSVString(value) {
  const text = `${value}`;
  return test(kLoneSurrogate, text) ? replace(text, kLoneSurrogates, "\uFFFD") : text;
}
const kBeyondBytes = /[^\x00-\xFF]/;
export function toByteString(value) {
  const text = `${value}`;
  if (test(kBeyondBytes, text)) throw new TypeError("The string has a character beyond U+00FF");
  return text;
}

export function required(name, given, needed) {
  if (given >= needed) return;
  throw new TypeError(`${name}: ${needed} argument${needed === 1 ? "" : "s"} required, but only ${given} present.`);
}

export function toDictionary(value, name) {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" && typeof value !== "function") throw new TypeError(`${name} is not an object`);
  return value;
}

const modulo = (x, n) => ((x % n) + n) % n;
function toInteger(value) {
  const number = Math.trunc(Number(value));
  return Number.isFinite(number) ? number + 0 : 0;
}
export const toUnsignedShort = (value) => modulo(toInteger(value), 65536);
// [Clamp]: to the nearest whole number that there is, the even one of two.
export function toClampedUnsignedShort(value) {
  const number = Math.min(Math.max(Number(value), 0), 65535);
  if (Number.isNaN(number)) return 0;
  const below = Math.floor(number);
  if (number - below === 0.5) return below % 2 === 0 ? below : below + 1;
  return Math.round(number);
}
export const toUnsignedLong = (value) => modulo(toInteger(value), 4294967296);
export const toLong = (value) => toInteger(value) | 0;
export function toEnforcedUnsignedLongLong(value) {
  const number = Number(value);
  if (!Number.isFinite(number)) throw new TypeError("The value is not a finite number");
  const whole = Math.trunc(number);
  if (whole < 0 || whole > Number.MAX_SAFE_INTEGER) throw new TypeError("The value is outside the range of integers");
  return whole;
}
export function toClampedLongLong(value) {
  const number = Number(value);
  if (Number.isNaN(number)) return 0;
  const clamped = Math.min(Math.max(number, -Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
  const floor = Math.floor(clamped);
  const rest = clamped - floor;
  if (rest === 0.5) return floor % 2 === 0 ? floor : floor + 1;
  return Math.round(clamped) + 0;
}
export function toEnumeration(value, values, name) {
  const text = `${value}`;
  if (!includes(values, text)) throw new TypeError(`'${text}' is not a valid value for ${name}`);
  return text;
}

export function sequenceOf(value, convert, name) {
  const method = value === null || value === undefined ? undefined : value[Symbol.iterator];
  if ((typeof value !== "object" && typeof value !== "function") || typeof method !== "function") {
    throw new TypeError(`${name} is not iterable`);
  }
  const all = [];
  const iterator = Reflect.apply(method, value, []);
  const next = iterator.next;
  for (;;) {
    const step = Reflect.apply(next, iterator, []);
    if (typeof step !== "object" || step === null) throw new TypeError("The iterator gave no object");
    if (step.done) return all;
    all[all.length] = convert(step.value);
  }
}

// Record conversion: own enumerable keys, in order, each converted once.
export function recordOf(value, convertKey, convertValue) {
  const pairs = [];
  for (const key of Reflect.ownKeys(value)) {
    const property = Reflect.getOwnPropertyDescriptor(value, key);
    if (property === undefined || !property.enumerable) continue;
    const name = convertKey(key);
    pairs[pairs.length] = [name, convertValue(value[key])];
  }
  return pairs;
}

// The default iterator of an interface with `iterable<name, value>`: live over `pairsOf(target)`.
export function iterableOf(type, name, pairsOf) {
  const iteratorPrototype = Object.create(Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())));
  const states = new WeakMap();
  const get = WeakMap.prototype.get;
  defineProperty(iteratorPrototype, "next", {
    value: function next() {
      const state = Reflect.apply(get, states, [this]);
      if (state === undefined) throw new TypeError(`'next' called on an object that is no ${name} Iterator.`);
      const pairs = pairsOf(state.target);
      if (state.index >= pairs.length) return { value: undefined, done: true };
      const pair = pairs[state.index++];
      const value = state.kind === "entries" ? [pair[0], pair[1]] : state.kind === "keys" ? pair[0] : pair[1];
      return { value, done: false };
    },
    writable: true, enumerable: true, configurable: true,
  });
  defineProperty(iteratorPrototype, Symbol.toStringTag, { value: `${name} Iterator`, configurable: true });
  const make = (target, kind) => {
    pairsOf(target);  // checks the receiver
    const iterator = Object.create(iteratorPrototype);
    states.set(iterator, { target, kind, index: 0 });
    return iterator;
  };
  const methods = {
    entries() { return make(this, "entries"); },
    keys() { return make(this, "keys"); },
    values() { return make(this, "values"); },
    forEach(callback, thisArgument = undefined) {
      required(`${name}.forEach`, arguments.length, 1);
      pairsOf(this);
      if (typeof callback !== "function") throw new TypeError(`${name}.forEach: the callback is not a function`);
      for (let index = 0; index < pairsOf(this).length; ++index) {
        const pair = pairsOf(this)[index];
        Reflect.apply(callback, thisArgument, [pair[1], pair[0], this]);
      }
    },
  };
  defineProperty(methods.forEach, "length", { value: 1 });
  for (const key of Object.keys(methods)) {
    defineProperty(type.prototype, key, { value: methods[key], writable: true, enumerable: true, configurable: true });
  }
  defineProperty(type.prototype, Symbol.iterator, { value: methods.entries, writable: true, configurable: true });
}
