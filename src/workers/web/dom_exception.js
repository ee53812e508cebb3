// DOMException (Web IDL 2.8.1). An instance is a platform object, so that a structured clone keeps its class.
import { defineProperty, hasOwn, setPrototypeOf } from "./intrinsics.js";
import { expose, interfaceOf } from "./webidl.js";

const kCodes = {
  IndexSizeError: 1, DOMStringSizeError: 2, HierarchyRequestError: 3, WrongDocumentError: 4, InvalidCharacterError: 5,
  NoDataAllowedError: 6, NoModificationAllowedError: 7, NotFoundError: 8, NotSupportedError: 9, InUseAttributeError: 10,
  InvalidStateError: 11, SyntaxError: 12, InvalidModificationError: 13, NamespaceError: 14, InvalidAccessError: 15,
  ValidationError: 16, TypeMismatchError: 17, SecurityError: 18, NetworkError: 19, AbortError: 20, URLMismatchError: 21,
  QuotaExceededError: 22, TimeoutError: 23, InvalidNodeTypeError: 24, DataCloneError: 25,
};
const kConstants = {};
for (const name of Object.keys(kCodes)) {
  const words = name.replace(/Error$/, "").replace(/DOMString/, "DOMSTRING_").replace(/URL/, "URL_");
  kConstants[`${words.replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase()}_ERR`] = kCodes[name];
}

class Stamp extends (function (object) { return object; }) {
  #text;
  constructor(object, name, message) {
    super(object);
    this.#text = { name, message };
  }
  static of(object) { return object.#text; }
  static marks(object) { return #text in object; }
}

const { captureStackTrace } = Error;

export class DOMException {
  constructor(message = "", name = "Error") {
    const text = `${message}`;
    const self = host.platformObject(new.target.prototype);
    new Stamp(self, `${name}`, text);
    captureStackTrace(self, new.target);
    defineProperty(self, "stack", { value: self.stack, writable: true, enumerable: false, configurable: true });
    return self;
  }
  get name() { return Stamp.of(this).name; }
  get message() { return Stamp.of(this).message; }
  get code() {
    const { name } = Stamp.of(this);
    return hasOwn(kCodes, name) ? kCodes[name] : 0;
  }
}
setPrototypeOf(DOMException.prototype, Error.prototype);
interfaceOf(DOMException, { constants: kConstants });
expose({ DOMException });

export const isDOMException = (value) => typeof value === "object" && value !== null && Stamp.marks(value);
export function cloneDOMException(exception) {
  const { name, message } = Stamp.of(exception);
  const copy = new DOMException(message, name);
  defineProperty(copy, "stack", { value: exception.stack, writable: true, enumerable: false, configurable: true });
  return copy;
}
