// What the platform needs of JavaScript's own objects, taken before any worker runs: a worker may replace
// Array.prototype.push or String.prototype.slice, and must break nothing but itself by it.
const { apply, ownKeys } = Reflect;
const uncurry = (method) => (self, ...rest) => apply(method, self, rest);
// Object.hasOwn, which V8 10.2 does not have yet while a snapshot is made.
export const hasOwn = uncurry(Object.prototype.hasOwnProperty);

export const {
  assign, create, defineProperty, defineProperties, freeze, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf, keys,
} = Object;
export { apply, ownKeys };
export const { isArray } = Array;
export const { isView } = ArrayBuffer;
export const NativePromise = Promise;
const promiseThen = Promise.prototype.then;
// Not await: a worker may have changed Promise.prototype.constructor.
export const then = (promise, good, bad) => apply(promiseThen, promise, [good, bad]);
export const resolved = (value) => new NativePromise((resolve) => resolve(value));
export const rejected = (reason) => new NativePromise((_, reject) => reject(reason));
export const deferred = () => {
  const made = { promise: undefined, resolve: undefined, reject: undefined };
  made.promise = new NativePromise((resolve, reject) => {
    made.resolve = resolve;
    made.reject = reject;
  });
  return made;
};

export const toLowerCase = uncurry(String.prototype.toLowerCase);
export const toUpperCase = uncurry(String.prototype.toUpperCase);
export const slice = uncurry(String.prototype.slice);
export const indexOf = uncurry(String.prototype.indexOf);
export const split = uncurry(String.prototype.split);
export const charCodeAt = uncurry(String.prototype.charCodeAt);
export const replace = uncurry(String.prototype.replace);
export const test = uncurry(RegExp.prototype.test);
export const exec = uncurry(RegExp.prototype.exec);
export const push = uncurry(Array.prototype.push);
export const splice = uncurry(Array.prototype.splice);
export const sort = uncurry(Array.prototype.sort);
export const join = uncurry(Array.prototype.join);
export const sliceArray = uncurry(Array.prototype.slice);
export const includes = uncurry(Array.prototype.includes);
// An array that inherits nothing: what is written to it by index runs no setter of Array.prototype. It is read by index.
export const listOf = (...items) => setPrototypeOf(items, null);
export const append = (list, item) => { list[list.length] = item; };
export const mapGet = uncurry(Map.prototype.get);
export const mapSet = uncurry(Map.prototype.set);
export const mapDelete = uncurry(Map.prototype.delete);
export const weakGet = uncurry(WeakMap.prototype.get);
export const weakSet = uncurry(WeakMap.prototype.set);
export const NativeMap = Map;
export const NativeWeakSet = WeakSet;
export const weakAdd = uncurry(WeakSet.prototype.add);
export const weakDelete = uncurry(WeakSet.prototype.delete);
export const { Uint8Array: Bytes, ArrayBuffer: Memory } = globalThis;
const typedArray = getPrototypeOf(Uint8Array.prototype);
export const bytesSet = uncurry(typedArray.set);
export const bytesSlice = uncurry(typedArray.slice);
export const bytesSubarray = uncurry(typedArray.subarray);
const getter = (object, name) => uncurry(getOwnPropertyDescriptor(object, name).get);
export const bytesTag = getter(typedArray, Symbol.toStringTag);
export const memoryLength = getter(ArrayBuffer.prototype, "byteLength");
export const bytesLength = getter(typedArray, "byteLength");
export const memoryOfBytes = getter(typedArray, "buffer");
const viewParts = {
  typed: [getter(typedArray, "buffer"), getter(typedArray, "byteOffset"), getter(typedArray, "byteLength")],
  data: ["buffer", "byteOffset", "byteLength"].map((name) => getter(DataView.prototype, name)),
};

// A Uint8Array over a BufferSource's memory; undefined for what is none.
export function bytesOf(source) {
  if (isView(source)) {
    const parts = bytesTag(source) === undefined ? viewParts.data : viewParts.typed;
    const memory = parts[0](source);
    return host.isDetached(memory) ? new Bytes(0) : new Bytes(memory, parts[1](source), parts[2](source));
  }
  const kind = host.kindOf(source);
  if (kind === 8) return host.isDetached(source) ? new Bytes(0) : new Bytes(source);
  if (kind === 9) return new Bytes(source);
  return undefined;
}
export const isBufferSource = (value) => isView(value) || host.kindOf(value) === 8;
