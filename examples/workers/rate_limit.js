// Lets each key (the field x-api-key) make env.LIMIT requests in env.SECONDS, as GCRA counts: one number a key. The
// numbers live in this isolate, so the limit is one a process; the keys are bounded.
const KEYS_MAX = 10_000;
const nextAt = new Map();

export default {
  async fetch(request, env) {
    const limit = Number(env.LIMIT ?? 10);
    const periodMs = Number(env.SECONDS ?? 60) * 1000;
    const step = periodMs / limit;
    const key = request.headers.get("x-api-key") ?? "anonymous";
    const now = Date.now();
    const at = Math.max(nextAt.get(key) ?? now, now);
    if (at + step - now > periodMs) {
      const seconds = Math.ceil((at + step - now - periodMs) / 1000);
      return new Response("Too many requests\n", { status: 429, headers: { "retry-after": String(seconds) } });
    }
    nextAt.delete(key);
    nextAt.set(key, at + step);
    if (nextAt.size > KEYS_MAX) nextAt.delete(nextAt.keys().next().value);
    return new Response("Welcome\n");
  },
};
