// Events for a worker's handlers, from the call to the moment when all that belongs to them has settled.
import { mapDelete, mapGet, mapSet, NativeMap, resolved, slice, then } from "./intrinsics.js";
import { addBindings } from "./bindings.js";
import { abortSignal, newSignal } from "./abort.js";
import { DOMException } from "./dom_exception.js";
import { setCompatibilityDate } from "./compatibility.js";
import { discardBody, incomingBody, isUnusable, relay, sendBody, useWhole } from "./body.js";
import { decodeText } from "./encoding.js";
import { unsendable } from "./headers.js";
import { outcomeOf, queueBatch } from "./queue.js";
import { receivedRequest, requestState } from "./request.js";
import { isResponse, responseBlock, responseState, sentBlock } from "./response.js";
import { reportException } from "./timers.js";
import { commandOf } from "./wasi.js";
import { interfaceOf, required } from "./webidl.js";
import { checkAttachable, connectSocket } from "./websocket.js";

let handlers = null;
let env = null;

// An event under way: `waiting` counts what has to settle before it has ended. Most have ended when the handler returns,
// and are never listed.
class Running {
  constructor(id, request) {
    this.id = id;
    this.request = request;
    this.waiting = 1;
    this.responded = false;
    this.passThrough = false;
    this.over = false;
    this.listed = false;
  }
  list() {
    if (this.over) return;
    this.listed = true;
    mapSet(running, this.id, this);
  }
  end() {
    this.over = true;
    if (this.listed) mapDelete(running, this.id);
  }
  settled() {
    if (--this.waiting > 0 || this.over) return;
    this.end();
    host.ended(this.id);
  }
  fail(error) {
    if (this.over) return;
    if (this.responded) {
      reportException(error);
      this.settled();
      return;
    }
    this.end();
    host.ended(this.id, error, this.passThrough);
  }
}
// A batch of a queue: which of its messages are to come again is the answer, also where the handler fails.
class RunningQueue extends Running {
  constructor(id, batch) {
    super(id, null);
    this.batch = batch;
  }
  conclude(status) {
    if (this.over || this.responded) return;
    this.responded = true;
    host.respond(this.id, status, "", outcomeOf(this.batch, status === 500), 0, undefined, -1, false);
    this.settled();
  }
  fail(error) {
    reportException(error);
    this.conclude(500);
  }
}
const running = new NativeMap();

