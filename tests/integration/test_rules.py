"""Rules of a node over HTTP, and `verge rules`."""

import json
import os
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import openapi
import verge

RULES = """
[[table]]
name = "machines"
key = "id"
file = "%s"
[[rule]]
name = "hot"
sql = "SELECT device, m.hall AS hall, temperature FROM 'plant/+/oven' JOIN TABLE machines AS m ON m.id = device WHERE temperature > 100"
do = [{ publish = "alarm/${hall}" }]
[[rule]]
name = "mean"
sql = "SELECT device, avg(temperature) AS mean FROM 'plant/+/oven' TIMESTAMP BY ts GROUP BY device, TUMBLING(10 s)"
do = [{ publish = "mean/${device}" }]
"""


class Rules(verge.TestCase):
    def config(self):
        table = os.path.join(self.directory, "machines.csv")
        with open(table, "w", encoding="utf-8") as out:
            out.write("id,hall\noven-1,north\n")
        return RULES % table

    def lines(self, *arguments):
        answer = verge.run("rules", *arguments)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return [json.loads(line) for line in answer.stdout.splitlines()]


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def sent(number, value):
    """A field as Protocol Buffers write it."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


class Payloads(verge.TestCase):
    """Payloads that are not JSON, by topic."""

    CONFIG = """
[[payload]]
topic = "+/cbor"
format = "cbor"
[[payload]]
topic = "+/proto"
format = "protobuf"
file = "%s"
type = "plant.%s"
[[rule]]
name = "hot"
sql = "SELECT device, temperature FROM '+/+' WHERE temperature > 100"
do = [{ publish = "alarm/${device}" }]
[[rule]]
name = "all"
sql = "SELECT *, lag(temperature) AS before FROM '+/+'"
do = [{ publish = "all/x/y" }]
"""

    def config(self, type_name="Reading"):
        # message Reading { double temperature = 1; } of package plant; FileDescriptorProto and those below.
        field = sent(1, b"temperature") + sent(3, 1) + sent(4, 1) + sent(5, 1)
        file = sent(1, b"plant.proto") + sent(2, b"plant") + sent(4, sent(1, b"Reading") + sent(2, field)) + sent(12, b"proto3")
        path = os.path.join(self.directory, "plant.desc")
        with open(path, "wb") as out:
            out.write(sent(1, file))
        return self.CONFIG % (path, type_name)

    def test_rules_read_them(self):
        node = self.node("edge", self.config()).start()
        client = self.mqtt(node)
        client.subscribe("alarm/#")
        client.subscribe("all/#")
        hot_cbor = b"\xa1\x6btemperature\x18\x65"
        client.publish("d1/cbor", hot_cbor)
        client.publish("d2/json", hot_cbor)
        client.publish("d3/proto", sent(1, 99.5))
        client.publish("d4/proto", sent(1, 101.5))
        client.publish("d5/json", {"temperature": 102})
        client.publish("d6/cbor", b"\xa1")
        wanted = {"alarm/d1": {"device": "d1", "temperature": 101}, "alarm/d4": {"device": "d4", "temperature": 101.5},
                  "alarm/d5": {"device": "d5", "temperature": 102}}
        client.wait(lambda: len(client.messages) == 9, lambda: f"3 alarms and 6 copies; got {client.payloads()}")
        got = {m.topic: json.loads(m.payload) for m in client.messages if m.topic.startswith("alarm/")}
        self.assertEqual(got, wanted)
        copies = sorted(json.dumps(json.loads(payload)) for payload in client.payloads("all/x/y"))
        self.assertEqual(copies, sorted(json.dumps(each) for each in (
            {"before": None}, {"before": None}, {"temperature": 101, "before": None},
            {"temperature": 99.5, "before": None}, {"temperature": 101.5, "before": None},
            {"temperature": 102, "before": None})))

    def test_what_is_wrong_is_said_with_its_place(self):
        node = self.node("edge", self.config("Raeding"))
        answer = verge.run("check", node.config_path)
        self.assertNotEqual(answer.returncode, 0)
        self.assertIn("did you mean plant.Reading?", answer.stdout + answer.stderr)
        self.assertIn("node.toml:8", answer.stdout + answer.stderr)


class ByTheClock(verge.TestCase):
    def test_a_condition_lasts_though_no_message_says_so(self):
        node = self.node("edge", """
