"""Workers in a node: routes and positions, fallbacks and limits, the node's cache, rules and schedules that call them."""

import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from origin import Origin
from verge import wait_until

HEAD = """
[runtime]
loops = 1
{site}
"""
SITE = """
[[site]]
hosts = ["shop.test"]
origins = ["{origin}"]
{more}
"""
WORKER = """
[[worker]]
name = "{name}"
file = "{file}"
cpu = "5s"
wall = "30s"
{more}
"""


def source(body):
    return f"export default {{ async fetch(request, env, ctx) {{ {body} }} }};\n"


class WithWorkers(verge.TestCase):
    def origin(self, answer=None):
        def hello(request):
            request.give(fields=[("Cache-Control", "max-age=60"), ("ETag", '"1"')], body=b"origin " + request.path.encode())

        made = Origin(answer or hello)
        self.addCleanup(made.end)
        return made

    def worker(self, name, text, more):
        path = os.path.join(self.directory, name + ".js")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return WORKER.format(name=name, file=path, more=more)

    def served(self, *workers, origin=None, site="", rules=""):
        config = HEAD.format(site=SITE.format(origin=origin.url, more=site) if origin else "")
        for name, text, more in workers:
            config += self.worker(name, text, more)
        return self.node("node", config + rules).start()

    def get(self, node, path="/", method="GET", body=None, host="shop.test", **fields):
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        return verge.http_request(node.addresses["http"], method, path, body, {"Host": host, **fields})

    def metric(self, node, name, **labels):
        wanted = "verge_" + name + ("{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}" if labels else "")
        for line in node.admin("/metrics").body.decode().splitlines():
            if line.startswith(wanted + " "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"there is no {wanted}")


