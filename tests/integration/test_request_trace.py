"""`verge request --trace`: a request's way through cache, workers and what they fetch, as a tree of spans; and what collectors get of it."""

import json
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from test_node_workers import WithWorkers, source
from test_traces import Collector
from verge import wait_until

TWO_FETCHES = source("""
  if (new URL(request.url).pathname !== "/page") return fetch(request);
  const part = await fetch(new URL("/part", request.url));
  const other = await fetch(env.OTHER + "/other?secret=1");
  return new Response(await part.text() + await other.text(), { headers: { "Cache-Control": "max-age=60" } });""")


class Traces(WithWorkers):
    def ask(self, node, *arguments, code=0):
        done = subprocess.run([verge.VERGE, "request", *arguments, "--admin", node.addresses["admin"]], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done)
        return done.stdout if code == 0 else done.stderr

    def spans(self, node, url, *arguments):
        """The spans by id, and a function that gives the path of names from the root."""
        answer = json.loads(self.ask(node, url, "--trace", "--json", *arguments))
        spans = {span["span"]: span for span in answer["spans"]}

        def path(span):
            return (path(spans[span["parent"]]) if span["parent"] in spans else []) + [span["name"]]

        return answer, sorted(path(span) for span in spans.values()), spans

    def node_with(self, position, text=TWO_FETCHES, more=""):
        self.at_origin = self.origin()
        self.at_other = self.origin()
        return self.served(("shop", text, f'routes = ["shop.test/*"]\nposition = "{position}"\nprivate_addresses = true\n'
                            f'env = {{ OTHER = "{self.at_other.url}" }}\n{more}'), origin=self.at_origin)

    def test_of_a_worker_in_the_place_of_the_origin(self):
        node = self.node_with("miss")
        answer, paths, spans = self.spans(node, "http://shop.test/page?token=1")
        self.assertEqual((answer["status"], answer["body"]), (200, "origin /partorigin /other?secret=1"))
        root, worker = ["GET"], ["GET", "origin", "worker shop"]
        self.assertEqual(paths, sorted([root, ["GET", "origin"], worker, worker + ["fetch"], worker + ["fetch"],
                                        worker + ["fetch", "GET"], worker + ["fetch", "GET", "origin"]]))
        for span in spans.values():
            inner = [one for one in spans.values() if one["parent"] == span["span"]]
            self.assertNotIn("error", span)
            for one in inner:
                self.assertGreaterEqual(one["begin_ms"], span["begin_ms"] - 0.01)
        fetched = {one["attributes"]["url.full"]: one["attributes"] for one in spans.values() if one["name"] == "fetch"}
        other = self.at_other.url + "/other"
        self.assertEqual(sorted(fetched), sorted([other, "http://shop.test/part"]), "without the query")
        self.assertEqual((fetched["http://shop.test/part"]["server.address"], fetched["http://shop.test/part"]["server.port"]),
                         ("shop.test", 80))
        self.assertEqual(f'{fetched[other]["server.address"]}:{fetched[other]["server.port"]}', other.split("/")[2])
        self.assertEqual(fetched[other]["http.response.status_code"], 200)
        self.assertNotIn("token=1", json.dumps(answer["spans"]))
        # Who is asked elsewhere can go on with it.
        fetch = next(one for one in spans.values() if one["attributes"].get("url.full") == other)
        sent = next(fields for _, path, fields, _ in self.at_other.requests if path.startswith("/other"))
        traceparent = next(value for name, value in sent.items() if name.lower() == "traceparent")
        self.assertEqual(traceparent.split("-")[2], fetch["span"])
        # And once it is stored.
        answer, paths, spans = self.spans(node, "http://shop.test/page?token=1")
        self.assertEqual(paths, [root])
        self.assertIn("hit", next(iter(spans.values()))["attributes"]["verge.cache"])

    def test_of_a_worker_before_the_cache(self):
        node = self.node_with("before", source('return fetch(request);'))
        self.assertEqual(self.spans(node, "http://shop.test/a")[1],
                         [["GET"], ["GET", "worker shop"], ["GET", "worker shop", "fetch"],
                          ["GET", "worker shop", "fetch", "GET"], ["GET", "worker shop", "fetch", "GET", "origin"]])

    def on_answers(self, position):
        node = self.node_with(position, source('const answer = await fetch(request); return new Response(answer.body, answer);'))
        answer, paths, _ = self.spans(node, "http://shop.test/a")
        self.assertEqual(answer["body"], "origin /a")
        names = [path[-1] for path in paths]
        self.assertEqual(sorted(names), ["GET", "origin", "worker shop"])

    def test_of_a_worker_on_what_the_origin_answers(self):
        self.on_answers("origin-answer")

    def test_of_a_worker_on_what_clients_are_answered(self):
        self.on_answers("client-answer")

    def test_a_worker_that_fails_says_why(self):
        node = self.node_with("miss", source('throw new Error("broken");'))
        answer, _, spans = self.spans(node, "http://shop.test/a")
        self.assertEqual(answer["status"], 500)
        worker = next(one for one in spans.values() if one["name"] == "worker shop")
        self.assertIn("broken", worker["error"])
        self.assertIn("answered 500", next(one for one in spans.values() if one["parent"] == "")["error"])

    def test_the_tree_at_a_terminal(self):
        node = self.node_with("miss")
        lines = self.ask(node, "http://shop.test/page", "--trace").splitlines()
        self.assertEqual(lines[0].split(), ["begin", "took"])
        self.assertRegex(lines[1], r"^ +0\.0 ms +\d+\.\d ms  GET shop\.test/page 200 \(.*miss.*\)$")
        shown = [re.sub(r"^ +[0-9.]+ ms +[0-9.]+ ms  ", "", line) for line in lines[2:]]
        self.assertEqual(shown[0], "└─ origin 200")
        self.assertEqual(shown[1], "   └─ worker shop 200")
        self.assertEqual(shown[2], "      ├─ fetch GET shop.test/part 200")
        self.assertRegex(shown[3], r"^      │  └─ GET shop\.test/part 200 ")
        self.assertEqual(shown[4], "      │     └─ origin 200")
        self.assertEqual(shown[5], f"      └─ fetch GET {self.at_other.url.removeprefix('http://')}/other 200")
        self.assertEqual(len(shown), 6)

    def test_the_answer_and_what_is_wrong(self):
        node = self.node_with("before", source('return new Response(request.method + " " + await request.text() + request.headers.get("x-own"), { status: 201 });'))
        said = self.ask(node, "http://shop.test/", "-d", "body", "-H", "X-Own: mine", "-H", "Host: evil.test")
        self.assertEqual(said.splitlines()[0], "201")
        self.assertTrue(said.endswith("\n\nPOST bodymine"), said)
        self.assertIn("cache.url", self.ask(node, "http://nobody.test/", code=1))
        self.assertIn("cache.url", self.ask(node, "shop.test", code=1))
        self.assertIn("http.request", self.ask(node, "http://shop.test/", "-X", "NO NO", code=1))
        self.assertIn("cli.header", self.ask(node, "http://shop.test/", "-H", "none", code=2))
        for body in ("", "[]", "{}", '{"url":1}', '{"url":"http://shop.test/","fields":[["a b","x"]]}', '{"url":"http://shop.test/","fields":[1]}',
                     '{"url":"http://shop.test/ x"}'):
            answer = node.admin("/v1/request", method="POST", body=body)
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (400, "http.request"), body)
        self.assertEqual(node.admin("/v1/request").status, 405)

    def test_collectors_get_spans_of_workers(self):
        collector = Collector()
        self.addCleanup(collector.server_close)
        self.addCleanup(collector.shutdown)
        node = self.node_with("miss", more=f'\n[traces]\nendpoint = "{collector.url}"\none_in = 1\n')
        self.assertEqual(self.get(node, "/page").status, 200)
        names = lambda: sorted(span["name"] for span in list(collector.spans))
        wait_until(lambda: names() == ["GET", "GET", "fetch", "fetch", "origin", "origin", "worker shop"], names)
        self.assertEqual(len({span["traceId"] for span in collector.spans}), 1, "one trace")
        self.assertEqual(collector.faults, [])


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    unittest.main(verbosity=2)
