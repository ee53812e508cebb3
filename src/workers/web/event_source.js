// EventSource (HTML 9.2), on fetch(): the stream of a response whose type is text/event-stream, asked for again when it
// ends. It lasts as long as the event that opened it: then, and after kFailuresMax failures in a row, it is closed.
import { then } from "./intrinsics.js";
import { DOMException } from "./dom_exception.js";
import { dispatch, Event, EventTarget, handlerAttribute, MessageEvent, trust } from "./events.js";
import { needAwake } from "./timers.js";
import { originOf, resolveUrl } from "./url.js";
import { expose, interfaceOf, required, toDictionary, toUSVString } from "./webidl.js";

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 2;
const kFailuresMax = 5;
const kFieldMax = 1 << 20;  // of what has come of one event
const { fetch, setTimeout, AbortController, TextDecoderStream } = globalThis;

// Lines of a stream of text, and what they say: an event at each empty one.
class Parser {
  constructor(lastId) {
    this.rest = "";
    this.first = true;
    this.data = "";
    this.type = "";
    this.id = lastId;
    this.retry = undefined;
  }
  // Calls `tell({type, data, id})` for each event that is whole.
  take(text, tell) {
    this.rest += text;
    if (this.first && this.rest !== "") {
      this.first = false;
      if (this.rest[0] === "\uFEFF") this.rest = this.rest.slice(1);
    }
    for (;;) {
      const end = this.rest.search(/[\r\n]/);
      // A CR at the end may be half of a line's end.
      if (end < 0 || (this.rest[end] === "\r" && end + 1 === this.rest.length)) break;
      const line = this.rest.slice(0, end);
      this.rest = this.rest.slice(end + (this.rest.startsWith("\r\n", end) ? 2 : 1));
      if (line === "") this.give(tell);
      else if (line[0] !== ":") this.field(line);
    }
    if (this.rest.length + this.data.length > kFieldMax) throw new TypeError("An event is longer than 1 MiB");
  }
  field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.data += `${value}\n`;
    else if (name === "event") this.type = value;
    else if (name === "id" && !value.includes("\0")) this.id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }
  give(tell) {
    const { data, type } = this;
    this.data = this.type = "";
    if (data !== "") tell({ type: type === "" ? "message" : type, data: data.slice(0, -1), id: this.id });
  }
}

class EventSource extends EventTarget {
  #url;
  #withCredentials;
  #ready = CONNECTING;
  #lastId = "";
  #wait = 3000;
  #failures = 0;
  #abort = undefined;
  constructor(url, init = {}) {
    required("EventSource", arguments.length, 1);
    super();
    const parsed = resolveUrl(toUSVString(url));
    if (parsed === null) throw new DOMException(`Invalid URL: ${url}`, "SyntaxError");
    this.#withCredentials = !!toDictionary(init, "EventSourceInit").withCredentials;
    this.#url = parsed.href;
    needAwake("EventSource");
    this.#connect();
  }
  get url() { return this.#url; }
  get withCredentials() { return this.#withCredentials; }
  get readyState() { return this.#ready; }
  close() {
    this.#ready = CLOSED;
    this.#abort?.abort();
  }

  #connect() {
    const headers = { accept: "text/event-stream", "cache-control": "no-store" };
    if (this.#lastId !== "") headers["last-event-id"] = this.#lastId;
    this.#abort = new AbortController();
    then(fetch(this.#url, { headers, signal: this.#abort.signal }), (answer) => {
      const type = /^text\/event-stream(?:$|[; \t])/i.test(answer.headers.get("content-type") ?? "");
      if (this.#ready === CLOSED) return answer.body?.cancel();
      if (answer.status !== 200 || !type) {
        answer.body?.cancel();
        return this.#fail();
      }
      this.#ready = OPEN;
      this.#failures = 0;
      dispatch(this, trust(new Event("open")));
      return this.#read(answer);
    }, () => this.#again());
  }
  async #read(answer) {
    const parser = new Parser(this.#lastId);
    const origin = originOf(answer.url) ?? "";
    try {
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.#ready === CLOSED) break;
        parser.take(value, ({ type, data, id }) => {
          this.#lastId = id;
          if (this.#ready !== CLOSED) dispatch(this, trust(new MessageEvent(type, { data, origin, lastEventId: id })));
        });
        if (parser.retry !== undefined) this.#wait = parser.retry;
        this.#lastId = parser.id;
      }
    } catch {
      // It broke: it is asked for again.
    }
    this.#again();
  }
  #again() {
    if (this.#ready === CLOSED) return;
    if (++this.#failures > kFailuresMax) return this.#fail();
    this.#ready = CONNECTING;
    dispatch(this, trust(new Event("error")));
    setTimeout(() => { if (this.#ready === CONNECTING) this.#connect(); }, this.#wait);
  }
  #fail() {
    if (this.#ready === CLOSED) return;
    this.#ready = CLOSED;
    dispatch(this, trust(new Event("error")));
  }
}
interfaceOf(EventSource, { constants: { CONNECTING, OPEN, CLOSED } });
for (const name of ["onopen", "onmessage", "onerror"]) handlerAttribute(EventSource.prototype, name, false);
expose({ EventSource });
