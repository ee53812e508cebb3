// CryptoKey (Web Cryptography 13). What it stands for is a handle that only web/subtle.js gives to the host.
import { bytesSlice, sliceArray } from "./intrinsics.js";
import { expose, interfaceOf } from "./webidl.js";

class Stamp extends (function (object) { return object; }) {
  #slots;
  constructor(object, slots) {
    super(object);
    this.#slots = slots;
  }
  static of(object) { return object.#slots; }
  static marks(object) { return #slots in object; }
}

export class CryptoKey {
  constructor() { throw new TypeError("Illegal constructor"); }
  get type() { return Stamp.of(this).type; }
  get extractable() { return Stamp.of(this).extractable; }
  get algorithm() { return Stamp.of(this).algorithm; }
  get usages() { return Stamp.of(this).shown; }
}
interfaceOf(CryptoKey);
expose({ CryptoKey });

// What a worker may write to, which is not what is looked at.
function shownAlgorithm({ name, hash, length, modulusLength, publicExponent, namedCurve }) {
  const shown = { name };
  if (modulusLength !== undefined) shown.modulusLength = modulusLength;
  if (publicExponent !== undefined) shown.publicExponent = publicExponent;
  if (hash !== undefined) shown.hash = { name: hash };
  if (length !== undefined) shown.length = length;
  if (namedCurve !== undefined) shown.namedCurve = namedCurve;
  return shown;
}

// `its`: type, extractable, usages (a list of intrinsics.js in the standard's order), handle, and what the algorithm is made of: name and, as
// far as it has them, hash, length, modulusLength, publicExponent, namedCurve.
export function makeKey(its) {
  const key = host.platformObject(CryptoKey.prototype);
  const publicExponent = its.publicExponent === undefined ? undefined : bytesSlice(its.publicExponent);
  new Stamp(key, { ...its, algorithm: shownAlgorithm({ ...its, publicExponent }), shown: sliceArray(its.usages) });
  return key;
}

export const isCryptoKey = (value) => typeof value === "object" && value !== null && Stamp.marks(value);
export const keySlots = (key) => Stamp.of(key);
export const cloneCryptoKey = (key) => makeKey(Stamp.of(key));
