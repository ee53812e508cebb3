// Stands before a GraphQL server (env.ORIGIN) and caches each field of a query by itself: env.TTL is JSON such as
// {"product": 60, "topSellers": 5}, the seconds that the answer to a field of Query may be kept. Of a query whose fields
// are partly there the server is asked for the rest alone. What is no plain query of one operation, has defaults of variables,
// or comes with Authorization or a cookie, goes to the server as it is.
//
// compatibility_date = "2026-11-30"

// The fields of the only operation of a document, as texts with the names they are answered under; null where the
// document is anything else.
function fieldsOf(text) {
  const begin = /^\s*(?:(query)\b\s*\w*\s*(\([^{]*\))?\s*)?\{/.exec(text);
  if (begin === null || begin[2]?.includes("=") || text.includes("...") || text.includes("#") || text.includes('"""')) return null;
  const fields = [];
  let depth = 0;
  let start = begin[0].length;
  let end = -1;
  for (let at = start; at < text.length; ++at) {
    const c = text[at];
    if (c === '"') {
      while (++at < text.length && text[at] !== '"') if (text[at] === "\\") ++at;
    } else if (c === "{" || c === "(" || c === "[") {
      ++depth;
    } else if (c === "}" || c === ")" || c === "]") {
      if (--depth < 0) {
        end = at;
        break;
      }
    }
  }
  if (end < 0 || text.slice(end + 1).trim() !== "") return null;
  // One field: [alias:] name [(arguments)] [@directives] [{ selection }].
  const body = text.slice(start, end);
  for (let at = 0; at < body.length;) {
    const head = /^[\s,]*(?:(\w+)\s*:\s*)?(\w+)\s*/.exec(body.slice(at));
    if (head === null) return body.slice(at).replace(/[\s,]/g, "") === "" && fields.length > 0 ? fields : null;
    start = at + head[0].length - head[0].trimStart().length;
    at += head[0].length;
    for (const open of ["(", "{"]) {
      if (body[at] !== open) continue;
      depth = 0;
      do {
        if (body[at] === '"') while (body[++at] !== '"') if (body[at] === "\\") ++at;
        if ("({[".includes(body[at])) ++depth;
        if (")}]".includes(body[at])) --depth;
      } while (++at < body.length && depth > 0);
      at += /^\s*/.exec(body.slice(at))[0].length;
    }
    if (body[at] === "@") return null;
    fields.push({ key: head[1] ?? head[2], name: head[2], text: body.slice(start, at).trim() });
  }
  return fields;
}

const kString = /"(?:[^"\\]|\\.)*"/g;
const kStringOrSpaces = /("(?:[^"\\]|\\.)*")|\s+/g;
const variablesOf = (text, variables) =>
  Object.fromEntries([...text.replace(kString, "").matchAll(/\$(\w+)/g)].map(([, name]) => [name, variables[name]]));

// Under which a field's answer of a server is kept: white space tells fields apart in strings only.
function keyOf(field, variables, server) {
  const url = new URL("https://graphql-cache.invalid/");
  url.searchParams.set("server", server);
  url.searchParams.set("field", field.text.replace(/^\w+\s*:\s*/, "").replace(kStringOrSpaces, (_, string) => string ?? " "));
  url.searchParams.set("variables", JSON.stringify(variablesOf(field.text, variables)));
  return url.href.length <= 4000 ? url.href : null;
}

export default {
  async fetch(request, env, ctx) {
    const asked = request.clone();
    const server = new URL(new URL(request.url).pathname, env.ORIGIN);
    const pass = () => fetch(server, asked);
    const isPrivate = request.headers.has("authorization") || request.headers.has("cookie");
    if (request.method !== "POST" || isPrivate) return pass();
    let document;
    try {
      document = await request.json();
    } catch {
      return pass();
    }
    const { query, variables = {} } = document ?? {};
    const fields = typeof query === "string" ? fieldsOf(query) : null;
    if (fields === null) return pass();

    const ttl = JSON.parse(env.TTL ?? "{}");
    const data = {};
    const missing = [];
    for (const field of fields) {
      const key = Object.hasOwn(ttl, field.name) ? keyOf(field, variables ?? {}, server) : null;
      const kept = key === null ? undefined : await caches.default.match(key);
      if (kept === undefined) missing.push({ ...field, cacheKey: key });
      else data[field.key] = await kept.json();
    }
    let errors;
    if (missing.length > 0) {
      const head = /^[^{]*/.exec(query)[0];
      const rest = `{ ${missing.map(({ text }) => text).join(" ")} }`;
      // Variables that no field uses any more would be an error.
      const used = variablesOf(rest, variables ?? {});
      const declared = [...head.matchAll(/\$(\w+)\s*:[^,$)]*/g)].filter(([, name]) => name in used).map(([text]) => text.trim());
      const answer = await fetch(server, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ query: `query ${declared.length > 0 ? `(${declared.join(", ")}) ` : ""}${rest}`, variables: used }),
      });
      const got = await answer.json();
      errors = got.errors;
      if (got.data === null || got.data === undefined) return Response.json(got, { status: answer.status });
      for (const { key, name, cacheKey } of missing) {
        data[key] = got.data[key];
        if (cacheKey === null || errors !== undefined || got.data[key] === undefined) continue;
        const kept = Response.json(got.data[key], { headers: { "cache-control": `max-age=${ttl[name]}` } });
        ctx.waitUntil(caches.default.put(cacheKey, kept));
      }
    }
    // In the order in which they were asked for.
    const ordered = Object.fromEntries(fields.map(({ key }) => [key, data[key]]));
    return Response.json({ data: ordered, ...(errors === undefined ? {} : { errors }) }, {
      headers: { "x-fields-cached": `${fields.length - missing.length} of ${fields.length}`, "cache-control": "no-store" },
    });
  },
};
