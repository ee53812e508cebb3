// The Compression Standard: CompressionStream and DecompressionStream, by zlib. A chunk of input is taken when somebody reads, and
// no further than to the next chunk of output: however small what was written is, what is not read costs nothing.
import { ReadableStream, WritableStream } from "./streams.js";
import { expose, interfaceOf, required, toEnumeration } from "./webidl.js";

const kFormats = ["gzip", "deflate", "deflate-raw"];
const kOutputFull = 0;
const kDamaged = 3;
const kNothing = new Uint8Array(0);

function bytesOf(chunk) {
  const kind = host.kindOf(chunk);
  if (kind === 8) return new Uint8Array(chunk);
  if (kind === 10 && host.kindOf(chunk.buffer) === 8) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new TypeError("The chunk is not an ArrayBuffer or a view of one");
}

class Pair {
  constructor(format, decompresses) {
    this.codec = host.codec(kFormats.indexOf(format), decompresses);
    this.format = format;
    this.input = null;  // a write under way: its bytes, those taken, whether it is the last, what settles it
    this.wanted = null;  // a pull under way: what settles it
    this.over = false;
    this.writable = new WritableStream({
      start: (controller) => { this.writing = controller; },
      write: (chunk) => {
        let bytes;
        try {
          bytes = bytesOf(chunk);
        } catch (error) {
          this.fail(error);
          throw error;
        }
        return this.take(bytes, false);
      },
      close: () => this.take(kNothing, true),
      abort: (reason) => this.fail(reason),
    });
    this.readable = new ReadableStream({
      start: (controller) => { this.reading = controller; },
      pull: () => new Promise((resolve) => {
        this.wanted = resolve;
        this.run();
      }),
      cancel: (reason) => {
        this.over = true;
        this.writing.error(reason);
        this.settle();
      },
    }, { highWaterMark: 0 });
  }

  take(bytes, last) {
    return new Promise((resolve, reject) => {
      this.input = { bytes, taken: 0, own: false, last, resolve, reject };
      this.run();
    });
  }

  settle() {
    this.input?.resolve();
    this.input = null;
    this.wanted?.();
    this.wanted = null;
  }

  fail(error) {
    if (this.over) return;
    this.over = true;
    this.reading.error(error);
    this.writing.error(error);
    this.input?.reject(error);
    this.input = null;
    this.settle();
  }

  run() {
    // The end is not waited for: what is left then is little.
    while (this.input !== null && (this.wanted !== null || this.input.last) && !this.over) {
      const { input } = this;
      let step;
      try {
        step = host.codecStep(this.codec, input.bytes, input.taken, input.last);
      } catch (error) {
        return this.fail(error);
      }
      input.taken = step[1];
      // What is left is ours from here on: whoever wrote it may take the memory back.
      if (step[0] === kOutputFull && !input.own) {
        input.bytes = new Uint8Array(input.bytes).subarray(input.taken);
        input.taken = 0;
        input.own = true;
      }
      if (step[2] !== undefined) {
        const { wanted } = this;
        this.wanted = null;
        this.reading.enqueue(new Uint8Array(step[2]));
        wanted?.();
      }
      if (step[0] === kDamaged) return this.fail(new TypeError(`The data is not ${this.format}: it is damaged, cut off, or followed by other data`));
      if (step[0] === kOutputFull) continue;
      if (input.last) {
        this.over = true;
        this.reading.close();
        return this.settle();
      }
      this.input = null;
      input.resolve();
    }
  }
}

class CompressionStream {
  #pair;
  constructor(format) {
    required("CompressionStream", arguments.length, 1);
    this.#pair = new Pair(toEnumeration(format, kFormats, "CompressionFormat"), false);
  }
  get readable() { return this.#pair.readable; }
  get writable() { return this.#pair.writable; }
}
interfaceOf(CompressionStream);

class DecompressionStream {
  #pair;
  constructor(format) {
    required("DecompressionStream", arguments.length, 1);
    this.#pair = new Pair(toEnumeration(format, kFormats, "CompressionFormat"), true);
  }
  get readable() { return this.#pair.readable; }
  get writable() { return this.#pair.writable; }
}
interfaceOf(DecompressionStream);

expose({ CompressionStream, DecompressionStream });
