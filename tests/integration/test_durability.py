"""Classes of durability: what an acknowledgement waits for, by topic, and what the sender is told of it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import line
import verge
from verge import publish_packet, text_field

CLASSES = """
[[rule]]
name = "keep"
sql = "SELECT * FROM '+/kept/#'"
do = [{ upload = "normal" }]

[[rule]]
name = "end"
sql = "SELECT * FROM '+/dropped'"
do = [{ drop = true }]

[[durability]]
topics = "none/#"
class = "none"

[[durability]]
topics = ["local/#"]
class = "local"
priority = "low"

[[durability]]
topics = "parent/strict/#"
class = "parent"
wait = "WAIT"
at_bound = "refuse"

[[durability]]
topics = "parent/#"
class = "parent"
wait = "WAIT"
"""
ASKS = b"\x26" + text_field("verge-durability") + text_field("")
SUCCESS, NO_SUBSCRIBERS, QUOTA = 0, 0x10, 0x97


def told(answer):
    """The reason of a PUBACK or PUBREC of MQTT 5, and the class that it tells."""
    _, body = answer
    reason = body[2] if len(body) > 2 else 0
    at = body.find(text_field("verge-durability"))
    return reason, body[at + 20:].decode() if at >= 0 else None


class Durability(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.node("cloud", tier="cloud").start()
        self.between = line.Line(self.cloud.addresses["http"])
        self.addCleanup(self.between.end)

    def edge(self, wait="30s", sets=()):
        # No batch is sent for its age while the test goes on.
        sets = ["parent.batch_age_max=10m", "runtime.loops=2", *sets]
        return self.node("edge", CLASSES.replace("WAIT", wait), parent=self.between.url, sets=sets).start()

    def ask(self, client, topic, packet_id=1, qos=1):
        client.send(publish_packet(topic, b"{}", qos=qos, packet_id=packet_id, properties=ASKS))
        return told(client.receive())

    def counted(self, node, name):
        for text in node.admin("/metrics").body.decode().splitlines():
            if text.startswith(name + " "):
                return float(text.split()[1])
        raise AssertionError(f"no {name}")

    def test_each_waits_for_its_class(self):
        edge = self.edge()
        client = self.raw(edge)
        for topic, expected in (("free/x", "none"), ("free/kept/x", "local"), ("none/kept/x", "none"),
                                ("local/x", "local"), ("local/kept/x", "local"), ("local/dropped", "none"),
                                ("parent/x", "parent"), ("parent/kept/x", "parent"), ("parent/dropped", "none"),
                                ("parent/strict/x", "parent")):
            with self.subTest(topic):
                self.assertEqual(self.ask(client, topic), (NO_SUBSCRIBERS, expected))
                if expected == "parent":
                    self.assertEqual([event["topic"] for event in self.cloud.events(topic)], [topic])
        self.assertEqual(self.ask(client, "parent/y", qos=2), (NO_SUBSCRIBERS, "parent"))
        self.assertEqual(self.counted(edge, "verge_acknowledged_at_parent_total"), 4)
        self.assertEqual(self.counted(edge, "verge_short_of_parent_total"), 0)
        kept = {event["topic"]: event["stream"] for event in edge.events()}
        self.assertEqual(kept.get("local/x"), "low", kept)
        self.assertNotIn("free/x", kept)

    def test_the_acknowledgement_comes_no_sooner_than_the_parents_word(self):
        edge = self.edge()
        client = self.raw(edge)
        self.assertEqual(self.ask(client, "parent/x"), (NO_SUBSCRIBERS, "parent"))
        self.between.stalled = True
        client.send(publish_packet("parent/x", b"{}", packet_id=2, properties=ASKS))
        other = self.raw(edge, client_id="other")
        self.assertEqual(self.ask(other, "local/x"), (NO_SUBSCRIBERS, "local"), "nobody else waits")
        verge.wait_until(lambda: edge.undelivered() > 0, "it is durable at the edge")
        client.socket.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            client.receive()
        client.socket.settimeout(verge.PATIENCE)
        self.between.stalled = False
        self.between.cut()
        self.assertEqual(told(client.receive()), (NO_SUBSCRIBERS, "parent"))

    def test_what_is_said_when_the_parent_does_not_answer_in_time(self):
        edge = self.edge(wait="200ms")
        self.between.stalled = True
        client = self.raw(edge)
        self.assertEqual(self.ask(client, "parent/x"), (NO_SUBSCRIBERS, "local"))
        self.assertEqual(self.ask(client, "parent/strict/x"), (QUOTA, None))
        old = self.raw(edge, version=4, client_id="old")
        old.send(publish_packet("parent/x", b"{}", version=4))
        self.assertEqual(old.receive(), (0x40, b"\0\1"))
        old.send(publish_packet("parent/strict/x", b"{}", version=4))
        self.assertEqual(old.receive_all(), [], "it cannot be told, and sends it again when it is back")
        answer = edge.post("/v1/events", {"topic": "parent/http", "payload": 1})
        self.assertEqual((answer.status, answer.json()["durability"]), (200, "local"))
        answer = edge.post("/v1/events", {"topic": "parent/strict/http", "payload": 1})
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (503, "ingest.not-delivered"))
        self.assertEqual(self.counted(edge, "verge_short_of_parent_total"), 6)
        self.between.stalled = False
        self.between.cut()
        self.assertEqual(self.ask(client, "parent/strict/y"), (NO_SUBSCRIBERS, "parent"))
        edge.wait_delivered()
        self.assertEqual(len(self.cloud.events("parent/#")), 7, "all that was durable here")

    def test_a_repetition_waits_too(self):
        edge = self.edge(wait="200ms")
        numbered = ASKS + b"\x26" + text_field("verge-sequence") + text_field("7")
        self.between.stalled = True
        client = self.raw(edge)
        client.send(publish_packet("parent/strict/x", b"{}", properties=numbered))
        self.assertEqual(told(client.receive()), (QUOTA, None))
        client.send(publish_packet("parent/strict/x", b"{}", properties=numbered))
        self.assertEqual(told(client.receive()), (QUOTA, None))
        self.between.stalled = False
        self.between.cut()
        edge.wait_delivered()
        client.send(publish_packet("parent/strict/x", b"{}", properties=numbered))
        self.assertEqual(told(client.receive()), (NO_SUBSCRIBERS, "parent"))
        self.assertEqual(len(self.cloud.events("parent/#")), 1)

    def test_by_http(self):
        edge = self.edge()
        for topics, expected in ((["parent/x"], "parent"), (["parent/x", "parent/kept/y"], "parent"),
                                 (["parent/x", "local/x"], "local"), (["parent/dropped"], "none")):
            answer = edge.post("/v1/events", [{"topic": topic, "payload": 1} for topic in topics])
            self.assertEqual((answer.status, answer.json()["durability"]), (200, expected), topics)

    def test_shutting_down_does_not_wait_for_a_parent_that_is_away(self):
        edge = self.edge()
        self.between.stalled = True
        client = self.raw(edge)
        client.send(publish_packet("parent/x", b"{}", properties=ASKS))
        verge.wait_until(lambda: edge.undelivered() > 0, "it is durable at the edge")
        edge.signal(verge.signal.SIGTERM)
        self.assertEqual(told(client.receive()), (NO_SUBSCRIBERS, "local"))
        self.assertEqual(edge.wait_end(), 0)

    def test_classes_change_with_sighup(self):
        edge = self.edge()
        client = self.raw(edge)
        self.assertEqual(self.ask(client, "free/x"), (NO_SUBSCRIBERS, "none"))
        edge.write_config(CLASSES.replace("WAIT", "30s").replace('"local/#"', '"free/#"'))
        edge.signal(verge.signal.SIGHUP)
        verge.wait_until(lambda: "the configuration was reloaded" in edge.log(), "the reload")
        self.assertEqual(self.ask(client, "free/x"), (NO_SUBSCRIBERS, "local"))
        self.assertEqual(self.ask(client, "local/x"), (NO_SUBSCRIBERS, "none"))

    def test_a_root_has_no_parent_to_wait_for(self):
        ran = verge.run("check", self.edge().config_path)
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn('a class of durability is "parent"', ran.stdout + ran.stderr)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
