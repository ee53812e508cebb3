#!/usr/bin/env python3
"""Real code: Hono and itty-router from npm, bundled by esbuild, answer as their documentation says."""
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
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


class Applications(unittest.TestCase):
    def bundle(self, source):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        entry, out = pathlib.Path(scratch.name, "app.js"), pathlib.Path(scratch.name, "bundle.js")
        entry.write_text(source)
        esbuild = next((PACKAGES / "@esbuild").glob("*/bin/esbuild"))
        subprocess.run([esbuild, entry, "--bundle", "--format=esm", f"--outfile={out}", "--log-level=warning"], check=True,
                       env={**os.environ, "NODE_PATH": str(PACKAGES)})
        return out

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


if __name__ == "__main__":
    unittest.main()
