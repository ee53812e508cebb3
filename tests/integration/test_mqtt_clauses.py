"""The demands of MQTT 3.1.1 and 5.0 on a server, one after the other, byte by byte: docs/mqtt-conformance.md lists them.

A comment "clauses: VERSION NUMBER …" names those that a test proves; tests/conformance/mqtt_clauses.py makes the list."""

import itertools
import os
import struct
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mqtt_wire as wire
import verge
from mqtt_wire import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL
from verge import packet, text_field

MALFORMED, PROTOCOL_ERROR, TOPIC_NAME, NO_SUBSCRIBERS = 0x81, 0x82, 0x90, 0x10
KEPT = ((wire.SESSION_EXPIRY, 600),)
# MQTT 5.0 section 2.4: which packets may say which reason.
CONNACK_REASONS = {0, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F}
PUBACK_REASONS = {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
PUBREL_REASONS = {0, 0x92}
SUBACK_REASONS = {0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2}
UNSUBACK_REASONS = {0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91}
DISCONNECT_REASONS = {0, 4, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, *range(0x93, 0x9B),
                      *range(0x9B, 0xA3)}


class Clauses(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.edge = self.node("edge", sets=["runtime.loops=3", "mqtt.packet_bytes_max=256KiB"]).start()
        self.numbers = itertools.count()
        self.has_last = False

    def client(self, version=5, client_id=None, **options):
        """A client that was accepted."""
        client = self.fresh(version)
        connack = client.connect(f"client-{next(self.numbers)}" if client_id is None else client_id, **options)
        self.assertEqual((connack.type, connack.reason), (wire.CONNACK, 0))
        client.connack = connack
        return client

    def fresh(self, version=5):
        """A connection that has said nothing."""
        client = wire.Client(self.edge, version)
        self.addCleanup(client.close)
        return client

    def keeper(self, version, client_id, clean=False, **options):
        """A client whose session outlives its connection."""
        return self.client(version, client_id, clean=clean, properties=KEPT, **options)

    @staticmethod
    def versions():
        return 4, 5

    def received(self, client, count):
        """So many PUBLISH packets; acknowledged."""
        found = []
        while len(found) < count:
            message = client.expect(PUBLISH)
            found.append(message)
            if message.qos == 1:
                client.acknowledge(PUBACK, message.id)
            elif message.qos == 2:
                client.acknowledge(PUBREC, message.id)
                self.assertEqual(client.expect_beside(PUBREL).id, message.id)
                client.acknowledge(PUBCOMP, message.id)
        return found

    def retained(self, client, *filters):
        """What is retained for them is sent in the order of the filters: another, behind them, says that it was all."""
        if not self.has_last:
            self.client().published("~last", b"x", retain=True)
            self.has_last = True
        client.subscribe(*filters)
        client.subscribe(("~last", 0), packet_id=12)
        found = []
        while (message := client.expect(PUBLISH)).topic != "~last":
            found.append(message)
            if message.qos == 1:
                client.acknowledge(PUBACK, message.id)
        return found

    def marked(self, publisher, taker, topic="marker"):
        """What the taker, who subscribes to `topic`, is sent before a message that the publisher sends now."""
        publisher.published(topic, b"marker", packet_id=999)
        found = []
        while True:
            message = taker.expect(PUBLISH)
            if message.qos == 1:
                taker.acknowledge(PUBACK, message.id)
            if message.topic == topic:
                return found
            found.append(message)

    def gone(self, client_id):
        """The node has noticed that the client has left."""
        def connected():
            rows = self.edge.admin("/v1/mqtt/clients?" + urllib.parse.urlencode({"client": client_id}))
            self.assertEqual(rows.status, 200)
            return '"connected":true' in rows.body.decode()
        verge.wait_until(lambda: not connected(), f"{client_id} has left")

    def refused(self, version, data, reasons, connected=True):
        """What is sent closes the connection, in 5.0 with one of the reasons; nothing else is said."""
        client = self.client(version) if connected else self.fresh(version)
        client.send(data)
        said = client.rest()
        if version == 5 and connected:
            self.assertEqual([each.type for each in said], [wire.DISCONNECT], data)
            self.assertIn(said[0].reason, reasons, data)
            self.assertIn(said[0].reason, DISCONNECT_REASONS)
            self.assertEqual(said[0].values(wire.SESSION_EXPIRY), [])
        elif connected:
            self.assertEqual(said, [], data)
        return said

    # ---- Chapters 1 and 2: what packets are made of

    def test_text(self):
        # clauses: 3 1.5.3-1 1.5.3-2 3.1.3-4 3.1.3-10 3.1.3-11 3.3.2-1 3.8.3-1 3.10.3-1 4.7.3-2
        # clauses: 5 1.5.4-1 1.5.4-2 1.5.7-1 3.1.3-4 3.1.3-11 3.1.3-12 3.3.2-1 3.3.2-13 3.3.2-19 3.8.3-1 3.10.3-1 4.7.3-2
        for version in self.versions():
            its = b"\0" if version == 5 else b""
            for bad in (b"a\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"a\0b", b"\xc0\xaf"):
                text = text_field(bad)
                self.refused(version, packet(0x30, text + its), {MALFORMED})
                self.refused(version, packet(0x82, b"\0\1" + its + text + b"\0"), {MALFORMED})
                self.refused(version, packet(0xA2, b"\0\1" + its + text), {MALFORMED})
                for options in ({"client_id": bad}, {"user": bad}, {"will": (bad, b"", 0, False, ())}):
                    client = self.fresh(version)
                    answer = client.connect(**{"client_id": "x", **options})
                    if answer is not None:
                        self.assertEqual((version, answer.reason), (5, MALFORMED))
                        self.assertEqual(client.rest(), [])
                if version == 5:
                    for field in (b"\x03" + text, b"\x08" + text, b"\x26" + text + text_field("x"),
                                  b"\x26" + text_field("x") + text):
                        self.refused(5, packet(0x30, text_field("a") + bytes([len(field)]) + field), {MALFORMED})

    def test_text_is_kept_as_it_is(self):
        # clauses: 3 1.5.3-3 4.7.3-4; 5 1.5.4-3 4.7.3-4
        for version in self.versions():
            client = self.client(version)
            names = ["\ufeffa", "a\ufeff", "A\u030a", "\u00c5", "\u212b", "a b", " ", "\U0001F600", "\ue000"]
            for name in names:
                self.assertEqual(client.subscribe((name, 0)).codes, [0])
            for name in names:
                client.publish(name, name.encode())
            found = self.received(client, len(names))
            self.assertEqual([each.topic for each in found], names, "each to its own, none folded with another")
            self.assertEqual(client.until_pong(), [])

    def test_numbers_of_variable_length_are_short(self):
        # clauses: 5 1.5.5-1
        self.refused(5, packet(0x30, text_field("a") + b"\x80\0"), {MALFORMED})
        client = self.client()
        client.subscribe(("a", 0), properties=[(wire.SUBSCRIPTION, 268_435_455)])
        for size in (0, 100, 130, 20_000):  # the reader refuses those that are longer than they need be
            client.publish("a", b"x" * size)
            self.assertEqual(len(client.expect(PUBLISH).payload), size)

    def test_reserved_flags(self):
        # clauses: 3 2.2.2-1 2.2.2-2 3.6.1-1 3.8.1-1 3.10.1-1 3.14.1-1 4.8.0-1
        # clauses: 5 2.1.3-1 3.6.1-1 3.8.1-1 3.10.1-1 3.14.1-1 3.15.1-1 4.13.1-1
        for version in self.versions():
            its = b"\0" if version == 5 else b""
            bodies = {4: b"\0\1", 5: b"\0\1", 6: b"\0\1", 7: b"\0\1", 8: b"\0\1" + its + text_field("a") + b"\0",
                      10: b"\0\1" + its + text_field("a"), 12: b"", 14: b""}
            if version == 5:
                bodies[15] = b"\x18\0"
            for kind, body in bodies.items():
                right = 2 if kind in (6, 8, 10) else 0
                for flags in range(16):
                    if flags != right:
                        self.refused(version, packet(kind << 4 | flags, body), {MALFORMED})
            for flags in (0x03, 0x83):
                client = self.fresh(version)
                answer = client.connect("x", flags=flags, user=None if flags == 3 else "x")
                self.assertTrue(answer is None or (version == 5 and answer.reason == MALFORMED))

    def test_reserved_flags_of_connect(self):
        # clauses: 3 3.1.2-3 3.1.4-1; 5 3.1.2-3 3.1.4-1
        for version in self.versions():
            client = self.fresh(version)
            answer = client.connect("x", flags=0x01)
            if version == 4:
                self.assertIsNone(answer)
            else:
                self.assertEqual(answer.reason, MALFORMED)

    def test_packet_identifiers(self):
        # clauses: 3 2.3.1-1 2.3.1-5 2.3.1-6 2.3.1-7; 5 2.2.1-2 2.2.1-3 2.2.1-5 2.2.1-6
        for version in self.versions():
            its = b"\0" if version == 5 else b""
            for data in (packet(0x32, text_field("a") + b"\0\0" + its), packet(0x34, text_field("a") + b"\0\0" + its),
                         packet(0x82, b"\0\0" + its + text_field("a") + b"\0"),
                         packet(0xA2, b"\0\0" + its + text_field("a"))):
                self.refused(version, data, {MALFORMED, PROTOCOL_ERROR})
            client = self.client(version)
            self.assertEqual(client.subscribe(("a", 2), packet_id=0xFFFF).id, 0xFFFF)
            self.assertEqual(client.unsubscribe("none", packet_id=0x1234).id, 0x1234)
            for qos, answer in ((1, PUBACK), (2, PUBREC)):
                client.publish("other", b"x", qos, packet_id=0xABCD)
                self.assertEqual(client.expect(answer).id, 0xABCD)
            client.acknowledge(PUBREL, 0xABCD)
            self.assertEqual(client.expect(PUBCOMP).id, 0xABCD)
            client.publish("a", b"\0\1x")
            message = client.expect(PUBLISH)
            self.assertEqual((message.id, message.payload), (None, b"\0\1x"))
            client.published("a", b"y", qos=2)
            message = client.expect(PUBLISH)
            client.acknowledge(PUBREC, message.id)
            self.assertEqual(client.expect(PUBREL).id, message.id)

    def test_identifiers_of_the_server_are_unused(self):
        # clauses: 3 2.3.1-4; 5 2.2.1-4 4.3.2-1 4.3.3-1
        for version in self.versions():
            taker, giver = self.client(version), self.client(version)
            taker.subscribe(("a", 2))
            for number in range(40):
                giver.publish("a", str(number).encode(), 1 + number % 2, packet_id=number + 1)
            messages = [taker.expect(PUBLISH) for _ in range(40)]
            self.assertEqual(len({each.id for each in messages}), 40, "none is acknowledged, so all differ")
            self.assertNotIn(0, {each.id for each in messages})
            taker.acknowledge(PUBACK, messages[0].id)
            for number in range(40, 50):
                giver.publish("a", b"x", 1, packet_id=number + 1)
            more = {taker.expect(PUBLISH).id for _ in range(10)}
            self.assertEqual(more & {each.id for each in messages[1:]}, set())

    def test_no_properties_have_a_length(self):
        # clauses: 5 2.2.2-1
        client = self.client()
        client.send(packet(0x82, b"\0\1" + text_field("a") + b"\0"))  # without it
        self.assertEqual(client.rest()[0].reason, MALFORMED)
        client = self.client()
        client.subscribe(("a", 0))  # SUBACK is read with it
        client.publish("a", b"x")
        self.assertEqual(client.expect(PUBLISH).properties, [])

    # ---- 3.1, 3.2: CONNECT and CONNACK

    def test_connect_comes_first_and_once(self):
        # clauses: 3 3.1.0-1 3.1.0-2 3.2.0-1; 5 3.1.0-1 3.1.0-2 3.2.0-1 3.2.0-2 3.14.0-1
        for version in self.versions():
            for data in (packet(0xC0), verge.publish_packet("a", version=version),
                         verge.subscribe_packet("a", version=version), packet(0xE0), packet(0x40, b"\0\1")):
                self.assertEqual(self.refused(version, data, (), connected=False), [])
            self.refused(version, verge.connect_packet(version, "again"), {PROTOCOL_ERROR})
            client = self.fresh(version)
            client.send(verge.connect_packet(version, "x") + packet(0xC0) + packet(0xC0))
            self.assertEqual([client.next().type for _ in range(3)], [wire.CONNACK, wire.PINGRESP, wire.PINGRESP])

    def test_protocol_name_and_level(self):
        # clauses: 3 3.1.2-1 3.1.2-2; 5 3.1.2-1 3.1.2-2
        for name, level in (("MQTX", 4), ("MQIsdp", 3), ("mqtt", 5), ("MQTT", 3), ("MQTT", 6), ("MQTT", 0x85)):
            client = self.fresh(4)
            client.send(verge.connect_packet(level, "x", name=name))
            said = client.receive_all()
            self.assertIn([(first, body[1]) for first, body in said], ([], [(0x20, 1)], [(0x20, 0x84)]), (name, level))
            if (name, level) == ("MQTT", 3):
                self.assertEqual(said, [(0x20, b"\0\1")])

    def test_clean_sessions(self):
        # clauses: 3 3.1.2-4 3.1.2-6 3.1.3-2 3.1.4-3 3.1.4-4 3.2.2-1 3.2.2-2 3.2.2-3 4.1.0-1 4.1.0-2
        # clauses: 5 3.1.2-4 3.1.2-5 3.1.2-6 3.1.2-23 3.1.3-2 3.1.4-4 3.1.4-5 3.2.2-1 3.2.2-2 3.2.2-3 4.1.0-1
        for version in self.versions():
            name = f"session-{version}"
            first = self.keeper(version, name)
            self.assertFalse(first.connack.session_present, "there was none")
            first.subscribe("a")
            first.disconnect()
            first.rest()
            again = self.keeper(version, name)
            self.assertTrue(again.connack.session_present)
            again.published("a", b"x")
            self.assertEqual(again.expect(PUBLISH).topic, "a", "the subscription is still there")
            again.disconnect()
            again.rest()
            other = self.keeper(version, name + "-other")
            self.assertFalse(other.connack.session_present, "that is the session of another")
            clean = self.client(version, name, clean=True)
            self.assertFalse(clean.connack.session_present)
            clean.published("a", b"x")
            self.assertEqual(clean.until_pong(), [], "the subscription is gone")
            clean.disconnect()
            clean.rest()
            self.assertFalse(self.keeper(version, name).connack.session_present, "it ended with its connection")

    def test_messages_wait_for_a_kept_session(self):
        # clauses: 3 3.1.2-5 4.5.0-1; 5 4.5.0-1
        for version in self.versions():
            name = f"away-{version}"
            away = self.keeper(version, name)
            away.subscribe(("a/#", 2))
            away.disconnect()
            away.rest()
            self.gone(name)
            giver, there = self.client(version), self.client(version)
            there.subscribe(("a/#", 2))
            for qos in (1, 2):
                giver.published(f"a/{qos}", b"x", qos, packet_id=qos)
            back = self.keeper(version, name)
            for client in (back, there):
                self.assertEqual([(each.topic, each.qos) for each in self.received(client, 2)], [("a/1", 1), ("a/2", 2)])

    def test_sessions_end_with_their_expiry(self):
        # clauses: 5 4.1.0-2
        client = self.client(client_id="short", clean=False, properties=[(wire.SESSION_EXPIRY, 1)])
        client.close()
        def expired():
            again = wire.Client(self.edge)
            present = again.connect("short", clean=False, properties=[(wire.SESSION_EXPIRY, 1)]).session_present
            again.disconnect(0, [(wire.SESSION_EXPIRY, 1)])
            again.rest()
            again.close()
            verge.pause(1.2)  # its time has to pass; before that it is taken up again
            return not present
        verge.wait_until(expired, "the session has ended")

    def test_retained_messages_outlive_sessions(self):
        # clauses: 3 3.1.2-7
        giver = self.client(4)
        giver.published("kept", b"x", retain=True)
        giver.disconnect()
        giver.rest()
        taker = self.client(4)
        taker.subscribe("kept")
        self.assertEqual(taker.expect(PUBLISH).payload, b"x")

    def test_wills(self):
        # clauses: 3 3.1.2-8 3.1.2-10 3.1.2-12 3.14.4-3; 5 3.1.2-7 3.1.2-8 3.1.2-10 3.14.4-3
        for version in self.versions():
            heir = self.client(version)
            heir.subscribe("will/#", "marker")
            for name, goodbye in (("polite", True), ("rude", False), ("none", False)):
                will = None if name == "none" else (f"will/{name}", b"gone", 1, False, ())
                client = self.client(version, f"{name}-{version}", will=will)
                if goodbye:
                    client.disconnect()
                    client.rest()
                client.close()
                self.gone(f"{name}-{version}")
            found = [each.topic for each in self.marked(self.client(version), heir)]
            self.assertEqual(found, ["will/rude"], "once, and only of who did not say goodbye")
            again = self.client(version, f"rude-{version}")
            again.close()
            self.gone(f"rude-{version}")
            self.assertEqual(self.marked(self.client(version), heir), [], "a will is of its connection")

    def test_wills_of_those_who_break_the_rules(self):
        # clauses: 3 3.1.2-8; 5 3.1.2-8
        for version in self.versions():
            heir = self.client(version)
            heir.subscribe("will/#")
            client = self.client(version, will=("will/x", b"gone", 0, False, ()))
            client.send(packet(0xC1))
            self.assertEqual(heir.expect(PUBLISH).payload, b"gone")

    def test_a_goodbye_with_the_will(self):
        # clauses: 5 3.1.2-8
        heir = self.client()
        heir.subscribe("will/#")
        self.client(will=("will/x", b"gone", 0, False, ())).disconnect(0x04)
        self.assertEqual(heir.expect(PUBLISH).payload, b"gone")

    def test_wills_and_their_delay(self):
        # clauses: 5 3.1.2-8 3.1.3-9
        heir = self.client()
        heir.subscribe("will/#", "marker")
        delayed = ((wire.WILL_DELAY, 600),)
        client = self.keeper(5, "slow", will=("will/slow", b"gone", 1, False, delayed))
        client.close()
        self.gone("slow")
        self.assertEqual(self.marked(self.client(), heir), [], "not before its delay is over")
        back = self.keeper(5, "slow", will=("will/slow", b"gone", 1, False, delayed))
        back.disconnect(0)
        back.rest()
        self.gone("slow")
        self.assertEqual(self.marked(self.client(), heir), [], "it was back in time")
        client = self.keeper(5, "slow", will=("will/slow", b"gone", 1, False, delayed))
        client.close()
        self.gone("slow")
        self.client(client_id="slow", clean=True)
        self.assertEqual([each.topic for each in self.marked(self.client(), heir)], ["will/slow"],
                         "the end of the session is the end of the delay")
        short = self.keeper(5, "fast", will=("will/fast", b"gone", 1, False, ((wire.WILL_DELAY, 1),)))
        short.close()
        self.assertEqual(heir.expect(PUBLISH).topic, "will/fast")

    def test_what_belongs_to_a_will(self):
        # clauses: 3 3.1.2-9 3.1.2-11 3.1.2-13 3.1.2-14 3.1.2-15; 5 3.1.2-9 3.1.2-11 3.1.2-12 3.1.2-13
        for version in self.versions():
            for flags in (0x0A, 0x12, 0x1A, 0x22, 0x06, 0x1E):  # without a will its fields; a will without fields, at QoS 3
                client = self.fresh(version)
                answer = client.connect("x", flags=flags)
                self.assertTrue(answer is None or (version == 5 and answer.reason == MALFORMED), hex(flags))
                self.assertEqual(client.rest(), [])

    def test_wills_are_retained_or_not(self):
        # clauses: 3 3.1.2-16 3.1.2-17; 5 3.1.2-14 3.1.2-15
        for version in self.versions():
            for retain in (False, True):
                topic = f"will/{version}/{retain}"
                self.client(version, topic.replace("/", "-"), will=(topic, b"gone", 1, retain, ())).close()
                self.gone(topic.replace("/", "-"))
                later = self.client(version)
                self.assertEqual([(each.payload, each.retain) for each in self.retained(later, topic)],
                                 [(b"gone", True)] if retain else [])

    def test_properties_of_wills(self):
        # clauses: 5 3.1.3-10
        heir = self.client()
        heir.subscribe("will")
        given = [(wire.PAYLOAD_FORMAT, 1), (wire.CONTENT_TYPE, "text"), (wire.RESPONSE_TOPIC, "answers"),
                 (wire.CORRELATION, b"\0\1"), (wire.USER, ("b", "1")), (wire.USER, ("a", "2")), (wire.USER, ("b", "0"))]
        self.client(will=("will", b"gone", 0, False, given)).close()
        message = heir.expect(PUBLISH)
        self.assertEqual(message.values(wire.USER), [("b", "1"), ("a", "2"), ("b", "0")])
        self.assertEqual(sorted(message.properties, key=str), sorted(given, key=str))

    def test_user_names_and_passwords(self):
        # clauses: 3 3.1.2-18 3.1.2-19 3.1.2-20 3.1.2-21 3.1.2-22 3.1.3-1 3.1.3-3
        # clauses: 5 3.1.2-16 3.1.2-17 3.1.2-18 3.1.2-19 3.1.3-1 3.1.3-3
        for version in self.versions():
            user, password = text_field("user"), text_field("secret")
            for flags, rest, is_right in ((0xC2, user + password, True), (0x82, user, True), (0x02, b"", True),
                                          (0x42, password, version == 5), (0x02, user, False), (0x82, b"", False),
                                          (0x82, user + password, False), (0xC2, user, False), (0x42, b"", False),
                                          (0xC6, user + password, False)):
                client = self.fresh(version)
                its = b"\0" if version == 5 else b""
                client.send(packet(0x10, text_field("MQTT") + bytes([version, flags]) + b"\0\x3c" + its +
                                   text_field("x") + rest))
                answer = client.next()
                if is_right:
                    self.assertEqual(answer.reason, 0, flags)
                else:
                    self.assertTrue(answer is None or answer.reason == MALFORMED, (flags, rest))
            client = self.fresh(version)
            client.send(packet(0x10, text_field("MQTT") + bytes([version, 2]) + b"\0\x3c" + (b"\0" if version == 5 else b"")))
            answer = client.next()
            self.assertTrue(answer is None or answer.reason == MALFORMED, "without a client id")

    def test_keep_alive(self):
        # clauses: 3 3.1.2-24; 5 3.1.2-22 3.2.2-22
        for version in self.versions():
            began = time.monotonic()
            client = self.client(version, keepalive=1)
            if version == 5:
                self.assertEqual(client.connack.values(wire.SERVER_KEEP_ALIVE), [])
            said = client.rest()
            took = time.monotonic() - began
            self.assertGreater(took, 1.4)
            self.assertLess(took, 4)
            self.assertEqual([each.reason for each in said], [0x8D] if version == 5 else [])

    def test_client_ids(self):
        # clauses: 3 3.1.3-5 3.1.3-6 3.1.3-8 3.1.3-9 3.2.2-4 3.2.2-5
        # clauses: 5 3.1.3-5 3.1.3-6 3.1.3-7 3.1.3-8 3.2.2-6 3.2.2-7 3.2.2-16 4.13.2-1
        letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        for version in self.versions():
            for begin in range(0, len(letters), 23):
                self.client(version, letters[begin:begin + 23])
            self.client(version, "a")
            unnamed = [self.client(version, "") for _ in range(3)]
            if version == 5:
                names = [client.connack.values(wire.ASSIGNED_ID)[0] for client in unnamed]
                self.assertEqual(len(set(names)), 3)
                self.client(5, names[0])
                self.assertEqual([each.reason for each in unnamed[0].rest()], [0x8E], "that is its name")
                self.assertTrue(self.client(5, "", clean=False).connack.values(wire.ASSIGNED_ID))
            else:
                client = self.fresh(4)
                answer = client.connect("", clean=False)
                self.assertEqual((answer.reason, answer.session_present), (2, False))
                self.assertEqual(client.rest(), [])
            client = self.fresh(version)
            answer = client.connect("x" * 2000)
            self.assertEqual((answer.reason, answer.session_present), (2 if version == 4 else 0x85, False))
            self.assertIn(answer.reason, CONNACK_REASONS | {2})
            self.assertEqual(client.rest(), [])

    def test_takeover(self):
        # clauses: 3 3.1.4-2; 5 3.1.4-3
        for version in self.versions():
            first = self.client(version, "twin")
            second = self.client(version, "twin")
            self.assertEqual([each.reason for each in first.rest()], [0x8E] if version == 5 else [])
            self.assertEqual(second.until_pong(), [])

    def test_what_follows_a_refused_connect_is_not_processed(self):
        # clauses: 3 3.1.4-5; 5 3.1.4-6 3.1.4-2
        watcher = self.client()
        watcher.subscribe("a", "marker")
        for version in self.versions():
            client = self.fresh(version)
            client.send(verge.connect_packet(version, "x" * 2000) + verge.publish_packet("a", b"x", version=version))
            self.assertEqual([each.type for each in client.rest()], [wire.CONNACK])
        self.assertEqual(self.marked(self.client(), watcher), [])

    def test_no_code_no_connack(self):
        # clauses: 3 3.2.2-6
        client = self.fresh(4)
        client.send(packet(0x10, text_field("MQTT") + b"\4\2\0"))
        self.assertEqual(client.rest(), [])

    def test_the_clients_maximum_packet_size(self):
        # clauses: 5 3.1.2-24 3.1.2-25 3.4.2-3 3.5.2-3 3.14.2-3 3.2.2-19 3.2.2-20
        client = self.client(properties=[(wire.PACKET_MAXIMUM, 40)], client_id="small")
        client.subscribe("a", "marker", ("b", 2))
        giver = self.client()
        for size in (20, 32, 33, 100):  # 8 bytes are the packet's own
            giver.published("a", b"x" * size)
        self.assertEqual([len(each.payload) for each in self.marked(giver, client)], [20, 32])
        self.assertEqual(client.until_pong(), [], "and its window is not used up by what it was not sent")
        narrow = self.client(properties=[(wire.PACKET_MAXIMUM, 20), (wire.RECEIVE_MAXIMUM, 1)])
        narrow.subscribe("a", "m")
        giver.published("a", b"x" * 100)
        self.assertEqual(self.marked(giver, narrow, "m"), [], "the one that was too large counts as sent")
        asks = [(wire.USER, ("verge-durability", ""))]
        for qos, answer in ((1, PUBACK), (2, PUBREC)):
            narrow.publish("none", b"x", qos, properties=asks)
            self.assertEqual(narrow.expect(answer).properties, [], "it would be too long")
        narrow.send(packet(0xC1))
        self.assertEqual([(each.reason, each.properties) for each in narrow.rest()], [(MALFORMED, [])])
        tiny = self.fresh()
        answer = tiny.connect("tiny", properties=[(wire.PACKET_MAXIMUM, 10)])
        self.assertTrue(answer is None or answer.properties == [])

    def test_what_was_not_asked_for_is_not_sent(self):
        # clauses: 5 3.1.2-28 3.1.2-29
        for asked in (0, 1):
            client = self.client(properties=[(wire.RESPONSE_WANTED, asked), (wire.PROBLEM_INFORMATION, 0)])
            if asked == 0:
                self.assertEqual(client.connack.values(wire.RESPONSE_INFORMATION), [])
        asks = [(wire.USER, ("verge-durability", ""))]
        for qos, answer in ((1, PUBACK), (2, PUBREC)):
            client.publish("a", b"x", qos, properties=asks)
            self.assertEqual(client.expect(answer).properties, [])
        for answer in (client.subscribe("a/#/b"), client.subscribe("a"), client.unsubscribe("none")):
            self.assertEqual(answer.properties, [])
        client.publish("a", b"x", properties=[(wire.USER, ("a", "b"))])
        self.assertEqual(client.expect(PUBLISH).values(wire.USER), [("a", "b")], "of PUBLISH they are the message's")

    # ---- 3.3: PUBLISH

    def test_dup(self):
        # clauses: 3 3.3.1-1 3.3.1-2 3.3.1-3 4.3.1-1 4.3.2-1 4.4.0-1; 5 3.3.1-1 3.3.1-2 3.3.1-3 4.3.1-1 4.3.2-2 4.3.2-3 4.3.3-2 4.3.3-3 4.4.0-1
        for version in self.versions():
            self.refused(version, packet(0x38, text_field("a") + (b"\0" if version == 5 else b"")), {MALFORMED})
            name = f"dup-{version}"
            taker, giver = self.keeper(version, name), self.client(version)
            taker.subscribe(("a", 2))
            for qos in (0, 1, 2):
                giver.publish("a", bytes([qos]), qos, packet_id=qos + 1, dup=qos > 0)
            first = [taker.expect(PUBLISH) for _ in range(3)]
            self.assertEqual([(each.qos, each.dup) for each in first], [(0, False), (1, False), (2, False)])
            self.assertEqual(taker.until_pong(), [], "nothing is repeated while the connection stands")
            taker.close()
            taker = self.keeper(version, name)
            again = [taker.expect(PUBLISH) for _ in range(2)]
            self.assertEqual([(each.id, each.qos, each.dup, each.payload) for each in again],
                             [(each.id, each.qos, True, each.payload) for each in first[1:]])
            self.assertEqual(taker.until_pong(), [])
            taker.acknowledge(PUBACK, again[0].id)
            taker.acknowledge(PUBREC, again[1].id)
            taker.expect(PUBREL)
            taker.acknowledge(PUBCOMP, again[1].id)
            taker.until_pong()
            taker.close()
            self.assertEqual(self.keeper(version, name).until_pong(), [], "all is done with")

    def test_both_qos_bits(self):
        # clauses: 3 3.3.1-4; 5 3.3.1-4
        for version in self.versions():
            self.refused(version, packet(0x36, text_field("a") + b"\0\1" + (b"\0" if version == 5 else b"")), {MALFORMED})

    def test_retained_messages(self):
        # clauses: 3 3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8 3.3.1-9 3.3.1-10 3.3.1-11 3.3.1-12
        # clauses: 5 3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8 3.3.1-12
        for version in self.versions():
            giver, there = self.client(version), self.client(version)
            topic = f"state/{version}"
            there.subscribe((topic, 2 if version == 4 else 2 | 0x20))

            def kept():
                return [(each.payload, each.qos, each.retain)
                        for each in self.retained(self.client(version), (topic, 2))]

            self.assertEqual(kept(), [])
            giver.published(topic, b"1", 2, retain=True)
            self.assertEqual(kept(), [(b"1", 2, True)])
            giver.published(topic, b"2", 1, retain=False)
            self.assertEqual(kept(), [(b"1", 2, True)])
            giver.publish(topic, b"3", 0, retain=True)
            giver.until_pong()  # else it may be under way when the next one subscribes
            self.assertEqual(kept(), [(b"3", 0, True)])
            giver.published(topic, b"", 1, retain=True)
            self.assertEqual(kept(), [])
            found = self.received(there, 4)
            self.assertEqual([(each.payload, each.retain) for each in found],
                             [(b"1", False), (b"2", False), (b"3", False), (b"", False)])

    def test_retain_handling(self):
        # clauses: 5 3.3.1-9 3.3.1-10 3.3.1-11 3.8.4-4
        giver = self.client()
        for topic in ("state/1", "state/2"):
            giver.published(topic, b"x", retain=True)
        for handling, expected in ((0, (2, 2)), (1, (2, 0)), (2, (0, 0))):
            taker = self.client()
            for count in expected:
                self.assertEqual(len(self.retained(taker, ("state/#", 1 | handling << 4))), count, handling)

    def test_retain_as_published(self):
        # clauses: 5 3.3.1-12 3.3.1-13
        plain, exact, giver = self.client(), self.client(), self.client()
        plain.subscribe(("a", 1 | 0x20))
        exact.subscribe(("a", 1 | 8 | 0x20))
        for retain in (True, False):
            giver.published("a", b"x", retain=retain)
            self.assertFalse(self.received(plain, 1)[0].retain)
            self.assertEqual(self.received(exact, 1)[0].retain, retain)

    def test_topics(self):
        # clauses: 3 3.3.2-2 3.3.2-3 4.7.1-1 4.7.1-2 4.7.1-3 4.7.2-1 4.7.3-1 4.7.3-3
        # clauses: 5 3.3.2-2 3.3.2-3 4.7.0-1 4.7.1-1 4.7.1-2 4.7.2-1 4.7.3-1 4.7.3-3
        for version in self.versions():
            its = b"\0" if version == 5 else b""
            for bad in ("a/+", "#", "a/#/b", "+", ""):
                self.refused(version, packet(0x30, text_field(bad) + its), {TOPIC_NAME, PROTOCOL_ERROR})
            client = self.client(version)
            bad = ["a#", "a/#/b", "#/a", "a+", "+a", "a/b+/c", ""]
            self.assertEqual(set(client.subscribe(*bad).codes), {0x8F if version == 5 else 0x80})
            good = ["#", "+", "/", "+/+", "/+", "a/#", "a/+/c", "+/b/#", "$own/#", "$own/+"]
            matched = {"a": "# + a/#", "/": "# / +/+ /+", "a/b": "# +/+ a/# +/b/#", "a/b/c": "# a/# a/+/c +/b/#",
                       "a//c": "# a/# a/+/c", "$own/x": "$own/# $own/+", "$own": "$own/#", "x" * 65_535: "# +"}
            for topic, filters in matched.items():
                found = []
                for text in good:
                    taker = self.client(version)
                    self.assertEqual(taker.subscribe((text, 0)).codes, [0])
                    taker.publish(topic, b"x")
                    got = taker.until_pong()
                    self.assertEqual([each.topic for each in got], [topic] * len(got))
                    found += [text] * len(got)
                    taker.close()
                self.assertEqual(found, [text for text in good if text in filters.split()], topic[:20])

    def test_properties_are_passed_on(self):
        # clauses: 5 3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20
        taker, giver = self.client(), self.client()
        taker.subscribe(("a", 0))
        given = [(wire.PAYLOAD_FORMAT, 1), (wire.CONTENT_TYPE, "text/plain"), (wire.RESPONSE_TOPIC, "answers/1"),
                 (wire.CORRELATION, bytes(range(256))), (wire.USER, ("z", "")), (wire.USER, ("", "1")),
                 (wire.USER, ("z", "2")), (wire.USER, ("a", "ä"))]
        giver.publish("a", b"x", properties=given)
        message = taker.expect(PUBLISH)
        self.assertEqual(message.values(wire.USER), [value for kind, value in given if kind == wire.USER])
        self.assertEqual(sorted(message.properties, key=str), sorted(given, key=str), "all, and nothing else")
        for value in (0, None):
            giver.publish("a", b"x", properties=[] if value is None else [(wire.PAYLOAD_FORMAT, value)])
            self.assertEqual(taker.expect(PUBLISH).values(wire.PAYLOAD_FORMAT), [] if value is None else [0])

    def test_response_topics_have_no_wildcards(self):
        # clauses: 5 3.3.2-14
        for bad in ("a/+", "#"):
            field = b"\x08" + text_field(bad)
            self.refused(5, packet(0x30, text_field("a") + bytes([len(field)]) + field), {PROTOCOL_ERROR, TOPIC_NAME})

    def test_expiry(self):
        # clauses: 5 3.3.2-5 3.3.2-6 4.3.3-7
        away = self.keeper(5, "away")
        away.subscribe(("a", 2))
        away.disconnect()
        away.rest()
        self.gone("away")
        giver = self.client()
        began = time.monotonic()
        for topic, seconds, qos in (("a", 1, 1), ("a", 1, 2), ("a", 1000, 1)):
            giver.published(topic, str(seconds).encode(), qos, properties=[(wire.MESSAGE_EXPIRY, seconds)])
        verge.pause(max(0, 2.1 - (time.monotonic() - began)))  # their time has to pass
        back = self.keeper(5, "away")
        messages = self.received(back, 1)
        self.assertEqual([each.payload for each in messages], [b"1000"])
        left = messages[0].values(wire.MESSAGE_EXPIRY)[0]
        self.assertIn(left, range(900, 999))
        self.assertEqual(back.until_pong(), [])
        # What was sent in time is repeated however late.
        giver.published("a", b"sent", 2, properties=[(wire.MESSAGE_EXPIRY, 1)])
        first = back.expect(PUBLISH)
        back.close()
        verge.pause(2.1)
        back = self.keeper(5, "away")
        self.assertEqual([(each.id, each.payload) for each in (back.expect(PUBLISH),)], [(first.id, b"sent")])

    def test_topic_aliases(self):
        # clauses: 5 3.1.2-26 3.1.2-27 3.3.2-7 3.3.2-8 3.3.2-11 3.3.2-12
        giver = self.client()
        most = giver.connack.values(wire.ALIAS_MAXIMUM)[0]
        takers = {0: self.client(), 2: self.client(properties=[(wire.ALIAS_MAXIMUM, 2)])}
        for taker in takers.values():
            taker.subscribe(("#", 0))
        for alias in range(1, most + 1):
            giver.publish(f"topic/{alias}", b"1", properties=[(wire.ALIAS, alias)])
            giver.publish("", b"2", properties=[(wire.ALIAS, alias)])
        for limit, taker in takers.items():
            known = {}
            for number in range(2 * most):
                message = taker.expect(PUBLISH)
                for alias in message.values(wire.ALIAS):
                    self.assertIn(alias, range(1, limit + 1))
                    if message.topic:
                        known[alias] = message.topic
                    message.topic = known[alias]
                self.assertEqual((message.topic, message.payload), (f"topic/{number // 2 + 1}", b"%d" % (number % 2 + 1)))
            self.assertLessEqual(len(known), limit)
        for alias in (0, most + 1):
            client = self.client()
            client.publish("a", b"x", properties=[(wire.ALIAS, alias)])
            self.assertEqual([each.reason for each in client.rest()], [0x94])
        name = self.client(client_id="alias")
        name.publish("a", b"x", properties=[(wire.ALIAS, 1)])
        name.until_pong()
        name.close()
        again = self.client(client_id="alias", clean=False)
        again.publish("", b"x", properties=[(wire.ALIAS, 1)])
        self.assertEqual([each.reason for each in again.rest()], [PROTOCOL_ERROR], "it ended with its connection")

    def test_each_qos_is_answered(self):
        # clauses: 3 3.3.4-1 4.3.2-2 4.3.3-2; 5 3.3.4-1 3.4.2-1 3.5.2-1 3.7.2-1 4.3.2-4 4.3.2-5 4.3.3-8 4.3.3-10 4.3.3-11 4.3.3-12
        for version in self.versions():
            giver, taker = self.client(version), self.client(version)
            taker.subscribe(("a", 2))
            giver.publish("a", b"0", 0)
            self.assertEqual(giver.until_pong(), [])
            for payload in (b"1", b"2"):
                giver.publish("a", payload, 1, packet_id=7, dup=payload == b"2")
                answer = giver.expect(PUBACK)
                self.assertEqual(answer.id, 7)
                self.assertIn(answer.reason, PUBACK_REASONS)
            for round_ in (b"3", b"4"):
                for dup in (False, True):
                    giver.publish("a", round_, 2, packet_id=8, dup=dup)
                    answer = giver.expect(PUBREC)
                    self.assertEqual(answer.id, 8)
                    self.assertIn(answer.reason, PUBACK_REASONS)
                for _ in range(2):
                    giver.acknowledge(PUBREL, 8)
                    answer = giver.expect(PUBCOMP)
                    self.assertEqual(answer.id, 8)
                    self.assertIn(answer.reason, PUBREL_REASONS)
            self.assertEqual([each.payload for each in self.received(taker, 5)], [b"0", b"1", b"2", b"3", b"4"])
            self.assertEqual(taker.until_pong(), [], "each once")

    def test_an_identifier_after_a_refusal_is_new(self):
        # clauses: 5 4.3.3-9
        client = self.client()
        for _ in range(2):
            client.publish("$SYS/own", b"x", 2, packet_id=5)
            self.assertEqual(client.expect(PUBREC).reason, 0x87)
        client.publish("a", b"x", 2, packet_id=5)
        self.assertEqual(client.expect(PUBREC).reason, NO_SUBSCRIBERS)

    def test_what_is_not_authorized(self):
        # clauses: 3 3.3.5-2
        client = self.client(4)
        self.assertEqual(client.published("$SYS/own", b"x", 1), 0)
        self.assertEqual(client.published("$SYS/own", b"x", 2), 0)

    def test_overlapping_subscriptions(self):
        # clauses: 3 3.3.5-1; 5 3.3.4-2 3.3.4-3 3.3.4-4
        for version in self.versions():
            taker, giver = self.client(version), self.client(version)
            for number, (text, qos) in enumerate((("a/b", 0), ("a/+", 2), ("a/#", 1)), 1):
                taker.subscribe((text, qos), properties=[(wire.SUBSCRIPTION, number)] if number < 3 else [])
            giver.published("a/b", b"x", 2)
            messages = self.received(taker, 1)
            self.assertEqual(messages[0].qos, 2)
            self.assertEqual(taker.until_pong(), [])
            if version == 5:
                self.assertEqual(sorted(messages[0].values(wire.SUBSCRIPTION)), [1, 2])

    def test_clients_send_no_subscription_identifiers(self):
        # clauses: 5 3.3.4-6
        self.refused(5, packet(0x30, text_field("a") + b"\2\x0b\1"), {PROTOCOL_ERROR})

    def test_receive_maximum(self):
        # clauses: 5 3.3.4-9 3.3.4-10 4.9.0-1 4.9.0-2 4.9.0-3 4.4.0-2 4.3.3-4 4.3.3-5
        taker, giver = self.client(properties=[(wire.RECEIVE_MAXIMUM, 2)]), self.client()
        taker.subscribe(("a", 2), "marker")
        for number in range(6):
            giver.published("a", str(number).encode(), 1 + number % 2, packet_id=number + 1)
        giver.publish("a", b"0", 0)

        def next_counted():
            while not (message := taker.expect(PUBLISH)).qos:
                pass
            return message

        at_once = [next_counted(), next_counted()]
        self.assertEqual([each.payload for each in at_once], [b"0", b"1"])
        self.assertEqual([each.payload for each in taker.until_pong() if each.qos], [], "PINGRESP comes all the same")
        taker.acknowledge(PUBACK, at_once[0].id, 0x80)  # refused is done with
        self.assertEqual(next_counted().payload, b"2")
        taker.acknowledge(PUBREC, at_once[1].id)
        self.assertEqual([each.type for each in taker.until_pong() if each.type != PUBLISH or each.qos], [PUBREL],
                         "that frees no place")
        taker.acknowledge(PUBCOMP, at_once[1].id)
        self.assertEqual(next_counted().payload, b"3")

    # ---- 3.8 to 3.12: SUBSCRIBE, UNSUBSCRIBE, PINGREQ

    def test_subscribe(self):
        # clauses: 3 3.8.3-3 3-8.3-4 3.8.4-1 3.8.4-2 3.8.4-4 3.8.4-5 3.9.3-1 3.9.3-2
        # clauses: 5 3.8.3-2 3.8.3-5 3.8.4-1 3.8.4-2 3.8.4-5 3.8.4-6 3.8.4-7 3.9.2-1 3.9.2-2 3.9.3-1 3.9.3-2
        for version in self.versions():
            its = b"\0" if version == 5 else b""
            self.refused(version, packet(0x82, b"\0\1" + its), {PROTOCOL_ERROR, MALFORMED})
            for options in (3, 0x40, 0x80, *(() if version == 5 else (4, 8, 0x10, 0x20))):
                self.refused(version, packet(0x82, b"\0\1" + its + text_field("a") + bytes([options])),
                             {MALFORMED, PROTOCOL_ERROR})
            client = self.client(version)
            answer = client.subscribe(("a", 2), ("b/#/c", 1), ("c", 0), ("+/d", 1), packet_id=77)
            self.assertEqual(answer.id, 77)
            self.assertEqual(answer.codes, [2, 0x8F if version == 5 else 0x80, 0, 1])
            self.assertLessEqual(set(answer.codes), SUBACK_REASONS if version == 5 else {0, 1, 2, 0x80})
            self.assertEqual(answer.properties, [])
            for topic in ("a", "c", "x/d"):
                client.publish(topic, b"x")
            self.assertEqual([each.topic for each in client.until_pong()], ["a", "c", "x/d"])

    def test_the_same_filter_again(self):
        # clauses: 3 3.8.4-3; 5 3.8.4-3 3.8.4-4
        for version in self.versions():
            topic = f"again/{version}"
            giver, taker = self.client(version), self.client(version)
            giver.published(topic, b"kept", retain=True)
            for qos in (2, 0):
                taker.subscribe((topic, qos))
                self.assertEqual([(each.payload, each.retain) for each in self.received(taker, 1)], [(b"kept", True)])
                giver.published(topic, b"x", 2)
                self.assertEqual([each.qos for each in self.received(taker, 1)], [qos], "once, at the new QoS")
            self.assertEqual(taker.until_pong(), [])

    def test_no_message_is_lost_over_it(self):
        # clauses: 5 3.8.4-4
        giver, taker = self.client(), self.client()
        taker.subscribe("a")
        for number in range(50):
            giver.publish("a", str(number).encode(), 1, packet_id=number + 1)
            taker.send(verge.subscribe_packet("a", number + 100))
        got = []
        while len(got) < 50:
            answer = taker.next()
            if answer.type == PUBLISH:
                got.append(answer.payload)
                taker.acknowledge(PUBACK, answer.id)
        self.assertEqual(got, [b"%d" % number for number in range(50)])

    def test_no_local(self):
        # clauses: 5 3.8.3-3 3.8.3-4
        client, other = self.client(), self.client()
        client.subscribe(("a", 1 | 4), "marker")
        client.published("a", b"own")
        other.published("a", b"other")
        self.assertEqual([each.payload for each in self.marked(other, client)], [b"other"])
        self.refused(5, packet(0x82, b"\0\1\0" + text_field("$share/g/a") + b"\x05"), {PROTOCOL_ERROR})

    def test_the_lower_qos(self):
        # clauses: 3 3.8.4-6; 5 3.8.4-8
        for version in self.versions():
            giver = self.client(version)
            for granted in (0, 1, 2):
                taker = self.client(version)
                taker.subscribe(("a", granted))
                for qos in (0, 1, 2):
                    if qos == 0:
                        giver.publish("a", b"x", 0)
                    else:
                        giver.published("a", b"x", qos)
                self.assertEqual([each.qos for each in self.received(taker, 3)], [min(qos, granted) for qos in (0, 1, 2)])
                taker.close()

    def test_unsubscribe(self):
        # clauses: 3 3.10.3-2 3.10.4-1 3.10.4-2 3.10.4-3 3.10.4-4 3.10.4-5 3.10.4-6
        # clauses: 5 3.10.3-2 3.10.4-1 3.10.4-2 3.10.4-3 3.10.4-4 3.10.4-5 3.10.4-6 3.11.2-1 3.11.2-2 3.11.3-1 3.11.3-2
        for version in self.versions():
            its = b"\0" if version == 5 else b""
            self.refused(version, packet(0xA2, b"\0\1" + its), {PROTOCOL_ERROR, MALFORMED})
            giver, taker = self.client(version), self.client(version)
            taker.subscribe(("a/b", 2), ("a/+", 2), ("A/b", 2), ("marker", 1))
            giver.published("a/b", b"begun", 2)
            begun = taker.expect(PUBLISH)
            answer = taker.unsubscribe("a/b", "a/#", "a/+", packet_id=88)
            self.assertEqual(answer.id, 88)
            if version == 5:
                self.assertEqual(answer.codes, [0, 0x11, 0])
                self.assertLessEqual(set(answer.codes), UNSUBACK_REASONS)
                self.assertEqual(answer.properties, [])
            self.assertEqual(taker.unsubscribe("none", packet_id=89).id, 89)
            giver.published("a/b", b"new", 2)
            self.assertEqual(self.marked(giver, taker), [])
            giver.published("A/b", b"other", 1)
            self.assertEqual(taker.expect(PUBLISH).payload, b"other", "that is another filter")
            taker.acknowledge(PUBREC, begun.id)
            self.assertEqual(taker.expect(PUBREL).id, begun.id)

    def test_ping(self):
        # clauses: 3 3.12.4-1; 5 3.12.4-1
        for version in self.versions():
            client = self.client(version)
            for _ in range(3):
                client.ping()
            self.assertEqual([client.next().type for _ in range(3)], [wire.PINGRESP] * 3)

    # ---- 3.14: DISCONNECT

    def test_disconnect(self):
        # clauses: 5 3.14.2-1 3.14.2-2 3.14.2-4 3.14.4-1 3.14.4-2
        client = self.client()
        client.subscribe("a")
        client.send(packet(0xC1) + packet(0xC0) + verge.publish_packet("a", b"x"))
        said = client.rest()
        self.assertEqual([each.type for each in said], [wire.DISCONNECT], "and nothing after it")
        self.assertIn(said[0].reason, DISCONNECT_REASONS)
        self.assertEqual([said[0].values(kind) for kind in (wire.SESSION_EXPIRY, wire.USER)], [[], []])
        client = self.client()
        client.disconnect(0, [(wire.SESSION_EXPIRY, 10)])
        self.assertEqual([each.reason for each in client.rest()], [PROTOCOL_ERROR], "a session that was to end at once")

    def test_an_error_that_passes_closes_the_connection(self):
        # clauses: 3 4.8.0-2
        small = self.node("small", sets=["mqtt.sessions_max=1", "runtime.loops=1"])
        self.edge = small.start()
        self.client(4, "one")
        client = self.fresh(4)
        answer = client.connect("two")
        if answer is not None and answer.reason == 0:
            client = self.fresh(4)
            answer = client.connect("three")
        self.assertEqual(answer.reason, 3)
        self.assertEqual(client.rest(), [])

    # ---- Chapter 4: how it works together

    def test_delivery_at_qos_2(self):
        # clauses: 3 4.3.3-1 4.4.0-1; 5 3.6.2-1 4.3.3-4 4.3.3-5 4.3.3-6 4.4.0-1
        for version in self.versions():
            name = f"exact-{version}"
            taker, giver = self.keeper(version, name), self.client(version)
            taker.subscribe(("a", 2))
            giver.published("a", b"x", 2)
            message = taker.expect(PUBLISH)
            taker.acknowledge(PUBREC, message.id)
            release = taker.expect(PUBREL)
            self.assertEqual((release.id, release.reason), (message.id, 0))
            taker.close()
            for _ in range(2):
                taker = self.keeper(version, name)
                again = taker.until_pong()
                self.assertEqual([(each.type, each.id) for each in again], [(PUBREL, message.id)], "and no PUBLISH")
                taker.close()
            taker = self.keeper(version, name)
            taker.acknowledge(PUBCOMP, taker.expect(PUBREL).id)
            taker.until_pong()
            taker.close()
            taker = self.keeper(version, name)
            self.assertEqual(taker.until_pong(), [])
            if version == 5:
                taker.acknowledge(PUBREC, 1234)
                answer = taker.expect(PUBREL)
                self.assertEqual((answer.id, answer.reason), (1234, 0x92))
                self.assertEqual(answer.properties, [])

    def test_properties_of_acknowledgements(self):
        # clauses: 5 3.4.2-2 3.5.2-2 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3
        client = self.client()
        client.subscribe(("a", 2))
        for qos in (1, 2):
            client.publish("a", b"x", qos, packet_id=qos)
        said = client.until_pong()
        for message in [each for each in said if each.type == PUBLISH and each.qos == 2]:
            client.acknowledge(PUBREC, message.id)
        client.acknowledge(PUBREL, 2)
        client.acknowledge(PUBREL, 99)
        said += client.until_pong()
        self.assertGreaterEqual({each.type for each in said}, {PUBACK, PUBREC, PUBREL, PUBCOMP})
        for each in said:
            self.assertEqual((each.values(wire.REASON_STRING), each.values(wire.USER)), ([], []))

    def test_what_has_expired_is_finished(self):
        # clauses: 5 4.3.3-13
        client = self.client()
        client.publish("a", b"x", 2, properties=[(wire.MESSAGE_EXPIRY, 0)])
        self.assertEqual(client.expect(PUBREC).id, 1)
        client.acknowledge(PUBREL, 1)
        self.assertEqual(client.expect(PUBCOMP).reason, 0)

    def test_order(self):
        # clauses: 3 4.6.0-1 4.6.0-2 4.6.0-3 4.6.0-4 4.6.0-5 4.6.0-6; 5 4.6.0-5 4.6.0-6
        for version in self.versions():
            name = f"order-{version}"
            taker, giver = self.keeper(version, name), self.client(version)
            taker.subscribe(("a", 2))
            count = 60
            for qos in (1, 2):
                for number in range(count):
                    giver.publish("a", b"%d" % number, qos, packet_id=number + 1)
                answers = [giver.expect(PUBACK if qos == 1 else PUBREC) for _ in range(count)]
                self.assertEqual([each.id for each in answers], list(range(1, count + 1)))
                if qos == 2:
                    for number in range(count):
                        giver.acknowledge(PUBREL, number + 1)
                    self.assertEqual([giver.expect(PUBCOMP).id for _ in range(count)], list(range(1, count + 1)))
                first = [taker.expect(PUBLISH) for _ in range(count)]
                self.assertEqual([each.payload for each in first], [b"%d" % number for number in range(count)])
                taker.close()
                taker = self.keeper(version, name)
                again = [taker.expect(PUBLISH) for _ in range(count)]
                self.assertEqual([each.id for each in again], [each.id for each in first])
                for each in again:
                    taker.acknowledge(PUBACK if qos == 1 else PUBREC, each.id)
                if qos == 2:
                    self.assertEqual([taker.expect(PUBREL).id for _ in range(count)], [each.id for each in again])
                    for each in again:
                        taker.acknowledge(PUBCOMP, each.id)
                self.assertEqual(taker.until_pong(), [])

    def test_shared_subscriptions(self):
        # clauses: 5 4.8.2-1 4.8.2-2 4.8.2-3 4.8.2-6
        client = self.client()
        bad = ["$share//a", "$share/g/", "$share/g", "$share/g+/a", "$share/#/a", "$share/g/a/#/b"]
        self.assertEqual(set(client.subscribe(*bad).codes), {0x8F})
        takers, giver = [self.client(), self.client()], self.client()
        for qos, taker in enumerate(takers):
            taker.subscribe(("$share/g/a", qos), "marker")
        for number in range(10):
            giver.published("a", b"%d" % number, 2)
        # One of them refuses each of its messages.
        giver.published("marker", b"marker", packet_id=999)
        got = []
        for qos, taker in enumerate(takers):
            while (message := taker.expect(PUBLISH)).topic != "marker":
                self.assertEqual(message.qos, qos)
                got.append(message.payload)
                if qos == 1:
                    taker.acknowledge(PUBACK, message.id, 0x97)
        self.assertEqual(sorted(got), [b"%d" % number for number in range(10)])
        for taker in takers:
            self.assertEqual([each for each in taker.until_pong() if each.topic != "marker"], [], "to nobody else")

    def test_a_shared_message_that_was_begun_is_of_its_member(self):
        # clauses: 5 4.8.2-4 4.8.2-5
        first = self.keeper(5, "first")
        first.subscribe(("$share/g/a", 2))
        giver = self.client()
        giver.published("a", b"x", 2)
        begun = first.expect(PUBLISH)
        second = self.client()
        second.subscribe(("$share/g/a", 2), "marker")
        first.close()
        self.gone("first")
        self.assertEqual(self.marked(giver, second), [], "it waits for who has it")
        first = self.keeper(5, "first")
        again = first.expect(PUBLISH)
        self.assertEqual((again.id, again.payload), (begun.id, b"x"))
        first.close()
        self.gone("first")
        self.client(client_id="first", clean=True)
        self.assertEqual(self.marked(giver, second), [], "nor when that session is over")

    def test_without_a_method_there_is_no_auth(self):
        # clauses: 5 4.12.0-1 4.12.0-6 4.12.0-7
        client = self.client()
        self.assertEqual([client.connack.values(kind) for kind in (0x15, 0x16)], [[], []])
        client.send(packet(0xF0, b"\x18\0"))
        self.assertEqual([each.reason for each in client.rest()], [PROTOCOL_ERROR])
        other = self.fresh()
        self.assertEqual(other.connect("x", properties=[(0x15, "NONE")]).reason, 0x8C)
        self.assertEqual(other.rest(), [])

    def test_reasons_of_connack(self):
        # clauses: 5 3.2.2-8
        for options in ({"client_id": "x" * 2000}, {"properties": [(0x15, "NONE")]}, {"flags": 0x01},
                        {"properties": [(wire.RECEIVE_MAXIMUM, 0)]}, {"will": ("$SYS/x", b"", 0, False, ())}):
            client = self.fresh()
            answer = client.connect(**{"client_id": "x", **options})
            self.assertIn(answer.reason, CONNACK_REASONS - {0}, options)
            self.assertEqual(client.rest(), [])

    def test_a_transport_and_nothing_more_is_needed(self):
        # clauses: 3 7.0.0-2 7.1.1-1; 5 4.2.0-1
        for version in self.versions():
            client = self.client(version)
            client.subscribe("a")
            for number in range(200):
                client.publish("a", struct.pack("!I", number) * 50, 1, packet_id=number + 1)
            got = []
            while len(got) < 200:
                answer = client.next()
                if answer.type == PUBLISH:
                    got.append(answer.payload)
                    client.acknowledge(PUBACK, answer.id)
            self.assertEqual(got, [struct.pack("!I", number) * 50 for number in range(200)])


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
