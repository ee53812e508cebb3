// FormData (XMLHttpRequest 4), and its two forms in bodies: multipart/form-data (RFC 7578, as HTML 4.10.21.8 writes it) and
// application/x-www-form-urlencoded.
import { Bytes, bytesSet, bytesSlice, push, replace, splice, toLowerCase } from "./intrinsics.js";
import { blobBytes, blobType, fileName, fileOf, isBlob, isFile, newFile } from "./blob.js";
import { decodeText, encodeText } from "./encoding.js";
import { expose, interfaceOf, iterableOf, required, toUSVString } from "./webidl.js";

let entriesOf;
export let isFormData;
export class FormData {
  #entries = [];
  constructor(form = undefined) {
    if (form !== undefined) throw new TypeError("FormData: there are no forms here");
  }
  append(name, value, filename = undefined) {
    required("FormData.append", arguments.length, 2);
    push(this.#entries, entryOf(name, value, filename, arguments.length > 2));
  }
  delete(name) {
    required("FormData.delete", arguments.length, 1);
    const key = toUSVString(name);
    for (let at = this.#entries.length - 1; at >= 0; --at) {
      if (this.#entries[at][0] === key) splice(this.#entries, at, 1);
    }
  }
  get(name) {
    required("FormData.get", arguments.length, 1);
    const key = toUSVString(name);
    for (let at = 0; at < this.#entries.length; ++at) {
      if (this.#entries[at][0] === key) return this.#entries[at][1];
    }
    return null;
  }
  getAll(name) {
    required("FormData.getAll", arguments.length, 1);
    const key = toUSVString(name);
    const values = [];
    for (let at = 0; at < this.#entries.length; ++at) {
      if (this.#entries[at][0] === key) push(values, this.#entries[at][1]);
    }
    return values;
  }
  has(name) {
    required("FormData.has", arguments.length, 1);
    const key = toUSVString(name);
    for (let at = 0; at < this.#entries.length; ++at) {
      if (this.#entries[at][0] === key) return true;
    }
    return false;
  }
  set(name, value, filename = undefined) {
    required("FormData.set", arguments.length, 2);
    const entry = entryOf(name, value, filename, arguments.length > 2);
    let found = false;
    for (let at = 0; at < this.#entries.length; ++at) {
      if (this.#entries[at][0] !== entry[0]) continue;
      if (found) {
        splice(this.#entries, at--, 1);
      } else {
        found = true;
        this.#entries[at] = entry;
      }
    }
    if (!found) push(this.#entries, entry);
  }
  static {
    entriesOf = (form) => form.#entries;
    isFormData = (value) => #entries in value;
  }
}
interfaceOf(FormData);
iterableOf(FormData, "FormData", (form) => entriesOf(form));
expose({ FormData });

function entryOf(name, value, filename, named) {
  const key = toUSVString(name);
  if (!isBlob(value)) {
    if (named) throw new TypeError("FormData: a file name is given, but the value is not a Blob");
    return [key, toUSVString(value)];
  }
  const file = named ? toUSVString(filename) : undefined;
  return [key, isFile(value) && file === undefined ? value : fileOf(value, file)];
}

export function formOf(pairs) {
  const form = new FormData();
  for (let at = 0; at < pairs.length; ++at) push(entriesOf(form), [pairs[at][0], pairs[at][1]]);
  return form;
}

const escapeName = (name) => replace(replace(replace(name, /\n/g, "%0A"), /\r/g, "%0D"), /"/g, "%22");
const normalizeLines = (text) => replace(text, /\r\n|\r|\n/g, "\r\n");

// {bytes, type} of multipart/form-data.
export function serializeForm(form) {
  const random = new Bytes(12);
  host.random(random);
  let boundary = "----formdata-";
  for (let at = 0; at < random.length; ++at) boundary += (random[at] + 256).toString(16).slice(1);
  const pieces = [];
  let size = 0;
  const add = (piece) => {
    pieces[pieces.length] = piece;
    size += piece.length;
  };
  const entries = entriesOf(form);
  for (let at = 0; at < entries.length; ++at) {
    const name = escapeName(normalizeLines(entries[at][0]));
    const value = entries[at][1];
    let head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`;
    if (typeof value === "string") {
      add(encodeText(`${head}\r\n\r\n${normalizeLines(value)}\r\n`));
      continue;
    }
    head += `; filename="${escapeName(fileName(value))}"\r\nContent-Type: ${blobType(value) || "application/octet-stream"}\r\n\r\n`;
    add(encodeText(head));
    add(blobBytes(value));
    add(encodeText("\r\n"));
  }
  add(encodeText(`--${boundary}--\r\n`));
  const bytes = new Bytes(size);
  let offset = 0;
  for (let at = 0; at < pieces.length; ++at) {
    bytesSet(bytes, pieces[at], offset);
    offset += pieces[at].length;
  }
  return { bytes, type: `multipart/form-data; boundary=${boundary}` };
}

function find(bytes, wanted, from) {
  const first = wanted[0];
  const last = bytes.length - wanted.length;
  outer: for (let at = from; at <= last; ++at) {
    if (bytes[at] !== first) continue;
    for (let offset = 1; offset < wanted.length; ++offset) {
      if (bytes[at + offset] !== wanted[offset]) continue outer;
    }
    return at;
  }
  return -1;
}

const kLine = new Bytes([13, 10]);
const malformed = () => new TypeError("The body is not valid multipart/form-data");

// The form in a multipart body; throws TypeError where it is none.
export function parseMultipart(bytes, boundary) {
  const delimiter = encodeText(`--${boundary}`);
  const inner = encodeText(`\r\n--${boundary}`);
  const form = new FormData();
  let at = find(bytes, delimiter, 0);
  if (at < 0) throw malformed();
  at += delimiter.length;
  for (;;) {
    if (bytes[at] === 45 && bytes[at + 1] === 45) return form;
    while (bytes[at] === 32 || bytes[at] === 9) ++at;
    if (bytes[at] !== 13 || bytes[at + 1] !== 10) throw malformed();
    at += 2;
    const head = { name: undefined, filename: undefined, type: undefined };
    for (;;) {
      if (bytes[at] === 13 && bytes[at + 1] === 10) break;
      const end = find(bytes, kLine, at);
      if (end < 0) throw malformed();
      readPartField(decodeText(bytesSlice(bytes, at, end)), head);
      at = end + 2;
    }
    at += 2;
    // An empty part's delimiter begins with the line end of its head.
    const end = find(bytes, inner, at - 2);
    if (end < 0 || head.name === undefined) throw malformed();
    const content = bytesSlice(bytes, at, Math.max(end, at));
    const value = head.filename === undefined ? host.utf8Decode(content, false, true) : newFile(content, head.filename, head.type ?? "text/plain");
    push(entriesOf(form), [head.name, value]);
    at = end + inner.length;
  }
}

function readPartField(line, head) {
  const colon = line.indexOf(":");
  if (colon < 0) throw malformed();
  const name = toLowerCase(line.slice(0, colon).trim());
  const value = line.slice(colon + 1).trim();
  if (name === "content-type") head.type = value;
  if (name !== "content-disposition") return;
  if (!/^form-data\s*(;|$)/i.test(value)) throw malformed();
  // No escapes: a quote in a name is written %22, and a backslash is one.
  const parameters = /;\s*([^\s=;]+)\s*=\s*(?:"([^"]*)"|([^;]*))/g;
  for (let match = parameters.exec(value); match !== null; match = parameters.exec(value)) {
    const key = toLowerCase(match[1]);
    const text = (match[2] ?? match[3]).replace(/%0A/gi, "\n").replace(/%0D/gi, "\r").replace(/%22/g, '"');
    if (key === "name") head.name = text;
    if (key === "filename") head.filename = text;
  }
}
