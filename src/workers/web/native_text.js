// The decoders that @exodus/bytes and whatwg-url look for while they are set up: what is native of the Encoding Standard, by
// its names. encoding.js then puts the whole API in their place.
import "./missing.js";

const { utf8Encode, utf8Decode, utf16Decode, latin1Decode } = host;

class NativeEncoder {
  encode(text) { return new Uint8Array(utf8Encode(text)); }
}

class NativeDecoder {
  #decode;
  constructor(label, { fatal = false, ignoreBOM = false } = {}) {
    const checked = (text) => {
      if (text === null) throw new TypeError("The encoded data is malformed");
      return text;
    };
    if (label === "utf-8") this.#decode = (bytes) => checked(utf8Decode(bytes, fatal, ignoreBOM));
    else if (label === "utf-16le" || label === "utf-16be") this.#decode = (bytes) => checked(utf16Decode(bytes, label === "utf-16be", fatal));
    else if (label === "latin1") this.#decode = latin1Decode;
    else throw new RangeError("not native");
  }
  decode(bytes) { return this.#decode(bytes); }
}

globalThis.TextEncoder = NativeEncoder;
globalThis.TextDecoder = NativeDecoder;