[[rule]]
name = "long"
sql = "SELECT device, v FROM 'tank/+' WHERE v > 10 FOR 300 ms"
do = [{ publish = "long/${device}" }]
""", sets=["runtime.loops=2"]).start()
        client = self.mqtt(node)
        client.subscribe("long/#")
        for device in ("a", "b", "c"):
            client.publish_and_wait(f"tank/{device}", {"v": 11})
        client.publish("tank/b", {"v": 9})
        client.wait_messages(2)
        self.assertEqual(sorted(message.topic for message in client.messages), ["long/a", "long/c"])


class Named(verge.TestCase):
    @verge.unittest.skipIf(verge.find_program("promtool", "VERGE_PROMTOOL") is None, "promtool is not installed")
    def test_a_rule_of_any_name_leaves_the_metrics_sound(self):
        node = self.node("edge").start()
        for name in ("a\tb", "a\u0001b", 'a"b\\c', "a\nb"):
            made = node.admin("/v1/rules", "POST", json.dumps({"name": name, "sql": "SELECT * FROM 'a'", "do": [{"drop": True}]}))
            self.assertIn(made.status, (201, 400), made)
        metrics = node.admin("/metrics").body.decode()
        checked = subprocess.run([verge.find_program("promtool", "VERGE_PROMTOOL"), "check", "metrics"], input=metrics, text=True,
                                 capture_output=True, timeout=verge.PATIENCE)
        self.assertEqual((checked.returncode, checked.stdout), (0, ""), checked)


class OverHttp(Rules):
    def test_create_stop_start_delete_and_restart(self):
        node = self.node("edge", self.config()).start()
        client = self.mqtt(node)
        client.subscribe("cold/#")
        rule = {"name": "cold", "sql": "SELECT device, temperature AS t FROM 'plant/+/oven' WHERE temperature < 5",
                "do": [{"publish": "cold/${device}", "payload": "${t}"}], "report": "none"}
        created = node.admin("/v1/rules", "POST", json.dumps(rule))
        self.assertEqual(created.status, 201, created)
        self.assertEqual([each["name"] for each in created.json()["rules"]], ["hot", "mean", "cold"])
        client.publish("plant/oven-1/oven", {"temperature": 4})
        client.wait(lambda: len(client.messages) == 1, "the created rule publishes")
        self.assertEqual(node.admin("/v1/rules/cold/stop", "POST").status, 200)
        self.assertEqual(node.admin("/v1/rules/cold").json()["state"], "stopped")
        client.publish("plant/oven-1/oven", {"temperature": 3})
        node.stop()
        node.start()
        client.wait(lambda: client.connections == 2, "the client is back")
        client.subscribe("cold/#")
        self.assertEqual(node.admin("/v1/rules/cold").json()["state"], "stopped")
        self.assertEqual(node.admin("/v1/rules/cold/start", "POST").status, 200)
        client.publish("plant/oven-1/oven", {"temperature": 2})
        client.wait(lambda: len(client.messages) == 2, "it publishes again")
        self.assertEqual([message.payload for message in client.messages], [b"4", b"2"])
        inspected = node.admin("/v1/rules/cold").json()
        self.assertEqual((inspected["matched"], inspected["rows"], inspected["created"]), (1, 1, True))
        self.assertEqual(node.admin("/v1/rules/cold", "DELETE").status, 200)
        self.assertEqual(node.admin("/v1/rules/cold").status, 404)

    def test_a_created_rule_is_replaced_and_keeps_its_state(self):
        description = openapi.Description()
        node = self.node("edge", self.config()).start()
        client = self.mqtt(node)
        client.subscribe("sum/#")
        rule = {"name": "sum", "sql": "SELECT count(*) AS n, max(t) AS most FROM 's' GROUP BY COUNT(3)",
                "do": [{"publish": "sum/old", "qos": 1}, {"upload": "low"}], "report": "none"}
        created = node.admin("/v1/rules", "POST", json.dumps(rule)).json()
        self.assertEqual(description.problems(created, description.schema_of("/v1/rules")), [])
        shown = node.admin("/v1/rules/sum").json()
        self.assertEqual(description.problems(shown, description.schema_of("/v1/rules/{name}")), [])
        self.assertEqual([shown[key] for key in ("do", "report", "warnings")], [rule["do"], "none", []])
        for t in (7, 8):
            client.publish("s", {"t": t})
        verge.wait_until(lambda: node.admin("/v1/rules/sum").json()["matched"] == 2, "both were taken")
        other = {**rule, "do": [{"publish": "sum/new"}], "report": "high"}
        put = node.admin("/v1/rules/sum", "PUT", json.dumps(other))
        self.assertEqual(put.status, 200, put)
        self.assertEqual(description.problems(put.json(), description.schema_of("/v1/rules/{name}", "put")), [])
        shown = node.admin("/v1/rules/sum").json()
        self.assertEqual([shown[key] for key in ("do", "report", "matched")], [other["do"], "high", 2])
        client.publish("s", {"t": 1})
        client.wait(lambda: client.messages, "the third reading ends the window that was open")
        self.assertEqual([(each.topic, json.loads(each.payload)) for each in client.messages],
                         [("sum/new", {"n": 3, "most": 8})])
        for name, body, status in (("sum", {**rule, "name": "else"}, 400), ("sum", {**rule, "sql": "SELECT"}, 400),
                                   ("hot", {**rule, "name": "hot"}, 409), ("none", {**rule, "name": "none"}, 404)):
            refused = node.admin(f"/v1/rules/{name}", "PUT", json.dumps(body))
            self.assertEqual(refused.status, status, refused)
            self.assertEqual(description.problems(refused.json(), description.schema_of("/v1/rules/{name}", "put",
                                                                                        "default")), [])
        self.assertEqual(node.admin("/v1/rules/sum").json()["sql"], rule["sql"])

    def test_an_error_names_the_column_and_suggests(self):
        node = self.node("edge", self.config()).start()

        def refused(sql):
            answer = node.admin("/v1/rules", "POST", json.dumps({"name": "a", "sql": sql, "do": [{"drop": True}]}))
            self.assertEqual(answer.status, 400, answer)
            error = answer.json()["error"]
            return error["code"], error["line"], error["column"], error["fix"]

        self.assertEqual(refused("SELECT 'é',\n  avrage(v) FROM 'x' GROUP BY TUMBLING(1 s)"),
                         ("rule.unknown-function", 2, 3, "did you mean avg?"))
        self.assertEqual(refused("SELECT 'é', lookup('machine', device, 'hall') FROM 'x'"),
                         ("rule.table", 1, 20, "did you mean machines?"))
        self.assertEqual(refused("SELECT lookup('machines', device, 'hal') FROM 'x'"),
                         ("rule.table", 1, 35, "did you mean hall?"))
        code, line, column, fix = refused("SELECT max(v) AS most FROM 'x' GROUP BY TUMBLING(1 s) HAVING mots > 1")
        self.assertEqual((code, line, column), ("rule.not-grouped", 1, 62))
        self.assertIn("did you mean most?", fix)
        warned = node.admin("/v1/rules", "POST", json.dumps(
            {"name": "a", "sql": "SELECT t * 2 AS f\nFROM 'x' WHERE f > 3", "do": [{"drop": True}]})).json()["rules"][-1]
        self.assertEqual([(each["code"], each["line"], each["column"]) for each in warned["warnings"]],
                         [("rule.column", 2, 16)])

    def test_check_warns(self):
        path = os.path.join(self.directory, "warned.toml")
        with open(path, "w") as file:
            file.write(f"""
