// Content codings of answers (RFC 9110 section 8.4.1): gzip and deflate are decoded for who reads a body, and no further than he
// reads. What a worker hands on stays as it came.
import { Bytes, then } from "./intrinsics.js";
import { byteStream, cancelBy, readerOf, readFrom } from "./streams.js";

const kFormats = { __proto__: null, gzip: 0, "x-gzip": 0, deflate: 1 };
export const isDecodable = (coding) => kFormats[coding] !== undefined;

// The outcomes of host.codecStep.
const kOutputFull = 0;
const kDamaged = 3;
const kNothing = new Bytes(0);

// The bytes that a stream has in this coding; it ends with a TypeError where they are damaged or cut off.
export function decodedStream(coded, coding) {
  let reader;
  let codec;
  let input = kNothing;
  let taken = 0;
  let last = false;
  let isEmpty = true;
  const close = (controller) => {
    controller.close();
    controller.byobRequest?.respond(0);
  };
  const took = (controller, { done, value }) => {
    last = done;
    input = done ? kNothing : value;
    taken = 0;
    if (input.length > 0) isEmpty = false;
    if (last && isEmpty) return close(controller);
    return decode(controller);
  };
  const decode = (controller) => {
    for (;;) {
      const step = host.codecStep(codec, input, taken, last);
      taken = step[1];
      if (step[2] !== undefined) controller.enqueue(new Bytes(step[2]));
      if (step[0] === kDamaged) {
        const error = new TypeError(`The body is not ${coding}, as its content-encoding has it: it is damaged or cut off`);
        then(cancelBy(reader, error), undefined, () => {});
        throw error;
      }
      if (step[0] !== kOutputFull && last) return close(controller);
      if (step[2] !== undefined) return undefined;
      if (step[0] !== kOutputFull) return then(readFrom(reader), (read) => took(controller, read));
    }
  };
  return byteStream({
    type: "bytes",
    pull(controller) {
      reader ??= readerOf(coded);
      codec ??= host.codec(kFormats[coding], true);
      return decode(controller);
    },
    cancel(reason) { return cancelBy(reader ??= readerOf(coded), reason); },
  });
}
