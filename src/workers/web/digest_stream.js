// crypto.DigestStream, as workerd has it: a WritableStream that hashes what is written, and a promise of the hash.
import { deferred, isBufferSource } from "./intrinsics.js";
import { WritableStream } from "./streams.js";
import { digestNumber } from "./subtle.js";
import { encodeText } from "./encoding.js";
import { interfaceOf, required } from "./webidl.js";

export class DigestStream extends WritableStream {
  #digest;
  #bytes = 0;
  constructor(algorithm) {
    required("DigestStream", arguments.length, 1);
    const hash = host.hashBegin(digestNumber(algorithm));
    const digest = deferred();
    let count = (size) => size;
    super({
      write(chunk) {
        const bytes = typeof chunk === "string" ? encodeText(chunk) : chunk;
        if (typeof bytes !== "object" || bytes === null || !isBufferSource(bytes)) {
          const error = new TypeError("DigestStream: what is written is not an ArrayBuffer, a view of one or a string");
          digest.reject(error);
          throw error;
        }
        host.hashAdd(hash, bytes);
        count(bytes.byteLength);
      },
      close() { digest.resolve(host.hashFinish(hash)); },
      abort(reason) { digest.reject(reason); },
    });
    this.#digest = digest.promise;
    host.markHandled(digest.promise);
    count = (size) => { this.#bytes += size; };
  }
  get digest() { return this.#digest; }
  get bytesWritten() { return this.#bytes; }
}
interfaceOf(DigestStream);
