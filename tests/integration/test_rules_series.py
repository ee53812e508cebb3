"""What rules make of series on their way up: reduced and restored, insights, and what is seen of a rule that runs."""

import json
import math
import os
import random
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

REDUCES = """
[[rule]]
name = "series"
sql = "SELECT device, 'C' AS unit, reduced(t, 0.01) AS t, count(*) AS n FROM 'oven/+' GROUP BY device, COUNT(500)"
do = [{ upload = "normal", topic = "series/${device}" }]
"""

TELLS = """
[[rule]]
name = "hot"
sql = "SELECT device, t, s AS significance FROM 'oven/+'"
do = [{ insight = "overheating", of = "t", priority = "critical" }, { insight = "warm", of = "t", topic = "warm/${device}" }]
"""

KEEPS = """
[[rule]]
name = "keep"
sql = "SELECT device, t, i AS importance FROM 'oven/+'"
do = [{ store = "importance", topic = "kept/${device}" }]
"""

TRACED = """
[[rule]]
name = "hot"
sql = "SELECT device, t FROM 'oven/+' WHERE t > 100"
do = [{ publish = "hot/${device}" }]

[[rule]]
name = "other"
sql = "SELECT device FROM 'oven/+'"
do = [{ publish = "seen/${device}" }]
"""


