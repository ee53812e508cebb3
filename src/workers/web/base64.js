// atob and btoa (HTML 8.3).
import { defineProperty } from "./intrinsics.js";
import { DOMException } from "./dom_exception.js";
import { required } from "./webidl.js";

function btoa(data) {
  required("btoa", arguments.length, 1);
  const text = host.base64EncodeText(`${data}`);
  if (text === null) throw new DOMException("The string has characters outside of Latin-1", "InvalidCharacterError");
  return text;
}

function atob(data) {
  required("atob", arguments.length, 1);
  const text = host.base64DecodeText(`${data}`);
  if (text === null) throw new DOMException("The string is not correctly encoded", "InvalidCharacterError");
  return text;
}

for (const value of [btoa, atob]) {
  defineProperty(globalThis, value.name, { value, writable: true, enumerable: true, configurable: true });
}
