"""Real code on `verge worker dev`: Hono and itty-router from npm, bundled by esbuild, and reloaded when they are bundled again."""

import glob
import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, os.path.join(HERE, "..", "conformance"))
from test_applications import HONO, ITTY, PACKAGES
from verge import TestCase, wait_until
from test_workers import EASY, Served

ESBUILD = glob.glob(os.path.join(PACKAGES, "@esbuild/*/bin/esbuild"))


class Errors(TestCase):
    def test_what_is_saved_wrong_is_told_with_its_place(self):
        served = Served(self, {"app": "export default { fetch() { return new Response('first'); } };\n"}, EASY, command="dev")
        self.assertEqual(served.get("/").body, b"first")

        def save(text):
            with open(served.paths[0], "w", encoding="utf-8") as file:
                file.write(text)

        save("export default {\n  fetch() { return new }\n};\n")
        wait_until(lambda: re.search(r"app\.js:2:\d+: SyntaxError: .* \[workers\.syntax\]", served.said()), "it is told, with nobody asking")
        save("export default {\n  fetch() {\n    throw new TypeError('wrong');\n  }\n};\n")
        wait_until(lambda: b"wrong" in served.get("/").body, "the saved worker is called")
        self.assertRegex(served.said(), r"TypeError: wrong at app\.js:3:\d+ \[workers\.exception\]\n    at Object\.fetch \(app\.js:3:")


@unittest.skipUnless(ESBUILD, "the npm packages are not here: run ./dev deps")
class Applications(TestCase):
    def bundle(self, source, out):
        entry = os.path.join(self.directory, "entry.js")
        with open(entry, "w", encoding="utf-8") as file:
            file.write(source)
        subprocess.run([ESBUILD[0], entry, "--bundle", "--format=esm", f"--outfile={out}", "--log-level=warning"], check=True,
                       env={**os.environ, "NODE_PATH": str(PACKAGES)})
        with open(out, encoding="utf-8") as file:
            return file.read()

    def dev(self, source, *variables):
        text = self.bundle(source, os.path.join(self.directory, "bundle.js"))
        return Served(self, {"app": text}, [*EASY, *variables], command="dev")

    def test_hono(self):
        served = self.dev(HONO, "--env", "GREETING=hello")
        first = served.get("/")
        self.assertEqual((first.status, first.body, first.fields["access-control-allow-origin"]), (200, b"Hello Hono!", "*"))
        self.assertEqual(served.get("/posts/12?page=3").json(), {"id": "12", "page": "3", "greeting": "hello"})
        self.assertEqual(served.get("/html").fields["content-type"], "text/html; charset=UTF-8")
        none, boom = served.get("/none"), served.get("/boom")
        self.assertEqual((none.status, none.body), (404, b"Custom 404"))
        self.assertEqual((boom.status, boom.body), (500, b"Custom error: boom"))
        self.bundle(HONO.replace("Hello Hono!", "Hello again!"), served.paths[0])
        wait_until(lambda: served.get("/").body == b"Hello again!", "what is bundled again is served")

    def test_itty_router(self):
        served = self.dev(ITTY)
        self.assertEqual(served.get("/hello/World").json(), "Hello, World!")
        self.assertEqual(served.get("/json").json(), {"a": [1, 2]})
        self.assertEqual(served.get("/q?a=1&b=2").json(), {"a": "1", "b": "2"})
        self.assertEqual(served.get("/no").status, 404)


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    unittest.main(verbosity=2)
