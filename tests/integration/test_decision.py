"""Decisions: a rule acts on a message here and at once, and what was done follows up the tree."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

RULES = """
[[rule]]
name = "overheat"
sql = "SELECT device, temperature FROM 'plant/+/oven' WHERE temperature > 100"
do = [{ publish = "plant/${device}/command", payload = '{"action":"SHUTDOWN_EQUIPMENT"}' }, { upload = "critical" }]

[[rule]]
name = "lidar"
sql = "SELECT CASE WHEN distance < 10 THEN 'EMERGENCY_BRAKE' WHEN distance < 30 THEN 'SLOW_DOWN' ELSE 'CONTINUE' END AS action FROM 'vehicle/+/lidar'"
do = [{ publish = "vehicle/${device}/drive", payload = "${action}" }]

[[rule]]
name = "summary"
sql = "SELECT sensor, min(bar) AS low, avg(bar) AS mean, max(bar) AS high, count(*) AS n FROM 'pump/+/pressure' GROUP BY sensor, TUMBLING(500 ms)"
do = [{ upload = "normal" }]

[[rule]]
name = "noise"
sql = "SELECT * FROM 'noise/#'"
do = [{ drop = true }]
"""


class Decision(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.nodes = self.tree(RULES, edge_sets=["runtime.loops=2"]).start()
        self.edge = self.nodes.edge

    def found_at_root(self, topic, count, *options):
        def enough():
            events = self.nodes.cloud.events(topic, *options)
            return events if len(events) >= count else None

        return verge.wait_until(enough, lambda: f"{count} events of {topic} at the root, which has "
                                                f"{self.nodes.cloud.events()}")

    def test_oven_over_mqtt(self):
        actuator = self.mqtt(self.edge, "actuator")
        actuator.subscribe("plant/+/command")
        oven = self.mqtt(self.edge, "oven-gateway", version=4)
        oven.publish_and_wait("plant/press-7/oven", {"temperature": 99.5})
        oven.publish_and_wait("plant/press-7/oven", {"temperature": 100})
        oven.publish_and_wait("plant/press-7/oven", b"not JSON")
        oven.publish_and_wait("plant/press-8/oven", {"temperature": 100.5})
        command = actuator.wait_messages(1)[0]
        self.assertEqual(command.topic, "plant/press-8/command", "only the hot oven is told")
        self.assertEqual(json.loads(command.payload), {"action": "SHUTDOWN_EQUIPMENT"})

        event, = self.found_at_root("plant/#", 1)
        self.assertEqual(event["payload"], {"device": "press-8", "temperature": 100.5})
        self.assertEqual((event["kind"], event["stream"]), ("selection", "critical"))
        report, = self.found_at_root("$verge/actions/overheat", 1, "--kind", "action")
        self.assertEqual((report["kind"], report["stream"]), ("action", "normal"))
        self.assertEqual(report["payload"]["device"], "press-8")
        self.assertEqual(report["payload"]["topic"], "plant/press-8/command")
        self.assertEqual(json.loads(report["payload"]["action"]), {"action": "SHUTDOWN_EQUIPMENT"})
        self.assertEqual(report["origin"]["name"], "edge")
        self.assertLess(abs(report["time_us"] / 1e6 - verge.time.time()), 120, "when it was done")
        self.assertEqual(len(actuator.messages), 1, "no second command")

    def test_lidar_first_match_wins(self):
        drive = self.mqtt(self.edge, "drive")
        drive.subscribe("vehicle/car-1/drive")
        lidar = self.mqtt(self.edge, "lidar")
        expected = []
        for distance, action in ((5, "EMERGENCY_BRAKE"), (9.99, "EMERGENCY_BRAKE"), (10, "SLOW_DOWN"),
                                 (29.9, "SLOW_DOWN"), (30, "CONTINUE"), (1000, "CONTINUE"), (-1, "EMERGENCY_BRAKE")):
            lidar.publish("vehicle/car-1/lidar", {"distance": distance}, qos=0)
            expected.append(action)
        drive.wait_messages(len(expected))
        self.assertEqual([payload.decode() for payload in drive.payloads()], expected)

    def test_over_http(self):
        actuator = self.mqtt(self.edge, "actuator")
        actuator.subscribe("plant/+/command")
        answer = self.edge.post("/v1/events", {"topic": "plant/press-9/oven", "payload": {"temperature": 150}})
        self.assertEqual(answer.status, 200, answer)
        said = answer.json()
        self.assertEqual((said["accepted"], said["level"], said["node"]), (1, "edge", "edge"), said)
        self.assertIsInstance(said["latency_ms"], float)
        self.assertGreater(said["latency_ms"], 0, "deciding takes time")
        self.assertLess(said["latency_ms"], 1000)
        self.assertEqual(said["actions"], 1)
        self.assertEqual(said["durability"], "local")
        self.assertEqual(actuator.wait_messages(1)[0].topic, "plant/press-9/command")

    def test_http_priority_and_shapes(self):
        def post(body, query=""):
            answer = self.edge.post("/v1/events" + query, body)
            self.assertEqual(answer.status, 200, answer)
            return answer.json()

        self.assertEqual(post({"topic": "a/1", "payload": {"x": 1}})["stored"], 1)
        post([{"topic": "a/2", "payload": "text", "priority": "low"}, {"topic": "a/3", "priority": "critical"}])
        post('{"x": 4}\n{"x": 5}\n', "?topic=a/4&device=d4&priority=high")
        post({"device": "d6", "x": 6})
        self.assertEqual(post({"topic": "noise/1", "payload": 1})["dropped"], 1)
        first = post({"topic": "a/7", "device": "d7", "sequence": 1, "payload": 7})
        again = post({"topic": "a/7", "device": "d7", "sequence": 1, "payload": 7})
        self.assertEqual((first["stored"], first["known"], again["stored"], again["known"]), (1, 0, 0, 1),
                         "a repetition with the same device and sequence is recognised")
        self.found_at_root("#", 7)
        events = {}
        for event in self.nodes.cloud.events("#"):
            events.setdefault(event["topic"], []).append((event["stream"], event["device"], event["payload"]))
        self.assertEqual(events, {
            "a/1": [("normal", "", {"x": 1})],
            "a/2": [("low", "", "text")],
            "a/3": [("critical", "", {"topic": "a/3", "priority": "critical"})],
            "a/4": [("high", "d4", {"x": 4}), ("high", "d4", {"x": 5})],
            "events/d6": [("normal", "d6", {"device": "d6", "x": 6})],
            "a/7": [("normal", "d7", 7)],
        })

    def test_the_action_does_not_need_the_parent(self):
        self.nodes.cloud.stop()
        self.nodes.fog.kill9()
        actuator = self.mqtt(self.edge, "actuator")
        actuator.subscribe("plant/+/command")
        oven = self.mqtt(self.edge, "oven")
        self.assertEqual(oven.publish_and_wait("plant/press-1/oven", {"temperature": 200}), 0,
                         "durable here is enough for an acknowledgement")
        self.assertEqual(actuator.wait_messages(1)[0].topic, "plant/press-1/command")
        self.nodes.cloud.start()
        self.nodes.fog.start()
        self.found_at_root("$verge/actions/overheat", 1)
        self.found_at_root("plant/press-1/oven", 1)

    def test_windows_reach_the_root(self):
        pump = self.mqtt(self.edge, "pump")
        readings = {"a": [4.0, 2.0, 9.0], "b": [1.0, 1.5]}
        for sensor, values in readings.items():
            for bar in values:
                pump.publish_and_wait("pump/p1/pressure", {"sensor": sensor, "bar": bar})

        def rows():
            events = self.nodes.cloud.events("windows/summary")
            return events if sum(event["payload"]["n"] for event in events) >= 5 else None

        events = verge.wait_until(rows, lambda: f"all readings in summaries: {self.nodes.cloud.events()}")
        for sensor, values in readings.items():
            rows = [event["payload"] for event in events if event["payload"]["sensor"] == sensor]
            self.assertEqual(sum(row["n"] for row in rows), len(values), f"{sensor}: each reading counts once: {rows}")
            self.assertEqual(min(row["low"] for row in rows), min(values))
            self.assertEqual(max(row["high"] for row in rows), max(values))
            self.assertAlmostEqual(sum(row["mean"] * row["n"] for row in rows), sum(values))
        self.assertEqual(self.nodes.cloud.events("pump/#"), [], "readings are summarised, not sent")


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
