// What a queue's consumer is given: batches of messages, each of which is acknowledged or asked for again. Who says nothing
// acknowledges with the end of the handler; where the handler fails, what was not acknowledged comes again.
import { freeze } from "./intrinsics.js";
import { decodeText } from "./encoding.js";
import { interfaceOf, toDictionary } from "./webidl.js";

const kDelayMax = 43200;

export function delayOf(options, name) {
  const { delaySeconds } = toDictionary(options, name);
  if (delaySeconds === undefined) return -1;
  const seconds = Number(delaySeconds);
  if (!(seconds >= 0 && seconds <= kDelayMax)) throw new TypeError(`delaySeconds is a number from 0 to ${kDelayMax}`);
  return Math.ceil(seconds);
}

const kUndecided = -2;
const kAcknowledged = -3;  // other numbers: to come again after so many seconds; -1 after the queue's own delay

let making = false;
const guard = () => {
  if (!making) throw new TypeError("Illegal constructor");
};

let fateOf;
let decide;
class QueuedMessage {
  #id;
  #body;
  #time;
  #attempts;
  #fate = kUndecided;
  constructor(id, body, time, attempts) {
    guard();
    this.#id = id;
    this.#body = body;
    this.#time = time;
    this.#attempts = attempts;
  }
  get id() { return this.#id; }
  get body() { return this.#body; }
  get timestamp() { return new Date(this.#time); }
  get attempts() { return this.#attempts; }
  // What was said first holds.
  ack() { decide(this, kAcknowledged); }
  retry(options = undefined) { decide(this, delayOf(options, "QueueRetryOptions")); }
  static {
    fateOf = (message) => message.#fate;
    decide = (message, fate) => {
      if (message.#fate === kUndecided) message.#fate = fate;
    };
  }
}
interfaceOf(QueuedMessage, { tag: "Message" });

class QueueBatch {
  #queue;
  #messages;
  constructor(queue, messages) {
    guard();
    this.#queue = queue;
    this.#messages = messages;
  }
  get queue() { return this.#queue; }
  get messages() { return this.#messages; }
  ackAll() { for (let at = 0; at < this.#messages.length; ++at) decide(this.#messages[at], kAcknowledged); }
  retryAll(options = undefined) {
    const delay = delayOf(options, "QueueRetryOptions");
    for (let at = 0; at < this.#messages.length; ++at) decide(this.#messages[at], delay);
  }
}
interfaceOf(QueueBatch, { tag: "MessageBatch" });

const { parse } = JSON;
const bodyOf = (memory, kind) => {
  if (kind === 2) return memory;
  const text = decodeText(new Uint8Array(memory));
  return kind === 1 ? text : parse(text);
};

// `flat`: id, memory, time, attempts, kind of body, id, …
export function queueBatch(queue, flat) {
  const messages = [];
  making = true;
  for (let at = 0; at < flat.length; at += 5) {
    messages[messages.length] = new QueuedMessage(flat[at], bodyOf(flat[at + 1], flat[at + 4]), flat[at + 2], flat[at + 3]);
  }
  const batch = new QueueBatch(queue, freeze(messages));
  making = false;
  return batch;
}

// As a list of fields (realm.h).
export function outcomeOf(batch, failed) {
  let block = "";
  const { messages } = batch;
  for (let at = 0; at < messages.length; ++at) {
    const fate = fateOf(messages[at]);
    if (fate === kAcknowledged || (fate === kUndecided && !failed)) continue;
    block += `retry\0${at} ${fate < 0 ? "-" : fate}\0`;
  }
  return block;
}
