// What nearly every worker uses, used once before there is one: while the snapshot is made, so that V8 keeps what it
// compiled, and in a process that stands ready, so that a first call finds its memory written to.
import { hooks } from "./dispatch.js";
import { hooks as bodyHooks } from "./body.js";
import { warmUpWaking } from "./startup.js";

const kText = "a text";
const nothing = () => undefined;
// What of the host a call reaches; nobody is there to be told.
const kMuted = {
  respond: nothing,
  ended: nothing,
  console: nothing,
  random: nothing,
  cancel: nothing,
  pull: nothing,
  collect(id, asText) { if (asText) bodyHooks.collected(id, "{}"); },
  relays: () => true,
  textOf: () => "{}",
  takeHeld: () => new ArrayBuffer(2),
  takeHeldText: () => "{}",
};
let spoken;

const kHead = "POSThttp://example.com/a/b?c=dHost\0example.com\0Accept\0*/*\0Content-Type\0application/json\0";
const handlers = {
  plain: () => new Response(kText),
  async later(request) {
    const url = new URL(request.url);
    const value = await request.json();
    const headers = new Headers(request.headers);
    headers.set("x-a", url.searchParams.get("c") ?? request.headers.get("accept"));
    headers.append("x-b", `${request.method}${url.pathname}${headers.has("x-a")}`);
    for (const pair of headers) console.log(pair, value);
    return Response.json(value, { status: 201, headers: { "x-c": "d" } });
  },
  relayed: (request) => new Response(request.body, request),
  async text(request, env, ctx) {
    ctx.waitUntil(request.text());
    return Response.redirect("http://example.com/");
  },
  fails() { throw new TypeError(kText); },
};

function call(fetch, body, length) {
  hooks.start({ fetch }, {}, "", undefined, ["KV", 0, "QUEUE", 1]);
  hooks.fetch(1, kHead, 4, 31, undefined, body, length);
}

// Microtasks run between the two calls.
export function warmUp(begins) {
  if (!begins) {
    Object.assign(host, spoken);
    spoken = undefined;
    hooks.forget();
    return;
  }
  spoken = {};
  for (const name of Object.keys(kMuted)) {
    spoken[name] = host[name];
    host[name] = kMuted[name];
  }
  warmUpWaking();
  call(handlers.plain, undefined, -1);
  call(handlers.later, true, 2);
  call(handlers.later, 1, -1);
  call(handlers.relayed, 1, -1);
  call(handlers.relayed, true, 2);
  call(handlers.text, true, 2);
  call(handlers.fails, undefined, -1);
}
