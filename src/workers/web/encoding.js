// The Encoding Standard's API. UTF-8 is native; the other encodings, and UTF-8 that comes in pieces, are @exodus/bytes'.
import "./native_text.js";
import { TextDecoder as AnyDecoder, labelToName } from "@exodus/bytes/encoding.js";
import { Bytes, bytesOf, bytesTag, defineProperty, isView } from "./intrinsics.js";
import { TransformStream } from "./streams.js";
import { expose, interfaceOf, required, toDictionary, toDOMString, toUSVString } from "./webidl.js";

const kEmpty = new Bytes(0);
const { utf8Encode, utf8EncodeInto, utf8Decode } = host;

export const encodeText = (text) => new Bytes(utf8Encode(text));
// Of bytes that are the platform's own: with a byte order mark taken off, malformed sequences replaced.
export const decodeText = (bytes) => utf8Decode(bytes, false, false);

class TextEncoder {
  #brand;
  get encoding() {
    this.#brand;
    return "utf-8";
  }
  encode(input = "") {
    this.#brand;
    return new Bytes(utf8Encode(`${input}`));
  }
  encodeInto(source, destination) {
    required("encodeInto", arguments.length, 2);
    const text = `${source}`;
    if (!isView(destination) || bytesTag(destination) !== "Uint8Array") {
      throw new TypeError("encodeInto: the destination is not a Uint8Array");
    }
    this.#brand;
    const done = utf8EncodeInto(text, destination);
    const read = Math.floor(done / 4294967296);
    return { read, written: done - read * 4294967296 };
  }
}
interfaceOf(TextEncoder);

function toSource(input, name) {
  if (input === undefined) return kEmpty;
  const bytes = bytesOf(input);
  if (bytes === undefined) throw new TypeError(`${name}: the input is not an ArrayBuffer or a view of one`);
  return bytes;
}

class TextDecoder {
  #encoding;
  #fatal;
  #ignoreBOM;
  #decoder;  // once it is needed
  constructor(label = "utf-8", options = {}) {
    const name = labelToName(`${label}`);
    if (name === null || name === undefined || name === "replacement") {
      throw new RangeError(`'${label}' is not the label of an encoding`);
    }
    const init = toDictionary(options, "TextDecoderOptions");
    this.#fatal = !!init.fatal;
    this.#ignoreBOM = !!init.ignoreBOM;
    this.#encoding = name.toLowerCase();
  }
  get encoding() { return this.#encoding; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#ignoreBOM; }
  decode(input = undefined, options = {}) {
    const encoding = this.#encoding;
    const stream = !!toDictionary(options, "TextDecodeOptions").stream;
    const bytes = toSource(input, "decode");
    if (encoding === "utf-8" && !stream && this.#decoder === undefined) {
      const text = utf8Decode(bytes, this.#fatal, this.#ignoreBOM);
      if (text === null) throw new TypeError("The encoded data is not valid UTF-8");
      return text;
    }
    this.#decoder ??= new AnyDecoder(encoding, { fatal: this.#fatal, ignoreBOM: this.#ignoreBOM });
    try {
      return this.#decoder.decode(bytes, { stream });
    } catch (error) {
      this.#decoder = undefined;
      throw error instanceof TypeError || error instanceof RangeError ? new TypeError(`The encoded data is not valid ${encoding}`) : error;
    } finally {
      if (!stream) this.#decoder = undefined;
    }
  }
}
interfaceOf(TextDecoder);

class TextEncoderStream {
  #transform;
  constructor() {
    let high = "";
    this.#transform = new TransformStream({
      transform(chunk, controller) {
        let text = high + toDOMString(chunk);
        high = "";
        if (text.length === 0) return;
        const last = text.charCodeAt(text.length - 1);
        if (last >= 0xD800 && last < 0xDC00) {
          high = text.slice(-1);
          text = text.slice(0, -1);
        }
        if (text.length > 0) controller.enqueue(encodeText(text));
      },
      flush(controller) {
        if (high !== "") controller.enqueue(encodeText(high));
      },
    });
  }
  get encoding() {
    this.#transform;
    return "utf-8";
  }
  get readable() { return this.#transform.readable; }
  get writable() { return this.#transform.writable; }
}
interfaceOf(TextEncoderStream);

class TextDecoderStream {
  #decoder;
  #transform;
  constructor(label = "utf-8", options = {}) {
    const decoder = this.#decoder = new TextDecoder(label, options);
    this.#transform = new TransformStream({
      transform(chunk, controller) {
        const bytes = bytesOf(chunk);
        if (bytes === undefined) throw new TypeError("TextDecoderStream: a chunk is not an ArrayBuffer or a view of one");
        const text = decoder.decode(bytes, { stream: true });
        if (text !== "") controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text !== "") controller.enqueue(text);
      },
    });
  }
  get encoding() { return this.#decoder.encoding; }
  get fatal() { return this.#decoder.fatal; }
  get ignoreBOM() { return this.#decoder.ignoreBOM; }
  get readable() { return this.#transform.readable; }
  get writable() { return this.#transform.writable; }
}
interfaceOf(TextDecoderStream);

expose({ TextEncoder, TextDecoder, TextEncoderStream, TextDecoderStream });
