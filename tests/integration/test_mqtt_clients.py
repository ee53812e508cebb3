"""Clients that others wrote: mosquitto_pub and mosquitto_sub, paho, and the promises of a broker to them."""

import collections
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge


class Broker(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.edge = self.node("edge", sets=["runtime.loops=3"]).start()


class Mosquitto(Broker):
    def setUp(self):
        super().setUp()
        self.subscribers = []
        for program in ("mosquitto_pub", "mosquitto_sub"):
            if verge.find_program(program, "VERGE_" + program.upper()) is None:
                self.skipTest(f"{program} is not here")

    def command(self, program, version, *arguments):
        host, _, port = self.edge.addresses["mqtt"].rpartition(":")
        return [program, "-h", host, "-p", port, "-V", version, *arguments]

    def publish(self, version, *arguments, data=None):
        done = subprocess.run(self.command("mosquitto_pub", version, *arguments), input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=verge.PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, b""), "mosquitto_pub")

    def subscriber(self, version, *arguments):
        """A mosquitto_sub whose subscription is granted."""
        verge.wait_until(self.only_living_subscribers, "those that have gone are forgotten")
        process = verge.spawn(self.command("mosquitto_sub", version, *arguments), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(verge.end, process)
        self.subscribers.append((process, arguments.count("-t")))
        verge.wait_until(self.only_living_subscribers, "the subscription")
        return process

    def only_living_subscribers(self):
        """Whether the node has the subscriptions of those that run, and no others."""
        expected = sum(filters for each, filters in self.subscribers if each.poll() is None)
        return self.edge.status()["mqtt"]["subscriptions"] == expected

    def output(self, process):
        """All that a mosquitto_sub with -C printed until its end."""
        out, err = process.communicate(timeout=verge.PATIENCE)
        self.assertEqual((process.returncode, err), (0, b""))
        return out.decode().splitlines()

    def test_both_versions_and_qualities(self):
        for publisher in ("mqttv311", "mqttv5"):
            for subscriber in ("mqttv311", "mqttv5"):
                for qos in ("0", "1", "2"):
                    with self.subTest(f"{publisher} to {subscriber} at QoS {qos}"):
                        listening = self.subscriber(subscriber, "-t", "t/1", "-q", qos, "-C", "2", "-F", "%t %q %p")
                        self.publish(publisher, "-t", "t/1", "-q", qos, "-m", "first")
                        self.publish(publisher, "-t", "t/1", "-q", qos, "-m", "second")
                        self.assertEqual(self.output(listening), [f"t/1 {qos} first", f"t/1 {qos} second"])

    def test_wildcards(self):
        everything = self.subscriber("mqttv5", "-t", "#", "-C", "5", "-F", "%t")
        plus = self.subscriber("mqttv311", "-t", "plant/+/oven", "-C", "2", "-F", "%t")
        deep = self.subscriber("mqttv5", "-t", "plant/#", "-C", "4", "-F", "%t")
        both = self.subscriber("mqttv5", "-t", "plant/a/+", "-t", "plant/#", "-C", "4", "-F", "%t")
        topics = ["plant/a/oven", "plant/b/oven", "plant/a/b/oven", "plant", "other"]
        self.publish("mqttv5", "-t", "$hidden/x", "-m", "not for #")
        for topic in topics:
            self.publish("mqttv5", "-t", topic, "-m", "x", "-q", "1")
        self.assertEqual(self.output(everything), topics)
        self.assertEqual(self.output(plus), topics[:2])
        self.assertEqual(self.output(deep), topics[:4])
        self.assertEqual(self.output(both), topics[:4], "overlapping filters: one copy")

    def test_retained(self):
        for version in ("mqttv311", "mqttv5"):
            self.publish(version, "-t", f"state/{version}", "-m", "old", "-r", "-q", "1")
            self.publish(version, "-t", f"state/{version}", "-m", "new", "-r", "-q", "1")
            self.publish(version, "-t", f"state/{version}", "-m", "passing", "-q", "1")
        for version in ("mqttv311", "mqttv5"):
            listening = self.subscriber(version, "-t", "state/+", "-C", "2", "-F", "%t %r %p")
            self.assertEqual(sorted(self.output(listening)), ["state/mqttv311 1 new", "state/mqttv5 1 new"])
        self.publish("mqttv5", "-t", "state/mqttv5", "-n", "-r", "-q", "1")  # empty: forget it
        listening = self.subscriber("mqttv5", "-t", "state/#", "-C", "1", "-F", "%t %r %p")
        self.assertEqual(self.output(listening), ["state/mqttv311 1 new"])
        self.assertEqual(self.edge.status()["mqtt"]["retained"], 1)

    def test_will_of_a_client_that_dies(self):
        for version in ("mqttv311", "mqttv5"):
            with self.subTest(version):
                heir = self.subscriber(version, "-t", "will/+", "-C", "1", "-F", "%t %p")
                dying = self.subscriber(version, "-t", "nothing", "--will-topic", "will/x", "--will-payload", "gone",
                                        "--will-qos", "1", "--will-retain")
                dying.kill()
                dying.wait()
                self.assertEqual(self.output(heir), ["will/x gone"])
                late = self.subscriber(version, "-t", "will/x", "-C", "1", "-F", "%r %p")
                self.assertEqual(self.output(late), ["1 gone"], "the will was to be retained")
                self.publish(version, "-t", "will/x", "-n", "-r", "-q", "1")

    def test_large_payloads(self):
        for version in ("mqttv311", "mqttv5"):
            for size in (127, 128, 16_383, 16_384, 65_536, 1_000_000):
                payload = (b"%d " % size * size)[:size]
                listening = self.subscriber(version, "-t", "big", "-q", "1", "-C", "1", "-N")
                self.publish(version, "-t", "big", "-q", "1", "-s", data=payload)
                out, _ = listening.communicate(timeout=verge.PATIENCE)
                self.assertEqual(len(out), size)
                self.assertEqual(out, payload)

    def test_many_lines_through_one_client(self):
        lines = [f"line {i}" for i in range(5000)]
        listening = self.subscriber("mqttv5", "-t", "lines", "-q", "1", "-C", "5000")
        self.publish("mqttv311", "-t", "lines", "-q", "1", "-l", data="\n".join(lines).encode() + b"\n")
        self.assertEqual(self.output(listening), lines)


class Promises(Broker):
    def test_will_is_not_sent_after_disconnect(self):
        heir = self.mqtt(self.edge, "heir")
        heir.subscribe("will/#")
        polite = self.mqtt(self.edge, "polite", will=("will/polite", "gone", 1, False))
        polite.close()
        rude = self.raw(self.edge, client_id="rude", flags=0x0E,
                        rest=b"\0" + verge.text_field("will/rude") + verge.text_field("gone"))
        rude.close()
        self.assertEqual(heir.wait_messages(1)[0].topic, "will/rude", "only who did not say goodbye")

    def test_keep_alive(self):
        heir = self.mqtt(self.edge, "heir")
        heir.subscribe("will/#")
        for version in (4, 5):
            with self.subTest(f"version {version}"):
                properties = b"\0" if version == 5 else b""
                will = properties + verge.text_field(f"will/{version}") + verge.text_field("silent")
                client = self.raw(self.edge, version=version, client_id=f"silent-{version}", keepalive=1, flags=0x06,
                                  rest=will)
                begin = time.monotonic()
                packets = client.receive_all()
                took = time.monotonic() - begin
                self.assertGreater(took, 1.4, "one and a half keep-alive periods are allowed")
                self.assertLess(took, 4, "then the silence is over")
                if version == 5:
                    self.assertEqual([(first, body[0]) for first, body in packets], [(0xE0, 0x8D)],
                                     "DISCONNECT: keep-alive timeout")
                else:
                    self.assertEqual(packets, [])
        heir.wait_messages(2)
        self.assertEqual([m.topic for m in heir.messages], ["will/4", "will/5"])

    def test_pings_keep_alive(self):
        client = self.raw(self.edge, keepalive=1)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            client.send(verge.packet(0xC0))
            self.assertEqual(client.receive()[0], 0xD0)
            verge.pause(0.4)  # a client's own rhythm

    def test_no_connect(self):
        """Who connects and says nothing is sent away, though not at once."""
        silent = self.raw(self.edge, connect=False)
        self.assertEqual(silent.receive_all(), [])

    def test_takeover(self):
        # clauses: 3 3.1.4-2; 5 3.1.4-3
        for version in (4, 5):
            first = self.raw(self.edge, version=version, client_id="twin")
            second = self.raw(self.edge, version=version, client_id="twin")
            packets = first.receive_all()
            if version == 5:
                self.assertEqual([(kind, body[0]) for kind, body in packets], [(0xE0, 0x8E)], "session taken over")
            else:
                self.assertEqual(packets, [])
            second.send(verge.packet(0xC0))
            self.assertEqual(second.receive()[0], 0xD0, "the second stays")
            second.close()

    def test_takeover_by_many(self):
        """Fifty clients with one name: one is left."""
        clients = [self.raw(self.edge, client_id="one-of-many") for _ in range(50)]
        for client in clients[:-1]:
            self.assertEqual([(kind, body[0]) for kind, body in client.receive_all()], [(0xE0, 0x8E)])
        clients[-1].send(verge.packet(0xC0))
        self.assertEqual(clients[-1].receive()[0], 0xD0)
        verge.wait_until(lambda: self.edge.status()["mqtt"]["connections"] == 1, "one connection is left")

    def test_a_kept_session_queues(self):
        # clauses: 3 3.1.2-5; 5 3.1.2-23 4.5.0-1
        for version in (4, 5):
            with self.subTest(f"version {version}"):
                topic = f"kept/{version}"
                client = self.mqtt(self.edge, f"sleeper-{version}", version=version, clean=False, expiry=600)
                self.assertFalse(client.session_present, "a new session")
                client.subscribe(topic, qos=1)
                client.close()
                verge.wait_until(lambda: self.edge.status()["mqtt"]["connections"] == 0, "it is gone")
                sender = self.mqtt(self.edge, "sender")
                for number in range(100):
                    sender.publish(topic, str(number), qos=1)
                sender.publish_and_wait(topic, "last")
                sender.close()
                again = self.mqtt(self.edge, f"sleeper-{version}", version=version, clean=False, expiry=600)
                self.assertTrue(again.session_present, "the session was kept")
                again.wait_messages(101)
                self.assertEqual(again.payloads(), [b"%d" % n for n in range(100)] + [b"last"])
                again.close()
                fresh = self.mqtt(self.edge, f"sleeper-{version}", version=version, clean=True)
                self.assertFalse(fresh.session_present, "a clean start forgets it")
                fresh.close()
                verge.wait_until(lambda: self.edge.status()["mqtt"]["sessions"] == 0, "no session is left")

    def test_what_was_not_acknowledged_is_sent_again(self):
        # clauses: 5 3.3.1-1 4.4.0-1
        first = self.raw(self.edge, client_id="careless", flags=0, properties=b"\x11\0\0\2\x58")
        first.send(verge.subscribe_packet("again"))
        self.assertEqual(first.receive()[0], 0x90)
        self.mqtt(self.edge, "sender").publish_and_wait("again", "x")
        kind, body = first.receive()
        self.assertEqual(kind, 0x32, "QoS 1, for the first time")
        first.close()
        second = self.raw(self.edge, client_id="careless", flags=0, properties=b"\x11\0\0\2\x58")
        kind, repeated = second.receive()
        self.assertEqual((kind, repeated), (0x3A, body), "the same packet with DUP")
        second.send(verge.packet(0x40, body[7:9]))
        second.close()
        third = self.raw(self.edge, client_id="careless", flags=0, properties=b"\x11\0\0\2\x58")
        third.send(verge.packet(0xC0))
        self.assertEqual(third.receive()[0], 0xD0, "after PUBACK it is not sent again")

    def test_receive_maximum(self):
        client = self.raw(self.edge, client_id="narrow", properties=b"\x21\0\2")
        client.send(verge.subscribe_packet("narrow"))
        client.receive()
        sender = self.mqtt(self.edge, "sender")
        sender.wait_acknowledged([sender.publish("narrow", str(n)) for n in range(5)])
        seen = [client.receive()[1], client.receive()[1]]
        client.send(verge.packet(0xC0))
        self.assertEqual(client.receive()[0], 0xD0, "no third message before a PUBACK")
        for _ in range(3):
            client.send(verge.packet(0x40, seen[-2][8:10]))
            seen.append(client.receive()[1])
        self.assertEqual([body[-1:] for body in seen], [b"0", b"1", b"2", b"3", b"4"])

    def test_fan_out_and_order(self):
        """200 subscribers on three loops; each sees each publisher's messages complete and in order."""
        # clauses: 3 4.6.0-6; 5 4.6.0-5
        subscribers = [self.raw(self.edge, version=4 + i % 2, client_id=f"sub-{i}") for i in range(200)]
        for i, subscriber in enumerate(subscribers):
            subscriber.send(verge.subscribe_packet("fan/#", options=i % 3 // 2, version=4 + i % 2))
        for subscriber in subscribers:
            self.assertEqual(subscriber.receive()[0], 0x90)
        self.assertEqual(self.edge.status()["mqtt"]["subscriptions"], 200)
        count, failures, seen = 50, [], {}

        def publish(name):
            try:
                client = verge.RawMqtt(self.edge, client_id=name)
                for number in range(count):
                    client.send(verge.publish_packet(f"fan/{name}", b"%d" % number, 1, number + 1))
                for number in range(count):
                    kind, body = client.receive()
                    assert kind == 0x40 and body[2:3] in (b"", b"\0", b"\x10"), (kind, body)
                client.close()
            except Exception as problem:  # pylint: disable=broad-except
                failures.append(f"{name}: {problem!r}")

        def collect(index):
            try:
                received = collections.defaultdict(list)
                for _ in range(3 * count):
                    kind, body = subscribers[index].receive()
                    length = int.from_bytes(body[:2], "big")
                    at = 2 + length + (2 if kind & 6 else 0) + (1 if index % 2 else 0)
                    received[body[2:2 + length].decode()].append(int(body[at:]))
                seen[index] = received
            except Exception as problem:  # pylint: disable=broad-except
                failures.append(f"subscriber {index}: {problem!r}")

        threads = [threading.Thread(target=publish, args=(name,)) for name in ("a", "b", "c")]
        threads += [threading.Thread(target=collect, args=(index,)) for index in range(len(subscribers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        expected = {f"fan/{name}": list(range(count)) for name in ("a", "b", "c")}
        for index, received in seen.items():
            self.assertEqual(dict(received), expected, f"subscriber {index}")
        self.assertEqual(len(seen), 200)

    def test_a_client_that_does_not_read(self):
        """Holds up nobody: its messages are dropped at mqtt.queue_bytes_max, the node's memory stays bounded."""
        lazy = self.raw(self.edge, client_id="lazy")
        lazy.send(verge.subscribe_packet("flood", options=0))
        lazy.receive()
        keen = self.mqtt(self.edge, "keen")
        keen.subscribe("flood", qos=1)
        sender = self.mqtt(self.edge, "sender")
        payload = b"x" * 50_000
        for begin in range(0, 400, 20):
            sender.wait_acknowledged([sender.publish("flood", payload) for _ in range(20)])
            keen.wait_messages(begin + 20)
        self.assertGreater(self.edge.status()["mqtt"]["dropped"], 0)
        self.assertLess(self.edge.status()["process"]["resident_bytes"], 120e6)

    def test_version_5_properties_travel(self):
        listener = self.mqtt(self.edge, "listener")
        listener.subscribe("props")
        old = self.mqtt(self.edge, "old", version=4)
        old.subscribe("props")
        properties = verge.Properties(verge.PacketTypes.PUBLISH)
        properties.ContentType = "text/plain"
        properties.ResponseTopic = "answers"
        properties.CorrelationData = b"\1\2"
        properties.UserProperty = [("a", "1"), ("a", "2")]
        sender = self.mqtt(self.edge, "sender")
        sender.client.publish("props", "x", 1, properties=properties)
        got = listener.wait_messages(1)[0].properties
        self.assertEqual((got.ContentType, got.ResponseTopic, got.CorrelationData), ("text/plain", "answers", b"\1\2"))
        self.assertEqual(got.UserProperty, [("a", "1"), ("a", "2")])
        self.assertEqual(bytes(old.wait_messages(1)[0].payload), b"x")


class Commands(Broker):
    """verge pub and verge sub."""

    def pub(self, *arguments, **options):
        return verge.run("pub", *arguments, "--target", self.edge.addresses["mqtt"], **options)

    def test_what_is_published_is_printed(self):
        target = ["--target", self.edge.addresses["mqtt"]]
        listening = verge.spawn([verge.VERGE, "sub", "a/+", "b", "--qos", "2", "--count", "3", "--json", *target],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(verge.end, listening)
        verge.wait_until(lambda: self.edge.status()["mqtt"]["subscriptions"] == 2, "the subscriptions")
        said = self.pub("a/x", "first", "--qos", "2", "--json", "--property", "unit=C")
        self.assertEqual((said.returncode, json.loads(said.stdout)),
                         (0, {"topic": "a/x", "bytes": 5, "qos": 2, "reason": 0}))
        self.assertEqual(self.pub("b", "--file", "/dev/null", "--qos", "0").returncode, 0)
        self.assertEqual(self.pub("a/y", "--retain", "third").returncode, 0)
        out, err = listening.communicate(timeout=verge.PATIENCE)
        self.assertEqual((listening.returncode, err), (0, b""))
        self.assertEqual([json.loads(line) for line in out.splitlines()],
                         [{"topic": "a/x", "qos": 2, "retain": False, "payload": "first", "properties": {"unit": "C"}},
                          {"topic": "b", "qos": 0, "retain": False, "payload": ""},
                          {"topic": "a/y", "qos": 1, "retain": False, "payload": "third"}])
        late = verge.run("sub", "a/#", "--count", "1", *target)
        self.assertEqual((late.returncode, late.stdout), (0, "a/y third\n"))

    def test_what_is_refused_is_said(self):
        self.assertEqual(json.loads(self.pub("nobody/listens", "x", "--json").stdout)["reason"], 0x10)
        refused = self.pub("$SYS/x", "x")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("refused the message: not authorized (0x87); give --user and --password-file", refused.stderr)
        for topic in ("a/#", "a/+/b"):
            wild = self.pub(topic, "x")
            self.assertEqual(wild.returncode, 2, wild)
            self.assertIn("no topic to publish to", wild.stderr)
            self.assertIn("[cli.topic]", wild.stderr)
        self.assertEqual(verge.run("sub", "a/#/b", "--target", self.edge.addresses["mqtt"]).returncode, 1)
        self.edge.stop()
        self.assertEqual(self.pub("a", "x").returncode, 1)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