[[worker]]
name = "alarms"
file = "{self.directory}/alarms.js"

[[rule]]
name = "a"
sql = "SELECT t * 2 AS f FROM 'x' WHERE f > 3"
do = [{{ drop = true }}, {{ worker = "alarm" }}]
""")
        with open(os.path.join(self.directory, "alarms.js"), "w") as file:
            file.write("export default {};")
        checked = verge.run("check", path)
        self.assertEqual(checked.returncode, 0, checked)
        self.assertIn(f"warning: {path}:8:41: WHERE reads the message's field f", checked.stderr)
        self.assertRegex(checked.stderr, r"warning: .*:9:.*there is no worker alarm .*did you mean alarms\? \[rule.worker\]")
        asked = json.loads(verge.run("check", path, "--json").stdout)
        self.assertEqual([each["code"] for each in asked["warnings"]], ["rule.column", "rule.worker"])

    def test_what_is_wrong_is_said_as_for_the_file(self):
        node = self.node("edge", self.config()).start()

        def refused(rule, status, *words):
            answer = node.admin("/v1/rules", "POST", rule if isinstance(rule, str) else json.dumps(rule))
            self.assertEqual(answer.status, status, answer)
            for word in words:
                self.assertIn(word, json.dumps(answer.json()))

        good = {"name": "a", "sql": "SELECT * FROM 'x'", "do": [{"drop": True}]}
        refused("no JSON", 400, "rules.json")
        refused({**good, "sql": "SELECT rond(a) FROM 'x'"}, 400, "rule.unknown-function", "round")
        refused({**good, "sql": "SELECT m.hal FROM 'x' JOIN TABLE machines AS m ON m.id = device"}, 400, "rule.table", "hall")
        refused({**good, "does": []}, 400, "config.unknown-key")
        refused({**good, "name": "hot"}, 409, "rules.exists")
        self.assertEqual(node.admin("/v1/rules/hot", "DELETE").status, 409)
        self.assertIn("hot", node.admin("/v1/rules/hott/stop", "POST").body.decode())
        self.assertEqual(node.admin("/v1/rules/hot/fly", "POST").status, 404)
        self.assertEqual(node.admin("/v1/rules", "DELETE").status, 405)
        self.assertEqual(len(node.admin("/v1/rules").json()["rules"]), 2)


class NotPerformed(verge.TestCase):
    CONFIG = """
