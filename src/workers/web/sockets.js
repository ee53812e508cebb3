// TCP connections: connect() of the module "cloudflare:sockets" (the Sockets API of WinterTC). A connection is one
// exchange of the host's whose bodies are records (isolates/tcp_records.h): u8 type, u32 length, payload.
import { Bytes, bytesOf, bytesSubarray, deferred, indexOf, resolved, slice, test, then } from "./intrinsics.js";
import { Body, STREAM, streamOf } from "./body.js";
import { decodeText, encodeText } from "./encoding.js";
import { openExchange } from "./fetch.js";
import { fieldOf, makeHeaders } from "./headers.js";
import { kHead, record } from "./records.js";
import { readerOf, readFrom, ReadableStream, WritableStream } from "./streams.js";
import { needAwake } from "./timers.js";
import { interfaceOf, required, toDictionary } from "./webidl.js";

const kBytes = 0;
const kEnd = 1;
const kTls = 2;
const kNoBytes = new Bytes(0);
const kAhead = 64 << 10;  // of what is written, before write() waits

const quiet = (promise) => {
  then(promise, undefined, () => {});
  return promise;
};

// The connection: what a Socket, and the one that startTls() makes of it, have in common.
class Link {
  constructor(hostname, port, secure, halfOpen) {
    const link = this;
    this.halfOpen = halfOpen;
    this.failure = undefined;
    this.face = undefined;       // the Socket's part that is told: {opened, closed, ended(), failed(error)}
    this.reader = undefined;
    this.rest = kNoBytes;        // of what was read
    this.head = [];              // of a record, as far as it has come
    this.left = 0;               // of the record's payload
    this.gotEnd = false;
    this.sentEnd = false;
    this.over = false;
    this.room = undefined;       // what waits until the host has taken something
    this.tls = undefined;        // {promise…}: TLS has been asked for, and is not there yet
    this.stream = new ReadableStream({
      start(controller) { link.output = controller; },
      pull() {
        const { room } = link;
        link.room = undefined;
        room?.resolve();
      },
    }, { highWaterMark: kAhead, size: (chunk) => chunk.length });
    const body = new Body(STREAM, undefined, -1);
    body.stream = this.stream;
    const authority = indexOf(hostname, ":") >= 0 ? `[${hostname}]:${port}` : `${hostname}:${port}`;
    openExchange(authority, `upgrade\0tcp\0secure\0${secure}\0`, body, {
      answered(status, reason, block, answer) {
        const headers = makeHeaders(block, "none");
        link.reader = readerOf(streamOf(answer));
        link.face.opened.resolve({ remoteAddress: fieldOf(headers, "remote-address"), localAddress: fieldOf(headers, "local-address") });
      },
      failed(text) { link.fail(new TypeError(`connect: ${text}`)); },
      missed() { link.fail(new TypeError("connect: there is no answer")); },
    }, "CONNECT");
  }

  // Gives a promise where the host takes no more for now.
  write(type, payload) {
    if (this.over) return undefined;
    this.output.enqueue(record(type, payload));
    if (this.output.desiredSize > 0) return undefined;
    this.room ??= deferred();
    return this.room.promise;
  }
  end() {
    if (this.sentEnd || this.over) return;
    this.sentEnd = true;
    this.write(kEnd, kNoBytes);
  }
  // All that was written is sent, then the connection ends.
  close() {
    if (this.over) return;
    try {
      this.output.close();
    } catch {
      // The host has let it go.
    }
  }

