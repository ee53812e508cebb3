// Blob and File (File API 3, 4). A blob's bytes are one Uint8Array; slices share its memory.
import { Bytes, bytesOf, bytesSet, bytesSlice, bytesSubarray, replace, test, toLowerCase } from "./intrinsics.js";
import { decodeText, encodeText } from "./encoding.js";
import { ReadableStream } from "./streams.js";
import { expose, interfaceOf, required, sequenceOf, toClampedLongLong, toDictionary, toEnumeration, toUSVString } from "./webidl.js";

class Stamp extends (function (object) { return object; }) {
  #state;
  constructor(object, state) {
    super(object);
    this.#state = state;
  }
  static of(object) { return object.#state; }
  static marks(object) { return #state in object; }
}

export const isBlob = (value) => typeof value === "object" && value !== null && Stamp.marks(value);
export const isFile = (value) => isBlob(value) && Stamp.of(value).name !== undefined;
export const blobBytes = (blob) => Stamp.of(blob).bytes;
export const blobType = (blob) => Stamp.of(blob).type;

const kUnprintable = /[^\x20-\x7E]/;
const toType = (value) => {
  const text = `${value}`;
  return test(kUnprintable, text) ? "" : toLowerCase(text);
};

function gather(parts, endings) {
  const pieces = [];
  let size = 0;
  for (let at = 0; at < parts.length; ++at) {
    const part = parts[at];
    let piece;
    if (typeof part === "string") {
      piece = encodeText(endings === "native" ? replace(part, /\r\n?|\n/g, "\n") : part);
    } else {
      piece = isBlob(part) ? blobBytes(part) : bytesOf(part);
    }
    size += piece.length;
    pieces[pieces.length] = piece;
  }
  const bytes = new Bytes(size);
  let offset = 0;
  for (let at = 0; at < pieces.length; ++at) {
    bytesSet(bytes, pieces[at], offset);
    offset += pieces[at].length;
  }
  return bytes;
}

const toPart = (value) => (isBlob(value) || (typeof value === "object" && value !== null && bytesOf(value) !== undefined) ? value : toUSVString(value));

function readInit(parts, options, interfaceName) {
  const init = toDictionary(options, `${interfaceName}PropertyBag`);
  const sequence = parts === undefined ? [] : sequenceOf(parts, toPart, `${interfaceName}: the parts`);
  const endings = init.endings === undefined ? "transparent" : toEnumeration(init.endings, ["transparent", "native"], "EndingType");
  const type = init.type === undefined ? "" : toType(init.type);
  return { bytes: gather(sequence, endings), type, name: undefined, lastModified: 0 };
}

export class Blob {
  constructor(blobParts = undefined, options = {}) {
    const state = readInit(blobParts, options, "Blob");
    const self = host.platformObject(new.target.prototype);
    new Stamp(self, state);
    return self;
  }
  get size() { return Stamp.of(this).bytes.length; }
  get type() { return Stamp.of(this).type; }
  slice(start = 0, end = undefined, contentType = "") {
    const { bytes } = Stamp.of(this);
    const size = bytes.length;
    const place = (value, otherwise) => {
      if (value === undefined) return otherwise;
      const at = toClampedLongLong(value);
      return at < 0 ? Math.max(size + at, 0) : Math.min(at, size);
    };
    const from = place(start, 0);
    const to = Math.max(place(end, size), from);
    return newBlob(bytesSubarray(bytes, from, to), toType(contentType));
  }
  async text() { return decodeText(Stamp.of(this).bytes); }
  async arrayBuffer() { return bytesSlice(Stamp.of(this).bytes).buffer; }
  async bytes() { return bytesSlice(Stamp.of(this).bytes); }
  stream() {
    const { bytes } = Stamp.of(this);
    let offset = 0;
    return new ReadableStream({
      type: "bytes",
      pull(controller) {
        if (offset < bytes.length) {
          controller.enqueue(bytesSlice(bytes, offset, offset + 65536));
          offset += 65536;
        }
        if (offset >= bytes.length) {
          controller.close();
          controller.byobRequest?.respond(0);
        }
      },
    }, { highWaterMark: 0 });
  }
}
interfaceOf(Blob);

export class File extends Blob {
  constructor(fileBits, fileName, options = {}) {
    required("File", arguments.length, 2);
    if (fileBits === undefined) throw new TypeError("File: the parts are not iterable");
    const self = super(fileBits, options);
    const state = Stamp.of(self);
    state.name = toUSVString(fileName);
    const { lastModified } = toDictionary(options, "FilePropertyBag");
    state.lastModified = lastModified === undefined ? Date.now() : Math.trunc(Number(lastModified)) || 0;
    return self;
  }
  get name() { return Stamp.of(this).name; }
  get lastModified() { return Stamp.of(this).lastModified; }
  get webkitRelativePath() {
    Stamp.of(this);
    return "";
  }
}
interfaceOf(File);
expose({ Blob, File });

export function newBlob(bytes, type) {
  const self = host.platformObject(Blob.prototype);
  new Stamp(self, { bytes, type, name: undefined, lastModified: 0 });
  return self;
}
export function newFile(bytes, name, type, lastModified = Date.now()) {
  const self = host.platformObject(File.prototype);
  new Stamp(self, { bytes, type, name, lastModified });
  return self;
}
export function cloneBlob(blob) {
  const { bytes, type, name, lastModified } = Stamp.of(blob);
  return name === undefined ? newBlob(bytes, type) : newFile(bytes, name, type, lastModified);
}
export const fileOf = (blob, name) => {
  const state = Stamp.of(blob);
  return newFile(state.bytes, name ?? state.name ?? "blob", state.type, state.name === undefined ? Date.now() : state.lastModified);
};
export const fileName = (blob) => Stamp.of(blob).name;
