"""SIGKILL at random moments under load: nothing acknowledged is lost, nothing is stored twice.

VERGE_KILL_ROUNDS is how many times (12), VERGE_SEED repeats the choice of moments and victims.
"""

import collections
import json
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

RULES = """
[[rule]]
name = "everything"
sql = "SELECT * FROM 'load/#'"
do = [{ upload = "normal" }]
"""
ROUNDS = int(os.environ.get("VERGE_KILL_ROUNDS", "12"))
PUBLISHERS = 3
OUTSTANDING = 100


class NumberedPublisher:
    """MQTT 5; numbers what it sends with verge-sequence. paho sends what is not acknowledged again, as it was."""

    def __init__(self, edge, name):
        self.name = name
        self.client = verge.Mqtt(edge, name, inflight=OUTSTANDING)
        self.published = 0
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        acknowledged = self.client.acknowledged
        while not self.stopping:
            with self.client.condition:
                room = self.client.condition.wait_for(
                    lambda: self.stopping or self.published - len(acknowledged) < OUTSTANDING, 1)
            if room and not self.stopping:
                self.client.publish(f"load/{self.name}", {"number": self.published}, sequence=self.published + 1)
                self.published += 1

    def stop(self):
        self.stopping = True
        self.thread.join(verge.PATIENCE)

    @property
    def acknowledged(self):
        return len(self.client.acknowledged)


class ForgetfulPublisher:
    """MQTT 3.1.1 without numbers of its own: what was not acknowledged when the connection broke is never sent again."""

    def __init__(self, edge, name):
        self.edge = edge
        self.name = name
        self.published = 0
        self.acknowledged_numbers = []
        self.stopping = False
        self.connections = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            try:
                raw = verge.RawMqtt(self.edge, version=4, client_id=self.name)
            except OSError:
                verge.pause(0.02)
                continue
            self.connections += 1
            try:
                self.drive(raw)
            except OSError:
                pass
            finally:
                raw.close()

    def drive(self, raw):
        waiting = collections.OrderedDict()  # packet id → number
        packet_id = 0
        while not self.stopping or waiting:
            burst = b""
            while len(waiting) < 50 and not self.stopping:
                packet_id = packet_id % 65535 + 1
                payload = json.dumps({"number": self.published}).encode()
                burst += verge.publish_packet(f"load/{self.name}", payload, 1, packet_id, version=4)
                waiting[packet_id] = self.published
                self.published += 1
            if burst:
                raw.send(burst)
            answer = raw.receive()
            if answer is None:
                return
            first, body = answer
            assert first == 0x40, f"PUBACK expected, got {first:#x}"
            self.acknowledged_numbers.append(waiting.pop(int.from_bytes(body[:2], "big")))

    def stop(self):
        self.stopping = True
        self.thread.join(verge.PATIENCE)

    @property
    def acknowledged(self):
        return len(self.acknowledged_numbers)


class Sigkill(verge.TestCase):
    def test_rounds(self):
        choice = random.Random(verge.seed())
        nodes = self.tree(RULES, edge_sets=["spool.segment_bytes=256KiB", "runtime.loops=2"],
                          fog_sets=["spool.segment_bytes=256KiB"]).start()
        numbered = [NumberedPublisher(nodes.edge, f"numbered-{i}") for i in range(PUBLISHERS)]
        forgetful = ForgetfulPublisher(nodes.edge, "forgetful")
        everyone = [*numbered, forgetful]
        for publisher in numbered:
            self.addCleanup(publisher.client.close)
        for publisher in everyone:
            self.addCleanup(publisher.stop)

        kills = collections.Counter()
        for number in range(ROUNDS):
            enough = {p.name: p.acknowledged + choice.randrange(1, 1200) for p in everyone}
            verge.wait_until(lambda: all(p.acknowledged >= enough[p.name] for p in everyone),
                             lambda: f"load in round {number}: {[(p.name, p.acknowledged) for p in everyone]} of "
                                     f"{enough}; the edge's log:\n{nodes.edge.log()[-2000:]}")
            verge.pause(choice.uniform(0, 0.05))  # anywhere in the course of a commit
            victims = {0: [nodes.edge], 1: [nodes.fog], 2: [nodes.edge, nodes.fog]}[number % 3]
            choice.shuffle(victims)
            for victim in victims:
                victim.kill9()
                kills[victim.name] += 1
            if choice.random() < 0.3:  # once more, somewhere in its recovery
                victims[0].launch()
                verge.pause(choice.uniform(0, 0.06))
                victims[0].kill9()
                kills[victims[0].name] += 1
            for victim in reversed(victims):
                victim.start()

        for publisher in everyone:
            publisher.stop()
        for publisher in numbered:
            publisher.client.wait_acknowledged(range(publisher.published))
        nodes.wait_delivered(60)
        found = collections.defaultdict(collections.Counter)
        for event in nodes.cloud.events("load/#"):
            found[event["device"]][event["payload"]["number"]] += 1

        twice = {name: [n for n, count in numbers.items() if count > 1][:10] for name, numbers in found.items()}
        self.assertEqual({name: numbers for name, numbers in twice.items() if numbers}, {}, "stored twice")
        for publisher in numbered:
            reasons = collections.Counter(publisher.client.acknowledged.values())
            self.assertEqual(set(reasons), {0}, "every acknowledgement says success")
            lost = [n for n in range(publisher.published) if n not in found[publisher.name]]
            self.assertEqual(lost[:10], [], f"{publisher.name}: acknowledged and lost ({len(lost)})")
        lost = [n for n in forgetful.acknowledged_numbers if n not in found[forgetful.name]]
        self.assertEqual(lost[:10], [], f"{forgetful.name}: acknowledged and lost ({len(lost)})")
        self.assertGreater(forgetful.connections, 1, "the load met the kills")
        print(f"{dict(kills)} kills; {sum(p.published for p in everyone)} messages, "
              f"{sum(p.acknowledged for p in everyone)} acknowledged; {nodes.fog.status()['receiver']['duplicates']} "
              "repetitions recognised by the last fog process", flush=True)
        nodes.stop()


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