[[rule]]
name = "alarm"
sql = "SELECT hall FROM 'in'"
do = [{ upload = "low" }, { publish = "alarm/${hall}" }]
"""

    def test_it_is_counted_and_said(self):
        node = self.node("edge", self.CONFIG).start()
        for payload in ({"hall": None}, {"hall": "a/b"}, {"hall": "north"}):
            self.assertEqual(node.post("/v1/events", {"topic": "in", "payload": payload}).status, 200)
        metrics = node.admin("/metrics").body.decode()
        self.assertIn("\nverge_actions_not_performed_total 2\n", metrics)
        self.assertIn('\nverge_rule_errors_total{rule="alarm"} 2\n', metrics)
        self.assertIn('\nverge_rule_rows_total{rule="alarm"} 3\n', metrics)
        said = [line for line in node.log().splitlines() if "was not performed" in line]
        self.assertIn(len(said), (1, 2), "an event loop says it at most every ten seconds")
        for line in said:
            self.assertIn("action 2 of the rule alarm was not performed, 1 such here so far: its topic", line)

    def test_a_trial_says_it_too(self):
        file, stream = (os.path.join(self.directory, name) for name in ("edge.toml", "stream.ndjson"))
        with open(file, "w", encoding="utf-8") as out:
            out.write(self.CONFIG)
        with open(stream, "w", encoding="utf-8") as out:
            out.write(json.dumps({"topic": "in", "payload": {"hall": ""}}) + "\n")
        done = verge.run("rules", "test", file, "--with", stream)
        self.assertEqual([json.loads(line).get("not_performed") for line in done.stdout.splitlines()], [None, 2], done.stderr)


class Command(Rules):
    def setUp(self):
        super().setUp()
        self.file = os.path.join(self.directory, "edge.toml")
        with open(self.file, "w", encoding="utf-8") as out:
            out.write(self.config())
        self.stream = os.path.join(self.directory, "stream.ndjson")
        readings = [("oven-1", 99, 1000), ("oven-1", 101, 4000), ("oven-2", 200, 6000), ("oven-1", 50, 12000)]
        with open(self.stream, "w", encoding="utf-8") as out:
            for device, temperature, ts in readings:
                payload = {"temperature": temperature, "ts": ts}
                out.write(json.dumps({"topic": f"plant/{device}/oven", "payload": payload, "time": 20_000}) + "\n")

    def test_test(self):
        done = self.lines("test", self.file, "--with", self.stream)
        self.assertEqual([(each["topic"], each["payload"]) for each in done],
                         [("alarm/north", {"device": "oven-1", "hall": "north", "temperature": 101}),
                          ("mean/oven-1", {"device": "oven-1", "mean": 100}),
                          ("mean/oven-2", {"device": "oven-2", "mean": 200}),
                          ("mean/oven-1", {"device": "oven-1", "mean": 50})])
        self.assertEqual(len(self.lines("test", self.file, "--with", self.stream, "--keep-open")), 3)

    def test_numbers_of_any_size(self):
        with open(self.stream, "w", encoding="utf-8") as out:
            out.write('{"topic":"all/x","payload":{"n":123456789012345678901234567890,"m":1e400,"k":1.50}}\n')
        with open(self.file, "w", encoding="utf-8") as out:
            out.write("""[[rule]]