  // The next bytes; null where no more come, or TLS has begun.
  next() {
    if (this.failure !== undefined) throw this.failure;
    if (this.gotEnd) return null;
    while (this.rest.length > 0) {
      if (this.left === 0) {
        while (this.head.length < kHead && this.rest.length > 0) {
          this.head[this.head.length] = this.rest[0];
          this.rest = bytesSubarray(this.rest, 1);
        }
        if (this.head.length < kHead) break;
        const [type, a, b, c, d] = this.head;
        this.head = [];
        if (type === kEnd) {
          this.gotEnd = true;
          if (!this.halfOpen) this.face.ended();
          this.watchEnd();
          return null;
        }
        if (type === kTls) {
          this.tls?.resolve();
          this.tls = undefined;
          return null;
        }
        this.left = (a | b << 8 | c << 16 | d << 24) >>> 0;
        continue;
      }
      const size = Math.min(this.left, this.rest.length);
      const bytes = bytesSubarray(this.rest, 0, size);
      this.rest = bytesSubarray(this.rest, size);
      this.left -= size;
      return bytes;
    }
    return then(readFrom(this.reader), ({ done, value }) => {
      if (done) {
        this.gotEnd = true;
        this.finish();
        return null;
      }
      this.rest = value;
      return this.next();
    }, (error) => {
      this.fail(error);
      throw error;
    });
  }
  // Nothing but the end comes behind the other side's end.
  watchEnd() {
    then(readFrom(this.reader), ({ done }) => (done ? this.finish() : this.watchEnd()), (error) => this.fail(error));
  }
  // Throws away what comes, to the end.
  discard() {
    if (this.over) return;
    if (this.gotEnd) return;  // watchEnd() is there
    then(readFrom(this.reader), ({ done }) => (done ? this.finish() : this.discard()), (error) => this.fail(error));
  }

  finish() {
    if (this.over) return;
    this.close();
    this.over = true;
    this.room?.resolve();
    this.face.ended();
    this.face.closed.resolve();
  }
  fail(error) {
    if (this.over) return;
    this.over = true;
    this.failure = error;
    try {
      this.output.error(error);
    } catch {
      // It has ended.
    }
    this.room?.resolve();
    this.tls?.reject(error);
    this.face.opened.reject(error);
    this.face.failed(error);
    this.face.closed.reject(error);
  }
}

let making = false;
class Socket {
  #link;
  #opened;
  #closed = deferred();
  #readable;
  #writable;
  #controllers = {};
  #pulling = undefined;
  #closing = false;
  #secure;
  #wantsSecure;
  #upgraded = false;
  #ready;  // when bytes may be written: at once, or with TLS
  #accepted = 0;  // writes, as the next
  #written = 0;
  #flushed = undefined;  // what waits until all that were accepted are written

  constructor(link, secure, wantsSecure, ready) {
    if (!making) throw new TypeError("Illegal constructor");
    this.#link = link;
    this.#secure = secure;
    this.#wantsSecure = wantsSecure;
    this.#ready = ready;
    this.#opened = deferred();
    quiet(this.#opened.promise);
    quiet(this.#closed.promise);
    const controllers = this.#controllers;
    const self = this;
    link.face = {
      opened: this.#opened,
      closed: this.#closed,
      ended() {
        link.end();
        self.#flushed?.resolve();
        try {
          controllers.writable.error(new TypeError("The connection has ended"));
        } catch {
          // It is closed.
        }
      },
      failed(error) {
        self.#flushed?.resolve();
        controllers.writable.error(error);
        if (self.#pulling === undefined) controllers.readable.error(error);
      },
    };
    this.#readable = new ReadableStream({
      type: "bytes",
      start(controller) { controllers.readable = controller; },
      pull: (controller) => {
        const pull = () => this.#upgraded || this.#closing ? null : link.next();
        const waits = then(then(this.#opened.promise, pull), (bytes) => {
          this.#pulling = undefined;
          if (bytes !== null) return controller.enqueue(bytes);
          controller.close();
          controller.byobRequest?.respond(0);
        });
        this.#pulling = quiet(waits);
        return waits;
      },
      cancel: () => { link.discard(); },
    }, { highWaterMark: 0 });
    this.#writable = new WritableStream({
      start(controller) { controllers.writable = controller; },
      write: (chunk) => {
        const bytes = bytesOf(chunk);
        if (bytes === undefined) throw new TypeError("A socket takes ArrayBuffers and views of them");
        const waits = this.#ready === undefined ? link.write(kBytes, bytes) : then(this.#ready, () => link.write(kBytes, bytes));
        const done = () => {
          ++this.#written;
          if (this.#written >= this.#accepted) this.#flushed?.resolve();
        };
        if (waits === undefined) return done();
        return then(waits, done);
      },
      close: () => {
        link.end();
        this.#flushed?.resolve();
      },
      abort: () => {
        link.end();
        this.#flushed?.resolve();
      },
    }, {
      highWaterMark: kAhead,
      size: (chunk) => {
        ++this.#accepted;
        return chunk?.byteLength ?? 1;
      },
    });
  }

