"""MQTT by WebSocket, plain and with TLS: paho beside clients of TCP, what is refused, and how connections end."""

import base64
import os
import socket
import ssl
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from certificates import Authority
from verge import connect_packet

LISTENERS = ("mqtt_ws", "mqtt_ws_tls")


class WebSocket(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.ca = Authority(self.directory)
        self.edge = self.node("edge")
        shown = self.ca.issue(f"IP:{self.edge.host}")
        self.edge.write_config(f'[tls]\ncertificate = "{shown.pem}"\nkey = "{shown.key}"\n')
        self.edge.sets += [f"mqtt.ws_listen={self.edge.host}:0", f"mqtt.ws_tls_listen={self.edge.host}:0",
                           "runtime.loops=3"]
        self.edge.start()

    def client(self, listener, client_id, **options):
        context = ssl.create_default_context(cafile=self.ca.pem) if listener.endswith("tls") else None
        return self.mqtt(self.edge, client_id, listener=listener, tls=context, **options)

    def ask(self, fields="", path="/mqtt"):
        """A socket, and the head of the answer to a request to become a WebSocket."""
        host, port = self.edge.addresses["mqtt_ws"].rsplit(":", 1)
        connection = socket.create_connection((host, int(port)), verge.PATIENCE)
        self.addCleanup(connection.close)
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                            f"Sec-WebSocket-Protocol: mqtt\r\n{fields}\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            got = connection.recv(1)
            self.assertTrue(got, head)
            head += got
        return connection, head.decode()

    @staticmethod
    def frame(opcode, payload):
        mask = os.urandom(4)
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0xfe]) + struct.pack("!H", len(payload))
        return bytes([0x80 | opcode]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))

    def rest(self, connection):
        """All that comes until the end."""
        got = b""
        while piece := connection.recv(65536):
            got += piece
        return got

    def test_clients_of_all_listeners_speak_with_one_another(self):
        listeners = ("mqtt", *LISTENERS)
        for listener in LISTENERS:
            for version in (4, 5):
                with self.subTest(listener=listener, version=version):
                    prefix = f"{listener}/{version}"
                    reader = self.client(listener, f"reader-{prefix}", version=version)
                    for qos in (0, 1, 2):
                        reader.subscribe(f"{prefix}/{qos}/#", qos)
                    big = os.urandom(300_000)
                    for i, each in enumerate(listeners):
                        # Their sessions are on all loops, and so most of the connections move.
                        writer = self.client(each, f"writer-{prefix}-{i}", version=version)
                        for qos in (1, 2):
                            self.assertEqual(writer.publish_and_wait(f"{prefix}/{qos}/{each}", big, qos=qos), 0)
                        writer.publish(f"{prefix}/0/{each}", "small", qos=0)
                        reader.wait_messages(3 * (i + 1))
                        writer.close()
                    got = {(message.topic, bytes(message.payload)) for message in reader.messages}
                    self.assertEqual(got, {(f"{prefix}/{qos}/{each}", big if qos else b"small")
                                           for qos in (0, 1, 2) for each in listeners})

    def test_who_is_taken_over_or_shut_down_hears_why(self):
        for listener in LISTENERS:
            first = self.client(listener, f"same-{listener}")
            self.client("mqtt", f"same-{listener}")
            first.wait(lambda: first.disconnections, "the first is closed")
            first.close()
        last = self.client("mqtt_ws", "last")
        self.edge.stop()
        last.wait(lambda: last.disconnections, "the last is closed")
        self.assertEqual(last.disconnections[0], 0x8b)

    def test_a_will_is_published_when_the_connection_breaks(self):
        watcher = self.client("mqtt", "watcher")
        watcher.subscribe("will", 1)
        connection, head = self.ask()
        self.assertIn(" 101 ", head)
        will = verge.text_field("will") + verge.text_field("gone")
        connection.sendall(self.frame(2, connect_packet(4, "breaks", flags=0x06, rest=will)))
        self.assertEqual(connection.recv(6), b"\x82\x04\x20\x02\x00\x00")
        connection.close()
        self.assertEqual(watcher.wait_messages(1)[0].payload, b"gone")

    def test_packets_may_be_cut_anywhere_and_pings_are_answered(self):
        # clauses: 3 6.0.0-2; 5 6.0.0-2
        connection, _ = self.ask()
        for byte in connect_packet(4, "cut"):
            connection.sendall(self.frame(2, bytes([byte])))
        self.assertEqual(connection.recv(6), b"\x82\x04\x20\x02\x00\x00")
        connection.sendall(self.frame(9, b"there?"))
        self.assertEqual(connection.recv(8), b"\x8a\x06there?")
        connection.sendall(self.frame(2, b"\xe0\x00"))  # DISCONNECT
        self.assertEqual(self.rest(connection), b"\x88\x02\x03\xe8")

    def test_what_is_not_for_it_is_refused(self):
        connection, head = self.ask(path="/other")
        self.assertIn(" 404 ", head)
        self.assertEqual(self.rest(connection), b"")
        for origin in ("https://evil.example", "null"):
            self.assertIn(" 403 ", self.ask(f"Origin: {origin}\r\n")[1])
        own = self.edge.addresses["mqtt_ws"]
        self.assertIn(" 101 ", self.ask(f"Origin: http://{own}\r\n")[1])
        connection, _ = self.ask()
        connection.sendall(self.frame(1, b"text"))
        self.assertEqual(self.rest(connection), b"\x88\x02\x03\xeb")
        verge.wait_until(lambda: self.edge.status()["mqtt"]["connections"] <= 1, "the connections are gone")

    def test_pages_of_named_sites_may_connect(self):
        self.edge.stop()
        self.edge.sets.append('mqtt.ws_origins=["https://plant.example"]')
        self.edge.start()
        self.assertIn(" 101 ", self.ask("Origin: https://plant.example\r\n")[1])
        self.assertIn(" 403 ", self.ask("Origin: https://evil.example\r\n")[1])

    def test_strangers_are_kept_out_as_from_other_listeners(self):
        for key, fixed in (("ws_listen", "ws_tls_listen"), ("ws_tls_listen", "password_file")):
            ran = verge.run("check", self.edge.config_path, "--set", f"mqtt.{key}=0.0.0.0:0")
            self.assertNotEqual(ran.returncode, 0)
            self.assertIn("config.exposed", ran.stderr + ran.stdout)
            self.assertIn(fixed, ran.stderr + ran.stdout)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
