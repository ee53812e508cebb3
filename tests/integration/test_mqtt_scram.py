"""SCRAM-SHA-256 as enhanced authentication of MQTT 5, with a client of our own that shares no code with the node."""

import base64
import hashlib
import hmac
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from verge import connect_packet, packet, publish_packet, text_field, variable_integer

SUCCESS, CONTINUE, AGAIN = 0, 0x18, 0x19
PROTOCOL_ERROR, BAD_PASSWORD, NOT_AUTHORIZED, BAD_METHOD = 0x82, 0x86, 0x87, 0x8C
METHOD = "SCRAM-SHA-256"


class Scram:
    """RFC 5802 section 3, the client."""

    def __init__(self, user, password):
        self.password = password.encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"
        self.first = ("n,," + self.bare).encode()

    def final(self, challenge, binding="biws"):
        challenge = challenge.decode()
        fields = dict(part.split("=", 1) for part in challenge.split(","))
        assert fields["r"].startswith(self.nonce) and len(fields["r"]) > len(self.nonce) + 16
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        without = f"c={binding},r={fields['r']}"
        message = ",".join((self.bare, challenge, without)).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        self.expected = b"v=" + base64.b64encode(
            hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256"))
        return f"{without},p={base64.b64encode(proof).decode()}".encode()


def properties(method=METHOD, data=None):
    text = b"" if method is None else b"\x15" + text_field(method)
    return text + (b"" if data is None else b"\x16" + text_field(data))


def auth_packet(reason, method=METHOD, data=None):
    fields = properties(method, data)
    return packet(0xF0, bytes([reason]) + variable_integer(len(fields)) + fields)


def parse_properties(body):
    """Those of AUTH and CONNACK that this test knows; the others are passed over by their lengths."""
    found, at = {}, 1
    assert body[0] < 0x80
    while at < len(body):
        kind = body[at]
        at += 1
        if kind in (0x15, 0x16, 0x12, 0x1F):
            size = struct.unpack_from("!H", body, at)[0]
            found[kind] = body[at + 2:at + 2 + size]
            at += 2 + size
        else:
            at += {0x11: 4, 0x27: 4, 0x21: 2, 0x22: 2, 0x13: 2}[kind]
    return found


class Authentication(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.passwords = os.path.join(self.directory, "passwords")
        self.passwd("ann", "ann's secret", "--scram")
        self.passwd("a,b=c", "pencil", "--scram")
        self.passwd("plain", "plain's secret")
        self.edge = self.node("edge", sets=["runtime.loops=3", f"mqtt.password_file={self.passwords}"]).start()

    def passwd(self, user, password, *options):
        ran = subprocess.run([verge.VERGE, "passwd", self.passwords, user, *options], input=password + "\n", text=True,
                             capture_output=True, timeout=verge.PATIENCE)
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def begin(self, data=None, method=METHOD, client_id="client", **options):
        client = self.raw(self.edge, connect=False)
        client.send(connect_packet(client_id=client_id, properties=properties(method, data), **options))
        return client

    def challenge(self, client):
        first, body = client.receive()
        self.assertEqual((first, body[0]), (0xF0, CONTINUE))
        found = parse_properties(body[1:])
        self.assertEqual(found[0x15], METHOD.encode())
        return found.get(0x16)

    def authenticated(self, user="ann", password="ann's secret", client_id="client", **options):
        """A client, and the reason of its CONNACK."""
        scram = Scram(user, password)
        client = self.begin(scram.first, client_id=client_id, **options)
        client.send(auth_packet(CONTINUE, data=scram.final(self.challenge(client))))
        first, body = client.receive()
        self.assertEqual(first, 0x20)
        if body[1] == SUCCESS:
            found = parse_properties(body[2:])
            self.assertEqual(found[0x15], METHOD.encode())
            self.assertEqual(found[0x16], scram.expected, "the node knows the password too")
        return client, body[1]

    def test_who_knows_the_password_is_let_in(self):
        # clauses: 5 4.12.0-2 4.12.0-5 3.2.0-1
        for number in range(4):  # on whichever loops
            client, reason = self.authenticated(client_id=f"client-{number}")
            self.assertEqual(reason, SUCCESS)
            client.send(publish_packet("a", b"x"))
            self.assertEqual(client.receive()[0], 0x40)
        self.assertEqual(self.authenticated("a,b=c", "pencil", client_id="other")[1], SUCCESS)
        with open(self.passwords, encoding="utf-8") as file:
            self.assertNotIn("secret", file.read())

    def test_who_does_not_is_not(self):
        # clauses: 5 4.12.0-4
        for user, password in (("ann", "pencil"), ("nobody", "pencil"), ("plain", "plain's secret")):
            self.assertEqual(self.authenticated(user, password)[1], BAD_PASSWORD, user)

    def test_the_salt_of_nobody_is_the_same_each_time(self):
        salts = set()
        for _ in range(2):
            challenge = self.challenge(self.begin(Scram("nobody", "x").first)).decode()
            salts.add(challenge.split(",")[1])
            self.assertEqual(challenge.split(",")[2], "i=16384")
        self.assertEqual(len(salts), 1)

    def test_the_client_may_say_nothing_at_first(self):
        client = self.begin()
        self.assertIsNone(self.challenge(client))
        scram = Scram("ann", "ann's secret")
        client.send(auth_packet(CONTINUE, data=scram.first))
        client.send(auth_packet(CONTINUE, data=scram.final(self.challenge(client))))
        first, body = client.receive()
        self.assertEqual((first, body[1]), (0x20, SUCCESS))

    def test_the_session_is_the_users(self):
        self.authenticated(client_id="shared")
        self.assertEqual(self.authenticated("a,b=c", "pencil", client_id="shared")[1], NOT_AUTHORIZED)

    def test_the_same_line_serves_clients_that_send_the_password(self):
        for password, expected in (("ann's secret", SUCCESS), ("pencil", BAD_PASSWORD)):
            client = self.raw(self.edge, connect=False)
            client.send(connect_packet(flags=0xC2, rest=text_field("ann") + text_field(password)))
            self.assertEqual(client.receive()[1][1], expected)

    def test_again_while_connected(self):
        # clauses: 5 4.12.0-5 3.15.2-1 3.15.2-2 3.15.2-3
        client, _ = self.authenticated()
        scram = Scram("ann", "ann's secret")
        client.send(auth_packet(AGAIN, data=scram.first))
        challenge = self.challenge(client)
        client.send(publish_packet("a", b"x"))  # who it was counts meanwhile
        self.assertEqual(client.receive()[0], 0x40)
        client.send(auth_packet(CONTINUE, data=scram.final(challenge)))
        first, body = client.receive()
        self.assertEqual((first, body[0]), (0xF0, SUCCESS))
        self.assertEqual(parse_properties(body[1:]), {0x15: METHOD.encode(), 0x16: scram.expected})

    def test_again_with_a_wrong_password_or_as_another_ends_it(self):
        # clauses: 5 4.12.1-2
        for user, password in (("ann", "pencil"), ("a,b=c", "pencil")):
            client, _ = self.authenticated()
            scram = Scram(user, password)
            client.send(auth_packet(AGAIN, data=scram.first))
            client.send(auth_packet(CONTINUE, data=scram.final(self.challenge(client))))
            self.assertEqual([(first, body[0]) for first, body in client.receive_all()], [(0xE0, NOT_AUTHORIZED)])

    def test_a_password_that_was_changed_counts_when_it_authenticates_again(self):
        client, _ = self.authenticated()
        self.passwd("ann", "another", "--scram")
        self.edge.signal(verge.signal.SIGHUP)
        verge.wait_until(lambda: "the configuration was reloaded" in self.edge.log(), "the reload")
        scram = Scram("ann", "ann's secret")
        client.send(auth_packet(AGAIN, data=scram.first))
        client.send(auth_packet(CONTINUE, data=scram.final(self.challenge(client))))
        self.assertEqual([(first, body[0]) for first, body in client.receive_all()], [(0xE0, NOT_AUTHORIZED)])

    def test_other_methods_are_not_offered(self):
        # clauses: 5 4.12.0-1
        for node in (self.edge, self.node("other").start()):
            self.edge = node
            client = self.begin(b"x", method="GS2-KRB5" if node is not self.node else METHOD)
            self.assertEqual([(first, body[1]) for first, body in client.receive_all()], [(0x20, BAD_METHOD)])

    def test_auth_that_nothing_asked_for(self):
        # clauses: 5 3.15.2-1 4.12.1-1
        scram = Scram("ann", "ann's secret")
        for hostile in (auth_packet(CONTINUE, data=scram.first), auth_packet(SUCCESS), packet(0xF0),
                        auth_packet(AGAIN, method=None), auth_packet(0x17), packet(0xF0, b"\x18\0")):
            client, _ = self.authenticated()
            client.send(hostile)
            self.assertEqual([(first, body[0]) for first, body in client.receive_all()], [(0xE0, PROTOCOL_ERROR)],
                             hostile)
        client, _ = self.authenticated()
        client.send(auth_packet(AGAIN, method="PLAIN", data=scram.first))
        self.assertEqual([(first, body[0]) for first, body in client.receive_all()], [(0xE0, BAD_METHOD)])

    def test_before_connack_only_auth_and_disconnect_are_taken(self):
        # clauses: 5 3.1.2-30 3.14.0-1
        for hostile in (publish_packet("a", b"x"), connect_packet(), auth_packet(AGAIN, data=b"n,,n=ann,r=x"),
                        auth_packet(CONTINUE, method="PLAIN", data=b"x"), packet(0xE0)):
            client = self.begin(Scram("ann", "x").first)
            self.challenge(client)
            client.send(hostile)
            self.assertEqual(client.receive_all(), [], hostile)

    def test_what_is_no_scram_is_refused(self):
        for hostile in (b"", b"\0" * 100, b"n,,n=ann", b"p=tls-unique,,n=ann,r=x", b"n,,n=ann,r=" + b"x" * 1000):
            client = self.begin(hostile)
            self.assertEqual([(first, body[1]) for first, body in client.receive_all()], [(0x20, BAD_PASSWORD)], hostile)
        scram = Scram("ann", "ann's secret")
        client = self.begin(scram.first)
        client.send(auth_packet(CONTINUE, data=scram.final(self.challenge(client), binding="eSws")))
        self.assertEqual(client.receive()[1][1], BAD_PASSWORD, "another header than that of its first message")

    def test_passwords_are_ascii(self):
        ran = subprocess.run([verge.VERGE, "passwd", self.passwords, "x", "--scram"], input="naïve\n", text=True,
                             capture_output=True, timeout=verge.PATIENCE)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("crypto.password", ran.stderr)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
