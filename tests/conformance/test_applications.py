#!/usr/bin/env python3
"""Real code: Hono (and its JWT and cache middleware), itty-router, jose and zod from npm, bundled by esbuild, answer as their documentation says."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
import verge

SHELL = os.environ.get("VERGE_WEB_SHELL", str(ROOT / "build/release/verge-web-shell"))
PACKAGES = ROOT / "build/deps/web/node_modules"

HONO = """
import { Hono } from "hono";
import { cors } from "hono/cors";
const app = new Hono();
app.use("*", cors());
app.get("/", (c) => c.text("Hello Hono!"));
app.get("/posts/:id", (c) => c.json({ id: c.req.param("id"), page: c.req.query("page"), greeting: c.env.GREETING }));
app.get("/html", (c) => c.html("<h1>Hi</h1>"));
app.notFound((c) => c.text("Custom 404", 404));
app.onError((error, c) => c.text(`Custom error: ${error.message}`, 500));
app.get("/boom", () => { throw new Error("boom"); });
export default app;
"""
ITTY = """
import { AutoRouter } from "itty-router";
const router = AutoRouter();
router.get("/hello/:name", ({ name }) => `Hello, ${name}!`).get("/json", () => ({ a: [1, 2] })).get("/q", ({ query }) => query);
export default router;
"""
JOSE = """
import * as jose from "jose";
const signs = async (alg) => {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  const token = await new jose.SignJWT({ scope: "read" }).setProtectedHeader({ alg }).setIssuer("edge").setIssuedAt()
    .setExpirationTime("5m").sign(privateKey);
  const { payload, protectedHeader } = await jose.jwtVerify(token, publicKey, { issuer: "edge" });
  const other = await jose.generateKeyPair(alg);
  const forged = await jose.jwtVerify(token, other.publicKey).catch((error) => error.code);
  const set = jose.createLocalJWKSet({ keys: [{ ...await jose.exportJWK(publicKey), alg }] });
  const bySet = (await jose.jwtVerify(token, set)).payload.scope;
  const back = await jose.importSPKI(await jose.exportSPKI(publicKey), alg);
  const byPem = (await jose.jwtVerify(token, back)).payload.scope;
  const restored = await jose.importPKCS8(await jose.exportPKCS8(privateKey), alg);
  const again = await new jose.CompactSign(new Uint8Array(3)).setProtectedHeader({ alg }).sign(restored);
  return [payload.scope, protectedHeader.alg, forged, bySet, byPem, (await jose.compactVerify(again, publicKey)).payload.length];
};
const hmac = async (alg) => {
  const secret = new TextEncoder().encode("a secret that is long enough, for 512 bits, as it has to be: 64 bytes");
  const token = await new jose.SignJWT({ scope: "read" }).setProtectedHeader({ alg }).setExpirationTime("5m").sign(secret);
  const late = await new jose.SignJWT({}).setProtectedHeader({ alg }).setExpirationTime(1).sign(secret);
  return [(await jose.jwtVerify(token, secret)).payload.scope, await jose.jwtVerify(late, secret).catch((error) => error.code)];
};
const seals = async (alg, enc, encryptWith, decryptWith) => {
  const sealed = await new jose.EncryptJWT({ card: 4 }).setProtectedHeader({ alg, enc }).setExpirationTime("5m").encrypt(encryptWith);
  const broken = sealed.slice(0, -4) + (sealed.endsWith("AAAA") ? "BBBB" : "AAAA");
  const options = { keyManagementAlgorithms: [alg] };
  return [(await jose.jwtDecrypt(sealed, decryptWith, options)).payload.card, await jose.jwtDecrypt(broken, decryptWith, options).catch((error) => error.code)];
};
const pair = async (alg, enc, options) => {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, options);
  return seals(alg, enc, publicKey, privateKey);
};
export default { async fetch() {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const out = {};
  for (const alg of ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"]) out[alg] = await signs(alg);
  for (const alg of ["HS256", "HS512"]) out[alg] = await hmac(alg);
  out["dir A256GCM"] = await seals("dir", "A256GCM", key, key);
  out["dir A128CBC-HS256"] = await seals("dir", "A128CBC-HS256", key, key);
  out["A256KW"] = await seals("A256KW", "A256GCM", key, key);
  out["PBES2"] = await seals("PBES2-HS256+A128KW", "A128GCM", key, key);
  out["RSA-OAEP-256"] = await pair("RSA-OAEP-256", "A256GCM");
  out["ECDH-ES"] = await pair("ECDH-ES", "A256GCM");
  out["ECDH-ES+A128KW"] = await pair("ECDH-ES+A128KW", "A256GCM");
  out["ECDH-ES X25519"] = await pair("ECDH-ES", "A256GCM", { crv: "X25519" });
  return Response.json(out);
} };
"""
HONO_JWT = """
import { Hono } from "hono";
import { jwt, sign } from "hono/jwt";
const app = new Hono();
app.use("/auth/*", jwt({ secret: "it-is-very-secret", alg: "HS256" }));
app.get("/auth/page", (c) => c.json(c.get("jwtPayload")));
const ask = async (token) => {
  const answer = await app.request("/auth/page", token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
  return [answer.status, answer.status === 200 ? await answer.json() : await answer.text()];
};
export default { async fetch() {
  const claims = { sub: "user123", role: "admin" };
  return Response.json([
    await ask(await sign({ ...claims, exp: Math.floor(Date.now() / 1000) + 300 }, "it-is-very-secret", "HS256")).then(([status, { sub, role }]) => [status, { sub, role }]),
    await ask(await sign({ ...claims, exp: 1 }, "it-is-very-secret", "HS256")),
    await ask(await sign(claims, "another secret", "HS256")),
    await ask(),
  ]);
} };
"""
# `made` counts what was not found in the cache.
HONO_CACHE = """
import { Hono } from "hono";
import { cache } from "hono/cache";
const app = new Hono();
let made = 0;
const cached = (more = {}) => cache({ cacheName: "pages", cacheControl: "max-age=60", wait: true, ...more });
app.get("/page/*", cached(), (c) => c.text(`${c.req.path} ${++made}`));
app.get("/later", cached({ wait: false }), (c) => c.text(`later ${++made}`));
app.get("/language", cached({ vary: "Accept-Language" }), (c) => c.text(`${c.req.header("Accept-Language")} ${++made}`));
app.get("/by-key", cached({ keyGenerator: (c) => `https://keys.test/${c.req.query("id")}` }), (c) => c.text(`key ${++made}`));
app.get("/other", cached({ cacheName: "others" }), (c) => c.text(`other ${++made}`));
app.get("/private", cached(), (c) => c.text(`private ${++made}`, 200, { "Cache-Control": "private" }));
app.get("/missing", cached(), (c) => c.text(`missing ${++made}`, 404));
app.get("/gone", cached({ cacheableStatusCodes: [410] }), (c) => c.text(`gone ${++made}`, 410));
app.get("/data", cached(), (c) => c.json({ made: ++made, body: "x".repeat(100_000) }));
export default app;
"""
ZOD = """
import { z } from "zod";
const Order = z.object({
  id: z.string().uuid(), mail: z.email(), items: z.array(z.object({ sku: z.string().min(1), count: z.number().int().positive() })).nonempty(),
  note: z.string().trim().optional(), when: z.coerce.date(),
});
export default { fetch() {
  const order = { id: "0b8b1c1e-6a3f-4c56-9e54-6a3f4c569e54", mail: "a@example.com", items: [{ sku: "a", count: 2 }], note: " x ", when: "2024-02-29" };
  const bad = Order.safeParse({ ...order, mail: "none", items: [{ sku: "", count: 1.5 }] });
  return Response.json({ good: Order.parse(order), bad: bad.error.issues.map((issue) => issue.path.join(".")) });
} };
"""


class Bundling:
    def bundle(self, source):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        entry, out = pathlib.Path(scratch.name, "app.js"), pathlib.Path(scratch.name, "bundle.js")
        entry.write_text(source)
        esbuild = next((PACKAGES / "@esbuild").glob("*/bin/esbuild"))
        subprocess.run([esbuild, entry, "--bundle", "--format=esm", f"--outfile={out}", "--log-level=warning"], check=True,
                       env={**os.environ, "NODE_PATH": str(PACKAGES)})
        return out


class Applications(unittest.TestCase, Bundling):
    def get(self, bundle, target):
        done = subprocess.run([SHELL, "request", bundle, f"http://example.com{target}"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        head, _, body = done.stdout.partition("\n\n")
        status, *fields = head.splitlines()
        return int(status), dict(field.split(": ", 1) for field in fields), body.rstrip("\n")

    def test_hono(self):
        bundle = self.bundle(HONO)
        status, fields, body = self.get(bundle, "/")
        self.assertEqual((status, body, fields["access-control-allow-origin"]), (200, "Hello Hono!", "*"))
        self.assertEqual(self.get(bundle, "/posts/12?page=3")[2], '{"id":"12","page":"3","greeting":"hello"}')
        self.assertEqual(self.get(bundle, "/html")[1]["content-type"], "text/html; charset=UTF-8")
        self.assertEqual(self.get(bundle, "/none")[::2], (404, "Custom 404"))
        self.assertEqual(self.get(bundle, "/boom")[::2], (500, "Custom error: boom"))

    def test_itty_router(self):
        bundle = self.bundle(ITTY)
        self.assertEqual(self.get(bundle, "/hello/World")[2], '"Hello, World!"')
        self.assertEqual(self.get(bundle, "/json")[2], '{"a":[1,2]}')
        self.assertEqual(self.get(bundle, "/q?a=1&b=2")[2], '{"a":"1","b":"2"}')
        self.assertEqual(self.get(bundle, "/no")[0], 404)

    def test_jose(self):
        status, _, body = self.get(self.bundle(JOSE), "/")
        self.assertEqual(status, 200)
        got = json.loads(body)
        for algorithm in ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"):
            self.assertEqual(got.pop(algorithm), ["read", algorithm, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "read", "read", 3])
        for algorithm in ("HS256", "HS512"):
            self.assertEqual(got.pop(algorithm), ["read", "ERR_JWT_EXPIRED"])
        self.assertEqual(len(got), 8)
        for algorithm, answer in got.items():
            self.assertEqual(answer, [4, "ERR_JWE_DECRYPTION_FAILED"], algorithm)

    def test_hono_jwt(self):
        status, _, body = self.get(self.bundle(HONO_JWT), "/")
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(body), [[200, {"sub": "user123", "role": "admin"}], [401, "Unauthorized"], [401, "Unauthorized"], [401, "Unauthorized"]])

    def test_zod(self):
        status, _, body = self.get(self.bundle(ZOD), "/")
        self.assertEqual(status, 200)
        got = json.loads(body)
        self.assertEqual((got["good"]["note"], got["good"]["when"]), ("x", "2024-02-29T00:00:00.000Z"))
        self.assertEqual(got["bad"], ["mail", "items.0.sku", "items.0.count"])


@unittest.skipUnless(os.path.exists(verge.VERGE), "there is no verge")
@unittest.skipIf(os.environ.get("VERGE_SANITIZE"), "a sanitizer needs system calls and memory that the sandbox takes away")
class CachingInANode(verge.TestCase, Bundling):
    """`caches` is a node's: two workers with one module have one count each, and one cache each."""

    def test_hono_cache(self):
        bundle = self.bundle(HONO_CACHE)
        worker = """
[[worker]]
name = "{name}"
file = "{file}"
routes = ["{name}.test/*"]
position = "before"
cpu = "5s"
wall = "30s"
"""
        config = "[runtime]\nloops = 1\n" + "".join(worker.format(name=name, file=bundle) for name in ("one", "two"))
        node = self.node("node", config).start()

        def get(path, host="one.test", **fields):
            answer = verge.http_request(node.addresses["http"], "GET", path, None,
                                        {"Host": host, **{name.replace("_", "-"): value for name, value in fields.items()}})
            return answer.status, answer.body.decode()

        first = get("/page/a")
        self.assertEqual(first, (200, "/page/a 1"))
        self.assertEqual([get("/page/a"), get("/page/a")], [first, first])
        self.assertEqual(get("/page/b"), (200, "/page/b 2"))
        self.assertEqual(get("/page/a?q=1"), (200, "/page/a 3"))
        self.assertEqual(get("/page/a", host="two.test"), (200, "/page/a 1"), "another owner's is another cache")
        answer = verge.http_request(node.addresses["http"], "GET", "/page/a", None, {"Host": "one.test"})
        self.assertEqual(answer.fields["cache-control"], "max-age=60")
        # It is put behind the answer.
        get("/later")
        verge.wait_until(lambda: get("/later") == get("/later"), "it is stored")
        german, english = get("/language", Accept_Language="de"), get("/language", Accept_Language="en")
        self.assertEqual((german[1][:3], english[1][:3]), ("de ", "en "))
        self.assertEqual((get("/language", Accept_Language="de"), get("/language", Accept_Language="en")), (german, english))
        self.assertEqual(get("/by-key?id=1&x=1"), get("/by-key?id=1&x=2"))
        self.assertNotEqual(get("/by-key?id=1"), get("/by-key?id=2"))
        self.assertEqual(get("/other"), get("/other"))
        self.assertEqual(get("/gone"), get("/gone"))
        self.assertEqual(get("/data"), get("/data"))
        self.assertEqual(len(json.loads(get("/data")[1])["body"]), 100_000)
        for never in ("/private", "/missing"):
            self.assertNotEqual(get(never), get(never), never)
        self.assertNotEqual(get("/page/a", Authorization="Bearer x"), first, "whose credentials they are is not known")


if __name__ == "__main__":
    unittest.main()