class Series(verge.TestCase):
    def send(self, client, topic, payloads):
        client.wait_acknowledged([client.publish(topic, payload) for payload in payloads])

    def test_the_root_shows_the_readings_of_a_reduced_series(self):
        chance = random.Random(verge.seed())
        cloud = self.node("cloud", "", tier="cloud").start()
        edge = self.node("edge", REDUCES, parent=cloud).start()
        client = self.mqtt(edge, "sensor")
        values = [round(20 + 5 * math.sin(i / 40) + chance.gauss(0, 0.1), 2) for i in range(500)]
        values[400] = 900
        self.send(client, "oven/a", [{"t": value} for value in values])
        verge.wait_until(lambda: cloud.events("series/#"), "the record is there")
        stored = cloud.status()["spool"]["normal"]["bytes"]
        self.assertLess(stored, 500 * len('{"t":20.55}') / 2, "one record, and small")
        found = cloud.events("series/#")
        self.assertEqual(found, cloud.events_by_admin("series/#"))
        self.assertEqual(len(found), 500)
        allowed = 0.01 * (max(values) - min(values))
        for event, value in zip(found, values):
            self.assertEqual((event["device"], event["topic"], event["restored"]), ("a", "series/a", "t"))
            self.assertEqual(list(event["payload"]), ["device", "unit", "t", "n"])
            self.assertLessEqual(abs(event["payload"]["t"] - value), event["error_bound"] + 1e-9)
            self.assertLessEqual(event["error_bound"], allowed * (1 + 1e-9))
        self.assertEqual((found[400]["payload"]["t"], found[400]["error_bound"]), (900, 0), "an anomaly is as it was")
        self.assertEqual([event["time"] for event in found], sorted(event["time"] for event in found))
        lines = verge.run("events", "query", "--data-dir", cloud.data_dir, "--topic", "series/#").stdout.splitlines()
        self.assertEqual(len(lines), 500)

    def test_a_node_that_stops_takes_the_rows_that_are_being_computed(self):
        edge = self.node("edge", REDUCES).start()
        client = self.mqtt(edge, "sensor")
        chance = random.Random(verge.seed())
        readings = [json.dumps({"t": chance.gauss(20, 1)}) for _ in range(500)]
        client.wait_acknowledged([client.publish(f"oven/{device}", reading) for device in range(40) for reading in readings])
        edge.stop()
        self.assertEqual(len(edge.events("series/#")), 40 * 500)

    def test_rows_that_take_long_are_computed_beside_the_loops(self):
        edge = self.node("edge", REDUCES).start()
        client = self.mqtt(edge, "sensor")
        self.send(client, "oven/a", [{"t": i} for i in range(1000)])
        verge.wait_until(lambda: len(edge.events_by_admin("series/#")) == 1000, "both records are there")
        metrics = edge.admin("/metrics").body.decode()
        self.assertIn("\nverge_rule_rows_computed_late_total 2\n", metrics)
        self.assertIn("\nverge_rule_rows_crowded_total 0\n", metrics)

    def test_insights_climb_and_a_critical_one_carries_the_readings(self):
        cloud = self.node("cloud", "", tier="cloud").start()
        edge = self.node("edge", TELLS, parent=cloud).start()
        client = self.mqtt(edge, "sensor")
        self.send(client, "oven/a", [{"t": 20 + i % 3, "s": 0.7} for i in range(100)] + [{"t": 99, "s": 0.71}])
        verge.wait_until(lambda: len(cloud.events("insights/hot")) == 1, "the insight is there")
        event = cloud.events("insights/hot")[0]
        insight = event["payload"]
        self.assertEqual((event["stream"], insight["type"], insight["device"], insight["value"], insight["significance"]),
                         ("critical", "overheating", "a", 99, 0.71))
        self.assertEqual([value for _, value in insight["readings"]], [20 + i % 3 for i in range(37, 100)] + [99])
        self.assertEqual((insight["statistics"]["count"], insight["statistics"]["max"]), (64, 99))
        self.assertIsInstance(insight["prediction"], float)
        self.assertTrue(0 <= insight["confidence"] <= 1)
        verge.wait_until(lambda: len(cloud.events("warm/a")) == 1, "the other is there")
        self.assertNotIn("readings", cloud.events("warm/a")[0]["payload"])

    def test_what_a_rule_keeps_is_found_and_does_not_climb(self):
        cloud = self.node("cloud", "", tier="cloud").start()
        edge = self.node("edge", KEEPS, parent=cloud).start()
        client = self.mqtt(edge, "sensor")
        self.send(client, "oven/a", [{"t": t, "i": importance} for t, importance in enumerate((0.9, 0.6, 0.2, 0.85))])

        def kept(found):
            return [(event["stream"], event["payload"]["t"]) for event in found]

        expected = [("kept-hot", 0), ("kept-hot", 3), ("kept-batch", 1)]
        verge.wait_until(lambda: kept(edge.events("kept/#")) == expected, lambda: kept(edge.events("kept/#")))
        self.assertEqual(kept(edge.events_by_admin("kept/#")), expected)
        self.assertEqual(kept(edge.events_by_http("kept/#", limit=1)), expected, "page by page")
        after = edge.events("kept/#")[1]["position"]
        self.assertEqual(after, "kept-hot:2")
        self.assertEqual(kept(edge.events("kept/#", "--after", after)), expected[2:])
        self.assertEqual(edge.events("kept/#", "--stream", "high"), [])
        edge.stop()
        edge.start()
        self.assertEqual(kept(edge.events("kept/#")), expected)
        edge.wait_delivered()
        self.assertEqual(cloud.events("kept/#"), [])

    def test_a_rule_that_runs_is_traced(self):
        node = self.node("edge", TRACED).start()
        client = self.mqtt(node, "sensor")
        client.subscribe("seen/#")
        traced = subprocess.Popen([verge.VERGE, "rules", "trace", "hot", "--admin", node.addresses["admin"], "--lines", "3",
                                   "--seconds", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(verge.end, traced)
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(traced.stdout.read().splitlines()))
        reader.start()
        # Messages until the trace has begun and has its lines.
        count = 0
        while traced.poll() is None and count < 1000:
            client.publish("oven/a", {"t": 50 + 100 * (count % 2)})
            count += 1
            client.wait_messages(count)
            verge.pause(0.02)
        reader.join(verge.PATIENCE)
        found = [json.loads(line) for line in lines]
        self.assertEqual(traced.wait(verge.PATIENCE), 0)
        self.assertEqual(len([line for line in found if "rule" in line]), 3)
        self.assertEqual({line["rule"] for line in found if "rule" in line}, {"hot"})
        for line in found:
            if line.get("kind") == "trace":
                temperature = json.loads(line["payload"])["t"]
                self.assertEqual(line["outcome"], "row" if temperature > 100 else "not chosen by WHERE")
        self.assertTrue(any(line.get("kind") == "trace" for line in found), found)
        unknown = verge.run("rules", "trace", "none", "--admin", node.addresses["admin"])
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("rules.unknown", unknown.stderr)


if __name__ == "__main__":
    unittest.main()
