"""Bad input: whoever sends it is refused as the standards say; nobody else notices, and no payload is too strange."""

import base64
import concurrent.futures
import gzip
import http.server
import json
import os
import random
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from verge import connect_packet, packet, publish_packet, subscribe_packet, text_field

RULES = """
[[rule]]
name = "everything"
sql = "SELECT * FROM 'any/#'"
do = [{ upload = "normal" }]
"""
MALFORMED, PROTOCOL_ERROR, TOPIC_NAME, TOO_LARGE, ALIAS = 0x81, 0x82, 0x90, 0x95, 0x94

# What a connected client sends, and with which DISCONNECT reasons it may be told so (MQTT 5.0 sections 1.5, 2, 3, 4.13).
AFTER_CONNECT = [
    ("packet type 0", packet(0x00), {MALFORMED}),
    ("SUBSCRIBE with reserved flags", packet(0x80, b"\0\1\0" + text_field("a") + b"\0"), {MALFORMED}),
    ("PINGREQ with reserved flags", packet(0xC1), {MALFORMED}),
    ("PUBACK with reserved flags", packet(0x42, b"\0\1"), {MALFORMED}),
    ("PUBACK with a reason that is none", packet(0x40, b"\0\1\x55"), {MALFORMED, PROTOCOL_ERROR}),
    ("PUBREC with a reason of PUBREL", packet(0x50, b"\0\1\x92"), {MALFORMED, PROTOCOL_ERROR}),
    ("PUBREL with a reason of PUBACK", packet(0x62, b"\0\1\x10"), {MALFORMED, PROTOCOL_ERROR}),
    ("PUBCOMP with a reason that is none", packet(0x70, b"\0\1\x01"), {MALFORMED, PROTOCOL_ERROR}),
    ("QoS 3", packet(0x36, text_field("a") + b"\0\1\0"), {MALFORMED}),
    ("DUP at QoS 0", packet(0x38, text_field("a") + b"\0"), {MALFORMED}),
    ("a remaining length of five bytes", b"\x30\xff\xff\xff\xff\x01", {MALFORMED}),
    ("a second CONNECT", connect_packet(5, "raw"), {PROTOCOL_ERROR}),
    ("a CONNACK", packet(0x20, b"\0\0\0"), {MALFORMED, PROTOCOL_ERROR}),
    ("AUTH without enhanced authentication", packet(0xF0), {PROTOCOL_ERROR}),
    ("a topic that is not UTF-8", publish_packet(b"a/\xff\xfe"), {MALFORMED}),
    ("a topic with a surrogate", publish_packet(b"a/\xed\xa0\x80"), {MALFORMED}),
    ("a topic with U+0000", publish_packet(b"a/\0"), {MALFORMED}),
    ("a topic with +", publish_packet("a/+/b"), {TOPIC_NAME, MALFORMED}),
    ("a topic with #", publish_packet("a/#"), {TOPIC_NAME, MALFORMED}),
    ("a topic of 129 levels", publish_packet("/" * 128), {TOPIC_NAME}),
    ("an empty topic", publish_packet(""), {TOPIC_NAME, PROTOCOL_ERROR}),
    ("a topic alias that stands for no topic", publish_packet("", properties=b"\x23\0\1"), {ALIAS, PROTOCOL_ERROR}),
    ("a topic longer than the packet", packet(0x30, b"\xff\xffab"), {MALFORMED}),
    ("packet identifier 0", publish_packet("a", packet_id=0), {MALFORMED, PROTOCOL_ERROR}),
    ("an unknown property", publish_packet("a", properties=b"\x7f\1"), {MALFORMED, PROTOCOL_ERROR}),
    ("a property twice", publish_packet("a", properties=b"\1\0\1\0"), {MALFORMED, PROTOCOL_ERROR}),
    ("properties longer than the packet", packet(0x30, text_field("a") + b"\x7f"), {MALFORMED}),
    ("SUBSCRIBE with packet identifier 0", subscribe_packet("a", 0), {MALFORMED, PROTOCOL_ERROR}),
    ("SUBSCRIBE of nothing", packet(0x82, b"\0\1\0"), {MALFORMED, PROTOCOL_ERROR}),
    ("SUBSCRIBE with QoS 3", subscribe_packet("a", options=3), {MALFORMED, PROTOCOL_ERROR}),
    ("SUBSCRIBE with reserved options", subscribe_packet("a", options=0x41), {MALFORMED, PROTOCOL_ERROR}),
    ("UNSUBSCRIBE of nothing", packet(0xA2, b"\0\1\0"), {MALFORMED, PROTOCOL_ERROR}),
    ("a packet over mqtt.packet_bytes_max", publish_packet("any/big", b"x" * 70_000), {TOO_LARGE}),
    ("the announcement of 256 MiB", b"\x30\xff\xff\xff\x7f", {TOO_LARGE}),
]

