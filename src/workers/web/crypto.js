// The global crypto (Web Cryptography 10). What is subtle is put in by main.js.
import { Bytes, bytesTag, defineProperty, isView } from "./intrinsics.js";
import { DOMException } from "./dom_exception.js";
import { needAwake } from "./timers.js";
import { expose, interfaceOf, required } from "./webidl.js";

const kIntegerArrays = [
  "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array", "BigInt64Array",
  "BigUint64Array",
];
const kHex = Array.from({ length: 256 }, (_, byte) => (byte + 256).toString(16).slice(1));

export function randomUuid() {
  needAwake("crypto.randomUUID");
  const bytes = new Bytes(16);
  host.random(bytes);
  bytes[6] = (bytes[6] & 0x0F) | 0x40;
  bytes[8] = (bytes[8] & 0x3F) | 0x80;
  let text = "";
  for (let at = 0; at < 16; ++at) {
    if (at === 4 || at === 6 || at === 8 || at === 10) text += "-";
    text += kHex[bytes[at]];
  }
  return text;
}

let making = false;
let installed;
class Crypto {
  #brand;
  constructor() {
    if (!making) throw new TypeError("Illegal constructor");
  }
  getRandomValues(array) {
    required("getRandomValues", arguments.length, 1);
    this.#brand;
    needAwake("crypto.getRandomValues");
    if (!isView(array) || !kIntegerArrays.includes(bytesTag(array))) {
      throw new DOMException("getRandomValues: the argument is not an integer array", "TypeMismatchError");
    }
    if (array.byteLength > 65536) {
      throw new DOMException("getRandomValues: at most 65536 bytes at a time", "QuotaExceededError");
    }
    host.random(array);
    return array;
  }
  get subtle() {
    this.#brand;
    return installed.subtle;
  }
  get DigestStream() {
    this.#brand;
    return installed.DigestStream;
  }
  randomUUID() {
    this.#brand;
    return randomUuid();
  }
}
interfaceOf(Crypto);
making = true;
const crypto = new Crypto();
making = false;
// subtle and DigestStream stand on streams and text, and these on what is above.
export function installCrypto(its) { installed = its; }
expose({ Crypto });
defineProperty(globalThis, "crypto", { get: () => crypto, set: undefined, enumerable: true, configurable: true });
