"""WebAssembly in workers: modules that are imported, WASI commands that answer requests, and limits that hold for both.

What is written in WAT is made by wat2wasm (Debian's wabt), the example in C by clang for wasm32-wasi (wasi-libc).
"""

import glob
import os
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from test_workers import EASY, SLOW, Served, source
from verge import TestCase, http_request, run, wait_until

EXAMPLES = os.path.join(HERE, "../../examples/workers/wasm")
CLANG = next((found for name in ("clang-19", "clang") if (found := shutil.which(name))), None)
HAS_WASI = CLANG and os.path.exists("/usr/lib/wasm32-wasi/libc.a") and glob.glob("/usr/lib/llvm-*/lib/clang/*/lib/wasi/*wasm32.a")

ARITHMETIC = """
(module
  (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "spin") (loop (br 0)))
  (func (export "grow") (loop (drop (memory.grow (i32.const 16))) (br 0))))
"""
# Grows by a megabyte, writes to each page of it, and again.
HOARD = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $at i32)
    (loop $grow
      (local.set $at (i32.mul (memory.size) (i32.const 65536)))
      (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
      (loop $write
        (i32.store (local.get $at) (i32.const 1))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br_if $write (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
      (br $grow))))
"""


@unittest.skipUnless(shutil.which("wat2wasm"), "wat2wasm is not here: ./dev deps installs wabt")
class WithWat(TestCase):
    def assemble(self, name, text):
        written = os.path.join(self.directory, name + ".wat")
        made = os.path.join(self.directory, name + ".wasm")
        with open(written, "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run(["wat2wasm", "-o", made, written], check=True)
        return made

    # A worker of JavaScript that imports `arithmetic.wasm`.
    def serve_with(self, body, arguments):
        self.assemble("arithmetic", ARITHMETIC)
        text = "import wasm from './arithmetic.wasm';\n" + source(body)
        return Served(self, {"main": text, "victim": "let n = 0; export default { fetch() { return new Response(String(++n)); } };\n"},
                      arguments)


class Imported(WithWat):
    def test_a_module_comes_compiled(self):
        served = self.serve_with("return new Response(`${wasm instanceof WebAssembly.Module} "
                                 "${new WebAssembly.Instance(wasm).exports.add(40, 2)}`);", EASY)
        self.assertEqual(served.get("/main/").body, b"true 42")

    def test_a_loop_in_it_uses_processor_time_as_any_other(self):
        served = self.serve_with("new WebAssembly.Instance(wasm).exports.spin();", ["--cpu-ms", "50", *SLOW])
        self.assertEqual(served.get("/victim/").body, b"1")
        answer = served.get("/main/")
        self.assertEqual(answer.status, 503)
        self.assertIn("workers.cpu", answer.fields["verge-worker-error"])
        self.assertEqual(served.get("/victim/").body, b"2")

    def test_memory_that_grows_for_ever_is_ended(self):
        for body in ("new WebAssembly.Instance(wasm).exports.grow();",
                     # Many memories, each of which is small.
                     "globalThis.all = []; for (;;) all.push(new WebAssembly.Memory({ initial: 64 }));"):
            with self.subTest(body):
                served = self.serve_with(body, ["--cpu-ms", "300", "--memory-mb", "32", *SLOW])
                self.assertEqual(served.get("/victim/").body, b"1")
                answer = served.get("/main/")
                self.assertIn(answer.status, (500, 503), answer)
                self.assertRegex(answer.fields["verge-worker-error"], r"workers\.(cpu|memory|exception)")
                self.assertEqual(served.get("/victim/").body, b"2")
                os.unlink(served.ready)

    def test_what_stays_in_memory_counts(self):
        # It is looked for behind an entry of some length, and the isolate is thrown away.
        served = self.serve_with("globalThis.n = (globalThis.n ?? 0) + 1; if (request.url.endsWith('grow')) {"
                                 " globalThis.kept = new WebAssembly.Memory({ initial: 0 }); kept.grow(1024);"
                                 " for (let i = 0; i < 1e8; i++); } return new Response(String(n));",
                                 ["--cpu-ms", "5000", "--memory-mb", "32", *SLOW])
        self.assertEqual([served.get(path).body for path in ("/main/", "/main/", "/main/grow")], [b"1", b"2", b"3"])
        after = [served.get("/main/") for _ in range(2)]
        self.assertEqual(after[1].body, b"1", after[0])


class Commands(WithWat):
    """Workers that are a Wasm file."""

    def serve(self, path, *arguments):
        return Served(self, {}, arguments or EASY, paths=[path])

    def test_the_example_in_wat(self):
        made = os.path.join(self.directory, "hello.wasm")
        subprocess.run(["wat2wasm", "-o", made, os.path.join(EXAMPLES, "hello.wat")], check=True)
        answer = self.serve(made).get("/a")
        self.assertEqual((answer.status, answer.fields["content-type"], answer.body), (200, "text/plain", b"Hello from WAT\n"))

    @unittest.skipUnless(HAS_WASI, "clang for wasm32-wasi is not here: ./dev deps installs wasi-libc")
    def test_the_example_in_c(self):
        made = os.path.join(self.directory, "hello.wasm")
        subprocess.run([CLANG, "--target=wasm32-wasi", "-O2", "-o", made, os.path.join(EXAMPLES, "hello.c")], check=True)
        served = self.serve(made)
        for size in (0, 5, 300_000):
            answer = served.get("/a%20b?c", "POST", b"x" * size)
            self.assertEqual((answer.status, answer.fields["content-type"]), (200, "text/plain"))
            self.assertTrue(answer.body == b"Hello from /a b\n" + b"x" * size)
        wait_until(lambda: "POST /a b" in served.said(), "standard error is in the log")

    @unittest.skipUnless(HAS_WASI, "clang for wasm32-wasi is not here: ./dev deps installs wasi-libc")
    def test_a_program_in_c(self):
        written, made = (os.path.join(self.directory, name) for name in ("main.c", "main.wasm"))
        with open(written, "w", encoding="utf-8") as file:
            file.write(r"""
                #include <stdio.h>
                #include <stdlib.h>
                #include <string.h>
                #include <time.h>
                #include <unistd.h>
                extern char** environ;
                int main(int count, char** arguments) {
                  const char* path = getenv("PATH_INFO");
                  if (!strcmp(path, "/spin")) for (volatile int i = 0;; i++) {}
                  if (!strcmp(path, "/exit")) return 3;
                  if (!strcmp(path, "/abort")) abort();
                  if (!strcmp(path, "/headless")) return puts("no header") < 0;
                  if (!strcmp(path, "/move")) return printf("Location: /there\r\n\r\n") < 0;
                  if (!strcmp(path, "/none")) return printf("Status: 404 Nothing here\nX-Own: a\nX-Own: b\n\ngone") < 0;
                  unsigned char chance[8] = {0};
                  getentropy(chance, sizeof(chance));
                  int sum = 0;
                  for (int i = 0; i < 8; i++) sum += chance[i];
                  printf("Content-Type: text/plain\n\n%s %d %d %d %s\n", arguments[0], count, time(NULL) > 1600000000, sum > 0,
                         fopen("/etc/passwd", "r") ? "open" : "no file");
                  sleep(1);
                  for (char** entry = environ; *entry; entry++) puts(*entry);
                }""")
        subprocess.run([CLANG, "--target=wasm32-wasi", "-O1", "-o", made, written], check=True)
        served = self.serve(made, "--cpu-ms", "200", "--env", "MODE=live", *SLOW)
        answer = served.get("/x?q=1", fields={"X-Field": "f", "Proxy": "http://evil/"})
        lines = answer.body.decode().splitlines()
        self.assertEqual(lines[0], "main.wasm 1 1 1 no file")
        for entry in ("REQUEST_METHOD=GET", "PATH_INFO=/x", "QUERY_STRING=q=1", "HTTP_X_FIELD=f", "MODE=live", "SCRIPT_NAME="):
            self.assertIn(entry, lines)
        self.assertFalse([line for line in lines if "PROXY" in line])
        none = served.get("/none")
        self.assertEqual((none.status, none.body, none.fields["x-own"]), (404, b"gone", "b"))  # the last of two
        move = served.get("/move")
        self.assertEqual((move.status, move.fields["location"]), (302, "/there"))
        for path, said in (("/exit", "exit status 3"), ("/abort", "RuntimeError: unreachable"), ("/headless", "has no header")):
            with self.subTest(path):
                answer = served.get(path)
                self.assertEqual(answer.status, 500)
                self.assertIn(said, answer.body.decode())
        spun = served.get("/spin")
        self.assertEqual(spun.status, 503)
        self.assertIn("workers.cpu", spun.fields["verge-worker-error"])
        self.assertEqual(served.get("/none").status, 404)

    def test_one_that_hoards_memory_is_ended(self):
        served = self.serve(self.assemble("hoard", HOARD), "--cpu-ms", "5000", "--memory-mb", "32", *SLOW)
        for _ in range(3):
            answer = served.get("/")
            self.assertIn(answer.status, (500, 503))
            self.assertRegex(answer.fields["verge-worker-error"], r"workers\.(memory|exception)")

    def test_what_is_no_command_says_why(self):
        served = self.serve(self.assemble("arithmetic", ARITHMETIC))
        answer = served.get("/")
        self.assertIn("workers.no-handler", answer.fields["verge-worker-error"])
        self.assertIn("it exports no function _start", answer.body.decode())

    def test_in_a_node_it_is_configured_or_deployed(self):
        made = os.path.join(self.directory, "hello.wasm")
        subprocess.run(["wat2wasm", "-o", made, os.path.join(EXAMPLES, "hello.wat")], check=True)
        node = self.node("node", f"""
            [runtime]
            loops = 1
            [[worker]]
            name = "configured"
            file = "{made}"
            routes = ["one.test/*"]
            cpu = "5s"
            wall = "30s"
            """).start()
        deployed = run("worker", "deploy", made, "--route", "two.test/*", "--cpu-ms", "5000", "--wall-ms", "30000",
                       "--admin", node.addresses["admin"])
        self.assertEqual(deployed.returncode, 0, deployed.stderr)
        for host in ("one.test", "two.test"):
            answer = http_request(node.addresses["http"], "GET", "/", None, {"Host": host})
            self.assertEqual((answer.status, answer.body), (200, b"Hello from WAT\n"), host)
        refused = run("worker", "deploy", self.assemble("arithmetic", ARITHMETIC), "--route", "three.test/*",
                      "--admin", node.addresses["admin"])
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("it exports no function _start", refused.stderr)


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    unittest.main(verbosity=2)
