// Lets in who shows a JSON Web Token (HS256) in the field Authorization, signed with the secret env.KEY and not expired:
//   secrets = { KEY = { file = "/etc/verge/jwt.key" } }
// Anybody else gets 401. What is behind it, here a greeting, learns who it is from the token's claims.
const text = new TextEncoder();
let key;  // imported once an isolate

const bytesOf = (base64url) => Uint8Array.from(atob(base64url.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
const jsonOf = (base64url) => JSON.parse(new TextDecoder().decode(bytesOf(base64url)));

// The claims of a good token; null of any other.
async function claimsOf(token, secret) {
  const [head, body, signature, more] = token.split(".");
  if (signature === undefined || more !== undefined) return null;
  try {
    if (jsonOf(head).alg !== "HS256") return null;  // never what the token asks for
    key ??= await crypto.subtle.importKey("raw", text.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    if (!await crypto.subtle.verify("HMAC", key, bytesOf(signature), text.encode(`${head}.${body}`))) return null;
    const claims = jsonOf(body);
    return claims.exp > Date.now() / 1000 ? claims : null;
  } catch {
    return null;  // no Base64url, no JSON
  }
}

export default {
  async fetch(request, env) {
    const [scheme, token] = (request.headers.get("authorization") ?? "").split(" ");
    const claims = scheme.toLowerCase() === "bearer" && token ? await claimsOf(token, env.KEY) : null;
    if (claims === null) {
      return new Response("Unauthorized\n", { status: 401, headers: { "www-authenticate": 'Bearer realm="edge"' } });
    }
    return new Response(`Hello ${claims.sub}\n`, { headers: { "cache-control": "private, no-store" } });
  },
};
