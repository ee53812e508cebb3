// WebSockets (the WebSockets Standard, and what workers add to it: WebSocketPair, accept()). An end is one of a pair,
// whose other end is in this realm; or its other end is beyond the host, which has a number for it. Handing one end of a
// pair out as an answer (attachSocket) makes the other the host's.
//
// Until it is accepted an end keeps what comes. Messages of the host's that are not taken yet hold back further ones.
import { Bytes, bytesOf, bytesSlice, deferred, mapDelete, mapGet, mapSet, NativeMap, push } from "./intrinsics.js";
import { behavesAsOf } from "./compatibility.js";
import { blobBytes, isBlob, newBlob } from "./blob.js";
import { DOMException } from "./dom_exception.js";
import { dispatch, Event, EventTarget, handlerAttribute, MessageEvent, trust } from "./events.js";
import { encodeText } from "./encoding.js";
import { addTask, needAwake } from "./timers.js";
import { originOf } from "./url.js";
import {
  expose, interfaceOf, required, sequenceOf, toClampedUnsignedShort, toDictionary, toDOMString, toUnsignedShort, toUSVString,
} from "./webidl.js";

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;
const kNoCode = 1005;
const kMessageBytesMax = 1 << 20;
const kReasonBytesMax = 123;

export class CloseEvent extends Event {
  #init;
  constructor(type, init = {}) {
    required("CloseEvent", arguments.length, 1);
    super(type, init);
    const options = toDictionary(init, "CloseEventInit");
    this.#init = {
      wasClean: !!options.wasClean,
      code: options.code === undefined ? 0 : toUnsignedShort(options.code),
      reason: options.reason === undefined ? "" : toUSVString(options.reason),
    };
  }
  get wasClean() { return this.#init.wasClean; }
  get code() { return this.#init.code; }
  get reason() { return this.#init.reason; }
}
interfaceOf(CloseEvent);

class State {
  constructor(target) {
    this.target = target;
    this.ready = CONNECTING;
    this.accepted = false;
    this.given = false;       // it is part of an answer
    this.out = null;          // of one that was opened: what sends (Output of websocket_client.js)
    this.peer = null;         // the other end, where that is here
    this.socket = 0;          // the host's number of the connection, where it is beyond
    this.inbox = [];          // that was not told yet
    this.telling = false;     // a task will tell it
    this.halfOpen = false;
    this.sentClose = false;
    this.gotClose = false;
    this.binaryType = behavesAsOf("2026-03-17") ? "blob" : "arraybuffer";
    this.lost = 0;            // bytes of messages that were sent too late
    this.url = "";
    this.origin = "";         // of one that was opened by its URL
    this.protocol = "";
    this.over = undefined;    // called once, at the end
    this.connect = undefined; // of one that fetch() opened: begins reading
    this.giveUp = undefined;  // of one that is being opened
  }
}

let making = false;
let stateOf;
export let isWebSocket;
class WebSocket extends EventTarget {
  #state;
  constructor(url, protocols = []) {
    if (!making) required("WebSocket", arguments.length, 1);
    super();
    const state = this.#state = new State(this);
    if (making) return;
    const { own, href, authorization } = client.urlOf(toUSVString(url));
    const list = typeof protocols === "object" && protocols !== null && typeof protocols[Symbol.iterator] === "function"
      ? sequenceOf(protocols, toDOMString, "WebSocket: protocols") : [toDOMString(protocols)];
    needAwake("WebSocket");
    const named = client.protocolsOf(list);
    state.url = own;
    state.origin = originOf(own);
    state.accepted = true;
    openClient(state, href, named, authorization);
  }
  get url() { return this.#state.url; }
  get readyState() { return this.#state.ready; }
  get bufferedAmount() {
    const state = this.#state;
    if (state.out !== null) return state.out.buffered + state.lost;
    return (state.socket === 0 ? 0 : host.socketBuffered(state.socket)) + state.lost;
  }
  get extensions() {
    this.#state;
    return "";
  }
  get protocol() { return this.#state.protocol; }
  get binaryType() { return this.#state.binaryType; }
  set binaryType(value) {
    const text = `${value}`;
    if (text === "blob" || text === "arraybuffer") this.#state.binaryType = text;
  }
  accept(options = undefined) {
    const state = this.#state;
    const { allowHalfOpen } = toDictionary(options, "WebSocketAcceptOptions");
    if (state.given) throw new TypeError("accept: this WebSocket is part of a Response already");
    if (state.accepted) return;
    state.accepted = true;
    state.halfOpen = !!allowHalfOpen;
    if (state.ready === CONNECTING) state.ready = OPEN;
    if (state.connect !== undefined) {
      state.connect(tellClient(state));
      state.connect = undefined;
    }
    tellLater(state);
  }
  send(data) {
    required("send", arguments.length, 1);
    const state = this.#state;
    const message = toMessage(data);
    needAccepted(state);
    if (state.ready === CONNECTING) throw new DOMException("The WebSocket is not open yet", "InvalidStateError");
    if (state.ready === OPEN) transmit(state, message);
    else state.lost += sizeOf(message);  // as the standard has it
  }
  close(code = undefined, reason = undefined) {
    const state = this.#state;
    const number = code === undefined ? kNoCode : toClampedUnsignedShort(code);
    const text = reason === undefined ? "" : toUSVString(reason);
    if (code !== undefined && !maySend(number)) throw new DOMException(`${code} is not a code that may be sent`, "InvalidAccessError");
    if (encodeText(text).length > kReasonBytesMax) throw new DOMException("The reason is longer than 123 bytes", "SyntaxError");
    needAccepted(state);
    if (state.sentClose || state.ready === CLOSED) return;
    if (state.ready === CONNECTING) {
      state.ready = CLOSING;
      addTask(state.giveUp);
      return;
    }
    state.sentClose = true;
    transmitClose(state, code === undefined && text !== "" ? 1000 : number, text);
    state.ready = state.gotClose ? CLOSED : CLOSING;
    if (state.gotClose) finish(state);
  }
  static {
    stateOf = (socket) => socket.#state;
    isWebSocket = (value) => typeof value === "object" && value !== null && #state in value;
  }
}
interfaceOf(WebSocket, { constants: { CONNECTING, OPEN, CLOSING, CLOSED } });
for (const name of ["onopen", "onerror", "onclose", "onmessage"]) handlerAttribute(WebSocket.prototype, name, false);

const maySend = (code) => (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);

function needAccepted(state) {
  if (!state.accepted) throw new TypeError("accept() is to be called on this WebSocket first");
}

// A string, or bytes that are nobody else's.
function toMessage(data) {
  let message;
  if (isBlob(data)) {
    message = blobBytes(data);
  } else {
    const bytes = typeof data === "object" && data !== null ? bytesOf(data) : undefined;
    message = bytes === undefined ? toUSVString(data) : bytesSlice(bytes);
  }
  const isShort = message.length * 3 <= kMessageBytesMax;
  if (!isShort && (message.length > kMessageBytesMax || sizeOf(message) > kMessageBytesMax)) throw new TypeError("The message is longer than 1 MiB");
  return message;
}

const sizeOf = (message) => (typeof message === "string" ? encodeText(message).length : message.length);

function newSocket() {
  making = true;
  try {
    return new WebSocket();
  } finally {
    making = false;
  }
}

// --- Out

function transmit(state, message) {
  if (state.peer !== null) {
    deliver(state.peer, { message });
  } else if (state.out !== null ? !state.out.send(message) : state.socket !== 0 && !host.socketSend(state.socket, message)) {
    // What waits to be taken by the client has a bound.
    state.sentClose = true;
    state.ready = CLOSING;
    transmitClose(state, 1011, "too much waits to be sent");
  }
}

function transmitClose(state, code, reason) {
  if (state.peer !== null) deliver(state.peer, { close: { code, reason, clean: true } });
  else if (state.out !== null) state.out.close(code, reason);
  else if (state.socket !== 0) host.socketEnd(state.socket, code, reason);
}

// --- In

function deliver(state, item) {
  push(state.inbox, item);
  tellLater(state);
}

function tellLater(state) {
  if (!state.accepted || state.telling || state.inbox.length === 0) return;
  state.telling = true;
  addTask(() => {
    state.telling = false;
    tellAll(state);
  });
}

function tellAll(state) {
  const items = state.inbox;
  state.inbox = [];
  for (let at = 0; at < items.length; ++at) {
    const { message, close, taken } = items[at];
    if (close !== undefined) tellClose(state, close);
    else tellMessage(state, message);
    if (taken !== undefined) host.socketTaken(state.socket, taken);
    items[at].done?.();
  }
}

function tellMessage(state, message) {
  if (state.ready !== OPEN) return;
  let data = message;
  if (typeof message !== "string") {
    const bytes = message instanceof Bytes ? message : new Bytes(message);
    data = state.binaryType === "blob" ? newBlob(bytes, "") : bytes.buffer;
  }
  dispatch(state.target, trust(new MessageEvent("message", { data, origin: state.origin })));
}

function tellClose(state, { code, reason, clean }) {
  if (state.gotClose) return;
  state.gotClose = true;
  let ends = true;
  if (state.sentClose || !clean) {
    state.ready = CLOSED;
  } else if (!state.halfOpen && behavesAsOf("2026-04-07")) {
    state.sentClose = true;
    state.ready = CLOSED;
    transmitClose(state, code, "");
  } else {
    state.ready = CLOSING;
    ends = false;
  }
  if (!clean) dispatch(state.target, trust(new Event("error")));
  dispatch(state.target, trust(new CloseEvent("close", { wasClean: clean, code, reason })));
  if (ends) finish(state);
}

function finish(state) {
  state.peer = null;
  state.out?.end();
  if (state.socket !== 0) mapDelete(sockets, state.socket);
  const { over } = state;
  state.over = undefined;
  if (over !== undefined) over();
}

// --- Those that a worker opens

let client;
export const setClient = (its) => { client = its; };

// What comes of one: it waits until the WebSocket is accepted, and what was told then has been.
const tellClient = (state) => ({ message, close }) => {
  if (state.accepted && !state.telling) {
    if (close !== undefined) tellClose(state, close);
    else tellMessage(state, message);
    return undefined;
  }
  const made = deferred();
  deliver(state, { message, close, done: made.resolve });
  return made.promise;
};

function openClient(state, href, protocols, authorization) {
  const fails = () => {
    if (state.ready === CLOSED) return;
    state.ready = CLOSED;
    state.gotClose = true;
    dispatch(state.target, trust(new Event("error")));
    dispatch(state.target, trust(new CloseEvent("close", { wasClean: false, code: 1006, reason: "" })));
  };
  const abort = client.open(href, protocols, authorization, (protocol, out, connect) => {
    if (state.ready !== CONNECTING) {  // close() was called meanwhile
      client.drop(out, connect, kNoCode);
      return fails();
    }
    state.out = out;
    state.protocol = protocol;
    state.ready = OPEN;
    dispatch(state.target, trust(new Event("open")));
    connect(tellClient(state));
  }, fails);
  state.giveUp = () => {
    abort();
    fails();
  };
}

// fetch() of a request that asks for a WebSocket; `give(status, block, body, WebSocket, reason)` makes the Response.
export const fetchSocket = (href, block, give) => client.fetch(href, block, (status, answerBlock, body, opened, reason) => {
  if (opened === undefined) return give(status, answerBlock, body, undefined, reason);
  const made = newSocket();
  const state = stateOf(made);
  state.out = opened.out;
  state.connect = opened.connect;
  return give(status, answerBlock, null, made);
});

// --- The host's

const sockets = new NativeMap();  // states by number

// `socket` leaves as the answer of an event, whose number its connection has: what is wrong with it, or undefined. Then
// connect() makes the connection, once the host was told; `over` is called at its end.
export function checkAttachable(socket) {
  const state = stateOf(socket);
  if (state.given) return new TypeError("The WebSocket is part of another Response already");
  if (state.accepted) return new TypeError("The WebSocket of a Response must be the end that was not accepted");
  if (state.peer === null && state.out === null) return new TypeError("The other end of the WebSocket is gone");
  return undefined;
}
export function connectSocket(socket, id, over) {
  const state = stateOf(socket);
  let own = state.peer;
  state.given = true;
  if (own === null) own = relay(state);
  state.peer = own.peer = null;
  own.socket = id;
  own.over = over;
  mapSet(sockets, id, own);
  // What was sent before.
  const { inbox } = state;
  state.inbox = [];
  for (let at = 0; at < inbox.length; ++at) {
    const { message, close } = inbox[at];
    if (close === undefined) transmit(own, message);
    else transmitClose(own, close.code, close.reason);
  }
}

// One that fetch() opened leaves as an answer: what comes at either end goes on to the other.
function relay(opened) {
  const own = stateOf(newSocket());
  own.accepted = opened.accepted = own.halfOpen = opened.halfOpen = true;
  own.binaryType = opened.binaryType = "arraybuffer";
  own.ready = opened.ready = OPEN;
  const pass = (from, to) => {
    from.target.addEventListener("message", ({ data }) => { if (to.ready === OPEN) transmit(to, typeof data === "string" ? data : new Bytes(data)); });
    from.target.addEventListener("close", ({ code, reason, wasClean }) => {
      if (to.sentClose) return;
      to.sentClose = true;
      transmitClose(to, wasClean ? code : 1011, reason);
      to.ready = to.gotClose ? CLOSED : CLOSING;
      if (to.gotClose) finish(to);
      if (!from.sentClose && from.gotClose && wasClean) {
        from.sentClose = true;
        from.ready = CLOSED;
        transmitClose(from, code, "");
        finish(from);
      }
    });
  };
  pass(own, opened);
  pass(opened, own);
  const { connect } = opened;
  opened.connect = undefined;
  addTask(() => connect(tellClient(opened)));
  return own;
}

export const hooks = {
  // Whether it was taken; where it was not, host.socketTaken() says so later.
  socketMessage(id, data, size) {
    const state = mapGet(sockets, id);
    if (state === undefined) return true;
    if (state.accepted && !state.telling) {
      tellMessage(state, data);
      return true;
    }
    deliver(state, { message: data, taken: size });
    return false;
  },
  socketClosed(id, code, reason, clean) {
    const state = mapGet(sockets, id);
    if (state === undefined) return;
    const close = { code, reason, clean };
    if (state.accepted && !state.telling) return tellClose(state, close);
    deliver(state, { close });
    if (!state.accepted) finish(state);  // nobody is there who could answer
  },
};

class WebSocketPair {
  constructor() {
    const ends = [newSocket(), newSocket()];
    const one = stateOf(ends[0]);
    const other = stateOf(ends[1]);
    one.peer = other;
    other.peer = one;
    this[0] = ends[0];
    this[1] = ends[1];
  }
  *[Symbol.iterator]() {
    yield this[0];
    yield this[1];
  }
}
interfaceOf(WebSocketPair);
expose({ CloseEvent, WebSocket, WebSocketPair });