# What is sent first, and with which CONNACK codes it may be refused; None: by closing alone. For 3.1.1 the second byte
# of CONNACK is a return code (section 3.2.2.3).
BEFORE_CONNECT = [
    ("PUBLISH before CONNECT", publish_packet("a"), {None}),
    ("PINGREQ before CONNECT", packet(0xC0), {None}),
    ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", {None}),
    ("zero bytes", b"\0" * 64, {None}),
    ("another protocol's name", connect_packet(4, name="MQTX"), {None, 1, 0x84}),
    ("3.1, level 3", connect_packet(3, name="MQIsdp"), {None, 1, 0x84}),
    ("level 3 under the name of 3.1.1", connect_packet(3), {1}),
    ("level 6", connect_packet(6), {1, 0x84}),
    ("3.1.1: an empty client id that is to be kept", connect_packet(4, "", flags=0), {2}),
    ("3.1.1: a reserved flag", connect_packet(4, flags=0x03), {None}),
    ("3.1.1: a will at QoS 3", connect_packet(4, flags=0x1E, rest=text_field("w") + text_field("x")), {None}),
    ("3.1.1: will flags without a will", connect_packet(4, flags=0x0A), {None}),
    ("3.1.1: a password without a user", connect_packet(4, flags=0x42, rest=text_field("p")), {None}),
    ("5: a reserved flag", connect_packet(5, flags=0x03), {None, MALFORMED, PROTOCOL_ERROR}),
    ("5: a client id that is not UTF-8", connect_packet(5, b"\xc3\x28"), {None, MALFORMED, 0x85}),
    ("5: an unknown property", connect_packet(5, properties=b"\x7f\1"), {None, MALFORMED, PROTOCOL_ERROR}),
    ("5: receive maximum 0", connect_packet(5, properties=b"\x21\0\0"), {None, MALFORMED, PROTOCOL_ERROR}),
    ("5: authentication that is not offered", connect_packet(5, properties=b"\x15" + text_field("x")), {0x8C}),
    ("CONNECT with bytes after its end", packet(0x10, connect_packet(4)[2:] + b"xx"), {None, MALFORMED}),
]

