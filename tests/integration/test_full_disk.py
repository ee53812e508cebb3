"""No space: new durable work is refused with a clear error, decisions go on, nothing is lost, and it ends by itself."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

RULES = """
[[rule]]
name = "everything"
sql = "SELECT * FROM 'keep/#'"
do = [{ upload = "normal" }]

[[rule]]
name = "overheat"
sql = "SELECT * FROM 'plant/+/oven' WHERE temperature > 100"
do = [{ publish = "plant/command", payload = "STOP" }]
"""
QUOTA_EXCEEDED = 0x97
FILLING = "x" * 2000


class Full(verge.TestCase):
    def publish_until_refused(self, client, topic, numbers, limit):
        """Publishes numbers one after the other until one is refused. Returns those acknowledged and the refused one."""
        acknowledged = []
        for number in numbers:
            self.assertLess(len(acknowledged), limit, "the spool takes more than it has space for")
            reason = client.publish_and_wait(topic, {"number": number, "filling": FILLING})
            if reason != 0:
                self.assertEqual(reason, QUOTA_EXCEEDED, f"PUBACK {reason:#x}")
                return acknowledged, number
            acknowledged.append(number)

    def numbers(self, events):
        return [event["payload"]["number"] for event in events]

    def check_refusals(self, node, client):
        """A node without space says so, to each in its own way, and still decides."""
        self.assertEqual(client.publish_and_wait("keep/v5", {"number": -1, "filling": FILLING}), QUOTA_EXCEEDED)
        answer = node.post("/v1/events", {"topic": "keep/http", "payload": {"number": -1, "filling": FILLING}})
        self.assertEqual(answer.status, 503, answer)
        self.assertGreater(int(answer.fields["retry-after"]), 0, answer)
        self.assertEqual(sorted(answer.json()["error"]), ["code", "fix", "what"], answer)
        ready = node.admin("/readyz")
        self.assertEqual(ready.status, 503, ready)
        self.assertIn(b"spool", ready.body)
        self.assertEqual(node.admin("/healthz").status, 200, "full is not dead")
        self.assertTrue(node.status()["spool"]["full"])
        actuator = self.mqtt(node, "actuator")
        actuator.subscribe("plant/command")
        # Answered though its report finds no space.
        self.assertIn(client.publish_and_wait("plant/p1/oven", {"temperature": 200}), (0, 0x10))
        self.assertEqual(bytes(actuator.wait_messages(1)[0].payload), b"STOP", "decisions go on")
        said = [line for line in node.log_lines() if line["level"] == "error"]
        self.assertEqual(len(said), 1, f"one line says why: {said}")
        self.assertIn("refusing", said[0]["message"])

    def wait_ready_again(self, node):
        verge.wait_until(lambda: node.admin("/readyz").status == 200,
                         lambda: f"ready again by itself; /readyz says {node.admin('/readyz')}, the log:\n{node.log()}", 10)


class SmallSpool(Full):
    def test_until_the_parent_is_back(self):
        cloud = self.node("cloud", tier="cloud").start()
        edge = self.node("edge", RULES, parent=cloud,
                         sets=["spool.bytes_max=256KiB", "spool.segment_bytes=16KiB", "runtime.loops=2"]).start()
        cloud.stop()
        client = self.mqtt(edge, "modern")
        acknowledged, refused = self.publish_until_refused(client, "keep/v5", range(1000), 200)
        self.assertGreater(len(acknowledged), 20, "there was space at first")
        self.check_refusals(edge, client)

        # 3.1.1 has no word for it: no PUBACK until there is space.
        old = self.raw(edge, version=4, client_id="old")
        for number in range(5):
            payload = json.dumps({"number": number, "filling": FILLING}).encode()
            old.send(verge.publish_packet("keep/v311", payload, 1, number + 1, version=4))
        old.send(verge.packet(0xC0))
        self.assertEqual(old.receive()[0], 0xD0, "PINGRESP comes, and no PUBACK before it")
        verge.wait_until(lambda: edge.status()["events"]["awaiting_space"] > 0, "the messages are held")

        cloud.start()
        for number in range(5):
            first, body = old.receive()
            self.assertEqual((first, int.from_bytes(body, "big")), (0x40, number + 1), "PUBACK once there is space")
        self.wait_ready_again(edge)
        self.assertEqual(client.publish_and_wait("keep/v5", {"number": refused}), 0, "what was refused is taken now")
        edge.wait_delivered()
        self.assertEqual(self.numbers(cloud.events("keep/v5")), acknowledged + [refused],
                         "each acknowledged once, in order, and nothing that was refused")
        self.assertEqual(self.numbers(cloud.events("keep/v311")), list(range(5)))
        self.assertEqual(cloud.events("keep/http"), [])
        self.assertTrue(any("again" in line["message"] for line in edge.log_lines()), "the end is in the log")
        edge.stop()

    def test_ready_again_without_new_work(self):
        """A node that is taken out of service while it is full must come back without being sent anything."""
        cloud = self.node("cloud", tier="cloud").start()
        edge = self.node("edge", RULES, parent=cloud,
                         sets=["spool.bytes_max=256KiB", "spool.segment_bytes=16KiB"]).start()
        cloud.stop()
        client = self.mqtt(edge, "modern")
        self.publish_until_refused(client, "keep/v5", range(1000), 200)
        self.assertEqual(edge.admin("/readyz").status, 503)
        client.close()
        cloud.start()
        edge.wait_delivered()
        self.wait_ready_again(edge)

    def test_killed_while_full(self):
        cloud = self.node("cloud", tier="cloud").start()
        edge = self.node("edge", RULES, parent=cloud,
                         sets=["spool.bytes_max=128KiB", "spool.segment_bytes=16KiB"]).start()
        cloud.stop()
        client = self.mqtt(edge, "modern")
        acknowledged, _ = self.publish_until_refused(client, "keep/v5", range(1000), 200)
        client.close()
        edge.kill9()
        edge.start()
        again = self.mqtt(edge, "again")
        more, _ = self.publish_until_refused(again, "keep/v5", range(1000, 2000), 50)
        cloud.start()
        edge.wait_delivered()
        self.assertEqual(self.numbers(cloud.events("keep/v5")), acknowledged + more)
        edge.stop()

    def test_a_limit_of_one_segment(self):
        """The tightest setting that is accepted: space that was delivered is given back all the same."""
        cloud = self.node("cloud", tier="cloud").start()
        edge = self.node("edge", RULES, parent=cloud, sets=["spool.bytes_max=1MiB", "spool.segment_bytes=1MiB"]).start()
        client = self.mqtt(edge, "modern")
        stored = []
        for wave in range(12):
            numbers = list(range(wave * 100, wave * 100 + 100))
            published = {number: client.publish("keep/v5", {"number": number, "filling": FILLING}) for number in numbers}
            client.wait_acknowledged(published.values())
            taken = [number for number in numbers if client.acknowledged[published[number]] == 0]
            self.assertGreater(len(taken), 0, f"wave {wave}: all that came before was delivered, yet nothing is taken; "
                                              f"{edge.status()['spool']}")
            stored += taken
            edge.wait_delivered()
        self.assertEqual(self.numbers(cloud.events("keep/v5")), stored)
        self.assertGreater(len(stored), 1000, "there was space for all but a few")

    def test_a_full_parent_is_waited_for(self):
        """What the parent cannot store stays with the child."""
        top = self.node("top", tier="cloud").start()
        fog = self.node("fog", parent=top, tier="fog",
                        sets=["spool.bytes_max=128KiB", "spool.segment_bytes=16KiB"]).start()
        top.stop()
        edge = self.node("edge", RULES, parent=fog).start()
        client = self.mqtt(edge, "modern")
        numbers = [client.publish("keep/v5", {"number": number, "filling": FILLING}) for number in range(200)]
        client.wait_acknowledged(numbers)
        self.assertEqual({client.acknowledged[number] for number in numbers}, {0}, "the edge has space")
        verge.wait_until(lambda: fog.status()["spool"]["full"], "the fog node is full")
        self.assertGreater(edge.undelivered(), 0)
        top.start()
        edge.wait_delivered(15)
        fog.wait_delivered()
        self.assertEqual(sorted(self.numbers(top.events("keep/v5"))), list(range(200)), "all arrive, once")


SUMMARY = """
[[rule]]
name = "summary"
sql = "SELECT count(*) AS n FROM 'oven/#' GROUP BY TUMBLING(1 s)"
do = [{ upload = "normal" }]
"""


class HeldRecords(Full):
    def test_what_nobody_waits_for(self):
        """Summaries, and what was done: a full spool delays them."""
        cloud = self.node("cloud", tier="cloud").start()
        edge = self.node("edge", RULES + SUMMARY, parent=cloud,
                         sets=["spool.bytes_max=256KiB", "spool.segment_bytes=16KiB"]).start()
        cloud.stop()
        client = self.mqtt(edge, "modern")
        self.publish_until_refused(client, "keep/v5", range(1000), 200)
        sent = 0
        def hold_some():
            nonlocal sent
            sent += 1
            client.publish_and_wait("oven/1", {"temperature": 20})
            client.publish_and_wait("plant/p1/oven", {"temperature": 200})
            return edge.status()["events"]["awaiting_space"] >= 4
        verge.wait_until(hold_some, "rows and reports are held")
        cloud.start()
        rows = lambda: [event["payload"]["n"] for event in cloud.events() if "n" in event["payload"]]
        verge.wait_until(lambda: sum(rows()) == sent, lambda: f"each of {sent} readings is in a row: {rows()}")
        verge.wait_until(lambda: edge.status()["events"]["awaiting_space"] == 0, "nothing is held any more")
        edge.wait_delivered()
        self.assertEqual(edge.status()["events"]["given_up"], 0)
        self.assertEqual(len(cloud.events("$verge/actions/overheat")), sent)

    def test_more_than_is_held_in_memory(self):
        """3.1.1 cannot be refused: what is past the memory's bound waits too, and all is stored once there is space."""
        cloud = self.node("cloud", tier="cloud").start()
        edge = self.node("edge", RULES, parent=cloud,
                         sets=["spool.bytes_max=1MiB", "spool.segment_bytes=256KiB", "mqtt.packet_bytes_max=1MiB"]).start()
        cloud.stop()
        count, filling = 900, "x" * 100_000  # 90 MB, where 64 MiB are held
        old = self.mqtt(edge, "old", version=4)
        published = [old.publish("keep/v311", {"number": number, "filling": filling}) for number in range(count)]
        verge.wait_until(lambda: edge.status()["events"]["awaiting_space"] > 0, "messages are held")
        cloud.start()
        old.wait_acknowledged(published, 2 * verge.PATIENCE)
        edge.wait_delivered()
        self.assertEqual(sorted(set(self.numbers(cloud.events("keep/v311")))), list(range(count)), "each is there")
        self.wait_ready_again(edge)


