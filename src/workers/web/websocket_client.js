// WebSockets that a worker opens: new WebSocket(url), and fetch() of a request that asks for one. The connection is one
// exchange of the host's whose bodies are records (isolates/socket_records.h): u8 type, u32 length, payload.
import { Bytes, bytesSet, bytesSlice, bytesSubarray, deferred, push, resolved, then } from "./intrinsics.js";
import { Body, STREAM, streamOf } from "./body.js";
import { DOMException } from "./dom_exception.js";
import { decodeText, encodeText } from "./encoding.js";
import { forgetOperation, openExchange } from "./fetch.js";
import { fieldOf, makeHeaders } from "./headers.js";
import { kHead, record } from "./records.js";
import { readerOf, readFrom, ReadableStream } from "./streams.js";
import { resolveUrl, withoutCredentials } from "./url.js";
import { setClient } from "./websocket.js";

const kText = 1;
const kBytes = 2;
const kClose = 8;
const kProtocolError = 1002;

const kWaitingBytesMax = 8 << 20;
const kRecordCost = 64;  // memory of one that waits, beside its bytes
const kNow = resolved(undefined);

// What is sent: records, as a stream that the host takes at its pace.
class Output {
  constructor() {
    this.buffered = 0;   // bytes of messages that wait; what is taken at once does until the script's turn is over
    this.waiting = [];   // [record, bytes of its message], from `first` on
    this.first = 0;
    this.wanted = false; // the host waits for the next
    this.ending = false;
    this.gone = false;   // it takes no more
    const self = this;
    this.stream = new ReadableStream({
      start(controller) { self.controller = controller; },
      pull() { self.giveNext(); },
      cancel() {
        self.gone = true;
        self.waiting = [];
      },
    }, { highWaterMark: 0 });
  }
  giveNext() {
    if (this.first < this.waiting.length) {
      const [bytes, size] = this.waiting[this.first++];
      if (this.first === this.waiting.length) {
        this.waiting = [];
        this.first = 0;
      }
      this.buffered -= size;
      this.controller.enqueue(bytes);
    } else if (this.ending) {
      this.controller.close();
    } else {
      this.wanted = true;
    }
  }
  put(bytes, size) {
    this.buffered += size;
    if (this.gone || this.ending) return;
    if (!this.wanted) return push(this.waiting, [bytes, size]);
    this.wanted = false;
    then(kNow, () => { this.buffered -= size; });
    this.controller.enqueue(bytes);
  }
  // False where too much waits.
  send(message) {
    const payload = typeof message === "string" ? encodeText(message) : message;
    this.put(record(typeof message === "string" ? kText : kBytes, payload), payload.length);
    return this.buffered + (this.waiting.length - this.first) * kRecordCost <= kWaitingBytesMax;
  }
  close(code, reason) {
    const text = encodeText(reason);
    const payload = new Bytes(2 + text.length);
    payload[0] = code;
    payload[1] = code >>> 8;
    bytesSet(payload, text, 2);
    this.put(record(kClose, payload), 0);
  }
  end() {
    if (this.ending || this.gone) return;
    this.ending = true;
    if (this.wanted) this.controller.close();
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

// Begins it; `answered(response of 101 as {block}, connect)`, or `failed(error)`. connect(tell) begins reading. Gives what
// breaks off while neither has come; then none does.
function open(href, block, answered, failed) {
  const out = new Output();
  const body = new Body(STREAM, undefined, -1);
  body.stream = out.stream;
  const id = openExchange(href, block, body, {
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
  return () => {
    if (!forgetOperation(id)) return;
    host.abortFetch(id);
    out.end();
  };
}

// Of one that nobody wants any more: it is closed, and what comes is let go.
function drop(out, connect, code) {
  out.close(code, "");
  out.end();
  connect(() => undefined);
}

const kToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

setClient({
  drop,
  // Of new WebSocket(url): `own`, the URL for people, `href`, for the host, and what its user and password become.
  urlOf(text) {
    const parsed = resolveUrl(text);
    if (parsed === null) throw new DOMException(`Invalid URL: ${text}`, "SyntaxError");
    const schemes = { "ws": "http", "wss": "https", "http": "http", "https": "https" };
    if (!Object.hasOwn(schemes, parsed.scheme)) throw new DOMException(`${parsed.scheme}: is no scheme of a WebSocket`, "SyntaxError");
    if (parsed.fragment !== null) throw new DOMException("The URL of a WebSocket has no fragment", "SyntaxError");
    const http = schemes[parsed.scheme];
    const own = (http === "https" ? "wss" : "ws") + parsed.href.slice(parsed.scheme.length);
    const { bare, authorization } = withoutCredentials(http + parsed.href.slice(parsed.scheme.length));
    return { own, href: bare, authorization };
  },
  protocolsOf(list) {
    const seen = [];
    for (const one of list) {
      if (!kToken.test(one) || seen.includes(one.toLowerCase())) throw new DOMException(`'${one}' is no protocol, or stands there twice`, "SyntaxError");
      seen.push(one.toLowerCase());
    }
    return list;
  },
  open(href, protocols, authorization, answered, failed) {
    let block = "upgrade\0websocket\0";
    if (authorization !== "") block += `authorization\0${authorization}\0`;
    if (protocols.length > 0) block += `sec-websocket-protocol\0${protocols.join(", ")}\0`;
    return open(href, block, (answerBlock, out, connect) => {
      const protocol = fieldOf(makeHeaders(answerBlock, "none"), "sec-websocket-protocol") ?? "";
      // Who names protocols is to get one of them.
      if (protocol === "" ? protocols.length > 0 : !protocols.includes(protocol)) {
        drop(out, connect, kProtocolError);
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
