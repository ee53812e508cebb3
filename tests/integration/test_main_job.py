"""The main job: what a device publishes to the edge is found exactly once at the root of a tree of three nodes."""

import collections
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

RULES = """
[[rule]]
name = "everything"
sql = "SELECT * FROM 'test/#'"
do = [{ upload = "normal" }]
"""
COUNT = 10_000


class MainJob(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.nodes = self.tree(RULES).start()

    def publish_and_find(self, version):
        client = self.mqtt(self.nodes.edge, f"machine-v{version}", version=version)
        topic = f"test/v{version}"
        numbers = [client.publish(topic, {"number": i}) for i in range(COUNT)]
        client.wait_acknowledged(numbers, 40)
        self.assertEqual({client.acknowledged[n] for n in numbers} - {0, 0x10}, set(),
                         "each message is acknowledged with success")
        self.nodes.wait_delivered()
        root = self.nodes.cloud
        for way, events in (("--data-dir", root.events(topic)), ("--admin", root.events_by_admin(topic)),
                            ("GET /v1/events", root.events_by_http(topic, limit=777))):
            found = collections.Counter(event["payload"]["number"] for event in events)
            self.assertEqual(sum(found.values()), COUNT, f"{way}: as many events as messages")
            self.assertEqual(len(found), COUNT, f"{way}: no number is missing")
            self.assertEqual({event["origin"]["name"] for event in events}, {"edge"}, f"{way}: who took the messages")
            self.assertEqual({event["origin"]["node"] for event in events},
                             {self.nodes.edge.status()["node"]["id"]}, f"{way}: the edge's node id")
            self.assertEqual({event["kind"] for event in events}, {"message"}, f"{way}: messages as they came")
            self.assertEqual({event["stream"] for event in events}, {"normal"}, f"{way}: the priority of the rule")
            self.assertEqual({event["device"] for event in events}, {f"machine-v{version}"}, f"{way}: the device")
        order = [event["payload"]["number"] for event in root.events(topic)]
        self.assertEqual(order, sorted(order), "one publisher's messages stay in order")

    def test_mqtt_5(self):
        self.publish_and_find(5)
        self.nodes.stop()

    def test_mqtt_311(self):
        self.publish_and_find(4)
        self.nodes.stop()

    def test_what_no_rule_takes_stays_here(self):
        client = self.mqtt(self.nodes.edge, "machine")
        self.assertIn(client.publish_and_wait("other/topic", {"number": 1}), (0, 0x10))
        self.assertEqual(client.publish_and_wait("test/last", {"number": 2}), 0)
        self.nodes.wait_delivered()
        self.assertEqual([event["topic"] for event in self.nodes.cloud.events()], ["test/last"])


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
