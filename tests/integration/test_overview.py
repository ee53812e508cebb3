"""What a node shows of itself and of the nodes below it: the API as described, reports, streams, who may ask."""

import json
import os
import re
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import event_stream
import openapi
import origin
import verge

RULES = """
[[rule]]
name = "hot"
sql = "SELECT device, t FROM 'plant/+/oven' WHERE t > 90"
do = [{ publish = "plant/${device}/fan", payload = "on" }, { upload = "high", topic = "plant/${device}/hot" }]
"""
# From the last report of a node that is cut off to the word that it is gone.
OFFLINE_S = 5


def states(node):
    tree = node.admin("/v1/tree").json()
    return {each["name"]: each["state"] for each in tree["nodes"]}


class Overview(verge.TestCase):
    def watch(self, node, path="/v1/stream"):
        stream = event_stream.EventStream(node.addresses["admin"], path)
        self.addCleanup(stream.close)
        return stream

    def test_the_api_is_as_described(self):
        """Every answer has what docs/openapi.json says, and nothing else; every path has the parameters it says."""
        server = origin.Origin(lambda request: request.give(fields=[("Cache-Control", "max-age=60")], body=b"page"))
        self.addCleanup(server.end)
        site = f'[[site]]\nhosts = ["shop.test"]\norigins = "{server.url}"\n'
        cloud = self.node("cloud", tier="cloud", sets=["node.children=[\"edge\", \"ghost\"]"]).start()
        code = os.path.join(self.directory, "hot.js")
        with open(code, "w", encoding="utf-8") as file:
            file.write("export default { fetch() { return new Response('hot'); } };")
        site += f'[[worker]]\nname = "hot"\nfile = "{code}"\nroutes = ["worker.test/*"]\n'
        edge = self.node("edge", RULES + site, parent=cloud,
                         sets=["node.site=Halle", "node.position=51.5, 11.97", "cache.disk_bytes_max=16MiB"]).start()
        edge.post("/v1/events", {"topic": "plant/7/oven", "device": "7", "payload": {"t": 99}})
        edge.post("/", None, {"Host": "shop.test"}, method="GET")
        self.assertEqual(edge.admin("/v1/twins/press-7", "PATCH", '{"desired":{"speed":3}}').status, 200)
        verge.wait_until(lambda: states(cloud).get("edge") == "live", "the edge reports")
        verge.wait_until(lambda: edge.admin("/v1/now").json()["totals"]["requests"] > 0, "the request is counted")
        description = openapi.Description()
        self.assertEqual(edge.admin("/v1/openapi.json").json(), description.document, "the node serves the file itself")
        compared = 0
        for path, methods in description.paths.items():
            if "get" not in methods:
                continue
            if path.startswith(("/v1/kv/", "/v1/queues/")):
                continue  # test_kv.py and test_queues.py have what they are about
            parameters = methods["get"].get("parameters", [])
            query = "&".join(f"{each['name']}={each['example']}" for each in parameters if "example" in each)
            if path == "/v1/cache":
                query = "url=http://shop.test/"
            content = methods["get"]["responses"]["200"]["content"]
            if "application/json" in content:
                for node in (edge, cloud):
                    if node is cloud and (path == "/v1/cache" or "{" in path):
                        continue
                    answer = node.admin(path.replace("{name}", "hot").replace("{device}", "press-7") + ("?" + query if query else ""))
                    self.assertEqual(answer.status, 200, f"{path}: {answer}")
                    problems = description.problems(answer.json(), description.schema_of(path))
                    self.assertEqual(problems, [], f"{path} at {node.name}")
                    compared += 1
        self.assertGreater(compared, 18)
        for name, schema in (("now", "Now"), ("tree", "Tree"), ("insights", "Insights"), ("goals", "Goals")):
            data = self.watch(cloud).wait(name)
            self.assertEqual(description.problems(data, {"$ref": f"#/components/schemas/{schema}"}), [], name)
        tree = cloud.admin("/v1/tree").json()
        self.assertEqual(tree["never_seen"], ["ghost"])
        found = tree["nodes"][0]
        self.assertEqual((found["site"], found["latitude"], found["longitude"]), ("Halle", 51.5, 11.97))
        self.assertEqual([region["site"] for region in tree["regions"]], ["", "Halle"])

    def test_records_are_late_from_when_their_batch_should_have_left(self):
        server = origin.Origin(lambda request: request.give(503))
        self.addCleanup(server.end)
        node = self.node("edge", RULES, parent=server.url, sets=["parent.batch_age_max=1h"]).start()

        def lag():
            return {each["id"]: each for each in node.admin("/v1/goals").json()["goals"]}["lag"]

        node.post("/v1/events", {"topic": "plant/7/x", "device": "7", "priority": "normal", "payload": {}})
        verge.wait_until(lambda: node.admin("/v1/now").json()["figures"]["oldest_waiting_ms"], "a record waits")
        self.assertEqual((lag()["measured"], lag()["met"]), (0, True))
        node.post("/v1/events", {"topic": "plant/7/y", "device": "7", "priority": "critical", "payload": {}})
        verge.wait_until(lambda: lag()["measured"] > 50, "what is critical should have left at once")
        self.assertFalse(lag()["met"])

    def test_a_node_knows_that_its_own_clock_is_wrong(self):
        """By the time that its parent answers with: here one whose clock is an hour behind."""
        parent_id = "5" * 32

        def answer(request):
            if request.path != "/v1/report":
                return request.give(503)
            now_us = int((time.time() - 3600) * 1e6)
            return request.give(200, body=json.dumps({"id": parent_id, "name": "cloud", "tier": "cloud", "site": "bad\u2028",
                                                      "version": "1", "now_us": now_us}).encode())

        server = origin.Origin(answer)
        self.addCleanup(server.end)
        node = self.node("edge", parent=server.url).start()
        verge.wait_until(lambda: node.admin("/v1/tree").json()["self"]["skew_ms"], "its clock is compared")
        tree = node.admin("/v1/tree").json()
        self.assertAlmostEqual(tree["self"]["skew_ms"], 3_600_000, delta=5000)
        self.assertEqual((tree["parent"]["id"], tree["parent"]["site"]), (parent_id, ""))
        self.assertIn("clock-skew", [each["id"] for each in node.admin("/v1/insights").json()["insights"]])

    def test_every_path_says_which_methods_it_has(self):
        script = os.path.join(self.directory, "hello.js")
        with open(script, "w", encoding="utf-8") as file:
            file.write("export default { fetch() { return new Response('hello'); } };")
        node = self.node("edge", RULES + '[[site]]\nhosts = ["s.test"]\norigins = ["http://127.0.0.1:1"]\n'
                         f'[[queue]]\nname = "x"\n[[worker]]\nname = "x"\nfile = "{script}"\nroutes = ["w.test/*"]\nkv = {{ K = "x" }}\n').start()
        description = openapi.Description()
        compared = set()
        for path, methods in description.paths.items():
            served = {method.upper() for method in methods}
            for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - served:
                where = "/".join("x" if step.startswith("{") else step for step in path.split("/"))
                answer = node.admin(where, method, "{}" if method in ("POST", "PUT", "PATCH") else None)
                self.assertEqual(answer.status, 405, f"{method} {path}: {answer}")
                self.assertEqual(set(answer.fields["allow"].split(", ")) - {"HEAD"}, served, f"{method} {path}")
                self.assertEqual(answer.json()["error"]["code"], "http.method", path)
                compared.add(path)
        self.assertEqual(compared, set(description.paths))

    def test_every_path_refuses_parameters_that_it_does_not_have(self):
        node = self.node("edge").start()
        description = openapi.Description()
        refused = 0
        for path, methods in description.paths.items():
            for method, described in methods.items():
                if not path.startswith("/v1/") or method == "parameters":
                    continue
                place = re.sub(r"{\w+}", "some", path) + "?certainly_none=1"
                answer = node.admin(place, method.upper())
                self.assertEqual(answer.status, 400, f"{method} {path}: {answer}")
                error = answer.json()["error"]
                self.assertEqual(error["code"], "http.unknown-parameter", f"{method} {path}")
                self.assertEqual(description.problems(answer.json(), {"$ref": "#/components/schemas/Error"}), [])
                named = [] if error["fix"] == "it has none" else error["fix"].removeprefix("it has ").split(", ")
                parameters = [each["name"] for each in described.get("parameters", []) if each.get("in") == "query"]
                self.assertEqual(sorted(named), sorted(parameters), f"{method} {path}")
                refused += 1
        self.assertGreater(refused, 40)
        self.assertEqual(node.admin("/v1/kv/some/a/key?tll=60", "PUT", "x").json()["error"]["fix"], "did you mean 'ttl'?")

    def test_values_of_parameters_that_are_none_are_refused(self):
        code = os.path.join(self.directory, "w.js")
        with open(code, "w", encoding="utf-8") as file:
            file.write("export default { fetch() { return new Response('w'); } };")
        node = self.node("edge", RULES + f'[[worker]]\nname = "w"\nfile = "{code}"\nroutes = ["w.test/*"]\n'
                                         '[[queue]]\nname = "q"\n').start()
        for path in ("/v1/workers/w/console?after=x", "/v1/workers/w/console?calls=1", "/v1/rules/hot/trace?lines=x",
                     "/v1/rules/hot/trace?seconds=0", "/v1/queues/q?limit=abc", "/v1/queues/q?limit=0"):
            answer = node.admin(path)
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (400, "http.parameter"), path)
        answer = node.admin("/v1/tail?rule=nope")
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (404, "rules.unknown"))
        for body in ('{"url":"http://w.test/","header":[]}', '{"url":"http://w.test/","method":3}',
                     '{"url":"http://w.test/","fields":"a: b"}', '["http://w.test/"]'):
            answer = node.admin("/v1/request", "POST", body)
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (400, "http.request"), body)

    def test_who_may_deploy_may_change_what_workers_keep(self):
        """From another machine, where both kinds of tokens are set: the one for deploys is enough."""
        address = verge.own_address()
        if address is None:
            self.skipTest("this machine has loopback only")
        tokens = {}
        for name in ("admin", "deploy"):
            tokens[name] = os.path.join(self.directory, name)
            with open(tokens[name], "w", encoding="utf-8") as file:
                file.write(f"token-of-{name}\n")
        code = os.path.join(self.directory, "w.js")
        with open(code, "w", encoding="utf-8") as file:
            file.write("export default { fetch() { return new Response('w'); } };")
        node = self.node("edge", f'[admin]\ntokens = [{{ file = "{tokens["admin"]}" }}]\n'
                                 f'[workers]\ndeploy_tokens = [{{ file = "{tokens["deploy"]}" }}]\n'
                                 f'[[worker]]\nname = "w"\nfile = "{code}"\nroutes = ["w.test/*"]\nkv = {{ K = "k" }}\n'
                                 '[[queue]]\nname = "one"\n[[queue]]\nname = "two"\n',
                         sets=["node.allow_anonymous=true", f"admin.listen={address}:0"]).start()
        self.assertTrue(node.addresses["admin"].startswith(address), node.addresses)

        def ask(method, path, name, body=None):
            shown = {"Authorization": f"Bearer token-of-{name}"} if name else {}
            return verge.http_request(node.addresses["admin"], method, path, body, shown).status

        for method, path, body in (("PUT", "/v1/kv/k/x", "1"), ("GET", "/v1/kv/k/x", None),
                                   ("POST", "/v1/queues/one/retry?to=two", None)):
            self.assertEqual(ask(method, path, "deploy", body), 200, f"{method} {path}")
            self.assertEqual(ask(method, path, "", body), 401, f"{method} {path}")
        self.assertEqual(ask("PUT", "/v1/kv/k/x", "admin", "1"), 401, "who looks may not change")
        self.assertEqual(ask("GET", "/v1/status", "deploy"), 401, "the rest is not of workers")
        self.assertEqual(ask("GET", "/v1/kvx", "deploy"), 401)

    def test_a_check_that_cannot_fail_is_none(self):
        description = openapi.Description()
        schema = description.schema_of("/v1/insights")
        self.assertEqual(description.problems({"insights": []}, schema), [])
        for wrong in ({}, {"insights": [], "more": 1}, {"insights": [{"id": "a"}]}, {"insights": 3}, []):
            self.assertNotEqual(description.problems(wrong, schema), [], wrong)

    def test_a_node_that_is_cut_off_is_offline_and_comes_back(self):
        """Seen from above and from below, within five seconds, also in a stream."""
        tree = self.tree().start()
        verge.wait_until(lambda: states(tree.cloud) == {"fog": "live", "edge": "live"}, lambda: states(tree.cloud))
        known = tree.cloud.admin("/v1/tree").json()
        by_name = {each["name"]: each for each in known["nodes"]}
        self.assertEqual(by_name["fog"]["parent"], known["self"]["id"])
        self.assertEqual(by_name["edge"]["parent"], by_name["fog"]["id"])
        self.assertEqual(states(tree.edge), {}, "who is above is not below")
        parent = tree.edge.admin("/v1/tree").json()["parent"]
        self.assertEqual((parent["name"], parent["tier"], parent["state"]), ("fog", "fog", "live"))
        above, below = self.watch(tree.cloud), self.watch(tree.edge)
        above.wait("tree"), below.wait("tree")
        from_above, from_below = above.count(), below.count()
        tree.fog.kill9()
        began = time.monotonic()
        above.wait("tree", lambda data: any(n["name"] == "fog" and n["state"] == "offline" for n in data["nodes"]),
                   after=from_above)
        seen_above = time.monotonic() - began
        below.wait("tree", lambda data: data["parent"]["state"] == "offline", after=from_below)
        seen_below = time.monotonic() - began
        print(f"offline seen from above after {seen_above:.1f} s, from below after {seen_below:.1f} s", flush=True)
        self.assertLess(seen_above, OFFLINE_S)
        self.assertLess(seen_below, OFFLINE_S)
        self.assertEqual(states(tree.cloud)["edge"], "stale", "nobody can say")
        insight = tree.cloud.admin("/v1/insights").json()["insights"][0]
        self.assertEqual((insight["id"], insight["level"], insight["node"]), ("nodes-offline", "warning", "fog"))

        def is_said_below():
            return "parent-away" in [each["id"] for each in tree.edge.admin("/v1/insights").json()["insights"]]

        verge.wait_until(is_said_below, "the edge says that it does not reach its parent")
        tree.fog.start()
        verge.wait_until(lambda: states(tree.cloud) == {"fog": "live", "edge": "live"}, lambda: states(tree.cloud))
        verge.wait_until(lambda: tree.edge.admin("/v1/tree").json()["parent"]["state"] == "live", "the parent is back")
        verge.wait_until(lambda: not is_said_below(), "nor does the edge say anything of it any more")
        self.assertEqual([each for each in tree.cloud.admin("/v1/insights").json()["insights"]
                          if each["id"] == "nodes-offline"], [])

    def test_reports_need_the_token_of_children(self):
        secret = os.path.join(self.directory, "token")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("known-here\n")
        token = f'{{ file = "{secret}" }}'
        cloud = self.node("cloud", f"[http]\nuplink_tokens = [{token}]\n", tier="cloud").start()
        self.node("edge", f"[parent]\ntoken = {token}\n", parent=cloud).start()
        self.node("stranger", parent=cloud).start()
        verge.wait_until(lambda: states(cloud).get("edge") == "live", "the edge reports")
        self.assertEqual(cloud.post("/v1/report", {"every_ms": 2000}).status, 401)
        answer = cloud.post("/v1/report", {"every_ms": 2000}, {"Authorization": "Bearer known-here"})
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (400, "report.malformed"))
        self.assertEqual(states(cloud), {"edge": "live"})

    def test_the_tail_shows_what_is_asked_for(self):
        node = self.node("edge", RULES).start()
        ovens, rule = self.watch(node, "/v1/tail?topic=plant/%2B/oven"), self.watch(node, "/v1/tail?rule=hot")
        client = self.mqtt(node, "d7")
        client.wait_acknowledged([client.publish("plant/d7/oven", {"t": t}) for t in (80, 95)]
                                 + [client.publish("other", {"t": 1})])
        seen = ovens.wait("event", lambda data: "95" in data["payload"])
        self.assertEqual((seen["kind"], seen["topic"], seen["device"]), ("message", "plant/d7/oven", "d7"))
        rule.wait("event", lambda data: data["kind"] == "upload")
        rule.wait("event", lambda data: data["kind"] == "command" and data["topic"] == "plant/d7/fan")
        self.assertEqual({data["kind"] for _, data in rule.events}, {"command", "upload"})
        self.assertEqual({data["topic"] for _, data in ovens.events}, {"plant/d7/oven"})
        description = openapi.Description()
        self.assertEqual(description.problems(seen, {"$ref": "#/components/schemas/Tailed"}), [])
        # More than is shown at a time is counted.
        for _ in range(5):
            client.wait_acknowledged([client.publish("plant/d7/oven", {"t": 1}) for _ in range(1000)])
        self.assertGreater(ovens.wait("missing")["count"], 0)

    def test_history_is_of_what_was_asked_for(self):
        node = self.node("edge").start()
        verge.wait_until(lambda: len(node.admin("/v1/history").json()["times_ms"]) >= 2, "two samples")
        history = node.admin("/v1/history?series=cpu_cores,connections&points=1&seconds=60").json()
        self.assertEqual(list(history["series"]), ["cpu_cores", "connections"])
        self.assertEqual(len(history["times_ms"]), 1)
        self.assertEqual(history["series"]["connections"], [0])
        for bad in ("series=none", "points=0", "seconds=99999", "points=x"):
            self.assertEqual(node.admin("/v1/history?" + bad).json()["error"]["code"], "history.query", bad)

    def test_latency_is_predicted_for_a_place(self):
        node = self.node("edge", sets=["node.position=Paris"]).start()
        answer = node.admin("/v1/latency?place=london").json()
        self.assertEqual([each["node"] for each in answer["nodes"]], ["edge"])
        found = answer["nodes"][0]
        self.assertAlmostEqual(found["distance_km"], 344, delta=15)
        self.assertTrue(2 < found["p10_ms"] < found["latency_ms"] < found["p90_ms"] < 20, found)
        self.assertTrue(0.85 <= found["confidence"] <= 0.95, found)
        self.assertEqual(node.admin("/v1/latency?place=").status, 400)
        self.assertEqual(node.admin("/v1/latency?place=nowhere-at-all").status, 404)
        self.assertTrue(0.85 <= found["confidence"] <= 0.95, found)
        self.assertEqual(node.admin("/v1/latency?place=Atlantis").json()["error"]["code"], "latency.place")

    def test_who_may_ask(self):
        node = self.node("edge").start()
        admin = node.addresses["admin"]
        evil = verge.http_request(admin, "GET", "/v1/status", fields={"Host": "evil.example:9180"})
        self.assertEqual((evil.status, evil.json()["error"]["code"]), (403, "admin.host"))
        self.assertEqual(verge.http_request(admin, "GET", "/v1/status", fields={"Host": "localhost"}).status, 200)
        page = verge.http_request(admin, "POST", "/v1/rules", "{}", {"Origin": "http://evil.example"})
        self.assertEqual((page.status, page.json()["error"]["code"]), (403, "http.from-page"))
        own = verge.http_request(admin, "POST", "/v1/rules", "{}", {"Origin": f"http://{admin}"})
        self.assertEqual(own.status, 400, "its own page gets as far as the rule, which is none")

    def test_a_head_is_answered_at_once(self):
        node = self.node("edge", RULES).start()
        for path in ("/v1/rules/hot/trace?seconds=300", "/v1/tail", "/v1/stream"):
            self.assertEqual(node.admin(path, "HEAD").status, 200, path)

    def test_a_report_from_no_time_at_all_is_taken_as_without(self):
        node = self.node("cloud", tier="cloud").start()
        for sent in (-(2**63), 2**63 - 1, -1):
            body = {"every_ms": 2000, "sent_us": sent, "nodes": [{"id": "1" * 32, "name": "kid", "tier": "edge"}]}
            self.assertEqual(node.post("/v1/report", body).status, 200)
        self.assertEqual(node.admin("/v1/tree").json()["nodes"][0]["skew_ms"], None)

    def test_a_token_that_is_taken_back_ends_its_streams(self):
        token = os.path.join(self.directory, "token")

        def write(text):
            with open(token, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(token, 0o600)

        write("the-first-token\n")
        node = self.node("edge", f'[admin]\ntokens = [{{ file = "{token}" }}]\n').start()
        streams = [self.watch(node), self.watch(node, "/v1/tail")]
        streams[0].wait("tree")
        node.signal(signal.SIGHUP)
        verge.wait_until(lambda: "was reloaded" in node.log(), node.log)
        self.assertFalse(any(stream.ended for stream in streams), "tokens are as they were")
        write("the-second-token\n")
        node.signal(signal.SIGHUP)
        verge.wait_until(lambda: all(stream.ended for stream in streams), "they end")
        self.watch(node).wait("tree")

    def test_streams_are_bounded(self):
        node = self.node("edge").start()
        streams = [self.watch(node) for _ in range(32)]
        streams[-1].wait("tree")
        self.assertEqual(node.admin("/v1/stream").json()["error"]["code"], "admin.streams")
        for stream in streams:
            stream.close()
        verge.wait_until(lambda: self.watch(node).response.status == 200, "those that left make room")


if __name__ == "__main__":
    unittest.main(verbosity=2)