let newContext;
class ExecutionContext {
  #event;
  constructor() {
    if (making === null) throw new TypeError("Illegal constructor");
    this.#event = making;
  }
  waitUntil(promise) {
    required("waitUntil", arguments.length, 1);
    const event = this.#event;
    if (event.over) throw new TypeError("waitUntil: the event has ended");
    ++event.waiting;
    then(resolved(promise), () => event.settled(), (error) => {
      reportException(error);
      event.settled();
    });
  }
  passThroughOnException() { this.#event.passThrough = true; }
  static {
    newContext = (event) => {
      making = event;
      const context = new ExecutionContext();
      making = null;
      return context;
    };
  }
}
let making = null;
interfaceOf(ExecutionContext);

const excessError = (excess) => new TypeError(`The head of the Response has ${excess}`);

function respond(event, response) {
  if (event.over) {
    if (isResponse(response)) discardBody(responseState(response).body);
    return;
  }
  if (!isResponse(response)) {
    event.fail(new TypeError(`The fetch handler gave ${response === undefined ? "undefined" : `a value that is no Response`}: return a Response`));
    return;
  }
  const state = responseState(response);
  if (state.type === "error") {
    event.fail(new TypeError("The fetch handler gave Response.error()"));
    return;
  }
  const { body } = state;
  if (isUnusable(body)) {
    event.fail(new TypeError("The body of the Response has been read already, or its stream is locked"));
    return;
  }
  const block = sentBlock(state);
  const wrong = unsendable(block);
  if (wrong !== undefined) {
    discardBody(body);
    event.fail(new TypeError(`The header '${wrong}' of the Response has a control character, which HTTP does not allow`));
    return;
  }
  if (state.webSocket !== null) return switchProtocols(event, state);
  const { id } = event;
  const kind = body === null ? 0 : relay(body, id) ? 3 : useWhole(body);
  if (kind >= 0) {
    const ends = event.waiting === 1;
    const excess = host.respond(id, state.status, state.reason, block, kind, kind === 0 ? undefined : body.source, -1, ends);
    if (excess !== undefined) return event.fail(excessError(excess));
    event.responded = true;
    --event.waiting;
    if (ends) event.end();
    return;
  }
  let sent;
  try {
    sent = sendBody(body, (kind, value, length) => {
      const excess = host.respond(id, state.status, state.reason, block, kind, value, length, false);
      if (excess !== undefined) throw excessError(excess);
      event.responded = true;
    });
  } catch (error) {
    return event.fail(error);
  }
  if (sent === undefined) event.settled();
  else then(sent, () => event.settled());
}

// The event goes on for as long as the WebSocket does.
function switchProtocols(event, state) {
  const wrong = checkAttachable(state.webSocket);
  if (wrong !== undefined) return event.fail(wrong);
  const excess = host.respond(event.id, 101, state.reason, responseBlock(state), 5, undefined, -1, false);
  if (excess !== undefined) return event.fail(excessError(excess));
  event.responded = true;
  connectSocket(state.webSocket, event.id, () => event.settled());
}

// Calls a handler; `good(event, value)` when it has settled well.
function run(event, kind, first, good) {
  let value;
  try {
    value = handlers[kind](first, env, newContext(event));
  } catch (error) {
    event.fail(error);
    return;
  }
  // What is there already is not waited for.
  const ready = isResponse(value) ? value : host.fulfilled(value);
  if (ready !== undefined) {
    good(event, ready);
    event.list();
    return;
  }
  event.list();
  then(host.kindOf(value) === 1 ? value : resolved(value), (settled) => good(event, settled), (error) => event.fail(error));
}

class ScheduledController {
  #scheduledTime;
  #cron;
  constructor(scheduledTime, cron) {
    this.#scheduledTime = scheduledTime;
    this.#cron = cron;
  }
  get scheduledTime() { return this.#scheduledTime; }
  get cron() { return this.#cron; }
}
interfaceOf(ScheduledController);

// One event of flow 1, as a rule sent it.
class Message {
  #topic;
  #memory;
  #time;
  constructor(topic, memory, time) {
    this.#topic = topic;
    this.#memory = memory;
    this.#time = time;
  }
  get topic() { return this.#topic; }
  get time() { return new Date(this.#time); }
  bytes() { return new Uint8Array(this.#memory.slice(0)); }
  text() { return decodeText(new Uint8Array(this.#memory)); }
  json() { return JSON.parse(this.text()); }
}
interfaceOf(Message);

class MessageBatch {
  #messages;
  constructor(messages) { this.#messages = messages; }
  get messages() { return this.#messages; }
  [Symbol.iterator]() { return this.#messages[Symbol.iterator](); }
}
interfaceOf(MessageBatch);

export const hooks = {
  // Takes the program's default export: the names of its handlers; null where there is none. Or a WASI command's compiled
  // module and name: why it is none; null where it is.
  start(exported, variables, date, command, bindings) {
    if (command !== undefined) {
      const made = commandOf(exported, variables, command);
      if (typeof made === "string") return made;
      handlers = made;
      env = variables;
      return null;
    }
    if ((typeof exported !== "object" && typeof exported !== "function") || exported === null) return null;
    handlers = exported;
    env = variables;
    if (bindings !== undefined) addBindings(env, bindings);
    setCompatibilityDate(date);
    let names = "";
    if (typeof exported.fetch === "function") names += "fetch,";
    if (typeof exported.scheduled === "function") names += "scheduled,";
    if (typeof exported.event === "function") names += "event,";
    if (typeof exported.queue === "function") names += "queue,";
    return names === "" ? null : slice(names, 0, -1);
  },
  // As it was before start().
  forget() {
    handlers = null;
    env = null;
  },
  fetch(id, text, methodEnd, urlEnd, ownUrl, body, length, place) {
    const request = receivedRequest(text, methodEnd, urlEnd, ownUrl, incomingBody(body, length, id), place);
    run(new Running(id, request), "fetch", request, respond);
  },
  scheduled(id, cron, time) {
    run(new Running(id, null), "scheduled", new ScheduledController(time, cron), (event) => event.settled());
  },
  event(id, flat) {
    const messages = [];
    for (let at = 0; at < flat.length; at += 3) messages[messages.length] = new Message(flat[at], flat[at + 1], flat[at + 2]);
    run(new Running(id, null), "event", new MessageBatch(Object.freeze(messages)), (event) => event.settled());
  },
  queue(id, name, flat) {
    const batch = queueBatch(name, flat);
    run(new RunningQueue(id, batch), "queue", batch, (event) => event.conclude(200));
  },
  abandon(id) {
    const event = mapGet(running, id);
    if (event === undefined || event.request === null) return;
    // Also for who looks at the signal only later.
    const state = requestState(event.request);
    abortSignal(state.signal ??= newSignal(), new DOMException("The client has gone", "AbortError"));
  },
  settled() {},
};