class FullDisk(Full):
    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.directory, "disk")
        os.mkdir(self.disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", self.disk],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"mounting a small disk is not permitted here: {mounted.stdout.strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.disk], check=True)
        self.ballast = os.path.join(self.disk, "ballast")

    def fill_disk(self):
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass

    def start_node(self, name="node"):
        return self.node(name, RULES, data_dir=os.path.join(self.disk, "data"),
                         sets=["spool.segment_bytes=1MiB", "runtime.loops=2"]).start()

    def test_recovers_by_itself(self):
        node = self.start_node()
        client = self.mqtt(node, "modern")
        before = [n for n in range(20) if client.publish_and_wait("keep/v5", {"number": n}) == 0]
        self.assertEqual(before, list(range(20)))
        self.fill_disk()
        acknowledged, refused = self.publish_until_refused(client, "keep/v5", range(20, 20000), 10000)
        self.check_refusals(node, client)
        old = self.raw(node, version=4, client_id="old")
        payload = json.dumps({"number": 0, "filling": FILLING}).encode()
        old.send(verge.publish_packet("keep/v311", payload, 1, 1, version=4))
        old.send(verge.packet(0xC0))
        self.assertEqual(old.receive()[0], 0xD0, "PINGRESP comes, and no PUBACK before it")

        os.unlink(self.ballast)
        first, body = old.receive()
        self.assertEqual((first, body), (0x40, b"\0\1"), "PUBACK once there is space")
        self.wait_ready_again(node)
        self.assertEqual(client.publish_and_wait("keep/v5", {"number": refused}), 0)
        expected = before + acknowledged + [refused]
        self.assertEqual(self.numbers(node.events("keep/v5")), expected, "while it runs")
        node.stop()
        self.assertEqual(self.numbers(node.events("keep/v5")), expected, "after a clean end")
        self.assertEqual(self.numbers(node.events("keep/v311")), [0])

    def test_a_stream_can_be_purged(self):
        node = self.start_node()
        for number in range(40):
            event = {"topic": "t", "priority": "low", "payload": "x" * 100_000}
            self.assertEqual(node.post("/v1/events", event).status, 200)
        node.stop()
        self.fill_disk()
        purged = verge.run("spool", "purge", "--stream", "low", "--yes", "--data-dir", node.data_dir)
        self.assertEqual(purged.returncode, 0, purged.stderr)
        self.assertIn("40 records are gone", purged.stdout)
        with open(os.path.join(self.disk, "room"), "wb") as file:
            file.write(b"x" * (3 << 20))

    def test_critical_records_have_a_file_held_back_for_them(self):
        node = self.start_node()
        self.assertTrue(any("bytes_max" in line["message"] for line in node.log_lines() if line["level"] == "warning"),
                        "a disk that is smaller than the spool may be is said")
        self.assertEqual(node.post("/v1/events", {"topic": "keep/first", "payload": {"number": 0}}).status, 200)
        held_back = os.path.join(node.data_dir, "spool", "reserve", "held-back")
        verge.wait_until(lambda: os.path.exists(held_back), "a file is held back")
        self.fill_disk()
        normal = {"topic": "t", "payload": {"filling": FILLING}}
        verge.wait_until(lambda: node.post("/v1/events", normal).status == 503, "there is no space for normal records")
        for number in range(100):
            critical = {"topic": "alarm", "priority": "critical", "payload": {"number": number, "filling": FILLING}}
            answer = node.post("/v1/events", critical)
            self.assertEqual(answer.status, 200, answer)
        self.assertEqual(node.post("/v1/events", normal).status, 503)
        node.kill9()
        node.start()
        self.assertEqual(self.numbers(node.events("alarm")), list(range(100)))
        os.unlink(self.ballast)
        verge.wait_until(lambda: node.post("/v1/events", normal).status == 200, "there is space again")
        verge.wait_until(lambda: os.path.exists(held_back), "a file is held back again")

    def test_streams_that_may_drop_do_so(self):
        node = self.node("node", RULES, data_dir=os.path.join(self.disk, "data"),
                         sets=["spool.segment_bytes=1MiB", "spool.normal.when_full=drop-oldest"]).start()
        client = self.mqtt(node, "modern")
        self.assertEqual(client.publish_and_wait("keep/v5", {"number": 0}), 0)
        verge.wait_until(lambda: os.path.exists(os.path.join(node.data_dir, "spool", "reserve", "held-back")),
                         "a file is held back")
        self.fill_disk()
        for number in range(1, 3000):
            self.assertEqual(client.publish_and_wait("keep/v5", {"number": number, "filling": FILLING}), 0, number)
        kept = self.numbers(node.events("keep/v5"))
        self.assertEqual(kept, list(range(3000 - len(kept), 3000)), "the oldest went, in order")
        self.assertLess(len(kept), 3000)
        self.assertIn(f"verge_spool_dropped_total{{stream=\"normal\"}} {3000 - len(kept)}\n",
                      node.admin("/metrics").body.decode())

    def test_ready_again_without_new_work(self):
        node = self.start_node()
        client = self.mqtt(node, "modern")
        self.fill_disk()
        self.publish_until_refused(client, "keep/v5", range(10000), 10000)
        client.close()
        self.assertEqual(node.admin("/readyz").status, 503)
        os.unlink(self.ballast)
        self.wait_ready_again(node)

    def test_ready_again_when_records_are_stored_again(self):
        """With space for the next segment, and none for one after it."""
        node = self.start_node()
        client = self.mqtt(node, "modern")
        # The files that are kept ahead are there before the disk is full.
        verge.wait_until(lambda: client.publish_and_wait("keep/v5", {"filling": FILLING}) == 0 and
                         os.path.exists(os.path.join(node.data_dir, "spool", "reserve", "held-back")), "one is held back")
        self.fill_disk()
        _, refused = self.publish_until_refused(client, "keep/v5", range(10000), 10000)
        os.truncate(self.ballast, os.path.getsize(self.ballast) - (3 << 19))  # 1.5 MiB
        verge.wait_until(lambda: client.publish_and_wait("keep/v5", {"number": refused, "filling": FILLING}) == 0,
                         "a file was made of it, and takes records")
        self.wait_ready_again(node)
        for number in range(100):
            self.assertEqual(client.publish_and_wait("keep/v5", {"number": number, "filling": FILLING}), 0)
        self.assertEqual(node.admin("/readyz").status, 200)

    def test_killed_while_full(self):
        node = self.start_node()
        client = self.mqtt(node, "modern")
        self.fill_disk()
        acknowledged, _ = self.publish_until_refused(client, "keep/v5", range(10000), 10000)
        client.close()
        node.kill9()
        # With no space at all a node may refuse to start, in one line; but it must not spoil what is there.
        node.launch()
        verge.wait_until(lambda: node.process.poll() is not None or os.path.exists(node.ready_path),
                         "the node has started or has given up")
        if node.process.poll() is None:
            node.kill9()
        else:
            self.assertEqual(node.wait_end(), 1, node.log())
        os.unlink(self.ballast)
        node.start()
        self.assertEqual(self.numbers(node.events("keep/v5")), acknowledged)
        again = self.mqtt(node, "again")
        self.assertEqual(again.publish_and_wait("keep/v5", {"number": 99999}), 0)
        node.stop()
        self.assertEqual(self.numbers(node.events("keep/v5")), acknowledged + [99999])

    def test_a_start_without_space(self):
        """One clear line, and status 1."""
        self.fill_disk()
        node = self.node("late", RULES, data_dir=os.path.join(self.disk, "late"))
        node.launch()
        self.assertEqual(node.wait_end(), 1, node.log())
        self.assertIn("No space left", node.log())


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
