// Start-up is deterministic: until the first event Math.random gives the same numbers in every start. Date and performance
// stand still by the host's doing, and what does I/O refuses (needAwake).
import { defineProperty } from "./intrinsics.js";
import { setAwake } from "./timers.js";
import { installStreaming } from "./wasm.js";

// Math.random, for no secrets: sfc32 (Doty-Humphrey, PractRand). V8's own has its seed from the process that all others are
// forked from, and would give every worker the numbers of every other.
let a, b, c, counter;
function next() {
  const sum = (a + b | 0) + counter | 0;
  counter = counter + 1 | 0;
  a = b ^ b >>> 9;
  b = c + (c << 3) | 0;
  c = (c << 21 | c >>> 11) + sum | 0;
  return sum;
}
// 53 bits, in [0, 1).
const { random } = { random() { return ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992; } };

function seed(words) {
  [a, b, c] = words;
  counter = 1;
  for (let i = 0; i < 12; ++i) next();
}

export function startDeterministic() {
  seed([0x9E3779B9, 0x243F6A88, 0xB7E15162]);
  defineProperty(Math, "random", { value: random, writable: true, enumerable: false, configurable: true });
}

export function wake(wasm = WebAssembly) {
  setAwake(true);
  const words = new Int32Array(3);
  host.random(words);
  seed([words[0], words[1], words[2]]);
  installStreaming(wasm);
}

// What waking takes is compiled, and nobody is awake.
export function warmUpWaking() {
  wake({});
  setAwake(false);
  startDeterministic();
}
