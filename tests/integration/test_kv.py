"""Keys and values of workers: the binding, limits, what survives SIGKILL and a full disk, and `verge kv`."""

import base64
import concurrent.futures
import json
import os
import random
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import openapi
import verge
from test_node_workers import WithWorkers
from test_workers import EASY, EXAMPLES, Served
from verge import wait_until

# What a request asks of the namespace is in its body, as JSON: [operation, …].
WORKER = """
export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/stream") {
      if (request.method === "PUT") await env.NS.put("streamed", request.body);
      return new Response(await env.NS.get("streamed", "stream"));
    }
    if (pathname === "/put") {
      await env.NS.put(searchParams.get("key"), await request.text());
      return new Response("put");
    }
    const [what, ...all] = await request.json();
    try {
      const made = await env.NS[what](...all);
      return Response.json(made instanceof Map ? [...made] : { made });
    } catch (error) {
      return Response.json({ name: error.name, error: error.message });
    }
  },
};
"""


class Asks:
    def ask(self, *all):
        answer = self.request("POST", "/", json.dumps(all))
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def made(self, *all):
        said = self.ask(*all)
        self.assertNotIn("error", said)
        return said.get("made")


class InMemory(verge.TestCase, Asks):
    """The binding, at `verge worker serve`."""

    def setUp(self):
        super().setUp()
        self.served = Served(self, {"kv": WORKER}, [*EASY, "--kv", "NS"])

    def request(self, method, path, body=None):
        return self.served.get(path, method, body)

    def test_put_get_delete(self):
        self.assertIsNone(self.made("get", "a"))
        self.assertIsNone(self.made("put", "a", "één"))
        self.assertEqual(self.made("get", "a"), "één")
        self.assertEqual(self.made("get", "a", "text"), "één")
        self.assertIsNone(self.made("delete", "a"))
        self.assertIsNone(self.made("get", "a"))
        self.assertIsNone(self.made("delete", "a"))
        self.made("put", "empty", "")
        self.assertEqual(self.made("get", "empty"), "")

    def test_types_and_metadata(self):
        self.made("put", "j", '{"a":[1,2]}', {"metadata": {"who": "Zoë ✓", "n": 1}})
        self.assertEqual(self.made("get", "j", "json"), {"a": [1, 2]})
        self.assertEqual(self.made("get", "j", {"type": "json", "cacheTtl": 60}), {"a": [1, 2]})
        found = self.made("getWithMetadata", "j", "json")
        self.assertEqual((found["value"], found["metadata"]), ({"a": [1, 2]}, {"who": "Zoë ✓", "n": 1}))
        self.assertEqual(self.made("getWithMetadata", "none"), {"value": None, "metadata": None, "cacheStatus": None})
        self.made("put", "b", "plain")
        self.assertIsNone(self.made("getWithMetadata", "b")["metadata"])
        self.assertEqual(self.ask("get", ["j", "none"], "json"), [["j", {"a": [1, 2]}], ["none", None]])

    def test_what_is_wrong_is_said(self):
        for asked, said in ((("put", "", "x"), "must not be empty"), (("put", "k" * 513, "x"), "513 bytes is too long"),
                            (("put", "a", {"x": 1}), "a string, an ArrayBuffer"), (("get", "a", "blob"), "text, json"),
                            (("put", "a", "x", {"metadata": "m" * 1024}), "1026 bytes is too long"),
                            (("put", "a", "x", {"expirationTtl": -1}), "whole number"),
                            (("put", "a", "x", {"expiration": 1000}), "in the future"),
                            (("list", {"limit": 0}), "from 1 to 1000"), (("list", {"cursor": "?"}), "cursor")):
            with self.subTest(asked=str(asked)[:60]):
                self.assertIn(said, self.ask(*asked).get("error", "no error"))
        self.assertEqual(self.made("list")["keys"], [])

    def test_lists(self):
        names = [f"k/{number:03}" for number in range(25)] + ["other"]
        for name in reversed(names):
            self.made("put", name, name, {"metadata": {"of": name}} if name.endswith("1") else {})
        whole = self.made("list", {"prefix": "k/"})
        self.assertEqual([key["name"] for key in whole["keys"]], names[:-1])
        self.assertTrue(whole["list_complete"])
        self.assertEqual(whole["keys"][1], {"name": "k/001", "metadata": {"of": "k/001"}})
        seen, cursor = [], None
        while True:
            page = self.made("list", {"limit": 7, "cursor": cursor})
            seen += [key["name"] for key in page["keys"]]
            if page["list_complete"]:
                self.assertNotIn("cursor", page)
                break
            self.assertEqual(len(page["keys"]), 7)
            cursor = page["cursor"]
        self.assertEqual(seen, names)

    def test_values_of_each_size_stream(self):
        for size in (1, 4096, 262144, 262145, 3_000_000, 25 << 20):
            with self.subTest(size=size):
                body = random.Random(size).randbytes(size)
                answer = self.request("PUT", "/stream", body)
                self.assertEqual(answer.status, 200, answer)
                self.assertTrue(answer.body == body)
                self.assertTrue(self.request("GET", "/stream").body == body)
        self.assertEqual(self.request("PUT", "/stream", bytes((25 << 20) + 1)).status, 500)
        self.assertEqual(len(self.request("GET", "/stream").body), 25 << 20, "what was refused changes nothing")