name = "all"
sql = "SELECT * FROM 'all/#'"
do = [{ publish = "copy" }]
""")
        answer = verge.run("rules", "test", self.file, "--with", self.stream)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertIn('"payload":{"n":123456789012345678901234567890,"m":1e400,"k":1.50}}', answer.stdout)

    def test_list_explain_and_trace(self):
        self.assertEqual([each["rule"] for each in self.lines("list", self.file, "--json")], ["hot", "mean"])
        steps = self.lines("explain", self.file, "hot", "--json")[0]["steps"]
        self.assertIn(["index", "temperature from 100 on"], steps)
        outcomes = [each for each in self.lines("trace", self.file, "hot", "--with", self.stream) if "line" in each]
        self.assertEqual([each["rows"] for each in outcomes], [0, 1, 0, 0])
        answer = verge.run("rules", "explain", self.file, "hott")
        self.assertEqual(answer.returncode, 2)
        self.assertIn("did you mean hot?", answer.stderr)

    WAYS = """
[[rule]]
name = "stop"
sql = "SELECT device, v FROM 'w/+' WHERE v > 100"
do = [{ publish = "stop/${device}" }, { upload = "critical" }]
[[rule]]
name = "ask"
sql = "SELECT v, v / 100 AS urgency, 0.9 AS complexity FROM 'w/+' WHERE v < 0"
do = [{ ask = "plan", publish = "planned", level = "placed", deadline = "1s" }]
[[rule]]
name = "worth"
sql = "SELECT v, v / 100 AS importance FROM 'w/+'"
do = [{ upload = "importance" }]
[[rule]]
name = "told"
sql = "SELECT v, v / 100 AS significance FROM 'w/+'"
do = [{ insight = "high", of = "v" }]
[[rule]]
name = "mean"
sql = "SELECT avg(v) AS mean FROM 'w/+' WHERE v > 0 GROUP BY COUNT(2)"
do = [{ upload = "low" }]
[[rule]]
name = "jump"
sql = "SELECT v FROM 'w/+' WHERE v - lag(v) > 50"
do = [{ publish = "jump" }]
[[rule]]
name = "where"
sql = "SELECT v FROM 'w/+' WHERE v > 1000"
do = [{ publish = "far/${v}" }]
[[rule]]
name = "failing"
sql = "SELECT v, name FROM 'w/+'"
do = [{ publish = "far/${name}" }]
"""

    def ways(self):
        file = os.path.join(self.directory, "ways.toml")
        with open(file, "w", encoding="utf-8") as out:
            out.write(self.WAYS)
        stream = os.path.join(self.directory, "ways.ndjson")
        with open(stream, "w", encoding="utf-8") as out:
            for v in (30, 60, 120, -5):
                out.write(json.dumps({"topic": "w/a", "payload": {"v": v}}) + "\n")
            out.write(json.dumps({"topic": "else", "payload": {"v": 1}}) + "\n")
        return file, stream

    def test_explain_shows_the_way_that_each_reading_took(self):
        file, stream = self.ways()

        def ways(rule):
            return [(each["line"], each["way"], each["why"]) for each in
                    self.lines("explain", file, rule, "--with", stream, "--json")]

        unchosen = "WHERE does not choose it, or it lacks the key"
        self.assertEqual(ways("stop"), [(1, "discard", unchosen), (2, "discard", unchosen), (3, "act", "at once, here"),
                                        (4, "discard", unchosen)])
        self.assertEqual(ways("ask")[3], (4, "up", "another level decides (complexity 0.9, urgency -0.05)"))
        self.assertEqual(ways("worth"), [(1, "discard", "importance 0.3 is not above 0.5"),
                                         (2, "aggregate", "kept (importance 0.6)"),
                                         (3, "aggregate", "kept (importance 1.2)"),
                                         (4, "discard", "importance -0.05 is not above 0.5")])
        self.assertEqual([way for _, way, _ in ways("told")], ["discard", "discard", "aggregate", "discard"])
        self.assertEqual(ways("told")[1][2], "significance 0.6 is not above 0.7")
        self.assertEqual(ways("mean"), [(line, "aggregate", "it goes to the window") for line in (1, 2, 3)] +
                         [(4, "discard", unchosen)])
        self.assertEqual([way for _, way, _ in ways("jump")], ["discard", "discard", "act", "discard"])
        self.assertEqual(ways("jump")[0][2], "WHERE does not choose it; functions remember it")
        self.assertIn("not performed: action 1: its topic", ways("failing")[0][2])
        did = self.lines("explain", file, "stop", "--with", stream, "--json")[2]
        self.assertEqual((did["did"], did["rows"]), (["publish stop/a", "upload at critical w/a"], 1))
        said = verge.run("rules", "explain", file, "--with", stream)
        self.assertEqual(len(said.stdout.splitlines()), 4 * 8, said)
        self.assertIn("3 stop: act: at once, here; publish stop/a, upload at critical w/a\n", said.stdout)
        self.assertIn("did you mean stop?", verge.run("rules", "explain", file, "stpo", "--with", stream).stderr)

    def test_trace_tells_apart_what_became_of_a_reading(self):
        file, stream = self.ways()

        def outcomes(rule):
            return [each["outcome"] for each in self.lines("trace", file, rule, "--with", stream, "--keep-open")
                    if "line" in each]

        self.assertEqual(outcomes("worth"), ["discarded", "rows", "rows", "discarded"])
        self.assertEqual(outcomes("told"), ["discarded", "discarded", "rows", "discarded"])
        self.assertEqual(outcomes("mean"), ["remembered", "rows", "remembered", "not chosen by WHERE"])
        self.assertEqual(outcomes("jump"), [*["not chosen by WHERE, remembered by functions"] * 2, "rows",
                                            "not chosen by WHERE, remembered by functions"])
        self.assertEqual(outcomes("where"), ["not chosen by WHERE"] * 4)
        self.assertEqual(outcomes("failing"), ["error"] * 4)

    def test_a_line_that_is_none(self):
        with open(self.stream, "a", encoding="utf-8") as out:
            out.write("{}\n")
        answer = verge.run("rules", "test", self.file, "--with", self.stream)
        self.assertEqual(answer.returncode, 2)
        self.assertIn("line 5 has no topic", answer.stderr)

    def test_bench(self):
        figures = self.lines("bench", "--seconds", "0.1", "--rules", "20", "--decision-rules", "50", "--load", "100", "--json")[0]
        self.assertGreater(figures["evaluations_per_s"], 0)
        if not os.environ.get("VERGE_SANITIZE"):  # whose allocator does not say
            self.assertGreater(figures["bytes_per_rule"], 0)


if __name__ == "__main__":
    unittest.main()