  get readable() { return this.#readable; }
  get writable() { return this.#writable; }
  get opened() { return this.#opened.promise; }
  get closed() { return this.#closed.promise; }
  get upgraded() { return this.#upgraded; }
  get secureTransport() { return this.#secure; }

  close() {
    if (this.#closing) return this.#closed.promise;
    this.#closing = true;
    const link = this.#link;
    const flush = () => {
      if (this.#written >= this.#accepted || link.sentEnd || link.over) return undefined;
      this.#flushed = deferred();
      return this.#flushed.promise;
    };
    then(then(then(this.#opened.promise, flush), () => {
      this.#controllers.writable.error(new TypeError("The socket is closed"));
      link.close();
      if (this.#pulling === undefined) {
        this.#shut();
        link.discard();
      } else {
        then(this.#pulling, () => link.discard(), () => {});
      }
    }), undefined, () => {});
    return this.#closed.promise;
  }
  #shut() {
    try {
      this.#controllers.readable.close();
      this.#controllers.readable.byobRequest?.respond(0);
    } catch {
      // It has ended.
    }
  }

  startTls(options = undefined) {
    const { expectedServerHostname } = toDictionary(options, "TlsOptions");
    if (this.#wantsSecure !== "starttls") throw new TypeError("startTls: the socket was not opened with secureTransport 'starttls'");
    if (this.#upgraded || this.#closing) throw new TypeError("startTls: the socket is closed, or has TLS already");
    this.#upgraded = true;
    const link = this.#link;
    const name = expectedServerHostname === undefined ? kNoBytes : encodeText(`${expectedServerHostname}`);
    const tls = link.tls = deferred();
    quiet(tls.promise);
    const before = this.#pulling;
    const opened = this.#opened.promise;
    this.#controllers.writable.error(new TypeError("The socket has been upgraded to TLS"));
    making = true;
    const socket = new Socket(link, "on", "on", tls.promise);
    making = false;
    this.#closed.resolve();
    const next = then(opened, (info) => {
      link.write(kTls, name);
      // The record is the next that comes; a read() of before may be waiting for it.
      const got = before === undefined ? link.next() : then(before, () => null);
      return then(resolved(got), (bytes) => {
        if (bytes !== null) throw new TypeError("startTls: bytes came before TLS had begun");
        return then(tls.promise, () => {
          if (before === undefined) this.#shut();
          socket.#opened.resolve(info);
        });
      });
    });
    then(next, undefined, (error) => link.fail(error));
    return socket;
  }
}
interfaceOf(Socket);

const kHost = /^[0-9A-Za-z._:-]+$/;
function addressOf(address) {
  let hostname;
  let port;
  if (typeof address === "object" && address !== null) {
    ({ hostname, port } = address);
    hostname = `${hostname}`;
  } else {
    const text = `${address}`;
    const colon = text.lastIndexOf(":");
    hostname = slice(text, 0, colon < 0 ? text.length : colon);
    port = colon < 0 ? undefined : slice(text, colon + 1);
    if (indexOf(hostname, ":") >= 0 && hostname[0] !== "[") throw new TypeError(`connect: '${text}' is no host with a port`);
  }
  if (hostname[0] === "[" && hostname[hostname.length - 1] === "]") hostname = slice(hostname, 1, hostname.length - 1);
  const number = Number(port);
  if (!test(kHost, hostname) || port === "" || !(number >= 1 && number <= 65535) || Math.floor(number) !== number) {
    throw new TypeError(`connect: '${hostname}:${port}' is no host with a port`);
  }
  return [hostname, number];
}

function connect(address, options = undefined) {
  required("connect", arguments.length, 1);
  needAwake("connect");
  const [hostname, port] = addressOf(address);
  const { secureTransport = "off", allowHalfOpen = false } = toDictionary(options, "SocketOptions");
  const wanted = `${secureTransport}`;
  if (wanted !== "off" && wanted !== "on" && wanted !== "starttls") {
    throw new TypeError(`connect: secureTransport is 'off', 'on' or 'starttls', not '${wanted}'`);
  }
  const link = new Link(hostname, port, wanted, !!allowHalfOpen);
  making = true;
  try {
    return new Socket(link, wanted === "on" ? "on" : "off", wanted, undefined);
  } finally {
    making = false;
  }
}

const kModules = { "cloudflare:sockets": { connect } };
export const hooks = {
  // What a module that comes with the platform exports; undefined: there is no such module.
  builtIn: (name) => (Object.hasOwn(kModules, name) ? kModules[name] : undefined),
};