class Directory(verge.TestCase, Asks):
    def request(self, method, path, body=None):
        return self.served.get(path, method, body)

    def test_a_directory_keeps_them(self):
        kept = [*EASY, "--kv", "NS=space", "--kv-dir", os.path.join(self.directory, "kv")]
        self.served = Served(self, {"kv": WORKER}, kept)
        self.made("put", "a", "kept")
        verge.end(self.served.process)
        os.unlink(self.served.ready)
        self.served = Served(self, {"kv": WORKER}, kept)
        self.assertEqual(self.made("get", "a"), "kept")


class Example(verge.TestCase):
    def test_url_shortener(self):
        with open(os.path.join(EXAMPLES, "url_shortener.js"), encoding="utf-8") as file:
            served = Served(self, {"short": file.read()}, [*EASY, "--kv", "LINKS", "--env", "SECRET=s"])
        known = {"Authorization": "Bearer s"}
        self.assertEqual(served.get("/docs").status, 404)
        self.assertEqual(served.get("/docs", "PUT", "https://example.com/").status, 401)
        self.assertEqual(served.get("/docs", "PUT", "javascript:alert(1)", known).status, 400)
        self.assertEqual(served.get("/docs", "PUT", "https://example.com/docs", known).json(),
                         {"name": "docs", "url": "https://example.com/docs"})
        followed = served.get("/docs")
        self.assertEqual((followed.status, followed.fields["location"]), (302, "https://example.com/docs"))
        self.assertEqual([link["name"] for link in served.get("/").json()], ["docs"])

    def test_url_shortener_without_a_secret_takes_nothing(self):
        with open(os.path.join(EXAMPLES, "url_shortener.js"), encoding="utf-8") as file:
            text = file.read()
        for variables in ([], ["--env", "SECRET="]):
            served = Served(self, {"short": text}, [*EASY, "--kv", "LINKS", *variables])
            for shown in ("undefined", "", "null"):
                answer = served.get("/docs", "PUT", "https://example.com/", {"Authorization": f"Bearer {shown}"})
                self.assertEqual((answer.status, answer.body), (500, b"env.SECRET is not set: nobody may make links\n"))
            self.assertEqual(served.get("/").json(), [])
            os.unlink(served.ready)


