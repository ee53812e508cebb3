// FileReader (File API 6).
import { TextDecoder as AnyDecoder, labelToName } from "@exodus/bytes/encoding.js";
import { bytesSlice } from "./intrinsics.js";
import { blobBytes, blobType, isBlob } from "./blob.js";
import { DOMException } from "./dom_exception.js";
import { decodeText } from "./encoding.js";
import { EventTarget, ProgressEvent, dispatch, handlerAttribute, trust } from "./events.js";
import { parameterOf, parseMime } from "./mime.js";
import { addTask, needAwake } from "./timers.js";
import { expose, interfaceOf, required } from "./webidl.js";

export class FileReader extends EventTarget {
  #state = 0;
  #result = null;
  #error = null;
  #reading = 0;  // counts reads: a task of an aborted one does nothing
  get readyState() { return this.#state; }
  get result() { return this.#result; }
  get error() { return this.#error; }
  readAsArrayBuffer(blob) {
    required("readAsArrayBuffer", arguments.length, 1);
    this.#read(blob, (bytes) => bytesSlice(bytes).buffer);
  }
  readAsBinaryString(blob) {
    required("readAsBinaryString", arguments.length, 1);
    this.#read(blob, host.latin1Decode);
  }
  readAsText(blob, encoding = undefined) {
    required("readAsText", arguments.length, 1);
    const label = encoding === undefined ? undefined : `${encoding}`;
    this.#read(blob, (bytes, type) => textOf(bytes, type, label));
  }
  readAsDataURL(blob) {
    required("readAsDataURL", arguments.length, 1);
    this.#read(blob, (bytes, type) => `data:${type === "" ? "application/octet-stream" : type};base64,${host.base64EncodeBytes(bytes)}`);
  }
  abort() {
    if (this.#state !== 1) {
      this.#result = null;
      return;
    }
    this.#state = 2;
    this.#result = null;
    this.#error = new DOMException("The read was aborted", "AbortError");
    const reading = ++this.#reading;
    this.#tell("abort", 0, 0);
    if (this.#reading === reading) this.#tell("loadend", 0, 0);
  }

  #read(blob, convert) {
    if (!isBlob(blob)) throw new TypeError("FileReader: the argument is not a Blob");
    needAwake("FileReader");
    if (this.#state === 1) throw new DOMException("The reader is busy", "InvalidStateError");
    this.#state = 1;
    this.#result = null;
    this.#error = null;
    const reading = ++this.#reading;
    const bytes = blobBytes(blob);
    const still = (action) => () => { if (this.#reading === reading) action(); };
    addTask(still(() => {
      this.#tell("loadstart", 0, bytes.length);
      addTask(still(() => {
        if (bytes.length > 0) this.#tell("progress", bytes.length, bytes.length);
        addTask(still(() => {
          this.#state = 2;
          this.#result = convert(bytes, blobType(blob));
          this.#tell("load", bytes.length, bytes.length);
          addTask(still(() => this.#tell("loadend", bytes.length, bytes.length)));
        }));
      }));
    }));
  }
  #tell(type, loaded, total) {
    dispatch(this, trust(new ProgressEvent(type, { lengthComputable: total > 0, loaded, total })));
  }
}
interfaceOf(FileReader, { constants: { EMPTY: 0, LOADING: 1, DONE: 2 } });
for (const name of ["onloadstart", "onprogress", "onload", "onabort", "onerror", "onloadend"]) {
  handlerAttribute(FileReader.prototype, name, false);
}
expose({ FileReader });

// "package data": the label's encoding, else the type's charset, else UTF-8; a byte order mark decides over all.
function textOf(bytes, type, label) {
  let name = label === undefined ? null : labelToName(label);
  if (name === null) {
    const mime = parseMime(type);
    const charset = mime === null ? undefined : parameterOf(mime, "charset");
    name = charset === undefined ? null : labelToName(charset);
  }
  if (bytes[0] === 0xEF && bytes[1] === 0xBB && bytes[2] === 0xBF) name = "UTF-8";
  else if (bytes[0] === 0xFE && bytes[1] === 0xFF) name = "UTF-16BE";
  else if (bytes[0] === 0xFF && bytes[1] === 0xFE) name = "UTF-16LE";
  if (name === null || name === "UTF-8" || name === "replacement") return decodeText(bytes);
  return new AnyDecoder(name).decode(bytes);
}
