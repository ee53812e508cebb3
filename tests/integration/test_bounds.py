"""Bounds: whatever a client sends or does not take, the memory of a node and the others' latency stay as they are."""

import json
import os
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from verge import SHADOW, packet, publish_packet, text_field

MIB = 1 << 20
verge.will_measure_memory()


def resident(node):
    with open(f"/proc/{node.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def subscribe_all(filters, packet_id=1, options=0, properties=b"\0"):
    return packet(0x82, struct.pack("!H", packet_id) + properties +
                  b"".join(text_field(one) + bytes([options]) for one in filters))


def unsubscribe(filter_text, packet_id):
    return packet(0xA2, struct.pack("!H", packet_id) + b"\0" + text_field(filter_text))


class Mqtt(verge.TestCase):
    def start(self, config="", **options):
        options.setdefault("sets", ["runtime.loops=2"])
        return self.node("edge", config, **options).start()

    def retain(self, node, count, size=0):
        client = self.raw(node, client_id="giver")
        for number in range(count):
            client.send(publish_packet(f"r/{number}", b"x" * size + b"%d" % number, packet_id=1, retain=True))
        for _ in range(count):
            self.assertEqual(client.receive()[0], 0x40)
        verge.wait_until(lambda: node.status()["mqtt"]["retained"] >= count, "all is retained")
        client.close()

    def test_who_does_not_read_is_not_read(self):
        """What answers a client's packets cannot be dropped, so the packets must stop."""
        node = self.start()
        client = self.raw(node, keepalive=0)
        client.socket.settimeout(1)
        before = resident(node)
        pings = packet(0xC0) * 32768
        sent = 0
        with self.assertRaises(socket.timeout, msg="the node takes pings without end from a client that does not read"):
            while sent < 64 * MIB:
                sent += client.socket.send(pings)
        self.assertLess(resident(node) - before, 16 * MIB)
        # Then it reads: everything is answered.
        client.socket.settimeout(verge.PATIENCE)
        received = b""
        while len(received) < sent // 2 * 2:
            received += client.socket.recv(MIB)
        self.assertEqual(received, b"\xd0\0" * (sent // 2))
        other = self.raw(node, client_id="other")
        other.send(packet(0xC0))
        self.assertEqual(other.receive()[0], 0xD0)

    def test_who_does_not_read_is_closed_by_its_keep_alive(self):
        node = self.start()
        client = self.raw(node, keepalive=1)
        client.socket.settimeout(1)
        with self.assertRaises(socket.timeout):
            while True:
                client.socket.send(packet(0xC0) * 32768)
        begin = time.monotonic()
        verge.wait_until(lambda: node.status()["mqtt"]["connections"] == 0, "it is closed")
        self.assertLess(time.monotonic() - begin, 10)

    def test_retained_messages_come_in_step(self):
        """More than the queue holds: none is lost, at either quality of service."""
        node = self.start(sets=["runtime.loops=2", "mqtt.queue_bytes_max=64KiB"])
        self.retain(node, 4000, size=1000)
        for qos in (0, 1):
            with self.subTest(f"QoS {qos}"):
                client = self.raw(node, client_id=f"taker-{qos}")
                client.send(subscribe_all(["r/#"], options=qos))
                self.assertEqual(client.receive()[0], 0x90)
                seen = set()
                while len(seen) < 4000:
                    kind, body = client.receive()
                    self.assertEqual(kind, 0x31 | qos << 1)
                    length = int.from_bytes(body[:2], "big")
                    seen.add(body[2:2 + length])
                    if qos:
                        client.send(packet(0x40, body[2 + length:4 + length]))
                client.send(packet(0xC0))
                self.assertEqual(client.receive()[0], 0xD0, "each once")
        self.assertEqual(node.status()["mqtt"]["dropped"], 0)

    def test_many_filters_over_many_retained(self):
        node = self.start()
        self.retain(node, 20_000)
        before = resident(node)
        client = self.raw(node)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        filters = ["r/#", "#", "+/#", "r/+", "+/+"] + ["+/" * n + "#" for n in range(2, 120)] + ["r/#"] * 900
        client.send(subscribe_all(filters))
        kind, body = client.receive()
        self.assertEqual((kind, len(body)), (0x90, 3 + len(filters)))
        client.send(subscribe_all(["r/#"] * 1500, packet_id=2))
        for _ in range(20):
            verge.pause(0.1)
            self.assertLess(resident(node) - before, 32 * MIB)
        other = self.raw(node, client_id="other")
        begin = time.monotonic()
        other.send(packet(0xC0))
        self.assertEqual(other.receive()[0], 0xD0)
        self.assertLess(time.monotonic() - begin, 1, "others are served meanwhile")

    def test_a_filter_too_many(self):
        node = self.start()
        client = self.raw(node)
        client.send(subscribe_all([f"f/{n}" for n in range(1100)]))
        codes = client.receive()[1][3:]
        self.assertEqual(codes[:1024], bytes(1024))
        self.assertEqual(set(codes[1024:]), {0x97})
        long_filters = [f"{n}/" + "x" * 60_000 for n in range(20)]
        for number, one in enumerate(long_filters):
            client.send(subscribe_all([one], packet_id=2 + number))
        codes = [client.receive()[1][3] for _ in long_filters]
        self.assertEqual(codes[0], 0)
        self.assertEqual(codes[-1], 0x97, "the filters of a session are bounded by their bytes")

    def test_an_unsubscription_is_answered_in_turn(self):
        """UNSUBACK after the SUBACK of an earlier SUBSCRIBE, and no retained message after it [MQTT-3.10.4-2]."""
        # clauses: 5 3.10.4-4
        node = self.start(sets=["runtime.loops=3"])
        self.retain(node, 50)
        for round_ in range(30):
            client = self.raw(node, client_id=f"taker-{round_}")
            client.send(subscribe_all(["r/#"], packet_id=9) + unsubscribe("r/#", 10) + packet(0xC0))
            kinds = []
            while kinds.count(0xB0) == 0 or kinds.count(0xD0) == 0:
                kinds.append(client.receive()[0])
            verge.pause(0.005)
            client.send(packet(0xC0))
            kinds.append(client.receive()[0])
            self.assertLess(kinds.index(0x90), kinds.index(0xB0))
            self.assertNotIn(0x31, kinds[kinds.index(0xB0):])
            client.close()

    def test_many_subscriptions_without_waiting(self):
        """More than are answered at a time: all are, in order."""
        for loops in (1, 3):
            node = self.node(f"edge-{loops}", sets=[f"runtime.loops={loops}"]).start()
            client = self.raw(node)
            client.send(b"".join(subscribe_all([f"f/{n}"], n) + unsubscribe(f"f/{n}", n + 10_000)
                                 for n in range(1, 3001)) + packet(0xC0))
            answers = [client.receive() for _ in range(6001)]
            self.assertEqual(len([kind for kind, _ in answers if kind == 0xD0]), 1)
            self.assertEqual([int.from_bytes(body[:2], "big") for kind, body in answers if kind != 0xD0],
                             [n + more for n in range(1, 3001) for more in (0, 10_000)])

    def test_sessions(self):
        node = self.start(sets=["runtime.loops=1", "mqtt.sessions_max=20"])
        kept = {"flags": 0, "properties": b"\x11\0\0\2\x58"}
        for number in range(21):
            self.raw(node, client_id=f"kept-{number}", **kept).close()
        with self.assertRaisesRegex(ConnectionError, r"x97"):
            self.raw(node, client_id="one-too-many", **kept)
        with self.assertRaisesRegex(ConnectionError, r"\\x03"):
            self.raw(node, client_id="one-too-many", version=4)
        self.raw(node, client_id="kept-7", **kept).close()
        self.raw(node, client_id="kept-7", flags=2).close()
        verge.wait_until(lambda: node.status()["mqtt"]["sessions"] == 20, "one session ended")
        self.raw(node, client_id="now-there-is-room").close()

    def test_the_client_id_names_a_device(self):
        node = self.start()
        self.raw(node, client_id="x" * 1024).close()
        with self.assertRaisesRegex(ConnectionError, r"x85"):
            self.raw(node, client_id="x" * 1025)
        with self.assertRaisesRegex(ConnectionError, r"\\x02"):
            self.raw(node, client_id="x" * 1025, version=4)

    def test_the_clients_maximum_packet_size(self):
        """By the byte, for each packet [MQTT-3.1.2-24]."""
        # clauses: 5 3.1.2-24 3.1.2-25
        node = self.start()
        giver = self.raw(node, client_id="giver")
        size = len(publish_packet("a", b"x" * 40, qos=0))
        for properties, expected in ((b"\x27" + struct.pack("!I", size), [b"x" * 40]),
                                     (b"\x27" + struct.pack("!I", size - 1), [])):
            client = self.raw(node, client_id="taker", properties=properties)
            client.send(subscribe_all(["a"]))
            self.assertEqual(client.receive()[0], 0x90)
            giver.send(publish_packet("a", b"x" * 40, qos=1) + publish_packet("a", b"end", qos=1, packet_id=2))
            giver.receive(), giver.receive()
            found = []
            while not found or found[-1] != b"end":
                found.append(client.receive()[1][4:])
            self.assertEqual(found[:-1], expected)
            client.send(subscribe_all(["a"] * 60, packet_id=2))
            self.assertEqual(client.receive_all(), [(0xE0, b"\x95")], "a SUBACK that is too large")
        client = self.raw(node, connect=False)
        client.send(verge.connect_packet(5, properties=b"\x27\0\0\0\5"))
        self.assertEqual(client.receive_all(), [(0x20, b"\0\x95\0")], "a CONNACK that is too large")
        client = self.raw(node, connect=False)
        client.send(verge.connect_packet(5, properties=b"\x27\0\0\0\4"))
        self.assertEqual(client.receive_all(), [])

    def test_quality_2_without_waiting(self):
        """PUBLISH, PUBREL and PUBLISH again with the same identifier, all at once: two messages."""
        node = self.start("""
[[rule]]
name = "kept"
sql = "SELECT * FROM 'kept/#'"
do = [{ upload = "normal" }]
""")
        listener = self.raw(node, client_id="listener")
        listener.send(subscribe_all(["#"]))
        listener.receive()
        for topic in ("passing", "kept/x"):  # acknowledged at once; when it is durable
            with self.subTest(topic):
                client = self.raw(node, client_id="giver")
                release = packet(0x62, b"\0\7")
                client.send(publish_packet(topic, b"1", 2, 7) + release + publish_packet(topic, b"2", 2, 7) + release)
                answers = [client.receive() for _ in range(4)]
                self.assertEqual(answers, [(0x50, b"\0\7"), (0x70, b"\0\7")] * 2)
                client.send(publish_packet(topic, b"3", 2, 7) + publish_packet(topic, b"3", 2, 7) + release)
                self.assertEqual([client.receive()[0] for _ in range(2)], [0x50, 0x70], "a repetition is none")
                client.send(release)
                self.assertEqual(client.receive(), (0x70, b"\0\7\x92"), "what is not known is said so")
                self.assertEqual([listener.receive()[1][-1:] for _ in range(3)], [b"1", b"2", b"3"])


class Devices(verge.TestCase):
    """A device that is no name is not stored: the parent would refuse the batch, and all that comes after."""

    def test_none_stops_the_uplink(self):
        root = self.node("root", tier="cloud").start()
        edge = self.node("edge", """
[[rule]]
name = "of"
sql = "SELECT device, t FROM 'in/+'"
do = [{ upload = "normal" }, { publish = "out", payload = "x" }]
""", parent=root).start()
        client = self.mqtt(edge, "sender")
        for device in ("p\0007", "x" * 70_000, "x" * 2000):
            self.assertEqual(client.publish_and_wait("in/x", {"device": device, "t": 1}), 0)
            answer = edge.post("/v1/events", {"topic": "t", "device": device, "payload": 1})
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (400, "ingest.device"))
        for query in ("a%00b", "%ff", "x" * 2000):
            answer = edge.post(f"/v1/events?topic=t&device={query}", {"a": 1})
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (400, "ingest.device"))
        self.assertEqual(edge.post("/v1/events", {"topic": "good", "payload": 1}).status, 200)
        edge.wait_delivered()
        events = root.events()
        self.assertEqual([event["device"] for event in events if event["topic"] == "in/x"], ["sender"] * 3)
        self.assertIn("good", [event["topic"] for event in events])


class Queries(verge.TestCase):
    def start(self):
        node = self.node("node", sets=["runtime.loops=1"]).start()
        payload = "x" * 7000
        body = json.dumps([{"topic": "big", "payload": payload}] * 1000)
        for _ in range(6):
            self.assertEqual(node.post("/v1/events", body).status, 200)
        return node

    def ask(self, node):
        host, _, port = node.addresses["admin"].rpartition(":")
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(verge.PATIENCE)
        connection.connect((host, int(port)))
        self.addCleanup(connection.close)
        connection.sendall(b"GET /v1/events?limit=100000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        return connection

    def test_a_page_is_bounded_and_goes_on(self):
        node = self.start()
        answer = node.admin("/v1/events?limit=100000")
        self.assertEqual(answer.status, 200)
        self.assertLess(len(answer.body), 8 * MIB)
        self.assertEqual(answer.fields["verge-next"], f"normal:{len(answer.body.splitlines())}")
        self.assertEqual(len(node.events_by_http()), 6000)
        self.assertEqual(len(verge.run("events", "query", "--admin", node.addresses["admin"], "--json", "--limit",
                                       "5000").stdout.splitlines()), 5000, "the command goes on by itself")

    def test_who_does_not_take_an_answer(self):
        node = self.start()
        node.admin("/v1/events?limit=1")
        before = resident(node)
        connections = [self.ask(node) for _ in range(30)]
        refused = 0
        for connection in connections:
            status = connection.recv(1000)[:12]
            self.assertIn(status, (b"HTTP/1.1 200", b"HTTP/1.1 503"))
            refused += status.endswith(b"503")
        self.assertEqual(refused, 22, "eight are under way")
        self.assertEqual(node.admin("/healthz").status, 200)
        self.assertLess(resident(node) - before, 160 * MIB * SHADOW)
        answer = node.admin("/v1/events")
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (503, "events.busy"))
        self.assertEqual(answer.fields["retry-after"], "1")
        verge.wait_until(lambda: node.admin("/v1/events?limit=1").status == 200, "one of them gives way")
        for connection in connections:
            connection.close()
        verge.wait_until(lambda: node.admin("/v1/events?limit=1").status == 200, "they left, and others may ask")


class Batches(verge.TestCase):
    def test_a_large_batch_delays_nobody(self):
        """A hundred thousand records of a child, and a client of the same loop that wants its answers."""
        root = self.node("root", """
[[rule]]
name = "double"
sql = "SELECT t * 2 AS x FROM 's/+' WHERE t >= 0"
do = [{ publish = "doubled" }]
""", tier="cloud", sets=["runtime.loops=1"]).start()
        root.stop()
        child = self.node("child", parent=root, sets=["parent.batch_bytes_max=4MiB"]).start()
        for _ in range(10):
            self.assertEqual(child.post("/v1/events?topic=s/a", b'{"t":1}\n' * 10_000).status, 200)
        root.start()
        client = self.raw(root, client_id="pinger")
        slowest = 0
        begin = time.monotonic()
        while root.status()["events"]["actions"] < 100_000:
            self.assertLess(time.monotonic() - begin, verge.PATIENCE * 3)
            for _ in range(50):
                asked = time.monotonic()
                client.send(packet(0xC0))
                self.assertEqual(client.receive()[0], 0xD0)
                slowest = max(slowest, time.monotonic() - asked)
                verge.pause(0.001)
        took = time.monotonic() - begin
        print(f"100,000 records took {took:.2f} s, the slowest answer meanwhile {slowest * 1e3:.1f} ms", flush=True)
        self.assertLess(slowest, max(0.1, took / 8))
        child.wait_delivered()
        self.assertEqual(root.status()["events"]["children"], 100_000)


class Windows(verge.TestCase):
    def test_readings_on_their_way_at_the_end(self):
        """SIGTERM: what a client was told to be accepted is in a window, whichever loop owns that."""
        node = self.node("node", """
[[rule]]
name = "count"
sql = "SELECT device, count(*) AS n FROM 'w/+' GROUP BY device, TUMBLING(24 h)"
do = [{ upload = "normal" }]
""", sets=["runtime.loops=4"]).start()
        acknowledged = []

        def publish(name):
            client = verge.RawMqtt(node, client_id=name)
            count = 0
            try:
                while True:
                    client.send(b"".join(publish_packet(f"w/{name}-{i}", b"{}", 1, i + 1) for i in range(100)))
                    for _ in range(100):
                        kind = client.receive()
                        if kind is None or kind[0] != 0x40:
                            return
                        count += 1
            except OSError:
                pass
            finally:
                acknowledged.append(count)
                client.close()

        threads = [threading.Thread(target=publish, args=(f"c{n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        verge.wait_until(lambda: node.status()["mqtt"]["received"] > 5000, "it is busy")
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait_end(), 0)
        for thread in threads:
            thread.join()
        counted = sum(event["payload"]["n"] for event in node.events("windows/count"))
        self.assertGreaterEqual(counted, sum(acknowledged), "readings were lost from their windows")


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
