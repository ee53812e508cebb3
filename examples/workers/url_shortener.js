// Short links in a namespace of keys and values, env.LINKS: PUT /name with a URL as the body makes one (who knows
// env.SECRET), GET /name follows it, GET / lists them.
//
//     verge worker dev url_shortener.js --kv LINKS --env SECRET=s3cret --wall-ms 1000
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

function target(text) {
  try {
    const url = new URL(text.trim());
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

// Compared as digests, which are of one length, in a time that tells nothing of where they differ.
async function isBearer(request, secret) {
  const [given, wanted] = await Promise.all([request.headers.get("authorization") ?? "", `Bearer ${secret}`].map(
    (text) => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
  return crypto.subtle.timingSafeEqual(given, wanted);
}

async function make(request, env, name) {
  if (!env.SECRET) return new Response("env.SECRET is not set: nobody may make links\n", { status: 500 });
  if (!(await isBearer(request, env.SECRET))) return new Response("Who are you?\n", { status: 401 });
  const url = target(await request.text());
  if (url === null) return new Response("Send an http or https URL\n", { status: 400 });
  const days = Number(request.headers.get("x-days") ?? 0);
  await env.LINKS.put(name, url, {
    metadata: { made: new Date().toISOString() },
    ...(days > 0 ? { expirationTtl: Math.ceil(days * 86400) } : {}),
  });
  return Response.json({ name, url }, { status: 201 });
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const name = pathname.slice(1);
    if (name === "") {
      const { keys } = await env.LINKS.list({ limit: 100 });
      return Response.json(keys.map((key) => ({ name: key.name, made: key.metadata?.made })));
    }
    if (!NAME.test(name)) return new Response("No such link\n", { status: 404 });
    if (request.method === "PUT") return make(request, env, name);
    const url = await env.LINKS.get(name);
    if (url === null) return new Response("No such link\n", { status: 404 });
    return new Response(null, { status: 302, headers: { location: url, "cache-control": "max-age=60" } });
  },
};
