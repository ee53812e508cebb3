const hooks = {};
for (const name of ["start", "fetch",   "scheduled", "event",     "abandon",  "answered", "missed", "done",      "failed", "chunk",
    "end",   "broken",  "collected", "writable",  "dropped",  "timer",    "rejection", "awake", "settled", "clone"]) hooks[name] = () => {};
let handlers;
hooks.start = (exported) => { handlers = exported; return Object.keys(exported).join(); };
hooks.fetch = async (event, method, url) => {
  const text = await handlers.fetch({ method, url });
  host.respond(event, 200, "", "content-type\0text/plain\0", 1, text, 0);
  host.ended(event);
};
export default hooks;
