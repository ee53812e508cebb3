"""Retained messages, and the wills of sessions that outlive their connection, survive SIGKILL.

VERGE_RETAINED: how many are retained in the test of the start, 10,000 by default."""

import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MANY = int(os.environ.get("VERGE_RETAINED", "10000"))
EXPIRY = 3600


def will_properties(**values):
    properties = Properties(PacketTypes.WILLMESSAGE)
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


class RetainedMessages(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.edge = self.node("edge", sets=["runtime.loops=3"]).start()

    def retained(self, filter="#"):
        reader = self.mqtt(self.edge)
        reader.subscribe(filter, 1)
        # What comes behind all that is retained: pages of one subscription are sent in order of the loops.
        reader.wait(lambda: len(reader.messages) >= self.edge.status()["mqtt"]["retained"], "all that is retained comes")
        return {message.topic: message.payload for message in reader.messages}

    def test_what_was_acknowledged_is_there_after_kills(self):
        choice = random.Random(verge.seed())
        expected = {}
        for round_number in range(3):
            sender = self.mqtt(self.edge, "sender")
            for _ in range(60):
                topic = f"plant/{choice.randrange(40)}"
                payload = b"" if choice.random() < 0.2 else str(choice.random()).encode()
                self.assertIn(sender.publish_and_wait(topic, payload, qos=choice.choice((1, 2)), retain=True), (0, 0x10))
                expected.pop(topic, None)
                if payload:
                    expected[topic] = payload
            sender.close()
            self.edge.kill9()
            self.edge.start()
            self.assertEqual(self.retained("plant/#"), expected)
            self.assertEqual(self.edge.status()["mqtt"]["retained"], len(expected))

    def test_qos_0_is_there_when_something_acknowledged_came_later(self):
        # One loop, which records both in their order.
        self.edge.stop()
        self.edge = self.node("one-loop", sets=["runtime.loops=1"]).start()
        sender = self.mqtt(self.edge, "sender")
        for i in range(50):
            sender.publish("fast", str(i), qos=0, retain=True)
        sender.publish_and_wait("after", "x", qos=1, retain=True)
        self.edge.kill9()
        self.edge.start()
        self.assertEqual(self.retained(), {"fast": b"49", "after": b"x"})

    def test_expired_ones_do_not_come_back(self):
        sender = self.mqtt(self.edge, "sender")
        brief = Properties(PacketTypes.PUBLISH)
        brief.MessageExpiryInterval = 1
        for topic, properties in (("brief", brief), ("stays", None)):
            published = sender.client.publish(topic, "x", qos=1, retain=True, properties=properties)
            verge.wait_until(published.is_published, "it is acknowledged")
        self.edge.kill9()
        verge.pause(1.1)
        self.edge.start()
        self.assertEqual(self.retained(), {"stays": b"x"})

    def test_expired_ones_give_their_room_back(self):
        sender = self.mqtt(self.edge, "sender")
        brief = Properties(PacketTypes.PUBLISH)
        brief.MessageExpiryInterval = 1
        for i in range(20):
            published = sender.client.publish(f"brief/{i}", "x", qos=1, retain=True, properties=brief)
            verge.wait_until(published.is_published, "it is acknowledged")
        verge.wait_until(lambda: self.edge.status()["mqtt"]["retained"] == 0, "they are gone")

    def test_another_number_of_loops(self):
        sender = self.mqtt(self.edge, "sender")
        for i in range(30):
            sender.publish_and_wait(f"a/{i}", str(i), qos=1, retain=True)
        self.edge.stop()
        self.edge.sets = ["runtime.loops=2"]
        self.edge.start()
        self.assertEqual(self.retained(), {f"a/{i}": str(i).encode() for i in range(30)})

    def test_without_durability_they_end_with_the_node(self):
        other = self.node("other", sets=["mqtt.durable_retained=false"]).start()
        self.mqtt(other, "sender").publish_and_wait("a", "x", qos=1, retain=True)
        other.kill9()
        other.start()
        self.assertEqual(other.status()["mqtt"]["retained"], 0)

    def test_many_start_fast(self):
        sender = self.mqtt(self.edge, "sender", version=4, inflight=60000)
        numbers = [sender.publish(f"site/{i % 100}/device/{i}", f"{{\"value\":{i}}}", qos=1, retain=True)
                   for i in range(MANY)]
        sender.wait_acknowledged(numbers, 600)
        self.edge.kill9()
        began = time.monotonic()
        self.edge.start()
        took = time.monotonic() - began
        print(f"{MANY} retained: the start took {took:.2f} s", flush=True)
        self.assertEqual(self.edge.status()["mqtt"]["retained"], MANY)
        self.assertLess(took, verge.PATIENCE / 2)


class Wills(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.edge = self.node("edge", sets=["runtime.loops=3"]).start()
        self.watcher = self.mqtt(self.edge, "watcher", expiry=EXPIRY, clean=False)
        self.watcher.subscribe("wills/#", 1)

    def dying(self, name, delay=0, qos=1, retain=False):
        """A client that is gone with the node, and does not come back."""
        client = self.mqtt(self.edge, name, expiry=EXPIRY, clean=False, connect=False)
        client.client.will_set(f"wills/{name}", f"{name} is gone", qos, retain,
                               properties=will_properties(WillDelayInterval=delay))
        client.connect()
        return client

    def settle(self):
        """What was recorded of connections until now is durable."""
        self.watcher.publish_and_wait("settle", "x", qos=2)

    def end(self, *clients):
        self.settle()
        self.edge.kill9()
        for client in clients:
            client.client.loop_stop()
            client.client.disconnect()
        self.edge.start()

    def test_a_will_is_published_when_the_node_is_back_and_the_client_is_not(self):
        self.end(self.dying("press"), self.dying("oven", qos=2, retain=True))
        self.watcher.wait_messages(2)
        self.assertEqual(sorted(self.watcher.payloads()), [b"oven is gone", b"press is gone"])
        # Once.
        self.settle()
        self.edge.kill9()
        self.edge.start()
        other = self.mqtt(self.edge, "other")
        other.subscribe("wills/#", 1)
        self.assertEqual([m.payload for m in other.wait_messages(1)], [b"oven is gone"])
        self.settle()
        self.assertEqual(len(self.watcher.messages), 2)

    def test_a_will_with_a_delay_waits_for_the_client(self):
        slow, back = self.dying("slow", delay=2), self.dying("back", delay=2)
        self.end(slow, back)
        again = self.mqtt(self.edge, "back", expiry=EXPIRY, clean=False)  # in time, and without a will
        self.assertTrue(again.session_present)
        self.assertEqual([m.payload for m in self.watcher.wait_messages(1)], [b"slow is gone"])
        again.close()
        self.settle()
        self.edge.kill9()
        self.edge.start()
        self.settle()
        self.assertEqual(self.watcher.payloads(), [b"slow is gone"])

    def test_who_said_goodbye_leaves_no_will(self):
        self.dying("polite").close()
        self.end()
        self.settle()
        self.assertEqual(self.watcher.payloads(), [])


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