class NodeWorkers(WithWorkers):
    # --- Where the processes are

    def children(self, node):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == node.pid:
                found.append(int(pid))
        return found

    def test_a_node_without_workers_starts_nothing(self):
        node = self.served(origin=self.origin())
        self.assertEqual(self.get(node).status, 200)
        self.assertEqual(self.children(node), [])
        with open(f"/proc/{node.pid}/maps", encoding="utf-8") as maps:
            self.assertNotIn("libnode", maps.read())

    def test_v8_is_in_processes_of_its_own(self):
        node = self.served(("hello", source('return new Response("hello");'), 'routes = ["hello.test/*"]'))
        self.assertEqual(self.get(node, host="hello.test").body, b"hello")
        with open(f"/proc/{node.pid}/maps", encoding="utf-8") as maps:
            self.assertNotIn("libnode", maps.read())
        zygote = self.children(node)
        self.assertEqual(len(zygote), 1)
        with open(f"/proc/{zygote[0]}/maps", encoding="utf-8") as maps:
            self.assertIn("libnode", maps.read())

    def test_a_process_that_dies_is_replaced(self):
        node = self.served(("n", "let n = 0; export default { fetch() { return new Response(String(++n)); } };",
                            'routes = ["n.test/*"]'))
        self.assertEqual([self.get(node, host="n.test").body for _ in range(3)], [b"1", b"2", b"3"])
        zygote = self.children(node)[0]
        with open(f"/proc/{zygote}/task/{zygote}/children", encoding="utf-8") as file:
            isolates = [int(pid) for pid in file.read().split()]
        for pid in isolates:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.get(node, host="n.test").body == b"1", "the worker is there again")

    # --- Positions

    def test_miss_stands_in_for_the_origin_and_is_cached(self):
        origin = self.origin()
        node = self.served(("made", """
            let n = 0;
            export default { fetch(request) {
              const { pathname } = new URL(request.url);
              const fields = pathname === "/kept" ? { "Cache-Control": "max-age=60" } : { "Cache-Control": "no-store" };
              return new Response(`${++n} ${request.method} ${request.headers.get("host")}`, { headers: fields });
            } };""", 'routes = ["shop.test/*"]'), origin=origin)
        first = self.get(node, "/kept")
        self.assertEqual((first.status, first.body), (200, b"1 GET shop.test"))
        self.assertIn("fwd=uri-miss", first.fields["cache-status"])
        again = self.get(node, "/kept")
        self.assertEqual(again.body, b"1 GET shop.test")
        self.assertIn("; hit", again.fields["cache-status"])
        self.assertEqual(self.get(node, "/other").body, b"2 GET shop.test")
        self.assertEqual(self.get(node, "/other", method="POST", body=b"x").body, b"3 POST shop.test")
        self.assertEqual(origin.requests, [])
        # A range of what is stored, and of what is not.
        part = self.get(node, "/kept", Range="bytes=2-4")
        self.assertEqual((part.status, part.body), (206, b"GET"))
        self.assertEqual(self.metric(node, "worker_calls_total", worker="made"), 3)
        self.assertEqual(self.metric(node, "worker_computed_total", worker="made"), 3)
        self.assertEqual(self.metric(node, "worker_errors_total", worker="made"), 0)
        self.assertGreater(self.metric(node, "worker_cpu_seconds_total", worker="made"), 0)
        self.assertGreater(self.metric(node, "worker_memory_bytes", worker="made"), 0)
        self.assertGreater(self.metric(node, "worker_call_seconds", worker="made", quantile="0.99"), 0)
        self.assertGreater(self.metric(node, "worker_call_seconds_sum", worker="made"), 0)
        self.assertEqual(self.metric(node, "worker_call_seconds_count", worker="made"),
                         self.metric(node, "worker_calls_total", worker="made"))
        # Hits and what workers answer by themselves are the edge's.
        self.assertEqual(self.metric(node, "edge_hit_ratio"), 1)
        worker = node.status()["workers"][0]
        self.assertEqual((worker["name"], worker["calls"], worker["errors"]), ("made", 3, 0))

    def test_the_overview_counts_what_workers_answer_and_where_they_fail(self):
        """Goals, figures, metrics and insights say the same."""
        node = self.served(("shop", source('if (request.url.endsWith("/bad")) throw new Error("no"); '
                                           'return new Response("good", { headers: { "Cache-Control": "no-store" } });'),
                            'routes = ["shop.test/*"]'))

        def figures():
            return node.admin("/v1/now").json()["figures"]

        def goal(name):
            return {each["id"]: each for each in node.admin("/v1/goals").json()["goals"]}[name]

        for _ in range(20):
            self.assertEqual(self.get(node).status, 200)
        # A sample may be of the midst of them.
        wait_until(lambda: figures()["edge_hit_ratio"] == 1, "a sample is taken of all")
        self.assertEqual(figures()["edge_hit_ratio"], node.status()["cache"]["edge_hit_ratio"])
        self.assertEqual(figures()["edge_hit_ratio"], self.metric(node, "edge_hit_ratio"))
        self.assertEqual((goal("edge-hits")["measured"], goal("edge-hits")["met"]), (1, True))
        self.assertEqual((goal("availability")["measured"], goal("availability")["met"]), (1, True))
        ids = [each["id"] for each in node.admin("/v1/insights").json()["insights"]]
        self.assertNotIn("hit-ratio", ids, "20 requests say nothing of a cache")
        self.assertNotIn("worker-errors", ids)
        for _ in range(30):
            self.assertEqual(self.get(node, "/bad").status, 500)
        wait_until(lambda: goal("availability")["measured"] == 0.4, lambda: f"{goal('availability')}, not 0.4")
        self.assertEqual(goal("availability")["met"], False)
        self.assertEqual(self.metric(node, "worker_errors_total", worker="shop"), 30)
        found = [each for each in node.admin("/v1/insights").json()["insights"] if each["id"] == "worker-errors"]
        self.assertEqual(len(found), 1)
        self.assertIn("worker shop failed in 30 of its last 50 calls", found[0]["message"])
        self.assertIn("verge worker tail shop", found[0]["recommendation"])

    def test_requests_for_one_url_share_a_call(self):
        node = self.served(("slow", """
            let n = 0;
            export default { async fetch() {
              const mine = ++n;
              await new Promise((done) => setTimeout(done, 300));
              return new Response(String(mine), { headers: { "Cache-Control": "max-age=60" } });
            } };""", 'routes = ["slow.test/*"]'))
        with concurrent.futures.ThreadPoolExecutor(8) as many:
            bodies = list(many.map(lambda _: self.get(node, host="slow.test").body, range(8)))
        self.assertEqual(bodies, [b"1"] * 8)

    def test_a_worker_on_a_miss_asks_the_origin_through_the_cache(self):
        origin = self.origin()
        node = self.served(("around", source("""
            const answer = await fetch(request);
            return new Response((await answer.text()) + "!", { headers: { "Cache-Control": "no-store" } });"""),
                            'routes = ["shop.test/*"]'), origin=origin)
        self.assertEqual([self.get(node, "/a").body for _ in range(3)], [b"origin /a!"] * 3)
        self.assertEqual(len(origin.requests), 1)
        # What it got is purged with its URL.
        self.assertEqual(node.admin("/v1/purge", "POST", json.dumps({"urls": ["http://shop.test/a"]})).status, 200)
        self.assertEqual(self.get(node, "/a").body, b"origin /a!")
        self.assertEqual(len(origin.requests), 2)

    def test_before_the_cache(self):
        origin = self.origin()
        node = self.served(("gate", source("""
            if (request.headers.get("x-pass") !== "yes") return new Response("closed", { status: 403 });
            const answer = await fetch(request);
            return new Response(answer.body, { status: answer.status, headers: { "X-Gate": "open", "X-Was": answer.headers.get("cache-status") } });"""),
                            'routes = ["shop.test/*"]\nposition = "before"'), origin=origin)
        self.assertEqual(self.get(node, "/a").status, 403)
        self.assertEqual(origin.requests, [])
        first = self.get(node, "/a", x_pass="yes")
        self.assertEqual((first.status, first.body, first.fields["x-gate"]), (200, b"origin /a", "open"))
        second = self.get(node, "/a", x_pass="yes")
        self.assertIn("; hit", second.fields["x-was"])
        self.assertEqual(len(origin.requests), 1)
        self.assertEqual(self.get(node, "/%61", x_pass="no").status, 403)

    def test_on_the_origins_answer(self):
        origin = self.origin()
        node = self.served(("edit", """
            let n = 0;
            export default { async fetch(request) {
              const answer = await fetch(request);
              const edited = new Response((await answer.text()).toUpperCase(), answer);
              edited.headers.set("X-Edited", String(++n));
              return edited;
            } };""", 'routes = ["shop.test/*"]\nposition = "origin-answer"'), origin=origin)
        for _ in range(3):
            answer = self.get(node, "/a")
            self.assertEqual((answer.body, answer.fields["x-edited"]), (b"ORIGIN /A", "1"))
        self.assertEqual(len(origin.requests), 1)

    def test_on_the_answer_to_the_client(self):
        origin = self.origin()
        node = self.served(("mark", """
            let n = 0;
            export default { async fetch(request) {
              const answer = await fetch(request);
              const marked = new Response(answer.body, answer);
              marked.headers.set("X-Mark", String(++n));
              return marked;
            } };""", 'routes = ["shop.test/*"]\nposition = "client-answer"'), origin=origin)
        for i in range(1, 4):
            answer = self.get(node, "/a")
            self.assertEqual((answer.status, answer.body, answer.fields["x-mark"]), (200, b"origin /a", str(i)))
        self.assertEqual(len(origin.requests), 1)
        head = self.get(node, "/a", method="HEAD")
        self.assertEqual((head.status, head.body, head.fields["x-mark"]), (200, b"", "4"))

    def test_large_bodies_stream_through_each_position(self):
        big = os.urandom(3_000_000)
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "no-store")], body=big))
        for position in ("before", "miss", "origin-answer", "client-answer"):
            with self.subTest(position=position):
                node = self.node(position, HEAD.format(site=SITE.format(origin=origin.url, more="")) + self.worker(
                    position, source("return fetch(request);"),
                    f'routes = ["shop.test/*"]\nposition = "{position}"')).start()
                answer = self.get(node, "/big")
                self.assertEqual(answer.status, 200)
                self.assertTrue(answer.body == big)
                node.stop()

    def test_bodies_of_requests_reach_worker_and_origin(self):
        origin = self.origin(lambda request: request.give(body=b"%d" % len(request.body)))
        node = self.served(("hand", source("return fetch(request);"), 'routes = ["shop.test/*"]'), origin=origin)
        for size in (0, 10, 1_000_000):
            self.assertEqual(self.get(node, "/x", "POST", b"x" * size).body, b"%d" % size)

    # --- Failures

    def test_a_failure_is_said_or_the_origin_is_asked(self):
        origin = self.origin()
        broken = source('throw new Error("broken");')
        node = self.served(("said", broken, 'routes = ["shop.test/said"]'),
                           ("back", broken, 'routes = ["shop.test/back"]\nfallback = "origin"'),
                           ("front", broken, 'routes = ["shop.test/front"]\nfallback = "origin"\nposition = "before"'),
                           ("edit", broken, 'routes = ["shop.test/edit"]\nfallback = "origin"\nposition = "origin-answer"'),
                           ("mark", broken, 'routes = ["shop.test/mark"]\nfallback = "origin"\nposition = "client-answer"'),
                           ("passes", source('ctx.passThroughOnException(); throw new Error("x");'),
                            'routes = ["shop.test/passes"]'), origin=origin)
        said = self.get(node, "/said")
        self.assertEqual((said.status, said.fields["verge-worker-error"]), (500, 'workers.exception; worker="said"'))
        # What it threw is for who wrote it, not for who asks.
        self.assertEqual(said.body, b"worker said threw an exception [workers.exception]\n")
        line = json.loads(node.admin("/v1/workers/said/console").body.splitlines()[-1])
        self.assertEqual(line["level"], "error")
        self.assertRegex(line["text"], r"Error: broken at said\.js:1:\d+ \[workers\.exception\]\n    at Object\.fetch \(said\.js:1:")
        for path in ("/back", "/front", "/edit", "/mark", "/passes"):
            answer = self.get(node, path)
            self.assertEqual((answer.status, answer.body), (200, b"origin " + path.encode()), path)
        # What may have had its effect is not repeated, unless the worker asks for it.
        self.assertEqual(self.get(node, "/back", "POST", b"x").status, 500)
        self.assertEqual(self.get(node, "/passes", "POST", b"x").status, 200)
        self.assertEqual(self.metric(node, "worker_fallbacks_total", worker="back"), 1)
        self.assertEqual(self.metric(node, "worker_errors_total", worker="back"), 2)

    def test_limits_end_calls_and_nothing_else(self):
        origin = self.origin()
        spin = "export default { fetch() { while (true) {} } };"
        config = HEAD.format(site=SITE.format(origin=origin.url, more=""))
        for name, fallback in (("spin", "error"), ("spare", "origin")):
            text = self.worker(name, spin, f'routes = ["shop.test/{name}"]\nfallback = "{fallback}"')
            config += text.replace('cpu = "5s"', 'cpu = "20ms"')
        config += self.worker("victim", "let n = 0; export default { fetch() { return new Response(String(++n)); } };",
                              'routes = ["victim.test/*"]')
        config += self.worker("slow", source("await new Promise(() => {}); "), 'routes = ["shop.test/slow"]').replace(
            'wall = "30s"', 'wall = "300ms"')
        node = self.node("node", config).start()
        self.assertEqual(self.get(node, host="victim.test").body, b"1")
        over = self.get(node, "/spin")
        self.assertEqual((over.status, over.fields["verge-worker-error"]), (503, 'workers.cpu; worker="spin"'))
        self.assertEqual(self.get(node, "/spare").body, b"origin /spare")
        self.assertEqual(self.get(node, "/slow").fields["verge-worker-error"], 'workers.wall; worker="slow"')
        self.assertEqual(self.get(node, host="victim.test").body, b"2")
        self.assertEqual(self.metric(node, "worker_limited_total", worker="spin"), 1)

    # --- What workers ask for

    def test_private_addresses_are_for_those_that_may(self):
        origin = self.origin()
        body = f'return fetch("{origin.url}/direct");'
        node = self.served(("may", source(body), 'routes = ["a.test/may"]\nprivate_addresses = true'),
                           ("not", source(body), 'routes = ["a.test/not"]'))
        self.assertEqual(self.get(node, "/may", host="a.test").body, b"origin /direct")
        self.assertEqual(self.get(node, "/not", host="a.test").status, 500)
        self.assertIn(b"private address", node.admin("/v1/workers/not/console").body)
        self.assertEqual([request[2].get("CDN-Loop") for request in origin.requests], ["node"])

    def test_workers_call_each_other_and_never_for_ever(self):
        node = self.served(("a", source('return new Response("a" + await (await fetch("http://b.test/")).text());'),
                            'routes = ["a.test/*"]'),
                           ("b", source('return new Response("b");'), 'routes = ["b.test/*"]'),
                           ("x", source('return fetch("http://y.test/");'), 'routes = ["x.test/*"]'),
                           ("y", source('return fetch("http://x.test/");'), 'routes = ["y.test/*"]'))
        self.assertEqual(self.get(node, host="a.test").body, b"ab")
        # Neither has an origin.
        self.assertEqual(self.get(node, host="x.test").status, 404)

    def test_caches_keep_answers(self):
        store = """
            const { pathname } = new URL(request.url);
            const key = new Request("http://any.test/key");
            if (pathname === "/put") {
              await caches.default.put(key, new Response("kept", { headers: { "Cache-Control": "max-age=60", "X-Own": "1" } }));
              await (await caches.open("other")).put(key, new Response("elsewhere", { headers: { "Cache-Control": "max-age=60" } }));
              return new Response("put");
            }
            if (pathname === "/delete") return new Response(String(await caches.default.delete(key)));
            if (pathname === "/large") {
              const body = new ReadableStream({ start(c) { for (let i = 0; i < 40; i++) c.enqueue(new Uint8Array(65536).fill(65)); c.close(); } });
              await caches.default.put("http://any.test/large", new Response(body, { headers: { "Cache-Control": "max-age=60" } }));
              return new Response(String((await (await caches.default.match("http://any.test/large")).text()).length));
            }
            if (pathname === "/unkept") {
              await caches.default.put("http://any.test/no", new Response("x", { headers: { "Cache-Control": "no-store" } }));
              return new Response(String(await caches.default.match("http://any.test/no")));
            }
            const found = await caches.default.match(key);
            const other = await (await caches.open("other")).match(key);
            return new Response(`${found && await found.text()} ${found?.headers.get("x-own")} ${other && await other.text()}`);"""
        node = self.served(("one", source(store), 'routes = ["one.test/*"]'), ("two", source(store), 'routes = ["two.test/*"]'))
        one = lambda path: self.get(node, path, host="one.test").body
        self.assertEqual(one("/get"), b"undefined undefined undefined")
        self.assertEqual(one("/put"), b"put")
        self.assertEqual(one("/get"), b"kept 1 elsewhere")
        # Another tenant's is another.
        self.assertEqual(self.get(node, "/get", host="two.test").body, b"undefined undefined undefined")
        self.assertEqual((one("/delete"), one("/delete")), (b"true", b"false"))
        self.assertEqual(one("/get"), b"undefined undefined elsewhere")
        self.assertEqual(one("/unkept"), b"undefined")
        self.assertEqual(one("/large"), b"2621440")

    def test_waiting_goes_on_behind_the_answer(self):
        origin = self.origin()
        node = self.served(("later", source(f"""
            ctx.waitUntil((async () => {{
              await new Promise((done) => setTimeout(done, 50));
              await fetch("{origin.url}/told");
            }})());
            return new Response("now");"""), 'routes = ["later.test/*"]\nprivate_addresses = true'))
        self.assertEqual(self.get(node, host="later.test").body, b"now")
        wait_until(lambda: [request[1] for request in origin.requests] == ["/told"], "the origin is told")

    def test_variables_and_secrets(self):
        secret = os.path.join(self.directory, "secret")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("hidden\n")
        node = self.served(("env", source("return new Response(env.NAME + env.TOKEN);"),
                            f'routes = ["env.test/*"]\nenv = {{ NAME = "a" }}\nsecrets = {{ TOKEN = {{ file = "{secret}" }} }}'))
        self.assertEqual(self.get(node, host="env.test").body, b"ahidden")
        self.assertNotIn("hidden", node.log())

    # --- Rules and the clock

    def test_a_rule_calls_event(self):
        origin = self.origin()
        node = self.served(("sink", f"""
            export default {{ async event(batch) {{
              const told = [...batch].map((message) => [message.topic, message.json()]);
              await fetch("{origin.url}/told", {{ method: "POST", body: JSON.stringify(told) }});
            }} }};""", "private_addresses = true"), rules="""
[[rule]]
name = "hot"
sql = "SELECT device, t * 2 AS twice FROM 'oven/+' WHERE t > 100"
do = [{ worker = "sink" }]
[[rule]]
name = "lost"
sql = "SELECT * FROM 'lost'"
do = [{ worker = "nobody" }]
""")
        client = self.mqtt(node, "oven-7")
        client.publish("oven/7", json.dumps({"t": 90}))
        client.publish("oven/7", json.dumps({"t": 120}))
        client.publish("lost", "{}")
        wait_until(lambda: origin.requests, "the worker tells the origin")
        self.assertEqual(json.loads(origin.requests[0][3]), [["oven/7", {"device": "7", "twice": 240}]])
        wait_until(lambda: self.metric(node, "rule_calls_failed_total") == 1, "the other call fails")
        self.assertEqual(self.metric(node, "rule_calls_total"), 2)

    # --- Reload

    def test_what_is_saved_is_taken_on_sighup(self):
        node = self.served(("w", source('return new Response("before");'), 'routes = ["w.test/*"]'),
                           ("kept", "let n = 0; export default { fetch() { return new Response(String(++n)); } };",
                            'routes = ["kept.test/*"]'))
        self.assertEqual(self.get(node, host="w.test").body, b"before")
        self.assertEqual(self.get(node, host="kept.test").body, b"1")
        path = os.path.join(self.directory, "w.js")
        with open(path, "w", encoding="utf-8") as file:
            file.write(source('return new Response("after");'))
        node.signal(signal.SIGHUP)
        wait_until(lambda: self.get(node, host="w.test").body == b"after", "the saved worker is served")
        # Whose code is as it was goes on.
        self.assertEqual(self.get(node, host="kept.test").body, b"2")
        os.unlink(path)
        node.signal(signal.SIGHUP)
        wait_until(lambda: "workers.file" in node.log(), "the node says what is missing")
        self.assertEqual(self.get(node, host="w.test").body, b"after")

    def test_what_is_wrong_is_placed(self):
        config = os.path.join(self.directory, "bad.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write('[[worker]]\nname = "a"\nfile = "/nowhere.js"\nroutes = ["a.test/*"]\n')
        checked = verge.run("check", config)
        self.assertEqual(checked.returncode, 2, checked.stderr)
        self.assertRegex(checked.stderr, re.escape(config) + r":3:8: .*\[workers\.file\]")
        with open(config, "w", encoding="utf-8") as file:
            file.write('[[worker]]\nname = "a"\nfile = "/nowhere.js"\nroutes = ["http://a.test/*"]\ncron = "* * *"\n')
        checked = verge.run("check", config)
        self.assertRegex(checked.stderr, re.escape(config) + r":4:11: .*names a scheme.*\[config\.value\]")
        self.assertRegex(checked.stderr, re.escape(config) + r":5:8: .*3 fields.*\[config\.value\]")

    def test_a_busy_client_of_a_worker_holds_up_no_other(self):
        node = self.served(("endless", source("""
            return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65536)); } }));"""),
                            'routes = ["endless.test/*"]'),
                           ("hello", source('return new Response("hello");'), 'routes = ["hello.test/*"]'))
        host, _, port = node.addresses["http"].rpartition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: endless.test\r\n\r\n")
            self.assertTrue(client.recv(1000).startswith(b"HTTP/1.1 200"))
            # It takes nothing more: the worker is held back, and the node's memory stays.
            before = node.status()["process"]["resident_bytes"]
            for _ in range(50):
                self.assertEqual(self.get(node, host="hello.test").body, b"hello")
            self.assertLess(node.status()["process"]["resident_bytes"], before + (32 << 20))


class Deploys(WithWorkers):
    """`verge worker deploy` and its like, against a running node."""

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def verge(self, node, command, *arguments, code=0):
        done = verge.run("worker", command, *arguments, "--admin", node.addresses["admin"])
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def deploy(self, node, text, *arguments, name="shop.js", code=0):
        route = name.replace(".js", ".test/*")
        return self.verge(node, "deploy", self.file(name, text), "--route", route, "--cpu-ms", "5000",
                          "--wall-ms", "30000", *arguments, code=code)

    def test_a_route_that_another_worker_has_is_refused(self):
        node = self.served(("own", source('return new Response("own");'), 'routes = ["own.test/api/*"]'))
        file = self.file("clash.js", source('return new Response("clash");'))
        said = self.verge(node, "deploy", file, "--route", "own.test/api/*", code=1)
        self.assertIn("worker own has the route own.test/api/* already [workers.route-taken]", said)
        self.verge(node, "deploy", file, "--route", "own.test/api/*", "--position", "before")
        self.verge(node, "deploy", file, "--route", "own.test/api/more/*")
        self.verge(node, "deploy", file, "--route", "own.test/api/more/*")

    def test_a_rule_may_call_what_was_deployed(self):
        node = self.served(rules="".join(
            f"""[[rule]]\nname = "to-{name}"\nsql = "SELECT * FROM 'x'"\ndo = [{{ worker = "{name}" }}]\n""" for name in ("shop", "nobody")))
        said = "there is no worker {} in the configuration".format
        wait_until(lambda: said("nobody") in node.log(), "it is told at the start")
        self.deploy(node, "export default { event() {} };")
        before = [node.log().count(said(name)) for name in ("shop", "nobody")]
        node.signal(signal.SIGHUP)
        wait_until(lambda: node.log().count(said("nobody")) > before[1], "it is told again")
        self.assertEqual(node.log().count(said("shop")), before[0])

    def test_what_no_request_reaches_is_told(self):
        node = self.served()
        file = self.file("quiet.js", source('return new Response("quiet");'))
        done = verge.run("worker", "deploy", file, "--admin", node.addresses["admin"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("quiet has no --route: no request is put to it", done.stderr)
        done = verge.run("worker", "deploy", file, "--admin", node.addresses["admin"], "--route", "shop.test/*")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_wrong_arguments_end_with_status_2(self):
        file = self.file("shop.js", source('return new Response("shop");'))
        for wrong in (["--env", "FOO"], ["--secret", "FOO"], ["--env", "=x"], ["--cpu-ms", "0"], ["--wall-ms", "0"], ["--memory-mb", "1"]):
            with self.subTest(wrong):
                self.assertEqual(verge.run("worker", "deploy", file, *wrong).returncode, 2)
        self.assertEqual(verge.run("worker", "serve", file, "--env", "BAD").returncode, 2)

    def test_what_commands_say_can_be_read_as_json(self):
        node = self.served()
        for text in ("one", "two"):
            self.deploy(node, source(f'return new Response("{text}");'))
        self.get(node)
        wait_until(lambda: json.loads(self.verge(node, "limits", "shop", "--json"))["used"]["cpu_ms"] > 0, "the call is counted")
        limits = json.loads(self.verge(node, "limits", "shop", "--json"))
        self.assertEqual((limits["cpu_ms"], limits["used"]["calls"], limits["used"]["limited"]), (5000, 1, 0))
        self.assertGreater(limits["used"]["memory_bytes"], 100_000)
        self.assertRegex(self.verge(node, "limits", "shop"), r"memory, of all its isolates +128 MiB +\d+\.\d MiB")
        self.assertEqual(json.loads(self.verge(node, "rollback", "shop", "--json")), {"name": "shop", "version": 1})
        self.assertEqual(json.loads(self.verge(node, "remove", "shop", "--json")), {"name": "shop", "removed": True})

    def test_tail_shows_what_is_asked_for(self):
        node = self.served()
        self.deploy(node, source("""for (const level of ["debug", "log", "info", "warn", "error"]) console[level](`${level} of a cart`);
          console.warn("another thing"); return new Response("said");"""))
        self.assertEqual(self.get(node).body, b"said")
        tail = lambda *arguments: [line.split(" ", 1)[1] for line in self.verge(node, "tail", "shop", "--once", *arguments).splitlines()]
        wait_until(lambda: len(tail()) == 6, "all is there")
        self.assertEqual(tail("--level", "warn"), ["warn  warn of a cart", "error error of a cart", "warn  another thing"])
        self.assertEqual(tail("--level", "info", "--search", "cart"),
                         ["info  info of a cart", "warn  warn of a cart", "error error of a cart"])
        self.assertEqual(tail("--search", "no such thing"), [])
        self.assertEqual((tail("--sampling", "0"), len(tail("--sampling", "1"))), ([], 6))
        self.assertIn("--level", self.verge(node, "tail", "shop", "--once", "--level", "loud", code=2))

    def tailing(self, node, *arguments):
        """`verge worker tail` that goes on; its lines, without the time."""
        process = verge.spawn([verge.VERGE, "worker", "tail", "shop", "--admin", node.addresses["admin"], *arguments],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(verge.end, process)
        lines = []

        def read():
            for line in process.stdout:
                lines.append(line.rstrip("\n").split(" ", 1)[1] if not line.startswith("{") else json.loads(line))

        threading.Thread(target=read, daemon=True).start()
        return lines

    def test_tail_shows_calls_by_status_and_method(self):
        node = self.served()
        self.deploy(node, source("""const { pathname } = new URL(request.url);
          console.log("at", request.method, pathname);
          if (pathname === "/throws") throw new Error("broken");
          return new Response("", { status: Number(pathname.slice(1)) });"""))
        of_status = self.tailing(node, "--status", "5xx", "--status", "404")
        of_outcome = self.tailing(node, "--status", "error")
        of_method = self.tailing(node, "--method", "post", "--method", "PUT", "--json")
        both = self.tailing(node, "--status", "ok", "--method", "POST", "--search", "no such thing")

        def ask_all():
            for method, path in (("GET", "/200"), ("POST", "/200?secret=1"), ("GET", "/404"), ("GET", "/503"), ("PUT", "/400"), ("GET", "/throws")):
                self.get(node, path, method)

        # Calls are noted once somebody has asked for them.
        wait_until(lambda: ask_all() or (of_status and of_outcome and of_method and both), "they are told of")
        wait_until(lambda: len(of_status) >= 6 and len(of_outcome) >= 4 and len(of_method) >= 4, lambda: (of_status, of_outcome, of_method))
        ms = re.compile(r" \d+\.\d ms$")
        shown = [ms.sub("", line) for line in of_status]
        begin = shown.index("log   at GET /404")
        self.assertEqual(shown[begin:begin + 4], ["log   at GET /404", "call  GET http://shop.test/404 404 ok",
                                                  "log   at GET /503", "call  GET http://shop.test/503 503 ok"])
        threw = "\n".join(ms.sub("", line) for line in of_outcome[:4])
        self.assertRegex(threw, r"^log   at GET /throws\n"
                                r"error worker shop: Error: broken at shop\.js:3:\d+ \[workers\.exception\]\n"
                                r" +at Object\.fetch \(shop\.js:3:\d+\)\n"
                                r"call  GET http://shop\.test/throws 0 error workers\.exception$")
        calls = [line for line in of_method if line["level"] == "call"]
        self.assertEqual({(one["method"], one["url"], one["status"], one["outcome"]) for one in calls},
                         {("POST", "http://shop.test/200", 200, "ok"), ("PUT", "http://shop.test/400", 400, "ok")})
        texts = {line["text"] for line in of_method if line["level"] != "call"}
        self.assertEqual(texts, {"at POST /200", "at PUT /400"})
        self.assertEqual({ms.sub("", line) for line in both}, {"call  POST http://shop.test/200 200 ok"})
        self.assertIn("6xx", self.verge(node, "tail", "shop", "--once", "--status", "6xx", code=2))
        # Who asks for no calls gets none.
        self.assertNotIn("call ", self.verge(node, "tail", "shop", "--once"))

    def test_versions_go_forth_and_back(self):
        node = self.served()
        # Nobody's host before the first deploy.
        self.assertEqual(self.get(node).status, 404)
        said = self.deploy(node, source('return new Response("one " + env.A + env.KEY);'), "--env", "A=a", "--secret",
                           "KEY=" + self.file("key", "hidden\n"))
        for part in ("shop@1", '["node"]', "100 %", "latency p50"):
            self.assertIn(part, said)
        self.assertEqual(self.get(node).body, b"one ahidden")
        self.deploy(node, source('console.log("called", new URL(request.url).pathname); return new Response("two");'))
        self.assertEqual(self.get(node, "/x").body, b"two")
        self.assertRegex(self.verge(node, "list"), r"shop +2 +miss +1 +0")
        self.assertIn("5000 ms", self.verge(node, "limits", "shop"))
        wait_until(lambda: "called /x" in self.verge(node, "tail", "shop", "--once"), "what it says is shown")
        self.assertIn("version 1", self.verge(node, "rollback", "shop"))
        self.assertEqual(self.get(node).body, b"one ahidden")
        self.assertIn("no version before", self.verge(node, "rollback", "shop", code=1))
        # It is there again after a restart, and after a kill.
        node.stop()
        node.start()
        self.assertEqual(self.get(node).body, b"one ahidden")
        node.kill9()
        node.start()
        self.assertIn("version 2", self.verge(node, "rollback", "shop", "--version", "2"))
        self.assertEqual(self.get(node).body, b"two")
        self.verge(node, "remove", "shop")
        self.assertEqual(self.get(node).status, 404)
        self.assertNotIn("shop", self.verge(node, "list"))
        self.assertNotIn("hidden", node.log())

    def test_a_deploy_is_for_all_nodes_or_none(self):
        one = self.served()
        two = self.node("two", HEAD.format(site="")).start()
        # There `fixed` is configured, and is not to be deployed over.
        three = self.node("three", HEAD.format(site="") + self.worker(
            "fixed", source('return new Response("configured");'), 'routes = ["fixed.test/*"]')).start()
        both = ("--admin", two.addresses["admin"])
        said = self.deploy(one, source('return new Response("first");'), *both)
        for part in ("shop@1", '["two","node"]', "100 %", "2 of 2"):
            self.assertIn(part, said)
        self.deploy(one, source('return new Response("second");'), *both)
        for node in (one, two):
            self.assertEqual(self.get(node).body, b"second")
        said = self.verge(one, "rollback", "shop", *both)
        self.assertEqual(said.count("runs as version 1"), 2)
        for node in (one, two):
            self.assertEqual(self.get(node).body, b"first")
        # The last one refuses: the others are as they were.
        refused = self.deploy(three, source('return new Response("new");'), *both, "--admin", one.addresses["admin"], name="fixed.js",
                              code=1)
        self.assertIn("workers.configured", refused)
        self.assertEqual(refused.count("is gone again"), 2)
        refused = self.deploy(three, source('return new Response("third");'), "--name", "fixed", *both, name="other.js", code=1)
        self.assertIn("workers.configured", refused)
        self.deploy(one, source('return new Response("old");'), name="fixed.js")
        refused = self.deploy(three, source('return new Response("new");'), "--admin", one.addresses["admin"], name="fixed.js", code=1)
        self.assertIn("is back at version 1", refused)
        self.verge(one, "remove", "shop", *both)
        for node in (one, two):
            self.assertEqual(self.verge(node, "list").count("shop "), 0)

    def test_what_cannot_start_changes_nothing(self):
        node = self.served(("fixed", source('return new Response("fixed");'), 'routes = ["fixed.test/*"]'))
        self.deploy(node, source('return new Response("good");'))
        refused = self.deploy(node, "export default {\n  fetch() { return new Response( }\n};", code=1)
        self.assertIn("workers.syntax", refused)
        self.assertIn("shop.js:2", refused)
        self.assertIn("workers.exception", self.deploy(node, 'throw new Error("at once");', code=1))
        self.assertIn("config.value", self.deploy(node, "export default {};", "--position", "nowhere", code=1))
        self.assertEqual(self.get(node).body, b"good")
        self.assertRegex(self.verge(node, "list"), r"shop +1 ")
        # Nor can what is configured be deployed over.
        self.assertIn("workers.configured", self.deploy(node, source("return null;"), name="fixed.js", code=1))
        self.assertEqual(self.get(node, host="fixed.test").body, b"fixed")

    def test_a_deploy_fails_no_request(self):
        node = self.served()
        self.deploy(node, source('return new Response("0");'))
        answers, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                answer = self.get(node)
                answers.append((answer.status, answer.body))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for i in range(1, 6):
            self.deploy(node, source(f'return new Response("{i}");'))
            wait_until(lambda want=b"%d" % i: answers[-1][1] == want, f"version {i} answers")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual({status for status, _ in answers}, {200})

    def test_a_deploy_needs_a_token_where_there_is_one(self):
        token = self.file("token", "let-me-in\n")
        node = self.node("node", f'[workers]\ndeploy_tokens = [{{ file = "{token}" }}]\n').start()
        good = source('return new Response("in");')
        self.assertIn("workers.unauthorized", self.deploy(node, good, code=1))
        self.assertIn("workers.unauthorized",
                      self.deploy(node, good, "--token-file", self.file("other", "wrong\n"), code=1))
        self.deploy(node, good, "--token-file", token)
        self.assertEqual(self.get(node).body, b"in")
        self.assertIn("workers.unauthorized", self.verge(node, "remove", "shop", code=1))
        self.verge(node, "remove", "shop", "--token-file", token)
        # A page in a browser on this machine is nobody.
        from_page = verge.http_request(node.addresses["admin"], "POST", "/v1/workers", b"{}", {"Origin": "http://evil.test"})
        self.assertEqual(from_page.status, 403)

    def test_what_is_no_bundle_is_refused(self):
        node = self.served()
        for body, code in ((b"", "workers.bundle"), (b'{"worker":{"name":"a"}}', "workers.bundle"),
                           (b'{"worker":{"name":"a/b"},"modules":[{"name":"a.js","source":""}]}', "config.range")):
            answer = node.admin("/v1/workers", "POST", body)
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (400, code))
        self.assertEqual(node.admin("/v1/workers/none").status, 404)
        self.assertEqual(node.admin("/v1/workers/none/rollback", "POST").status, 404)
        self.assertEqual(node.admin("/v1/workers", "PUT", b"{}").status, 405)


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    verge.unittest.main(verbosity=2)
