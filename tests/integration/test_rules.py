"""Rules of a node over HTTP, and `verge rules`."""

import json
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
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
