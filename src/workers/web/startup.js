// Start-up is deterministic: until the first event Math.random gives the same numbers in every start. Date and performance
// stand still by the host's doing, and what does I/O refuses (needAwake).
import { defineProperty } from "./intrinsics.js";
import { isAwake, setAwake } from "./timers.js";
import { installStreaming } from "./wasm.js";

const nativeRandom = Math.random;
let seed = 0x9E3779B9;

// xorshift32; not for secrets, as Math.random never is.
function random() {
  if (isAwake()) return nativeRandom();
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) / 4294967296;
}

export function startDeterministic() {
  defineProperty(Math, "random", { value: random, writable: true, enumerable: false, configurable: true });
}

export function wake() {
  setAwake();
  installStreaming();
  if (Math.random === random) defineProperty(Math, "random", { value: nativeRandom, writable: true, enumerable: false, configurable: true });
}