class WithKv(WithWorkers, Asks):
    def with_kv(self, more="", sets=(), **options):
        config = "[runtime]\nloops = 2\n" + self.worker("kv", WORKER, 'routes = ["kv.test/*"]\nkv = { NS = "space" }')
        return self.node("node", config + more, sets=sets, **options)

    def request(self, method, path, body=None):
        return self.get(self.served_node, path, method, body, host="kv.test")

    def maps_rocksdb(self, node):
        with open(f"/proc/{node.pid}/maps", encoding="utf-8") as maps:
            return "librocksdb" in maps.read()

    def kv(self, *arguments, input=None, status=0):
        done = subprocess.run([verge.VERGE, "kv", *arguments, "--admin", self.served_node.addresses["admin"]], input=input,
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status == 0 else done.stderr


class InANode(WithKv):
    def test_it_is_opened_with_the_first_namespace(self):
        node = self.served_node = self.served(("plain", "export default { fetch: () => new Response('a') };",
                                               'routes = ["plain.test/*"]'))
        self.assertEqual(self.get(node, host="plain.test").body, b"a")
        self.assertFalse(self.maps_rocksdb(node))
        self.assertFalse(os.path.exists(os.path.join(node.data_dir, "kv")))
        self.assertEqual(node.admin("/v1/kv").json(), {"namespaces": []})
        path = os.path.join(self.directory, "later.js")
        with open(path, "w", encoding="utf-8") as file:
            file.write(WORKER)
        deployed = verge.run("worker", "deploy", path, "--route", "kv.test/*", "--kv", "NS=later", "--wall-ms", "30000",
                             "--cpu-ms", "5000", "--admin", node.addresses["admin"])
        self.assertEqual(deployed.returncode, 0, deployed.stderr)
        self.made("put", "a", "1")
        self.assertEqual(self.made("get", "a"), "1")
        self.assertTrue(self.maps_rocksdb(node))
        self.assertEqual([space["name"] for space in node.admin("/v1/kv").json()["namespaces"]], ["later"])

    def test_what_expires(self):
        self.served_node = self.with_kv().start()
        self.made("put", "soon", "x", {"expirationTtl": 1})
        self.made("put", "later", "x", {"expirationTtl": 3600})
        self.assertIn("expiration", self.made("list")["keys"][0])
        wait_until(lambda: self.made("get", "soon") is None, "it expires")
        self.assertEqual([key["name"] for key in self.made("list")["keys"]], ["later"])
        wait_until(lambda: self.metric(self.served_node, "kv_keys", namespace="space") == 1, "it is swept by itself")

    def test_a_full_namespace(self):
        self.served_node = self.with_kv(sets=["kv.bytes_max=10KiB"]).start()
        self.made("put", "a", "x" * 6000)
        said = self.ask("put", "b", "x" * 6000)["error"]
        self.assertIn("kv.namespace-full", said)
        self.assertIsNone(self.made("get", "b"))
        self.made("delete", "a")
        self.made("put", "b", "x" * 6000)

    def test_nothing_acknowledged_is_lost_by_sigkill(self):
        """Writers and a lister, while the node is killed: twice."""
        self.served_node = self.with_kv()
        node = self.served_node.start()
        acknowledged, begun, answers = {}, {}, []
        for round_ in range(2):
            stops, ending = threading.Event(), threading.Event()
            failures = []

            def write(writer):
                number = 0
                while not stops.is_set():
                    number += 1
                    key = f"{writer}/{number % 50:02}"
                    # What is read tells whether it is whole: long values stand apart from their record.
                    value = f"{round_}-{writer}-{number}." * (1 if number % 3 else 1500)
                    begun.setdefault(key, set()).add(value)
                    try:
                        answer = self.request("PUT", f"/put?key={key}", value)
                    except OSError:
                        return
                    if answer.status == 200:
                        acknowledged[key] = value
                        answers.append(key)
                        begun[key] = {value}

            def look():
                while not stops.is_set():
                    try:
                        listed = self.made("list", {"limit": 1000})["keys"]
                    except (OSError, AssertionError, KeyError, ValueError):
                        if not ending.is_set():
                            failures.append("a list failed while the node was up")
                        return
                    names = [key["name"] for key in listed]
                    if names != sorted(names):
                        failures.append("a list is out of order")

            threads = [threading.Thread(target=write, args=(f"w{writer}",)) for writer in range(8)]
            threads.append(threading.Thread(target=look))
            before = len(answers)
            for thread in threads:
                thread.start()
            wait_until(lambda: len(answers) > before + 100, "some are written")
            ending.set()
            node.kill9()
            stops.set()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])
            node.start()
            listed = {key["name"] for key in self.made("list", {"limit": 1000})["keys"]}
            for key, value in acknowledged.items():
                # What was under way may be there or not: as a whole.
                self.assertIn(self.made("get", key), begun[key] | {value}, key)
                self.assertIn(key, listed)
            for key in listed:
                self.assertIn(self.made("get", key), begun[key])
        totals = node.admin("/v1/kv").json()["namespaces"][0]
        values = {key: self.made("get", key) for key in listed}
        self.assertEqual(totals["bytes"], sum(len(key) + len(value) for key, value in values.items()))
        self.assertEqual(totals["keys"], len(listed))

    def test_many_puts_share_a_sync(self):
        self.served_node = self.with_kv().start()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda n: self.request("PUT", f"/put?key={n}", "x").status, range(400)))
        self.assertEqual(set(answers), {200})
        writes, commits = (self.metric(self.served_node, f"kv_{name}_total") for name in ("writes", "commits"))
        self.assertEqual(writes, 400)
        self.assertLess(commits, writes)

    def test_two_loops_see_the_same(self):
        self.served_node = self.with_kv().start()
        for number in range(50):
            self.made("put", "n", str(number))
            self.assertEqual({self.made("get", "n") for _ in range(4)}, {str(number)})

    def test_a_value_that_was_read_is_not_given_again_when_it_is_old(self):
        self.served_node = self.with_kv().start()
        self.assertIsNone(self.made("get", "n"))
        stop = threading.Event()
        wrong = []

        def look(floor):
            while not stop.is_set():
                before = floor[0]
                value = int(self.made("get", "n") or 0)
                if value < before:
                    wrong.append((before, value))

        written = [0]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            lookers = [pool.submit(look, written) for _ in range(4)]
            for number in range(1, 200):
                self.made("put", "n", str(number))
                written[0] = number
            stop.set()
            for looker in lookers:
                looker.result()
        self.assertEqual(wrong, [])
        self.made("delete", "n")
        self.assertEqual({self.made("get", "n") for _ in range(8)}, {None})

    # --- verge kv

    def test_commands(self):
        self.served_node = self.with_kv().start()
        self.kv("put", "space", "a/b", "one", "--metadata", '{"m":1}')
        self.assertEqual(self.made("getWithMetadata", "a/b")["metadata"], {"m": 1})
        self.assertEqual(self.kv("get", "space", "a/b"), b"one")
        self.kv("put", "space", "raw", "--file", "-", input=b"\x00\xff")
        self.assertEqual(self.kv("get", "space", "raw"), b"\x00\xff")
        self.assertEqual(json.loads(self.kv("get", "space", "raw", "--json")), {"name": "raw", "base64": "AP8="})
        self.assertEqual(self.kv("list", "space"), b"a/b\nraw\n")
        self.assertEqual(self.kv("list", "space", "--prefix", "a"), b"a/b\n")
        self.assertEqual(json.loads(self.kv("list", "space", "--limit", "1", "--json"))["list_complete"], False)
        self.assertIn(b"space", self.kv("list"))
        self.kv("put", "space", "t", "x", "--ttl", "3600")
        exported = self.kv("export", "space")
        self.assertEqual([json.loads(line)["name"] for line in exported.splitlines()], ["a/b", "raw", "t"])
        for key in ("a/b", "raw", "t"):
            self.kv("delete", "space", key)
        self.assertEqual(self.kv("list", "space"), b"")
        self.assertEqual(json.loads(self.kv("import", "space", "-", "--json", input=exported)), {"put": 3})
        self.assertEqual(self.kv("export", "space"), exported)
        self.assertIn(b"kv.no-key", self.kv("get", "space", "none", status=1))
        self.assertIn(b"kv.unknown", self.kv("list", "none", status=1))
        self.assertIn(b"kv.line", self.kv("import", "space", "-", input=b"{}\n", status=1))
        self.assertEqual(self.kv("put", "space", "a", status=2), b"verge kv put: give a VALUE or --file\n")

    def test_an_export_of_many_pages(self):
        self.served_node = self.with_kv().start()
        lines = [json.dumps({"name": f"k{number:05}", "value": str(number) * (9000 if number % 500 == 0 else 1)})
                 for number in range(2500)]
        self.kv("import", "space", "-", input="\n".join(lines).encode())
        self.assertEqual([json.loads(line) for line in self.kv("export", "space").splitlines()],
                         [json.loads(line) for line in lines])

    def test_who_may_change(self):
        token = os.path.join(self.directory, "token")
        with open(token, "w", encoding="utf-8") as file:
            file.write("0123456789abcdef0123456789abcdef")
        os.chmod(token, 0o600)
        self.served_node = self.with_kv(f'[workers]\ndeploy_tokens = [{{ file = "{token}" }}]\n').start()
        self.assertIn(b"workers.unauthorized", self.kv("put", "space", "a", "x", status=1))
        self.kv("put", "space", "a", "x", "--token-file", token)
        self.assertEqual(self.served_node.admin("/v1/kv/space/a", "DELETE").status, 401)
        self.assertEqual(self.served_node.admin("/v1/kv/space", "POST", b'{"name":"b","value":""}\n').status, 401)
        self.assertEqual(self.kv("get", "space", "a"), b"x")

    def test_what_the_description_says(self):
        node = self.served_node = self.with_kv().start()
        self.kv("put", "space", "a", "x", "--ttl", "60", "--metadata", '{"m":1}')
        description = openapi.Description()
        for asked, path, method in (("/v1/kv", "/v1/kv", "get"), ("/v1/kv/space", "/v1/kv/{namespace}", "get")):
            problems = description.problems(node.admin(asked).json(), description.schema_of(path, method))
            self.assertEqual(problems, [])
        put = node.admin("/v1/kv/space/b%2Fc", "PUT", b"y").json()
        self.assertEqual(description.problems(put, description.schema_of("/v1/kv/{namespace}/{key}", "put")), [])
        self.assertEqual(put, {"name": "b/c"})
        answer = node.admin("/v1/kv/space/a")
        self.assertEqual(base64.b64decode(answer.fields["verge-metadata"]), b'{"m":1}')
        self.assertGreater(int(answer.fields["verge-expiration"]), 0)
        imported = node.admin("/v1/kv/space", "POST", b'{"name":"b","value":""}\n').json()
        self.assertEqual(description.problems(imported, description.schema_of("/v1/kv/{namespace}", "post")), [])


