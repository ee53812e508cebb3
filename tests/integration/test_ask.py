"""ASK: rules that ask the levels above, with a deadline and a fallback; parents that are there, stalled, killed."""

import json
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import line
import verge

ASKS = """
[[rule]]
name = "near"
sql = "SELECT device, distance FROM 'car/+/lidar' WHERE distance < 100"
do = [{ ask = "plan", publish = "car/${device}/drive", level = "%s", deadline = "%s", otherwise = '{"action":"SLOW_DOWN","distance":${distance}}' }]
"""

ANSWERS = """
[[rule]]
name = "plan"
sql = "SELECT '%s' AS by, CASE WHEN distance < 10 THEN 'BRAKE' ELSE 'GO' END AS action FROM 'car/+/lidar' WHERE distance > 1"
do = [{ answer = true }]
"""


class Ask(verge.TestCase):
    def metric(self, node, name):
        lines = node.admin("/metrics").body.decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"verge_{name} ")))

    def wait_metric(self, node, name, value):
        verge.wait_until(lambda: self.metric(node, name) >= value,
                         lambda: f"{name} is {value}, not {self.metric(node, name)}")

    def edge_on(self, parent, level="next", deadline="20s", rules="", sets=()):
        edge = self.node("edge", ASKS % (level, deadline) + rules, parent=parent,
                         sets=["parent.report_every=200ms", *sets]).start()
        client = self.mqtt(edge, "sensor")
        client.subscribe("car/+/drive", 1)
        return edge, client

    def decisions(self, client, *distances):
        """What is decided for each, in turn."""
        decided = []
        for distance in distances:
            client.messages.clear()
            client.publish("car/7/lidar", {"distance": distance})
            client.wait_messages(1)
            decided.append(json.loads(client.payloads()[0]))
        return decided

    def test_the_parent_decides_and_is_silent_where_its_rule_is(self):
        cloud = self.node("cloud", ANSWERS % "cloud", tier="cloud").start()
        edge, client = self.edge_on(cloud)
        self.assertEqual(self.decisions(client, 50, 5, 0.5),
                         [{"by": "cloud", "action": "GO"}, {"by": "cloud", "action": "BRAKE"},
                          {"action": "SLOW_DOWN", "distance": 0.5}])
        self.assertEqual([self.metric(edge, name) for name in
                          ("asks_total", "asks_decided_total", "asks_fallback_total", "asks_late_total", "actions_total")],
                         [3, 2, 1, 0, 3])
        self.assertEqual(self.metric(cloud, "questions_answered_total"), 3)
        # What was decided is reported upwards as any command is.
        verge.wait_until(lambda: len(cloud.events("$verge/actions/near")) == 3, "reports of the decisions")

    def test_a_question_without_a_rule_that_answers_falls_back(self):
        cloud = self.node("cloud", "", tier="cloud").start()
        edge, client = self.edge_on(cloud)
        self.assertEqual(self.decisions(client, 50), [{"action": "SLOW_DOWN", "distance": 50}])
        self.assertIn("no rule plan answers here", edge.log())

    def test_a_stalled_parent_is_late_and_its_answers_are_dropped(self):
        cloud = self.node("cloud", ANSWERS % "cloud", tier="cloud").start()
        between = line.Line(cloud.addresses["http"])
        self.addCleanup(between.end)
        edge, client = self.edge_on(between.url, deadline="400ms")
        between.stalled = True
        fallback = {"action": "SLOW_DOWN", "distance": 50}
        self.assertEqual(self.decisions(client, 50), [fallback])
        self.assertEqual(self.metric(edge, "asks_late_total"), 1)
        between.stalled = False
        self.wait_metric(edge, "asks_late_answers_total", 1)
        self.assertEqual([json.loads(payload) for payload in client.payloads()], [fallback],
                         "the answer that came late is dropped")
        # It is asked again, once it is in reach.
        verge.wait_until(lambda: self.decisions(client, 50) == [{"by": "cloud", "action": "GO"}], "the parent decides again")

    def test_a_killed_parent_is_replaced_by_the_rule_here(self):
        cloud = self.node("cloud", ANSWERS % "cloud", tier="cloud").start()
        edge, client = self.edge_on(cloud, rules=ANSWERS % "edge")
        self.assertEqual(self.decisions(client, 50), [{"by": "cloud", "action": "GO"}])
        cloud.kill9()
        self.assertEqual(self.decisions(client, 50, 5), [{"by": "edge", "action": "GO"}, {"by": "edge", "action": "BRAKE"}])
        self.assertEqual(self.metric(edge, "asks_replaced_total"), 2)
        self.assertEqual(self.metric(edge, "asks_fallback_total"), 0)
        cloud.start()
        verge.wait_until(lambda: self.decisions(client, 50) == [{"by": "cloud", "action": "GO"}], "the parent decides again")

    def test_a_question_climbs_to_its_level_and_to_the_next_best(self):
        cloud = self.node("cloud", ANSWERS % "cloud", tier="cloud").start()
        fog = self.node("fog", ANSWERS % "fog", parent=cloud, tier="fog", sets=["parent.report_every=200ms"]).start()
        edge, client = self.edge_on(fog, level="cloud")
        self.assertEqual(self.decisions(client, 50), [{"by": "cloud", "action": "GO"}])
        self.assertEqual(self.metric(fog, "questions_forwarded_total"), 1)
        cloud.kill9()
        self.assertEqual(self.decisions(client, 50), [{"by": "fog", "action": "GO"}])
        self.assertEqual(self.metric(fog, "questions_replaced_total"), 1)
        self.assertEqual(self.metric(edge, "asks_replaced_total"), 1)
        fog.kill9()
        self.assertEqual(self.decisions(client, 50), [{"action": "SLOW_DOWN", "distance": 50}])

    def test_urgency_and_complexity_place_a_question(self):
        cloud = self.node("cloud", ANSWERS % "cloud", tier="cloud").start()
        rules = """
[[rule]]
name = "near"
sql = "SELECT device, distance, u AS urgency, c AS complexity FROM 'car/+/lidar'"
do = [{ ask = "plan", publish = "car/${device}/drive", level = "placed", deadline = "20s" }]
""" + ANSWERS % "edge"
        edge = self.node("edge", rules, parent=cloud).start()
        client = self.mqtt(edge, "sensor")
        client.subscribe("car/+/drive", 1)
        for urgency, complexity, by in ((0.95, 0.1, "edge"), (0.8, 0.5, "edge"), (0.4, 0.9, "cloud"), (0.6, 0.9, "cloud")):
            client.messages.clear()
            client.publish("car/7/lidar", {"distance": 50, "u": urgency, "c": complexity})
            client.wait_messages(1)
            self.assertEqual(json.loads(client.payloads()[0])["by"], by, f"urgency {urgency}, complexity {complexity}")

    def test_questions_are_protected_as_the_uplink_is(self):
        cloud = self.node("cloud", ANSWERS % "cloud", tier="cloud").start()
        token_path = os.path.join(self.directory, "token")
        with open(token_path, "w", encoding="utf-8") as file:
            file.write("0123456789abcdef0123456789abcdef\n")
        secret = "{file=\"%s\"}" % token_path
        cloud.stop()
        cloud.write_config(f"[http]\nuplink_tokens = [{secret}]\n".replace("file=", "file = ") + ANSWERS % "cloud")
        cloud.start()
        target = "/v1/ask/plan?topic=car/7/lidar"
        self.assertEqual(cloud.post(target, {"distance": 50}).status, 401)
        answer = cloud.post(target, {"distance": 50}, {"Authorization": "Bearer 0123456789abcdef0123456789abcdef"})
        self.assertEqual((answer.status, answer.json(), answer.fields["verge-level"], answer.fields["verge-node"]),
                         (200, {"by": "cloud", "action": "GO"}, "cloud", "cloud"))
        edge, client = self.edge_on(cloud)
        self.assertEqual(self.decisions(client, 50), [{"action": "SLOW_DOWN", "distance": 50}])
        edge.stop()
        edge.write_config(f"[parent]\ntoken = {secret}\n".replace("file=", "file = ") + ASKS % ("next", "20s"))
        edge.start()
        client = self.mqtt(edge, "other")
        client.subscribe("car/+/drive", 1)
        self.assertEqual(self.decisions(client, 50), [{"by": "cloud", "action": "GO"}])

    def test_what_is_no_question_is_refused(self):
        cloud = self.node("cloud", ANSWERS % "cloud", tier="cloud").start()
        for target, status, code in (("/v1/ask/plan", 400, "ask.malformed"),
                                     ("/v1/ask/?topic=a", 400, "ask.malformed"),
                                     ("/v1/ask/plan?topic=a&deadline_us=x", 400, "ask.malformed"),
                                     ("/v1/ask/plan?topic=a&hops=9", 400, "ask.malformed"),
                                     ("/v1/ask/plan?topic=a&level=moon", 400, "ask.malformed"),
                                     ("/v1/ask/other?topic=a", 404, "rules.unknown")):
            answer = cloud.post(target, {})
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (status, code), target)
        self.assertEqual(cloud.post("/v1/ask/plan?topic=elsewhere", {}).status, 204)
        self.assertEqual(cloud.post("/v1/ask/plan?topic=car/7/lidar", b"\x00 no JSON").status, 204)

    def test_a_deadline_holds_while_many_questions_wait(self):
        """The parent takes connections and says nothing: every question is decided, at its deadline or before."""
        cloud = self.node("cloud", ANSWERS % "cloud", tier="cloud").start()
        edge, client = self.edge_on(cloud, deadline="300ms")
        self.assertEqual(self.decisions(client, 50), [{"by": "cloud", "action": "GO"}])
        client.messages.clear()
        cloud.signal(signal.SIGSTOP)
        self.addCleanup(lambda: cloud.process and cloud.signal(signal.SIGCONT))
        for _ in range(300):
            client.publish("car/7/lidar", {"distance": 50})
        client.wait_messages(300)
        self.assertEqual(set(client.payloads()), {b'{"action":"SLOW_DOWN","distance":50}'})
        self.assertEqual(self.metric(edge, "asks_fallback_total"), 300)
        self.assertEqual(self.metric(edge, "asks_waiting"), 0)


if __name__ == "__main__":
    unittest.main()