START = b"POST /v1/events HTTP/1.1\r\nHost: x\r\n"
AMBIGUOUS = [
    ("two lengths", START + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    ("length and chunked", START + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a negative length", START + b"Content-Length: -1\r\n\r\n"),
    ("a signed length", START + b"Content-Length: +2\r\n\r\n{}"),
    ("a length in hex", START + b"Content-Length: 0x2\r\n\r\n{}"),
    ("an immense length", START + b"Content-Length: 99999999999999999999\r\n\r\n{}"),
    ("an unknown coding", START + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice", START + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("white space before the colon", START + b"Content-Length : 2\r\n\r\n{}"),
    ("a folded line", START + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}"),
    ("a bare LF", START + b"X: a\nContent-Length: 2\r\n\r\n{}"),
    ("a bare CR", START + b"X: a\rb\r\nContent-Length: 2\r\n\r\n{}"),
    ("NUL in a field", START + b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}"),
    ("a bad chunk size", START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    ("no Host", b"POST /v1/events HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"),
    ("two Hosts", START + b"Host: y\r\nContent-Length: 2\r\n\r\n{}"),
    ("no request line", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"),
    ("version 2.0", b"POST /v1/events HTTP/2.0\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"),
    ("a long request line", b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a long head", START + b"X: " + b"a" * 20_000 + b"\r\n\r\n"),
    ("many fields", START + b"".join(b"X%d: a\r\n" % i for i in range(200)) + b"\r\n"),
]

STRANGE_PAYLOADS = [b"", b"\0", b"\xff\xfe\x00\x01", bytes(range(256)), b"{", b'{"a":1} trailing', b"null", b"NaN",
                    "Grüße ☃".encode(), b"[1,\n2]", b'{"n":123456789012345678901234567890}', b"\r\n", b"x" * 60_000,
                    b'{"a":' * 2000 + b"1" + b"}" * 2000]


class BadMqtt(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.edge = self.node("edge", RULES, sets=["mqtt.packet_bytes_max=64KiB", "runtime.loops=2"]).start()
        self.healthy = self.mqtt(self.edge, "healthy")
        self.healthy.subscribe("healthy/echo")
        self.echoes = 0

    def check_healthy(self):
        self.echoes += 1
        self.healthy.publish("healthy/echo", str(self.echoes))
        self.healthy.wait_messages(self.echoes)
        self.assertEqual(self.healthy.disconnections, [], "another client lost its connection")
        self.assertIsNone(self.edge.process.poll(), "the node has ended")

    def test_after_connect_5(self):
        for what, data, reasons in AFTER_CONNECT:
            with self.subTest(what):
                client = self.raw(self.edge)
                client.send(data)
                packets = client.receive_all()
                self.assertEqual([first for first, _ in packets], [0xE0], f"{what}: DISCONNECT and nothing else")
                self.assertIn(packets[0][1][0], reasons, f"{what}: the reason code {packets[0][1][0]:#x}")
                self.check_healthy()
        self.assertGreaterEqual(self.edge.status()["mqtt"]["violations"], len(AFTER_CONNECT))

    def test_the_reason_in_words(self):
        for topic, words in (("", b"the topic name is empty"), ("a/+", b"has a wildcard"), ("/" * 128, b"more than 128 levels")):
            with self.subTest(topic):
                client = self.raw(self.edge)
                client.send(publish_packet(topic))
                [(_, body)] = client.receive_all()
                self.assertIn(words, body)

    def test_after_connect_311(self):
        """3.1.1 has no DISCONNECT from a server: the connection closes."""
        for what, data in (("QoS 3", packet(0x36, text_field("a") + b"\0\1")),
                           ("a wildcard", publish_packet("a/#", version=4)),
                           ("bad UTF-8", publish_packet(b"\xff", version=4)),
                           ("packet identifier 0", publish_packet("a", packet_id=0, version=4)),
                           ("a second CONNECT", connect_packet(4)),
                           ("oversize", publish_packet("a", b"x" * 70_000, version=4)),
                           ("a body in DISCONNECT", packet(0xE0, b"\0"))):
            with self.subTest(what):
                client = self.raw(self.edge, version=4)
                client.send(data)
                self.assertEqual(client.receive_all(), [], f"{what}: closed without a word")
                self.check_healthy()

    def test_before_connect(self):
        for what, data, codes in BEFORE_CONNECT:
            with self.subTest(what):
                client = self.raw(self.edge, connect=False)
                client.send(data)
                packets = client.receive_all()
                self.assertLessEqual(len(packets), 1, f"{what}: {packets}")
                if packets:
                    self.assertEqual(packets[0][0], 0x20, f"{what}: CONNACK")
                self.assertIn(packets[0][1][1] if packets else None, codes, f"{what}: the code")
                self.check_healthy()

    def test_the_nodes_own_topics(self):
        """What a client publishes there goes nowhere: it could pass for a report of the node."""
        subscriber = self.mqtt(self.edge, "subscriber")
        subscriber.subscribe("$verge/#")
        subscriber.subscribe("$SYS/#")
        subscriber.subscribe("$other/#")
        modern = self.mqtt(self.edge, "modern")
        for topic in ("$verge/actions/forged", "$SYS/broker/uptime"):
            self.assertEqual(modern.publish_and_wait(topic, "1"), 0x87, topic)
            modern.publish(topic, "2", qos=0)
        old = self.mqtt(self.edge, "old", version=4)
        self.assertEqual(old.publish_and_wait("$verge/actions/forged", "3"), 0, "3.1.1 has no way to say no")
        self.assertEqual(modern.publish_and_wait("$other/x", "allowed"), 0)
        self.assertEqual(bytes(subscriber.wait_messages(1)[0].payload), b"allowed")
        self.assertEqual(self.edge.status()["mqtt"]["forbidden"], 5)
        self.assertEqual(self.edge.events("$verge/#"), [], "nothing is stored")
        with self.assertRaisesRegex(ConnectionError, r"x90"):
            self.raw(self.edge, client_id="testator", flags=0x06,
                     rest=b"\0" + text_field("$verge/actions/forged") + text_field("x"))

    def test_a_bad_filter_is_refused_alone(self):
        """A filter that is no filter costs its subscription, not the connection."""
        client = self.raw(self.edge)
        for number, wrong in enumerate(("a/#/b", "a+", "#a", "", "$share/g", "$share/+/a", "$share//a"), start=1):
            with self.subTest(wrong):
                client.send(subscribe_packet(wrong, number))
                first, body = client.receive()
                self.assertEqual(first, 0x90)
                self.assertGreaterEqual(body[-1], 0x80, f"'{wrong}' was granted")
        client.send(subscribe_packet("good/+", 99))
        self.assertEqual(client.receive()[1][-1], 1, "a good filter is granted on the same connection")

    def test_random_bytes(self):
        choice = random.Random(verge.seed())
        base = [connect_packet(5), publish_packet("any/x", b"payload"), subscribe_packet("any/#"), packet(0xC0)]
        for _ in range(150):
            data = bytearray(b"".join(base))
            for _ in range(choice.randrange(1, 6)):
                data[choice.randrange(len(data))] = choice.randrange(256)
            client = verge.RawMqtt(self.edge, connect=False)
            client.send(bytes(data[:choice.randrange(1, len(data) + 1)]))
            client.socket.shutdown(socket.SHUT_WR)
            client.receive_all()
            client.close()
        self.check_healthy()

    def test_one_byte_at_a_time(self):
        client = self.raw(self.edge, connect=False)
        for byte in connect_packet(5) + publish_packet("any/slow", b"drop by drop", packet_id=7):
            client.send(bytes([byte]))
        self.assertEqual(client.receive()[0], 0x20)
        first, body = client.receive()
        self.assertEqual((first, body[:2]), (0x40, b"\0\7"))


class StrangePayloads(verge.TestCase):
    def test_carried_unchanged_to_the_root(self):
        nodes = self.tree(RULES).start()
        client = self.mqtt(nodes.edge, "strange")
        echo = self.mqtt(nodes.edge, "echo", version=4)
        echo.subscribe("any/#")
        for number, payload in enumerate(STRANGE_PAYLOADS):
            self.assertEqual(client.publish_and_wait(f"any/{number}", payload), 0)
        echo.wait_messages(len(STRANGE_PAYLOADS))
        self.assertEqual(echo.payloads(), STRANGE_PAYLOADS, "to local subscribers")
        nodes.wait_delivered()
        for events in (nodes.cloud.events("any/#"), nodes.cloud.events_by_http("any/#")):
            found = {int(event["topic"].split("/")[1]): event for event in events}
            self.assertEqual(sorted(found), list(range(len(STRANGE_PAYLOADS))))
            for number, payload in enumerate(STRANGE_PAYLOADS):
                event = found[number]
                try:
                    text = payload.decode()
                except UnicodeDecodeError:
                    text = None
                with self.subTest(payload[:40]):
                    if text is None:
                        self.assertEqual(base64.b64decode(event["payload_base64"]), payload)
                    elif isinstance(event["payload"], str):
                        self.assertEqual(event["payload"], text)
                    else:
                        self.assertEqual(event["payload"], json.loads(text))


class BadHttp(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.edge = self.node("edge", RULES, sets=["http.body_bytes_max=64KiB"]).start()

    def check_problem(self, answer, statuses):
        self.assertIn(answer.status, statuses, answer)
        self.assertEqual(answer.fields.get("content-type"), "application/json", answer)
        problem = answer.json()["error"]
        for part in ("code", "what", "fix"):
            self.assertTrue(problem.get(part), f"the answer has no '{part}': {answer}")

    def check_alive(self):
        answer = self.edge.post("/v1/events", {"topic": "any/alive", "payload": 1})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.edge.admin("/healthz").status, 200)

    def test_bad_bodies(self):
        for what, body in (("nothing", b""), ("white space", b" \n "), ("no JSON", b"hello"), ("cut short", b'{"a":'),
                           ("a number", b"1"), ("an array of numbers", b"[1,2]"), ("bad UTF-8", b'{"topic":"\xff"}'),
                           ("a wildcard topic", b'{"topic":"a/#"}'), ("a server's topic", b'{"topic":"$SYS/x"}'),
                           ("a bad priority", b'{"topic":"a","priority":"urgent"}'),
                           ("one bad line", b'{"a":1}\n{"a":\n'), ("deep nesting", b"[" * 60_000),
                           ("too many events", b"[" + b",".join([b"{}"] * 10_001) + b"]"),
                           ("binary", bytes(range(256)))):
            with self.subTest(what):
                self.check_problem(self.edge.post("/v1/events", body), {400})
        self.assertEqual(self.edge.events(), [], "nothing of a bad request is stored")
        self.check_alive()

    def test_numbers_of_any_size(self):
        """As by MQTT: JSON bounds no number, and the payload is kept as it was sent."""
        payloads = [b'{"n":123456789012345678901234567890}', b'{"n":-1e400,"m":[1e-400,0.1]}']
        for payload in payloads:
            answer = self.edge.post("/v1/events?topic=any/http", payload)
            self.assertEqual(answer.status, 200, answer)
        client = self.mqtt(self.edge, "device")
        for payload in payloads:
            client.publish_and_wait("any/mqtt", payload)
        for topic in ("any/http", "any/mqtt"):
            lines = verge.run("events", "query", "--data-dir", self.edge.data_dir, "--topic", topic, "--kind", "message",
                              "--json").stdout
            self.assertEqual([line.partition('"payload":')[2] for line in lines.splitlines()],
                             [payload.decode() + "}" for payload in payloads])

    def test_content_codings(self):
        """RFC 9110 section 15.5.16."""
        answer = self.edge.post("/v1/events", gzip.compress(b'{"a":1}'), {"Content-Encoding": "gzip"})
        self.check_problem(answer, {415})
        self.assertEqual(answer.fields["accept-encoding"], "identity")
        self.assertIn("'gzip'", answer.json()["error"]["what"])
        self.assertEqual(self.edge.post("/v1/events", b'{"a":1}', {"Content-Encoding": "Identity"}).status, 200)

    def test_bad_priority_names_the_nearest(self):
        answer = self.edge.post("/v1/events", {"topic": "a", "priority": "critcal"})
        self.assertIn("critical", answer.json()["error"]["fix"])

    def test_methods_paths_sizes(self):
        for method, path, status in (("GET", "/v1/events", 405), ("PUT", "/v1/events", 405),
                                     ("DELETE", "/v1/uplink", 405), ("POST", "/", 404), ("POST", "/v1/event", 404),
                                     ("GET", "/v1/events/../../etc/passwd", 404)):
            with self.subTest(f"{method} {path}"):
                answer = self.edge.post(path, None, method=method)
                self.check_problem(answer, {status})
                if status == 405:
                    self.assertIn("POST", answer.fields.get("allow", ""), "405 says what is allowed")
        self.assertEqual(self.edge.post("/v1/events", b"x" * 70_000).status, 413)
        for method, path, status in (("POST", "/metrics", 405), ("GET", "/nothing", 404),
                                     ("GET", "/v1/events?limit=x", 400), ("GET", "/v1/events?limit=100001", 400),
                                     ("GET", "/v1/events?topic=a/%23/b", 400), ("GET", "/v1/events?stream=x", 400),
                                     ("GET", "/v1/events?kind=x", 400), ("GET", "/v1/events?after=x", 400),
                                     ("GET", "/v1/events?since_us=x", 400)):
            with self.subTest(f"admin: {method} {path}"):
                self.check_problem(self.edge.admin(path, method), {status})
        self.check_alive()

    def raw_http(self, data, half_close=False):
        """The status codes of all answers until the server closes."""
        host, _, port = self.edge.addresses["http"].rpartition(":")
        with socket.create_connection((host, int(port)), verge.PATIENCE) as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while True:
                try:
                    more = connection.recv(65536)
                except ConnectionResetError:
                    break
                if not more:
                    break
                received += more
        return [int(part.split()[0]) for part in received.split(b"HTTP/1.1 ")[1:]], received

    def test_what_could_be_read_in_two_ways(self):
        """RFC 9112 section 11.2: refused and closed, so that nothing behind it is taken for a request."""
        hidden = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(self.raw_http, [data + hidden for _, data in AMBIGUOUS]))
        for (what, _), (statuses, received) in zip(AMBIGUOUS, outcomes):
            with self.subTest(what):
                self.assertEqual(len(statuses), 1, f"{what}: one answer, then the end: {received[:2000]!r}")
                self.assertIn(statuses[0], (400, 413, 414, 431, 501, 505), f"{what}: {received[:500]!r}")
        self.assertEqual(self.edge.events(), [], "nothing hidden was taken")
        self.check_alive()

    def head(self, fields, path="/v1/events"):
        return f"POST {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode()

    def test_a_body_that_is_too_long_is_refused_by_its_head(self):
        """With the limit of its path, before a byte of the body has come, and before the client is told to go on."""
        for fields in ("Content-Length: 65537\r\n", "Content-Length: 20000000\r\nExpect: 100-continue\r\n"):
            statuses, received = self.raw_http(self.head(fields))
            self.assertEqual(statuses, [413], received)
            self.assertIn(b"http.body_bytes_max", received)
            self.assertIn(b"Connection: close", received)
        statuses, received = self.raw_http(self.head("Transfer-Encoding: chunked\r\n") + b"10001\r\n" + b"x" * 65537)
        self.assertEqual(statuses, [413], received)
        statuses, received = self.raw_http(self.head("Content-Length: 65537\r\nConnection: close\r\n", "/v1/uplink")
                                           + b"x" * 65537)
        self.assertEqual(statuses, [400], "a child's batch has a limit of its own")
        self.assertIn(b"uplink.malformed", received)
        statuses, received = self.raw_http(self.head("Content-Length: 40000000\r\n", "/v1/uplink"))
        self.assertEqual(statuses, [413], received)
        self.check_alive()

    def test_paths_and_methods_are_refused_by_the_head(self):
        for request, status in ((b"POST /nothing HTTP/1.1", 404), (b"PUT /v1/events HTTP/1.1", 405)):
            statuses, received = self.raw_http(request + b"\r\nHost: x\r\nContent-Length: 60000\r\n"
                                                         b"Expect: 100-continue\r\n\r\n")
            self.assertEqual(statuses, [status], received)

    def test_refusals_of_the_protocol_are_json_too(self):
        """One form for all errors: a client need not know which layer refused it."""
        self.check_problem(self.edge.post("/v1/events", b"x" * 70_000), {413})
        for _, received in (self.raw_http(START + b"Content-Length: x\r\n\r\n"),
                            self.raw_http(START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")):
            body = received.split(b"\r\n\r\n", 1)[1]
            self.assertTrue(body.startswith(b"{"), f"JSON expected: {received!r}")
            self.assertEqual(sorted(json.loads(body)["error"]), ["code", "fix", "what"], received)

    def test_random_requests(self):
        choice = random.Random(verge.seed())
        base = b"POST /v1/events?topic=any/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n"
        for _ in range(150):
            data = bytearray(base)
            for _ in range(choice.randrange(1, 5)):
                data[choice.randrange(len(data))] = choice.randrange(256)
            statuses, received = self.raw_http(bytes(data), half_close=True)
            self.assertTrue(all(status < 500 or status in (501, 505) for status in statuses), (bytes(data), received))
        self.check_alive()


class BadBatches(verge.TestCase):
    """What comes to /v1/uplink and is no batch."""

    def record_a_batch(self):
        """A batch as a node sends it, taken by a parent that is none."""
        taken = []
        came = threading.Event()

        class Parent(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/uplink":
                    taken.append((body, dict(self.headers.items())))
                    came.set()
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parent)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        child = self.node("child", RULES, parent=f"http://127.0.0.1:{server.server_address[1]}").start()
        client = self.mqtt(child, "sender")
        client.publish_and_wait("any/one", b"payload")
        self.assertTrue(came.wait(verge.PATIENCE), "the child sends its batch")
        client.close()
        child.discard()
        return taken[0]

    def test_garbage(self):
        choice = random.Random(verge.seed())
        batch, fields = self.record_a_batch()
        fields = {name: value for name, value in fields.items() if name.lower() in ("content-type", "content-encoding")}
        root = self.node("root", tier="cloud").start()
        garbage = [b"", b"\0", b"garbage", b'{"topic":"a"}', bytes(choice.randrange(256) for _ in range(5000)),
                   b"\x28\xb5\x2f\xfd", b"VUB1", b"\x28\xb5\x2f\xfd" + b"\xff" * 100, batch + b"x",
                   batch[1:]] + [batch[:size] for size in range(1, len(batch), 7)]
        for body in garbage:
            answer = root.post("/v1/uplink", body, fields)
            self.assertEqual(answer.status, 400, f"{body[:60]!r}… of {len(body)} bytes: {answer}")
            self.assertEqual(sorted(answer.json()["error"]), ["code", "fix", "what"], answer)
        self.assertEqual(root.events(), [], "nothing of it was stored")
        for _ in range(300):
            body = bytearray(batch)
            body[choice.randrange(len(body))] ^= 1 << choice.randrange(8)
            answer = root.post("/v1/uplink", bytes(body), fields)
            self.assertIn(answer.status, (200, 400), f"a batch with a bit turned over: {answer}")
        self.assertEqual(root.post("/v1/uplink", batch, fields).status, 200, "the batch as it was is taken")
        self.assertIn("any/one", [event["topic"] for event in root.events()])
        root.stop()


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