class FullDisk(WithKv):
    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.directory, "disk")
        os.mkdir(self.disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", self.disk],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"mounting a small disk is not permitted here: {mounted.stdout.strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.disk], check=True)

    def test_puts_are_refused_and_go_on(self):
        data = os.path.join(self.disk, "data")
        node = self.served_node = self.with_kv(data_dir=data).start()
        self.made("put", "kept", "x" * 5000)
        filler = os.path.join(self.disk, "filler")
        with open(filler, "wb") as file:
            left = os.statvfs(self.disk).f_bavail * os.statvfs(self.disk).f_frsize
            file.write(bytes(left - (40 << 20)))
        acknowledged = ["kept"]
        for number in range(40):
            # Nothing that could be made smaller.
            said = self.ask("put", f"k{number}", base64.b64encode(os.urandom(750_000)).decode())
            if "error" in said:
                break
            acknowledged.append(f"k{number}")
        self.assertIn("storage.full", said["error"])
        self.assertEqual(self.made("get", "kept"), "x" * 5000, "reads go on")
        self.made("delete", "kept")
        os.unlink(filler)
        self.made("put", "again", "x")
        node.kill9()
        node.start()
        self.assertEqual([key["name"] for key in self.made("list")["keys"]], sorted(acknowledged[1:] + ["again"]))


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    verge.unittest.main(verbosity=2)
