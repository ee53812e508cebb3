// WebSockets that a worker opens: new WebSocket(url), and fetch() of a request that asks for one. The connection is one
// exchange of the host's whose bodies are records (isolates/socket_records.h): u8 type, u32 length, payload.
import { Bytes, bytesSet, bytesSlice, bytesSubarray, deferred, then } from "./intrinsics.js";
import { Body, STREAM, streamOf } from "./body.js";
import { DOMException } from "./dom_exception.js";
import { decodeText, encodeText } from "./encoding.js";
import { openExchange } from "./fetch.js";
import { fieldOf, makeHeaders } from "./headers.js";
import { kHead, record } from "./records.js";
import { readerOf, readFrom, ReadableStream } from "./streams.js";
import { resolveUrl } from "./url.js";
import { setClient } from "./websocket.js";

const kText = 1;
const kBytes = 2;
const kClose = 8;

// What is sent: a stream that the host takes at its pace.
class Output {
  constructor() {
    this.waiting = 0;  // bytes of messages
    this.controller = undefined;
    const self = this;
    this.stream = new ReadableStream({ start(controller) { self.controller = controller; } },
      { highWaterMark: 1, size: (chunk) => chunk.length });
  }
  // False where too much waits.
  send(message) {
    const payload = typeof message === "string" ? encodeText(message) : message;
    this.controller.enqueue(record(typeof message === "string" ? kText : kBytes, payload));
    return this.controller.desiredSize > -(8 << 20);
  }
  get buffered() { return Math.max(1 - (this.controller.desiredSize ?? 1), 0); }
  close(code, reason) {
    const text = encodeText(reason);
    const payload = new Bytes(2 + text.length);
    payload[0] = code;
    payload[1] = code >>> 8;
    bytesSet(payload, text, 2);
    this.controller.enqueue(record(kClose, payload));
  }
  end() {
    try {
      this.controller.close();
    } catch {
      // It is closed, or the host has let it go.
    }
  }
}

// Reads records to the end; `tell` gets {message} or {close}, and may give a promise to be waited for.
function readRecords(body, tell) {
  const reader = readerOf(streamOf(body));
  let rest = new Bytes(0);
  const lost = () => tell({ close: { code: 1006, reason: "", clean: false } });
  const step = ({ done, value }) => {
    if (done) return lost();
    if (rest.length > 0) {
      const joined = new Bytes(rest.length + value.length);
      bytesSet(joined, rest, 0);
      bytesSet(joined, value, rest.length);
      rest = joined;
    } else {
      rest = value;
    }
    return take();
  };
  const take = () => {
    while (rest.length >= kHead) {
      const size = rest[1] | rest[2] << 8 | rest[3] << 16 | rest[4] << 24;
      if (rest.length < kHead + size) break;
      const type = rest[0];
      const payload = bytesSlice(rest, kHead, kHead + size);
      rest = bytesSubarray(rest, kHead + size);
      let waits;
      if (type === kClose) {
        const code = payload[0] | payload[1] << 8;
        tell({ close: { code, reason: decodeText(bytesSubarray(payload, 2)), clean: code !== 1006 } });
      } else {
        waits = tell({ message: type === kText ? decodeText(payload) : payload });
      }
      if (waits !== undefined) return then(waits, take);
    }
    return then(readFrom(reader), step, lost);
  };
  take();
}

// Begins it; `answered(response of 101 as {block}, connect)`, or `failed(error)`. connect(tell) begins reading.
function open(href, block, answered, failed) {
  const out = new Output();
  const body = new Body(STREAM, undefined, -1);
  body.stream = out.stream;
  openExchange(href, block, body, {
    answered(status, reason, answerBlock, answerBody) {
      if (status !== 101 || answerBody === null) {
        out.end();
        return failed({ status, reason, block: answerBlock, body: answerBody });
      }
      answered(answerBlock, out, (tell) => readRecords(answerBody, tell));
    },
    failed(text) {
      out.end();
      failed(new TypeError(text));
    },
    missed() { failed(new TypeError("There is no answer")); },
  });
}

const kToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

setClient({
  // [href for people, href for the host] of new WebSocket(url).
  urlOf(text) {
    const parsed = resolveUrl(text);
    if (parsed === null) throw new DOMException(`Invalid URL: ${text}`, "SyntaxError");
    const schemes = { "ws": "http", "wss": "https", "http": "http", "https": "https" };
    if (!Object.hasOwn(schemes, parsed.scheme)) throw new DOMException(`${parsed.scheme}: is no scheme of a WebSocket`, "SyntaxError");
    if (parsed.fragment !== null) throw new DOMException("The URL of a WebSocket has no fragment", "SyntaxError");
    const rest = parsed.href.slice(parsed.scheme.length);
    const http = schemes[parsed.scheme];
    return [(http === "https" ? "wss" : "ws") + rest, http + rest];
  },
  protocolsOf(list) {
    const seen = [];
    for (const one of list) {
      if (!kToken.test(one) || seen.includes(one.toLowerCase())) throw new DOMException(`'${one}' is no protocol, or stands there twice`, "SyntaxError");
      seen.push(one.toLowerCase());
    }
    return list;
  },
  open(href, protocols, answered, failed) {
    let block = "upgrade\0websocket\0";
    if (protocols.length > 0) block += `sec-websocket-protocol\0${protocols.join(", ")}\0`;
    open(href, block, (answerBlock, out, connect) => {
      const protocol = fieldOf(makeHeaders(answerBlock, "none"), "sec-websocket-protocol") ?? "";
      if (protocol !== "" && !protocols.includes(protocol)) {
        out.end();
        return failed(new TypeError(`The server chose the protocol '${protocol}'`));
      }
      answered(protocol, out, connect);
    }, failed);
  },
  // Of fetch(): gives the promise of what it answers.
  fetch(href, block, give) {
    const made = deferred();
    open(href, block, (answerBlock, out, connect) => made.resolve(give(101, answerBlock, null, { out, connect })), (problem) => {
      if (problem instanceof Error) made.reject(problem);
      else made.resolve(give(problem.status, problem.block, problem.body, undefined, problem.reason));
    });
    return made.promise;
  },
});
