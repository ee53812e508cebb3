"""Other ways in: MQTT on Unix sockets, and behind proxies that say by a PROXY header whom they speak for."""

import os
import socket
import ssl
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from certificates import Authority
from verge import connect_packet, publish_packet

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_header(client, port=4711, tlv=b""):
    """Version 2, of a client with an IPv4 address."""
    addresses = socket.inet_aton(client) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", port, 1883)
    return SIGNATURE + b"\x21\x11" + struct.pack("!H", len(addresses + tlv)) + addresses + tlv


class Socket(verge.RawMqtt):
    """A raw client over a connection that is there."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(verge.PATIENCE)
        self.buffer = b""


class UnixSockets(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, "mqtt.sock")
        self.edge = self.node("edge", sets=[f"mqtt.unix_listen={self.path}", "mqtt.unix_mode=0600", "runtime.loops=3"])
        self.edge.start()

    def connect(self, client_id="local", **options):
        connection = socket.socket(socket.AF_UNIX)
        self.addCleanup(connection.close)
        connection.connect(self.path)
        client = Socket(connection)
        client.send(connect_packet(client_id=client_id, **options))
        first, body = client.receive()
        self.assertEqual(first, 0x20)
        return client, body[1]

    def test_clients_of_this_machine_connect_there(self):
        self.assertEqual(self.edge.addresses["mqtt_unix"], self.path)
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        elsewhere = self.mqtt(self.edge, "elsewhere")
        elsewhere.subscribe("#")
        for number in range(10):  # on whichever loops
            client, reason = self.connect(f"local-{number}")
            self.assertEqual(reason, 0)
            client.send(publish_packet("a", str(number).encode()))
            self.assertEqual(client.receive()[0], 0x40)
        elsewhere.wait_messages(10)
        rows = verge.run("mqtt", "clients", "local-3", "--json", "--admin", self.edge.addresses["admin"])
        self.assertIn('"address":"unix"', rows.stdout.replace(" ", ""), rows.stderr)

    def test_mosquitto_pub_connects_there(self):
        program = verge.find_program("mosquitto_pub", "MOSQUITTO_PUB")
        if not program:
            self.skipTest("mosquitto_pub is not there")
        taker = self.mqtt(self.edge, "taker")
        taker.subscribe("#")
        ran = subprocess.run([program, "--unix", self.path, "-t", "a/b", "-m", "hello", "-q", "1"],
                             capture_output=True, text=True, timeout=verge.PATIENCE)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        taker.wait_messages(1)

    def test_the_file_goes_with_the_node_and_is_replaced_after_a_kill(self):
        self.edge.kill9()
        self.assertTrue(os.path.exists(self.path))
        self.edge.start()
        self.assertEqual(self.connect()[1], 0)
        other = self.node("other", sets=[f"mqtt.unix_listen={self.path}"])
        other.launch()
        self.assertNotEqual(other.wait_end(), 0)
        self.assertIn("net.socket-in-use", other.log())
        self.assertEqual(self.connect()[1], 0, "it is still the first one's")
        self.edge.stop()
        self.assertFalse(os.path.exists(self.path))

    def test_what_is_configured_wrongly_is_said(self):
        for setting in (f"mqtt.unix_listen={'x' * 108}", "mqtt.unix_mode=rw", "mqtt.unix_mode=07777",
                        "mqtt.proxy_protocol=true"):
            ran = verge.run("check", self.edge.config_path, "--set", setting)
            self.assertNotEqual(ran.returncode, 0, setting)
            self.assertIn("config.value", ran.stdout + ran.stderr, setting)


class Proxied(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.ca = Authority(self.directory)
        self.passwords = os.path.join(self.directory, "passwords")
        subprocess.run([verge.VERGE, "passwd", self.passwords, "ann"], input="secret\n", text=True, check=True)
        self.edge = self.node("edge", sets=["runtime.loops=3", "mqtt.proxy_protocol=true",
                                            "mqtt.trusted_proxies=127.0.0.9", f"mqtt.password_file={self.passwords}",
                                            "mqtt.anonymous=true"])
        shown = self.ca.issue(f"IP:{self.edge.host}")
        self.edge.write_config(f'[tls]\ncertificate = "{shown.pem}"\nkey = "{shown.key}"\n')
        self.edge.sets += [f"mqtt.{name}={self.edge.host}:0" for name in ("tls_listen", "ws_listen")]
        self.edge.start()

    def dial(self, listener="mqtt", source="127.0.0.9"):
        host, _, port = self.edge.addresses[listener].rpartition(":")
        connection = socket.create_connection((host, int(port)), verge.PATIENCE, (source, 0))
        self.addCleanup(connection.close)
        return connection

    def connect(self, connection, client_id="client"):
        client = Socket(connection)
        client.send(connect_packet(client_id=client_id))
        answer = client.receive()
        return None if answer is None else answer[1][1]

    def address_of(self, client_id):
        rows = verge.run("mqtt", "clients", client_id, "--json", "--admin", self.edge.addresses["admin"])
        return rows.stdout

    def test_whom_the_header_names_is_connected(self):
        connection = self.dial()
        connection.sendall(proxy_header("127.0.0.77", tlv=b"\x04\0\3abc"))
        self.assertEqual(self.connect(connection, "behind"), 0, "from this machine, as the proxy says")
        self.assertIn("127.0.0.77:4711", self.address_of("behind"))
        connection = self.dial()
        connection.sendall(proxy_header("192.0.2.7"))
        self.assertEqual(self.connect(connection), 0x87, "a proxy lends its address to nobody")
        connection = self.dial()
        connection.sendall(SIGNATURE + b"\x20\0\0\0")
        self.assertEqual(self.connect(connection), 0, "it speaks for itself")
        connection = self.dial()
        connection.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\n" + connect_packet(
            client_id="one", flags=0xC2, rest=verge.text_field("ann") + verge.text_field("secret")))
        self.assertEqual(Socket(connection).receive()[1][1], 0, "version 1, and all at once")
        self.assertIn("192.0.2.7:4711", self.address_of("one"))

    def test_cut_anywhere(self):
        header = proxy_header("192.0.2.7", tlv=b"\x04\0\3abc")
        for cut in (1, 12, 16, 20, len(header) - 1):
            connection = self.dial()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(header), cut):
                connection.sendall(header[at:at + cut])
            self.assertEqual(self.connect(connection), 0x87, cut)

    def test_with_tls_and_websocket(self):
        context = ssl.create_default_context(cafile=self.ca.pem)
        connection = self.dial("mqtt_tls")
        connection.sendall(proxy_header("127.0.0.78"))
        secure = context.wrap_socket(connection, server_hostname=self.edge.host)
        self.addCleanup(secure.close)
        self.assertEqual(self.connect(secure, "secure"), 0)
        self.assertIn("127.0.0.78:4711", self.address_of("secure"))
        connection = self.dial("mqtt_ws")
        connection.sendall(proxy_header("127.0.0.79") + f"GET /mqtt HTTP/1.1\r\nHost: {self.edge.host}\r\n"
                           "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n".encode())
        self.assertIn(b"101", connection.recv(4096))

    def test_what_does_not_begin_so_is_closed(self):
        for hostile in (connect_packet(), b"PROXY TCP4 192.0.2.7\r\n", b"PROXY " + b"x" * 200, SIGNATURE + b"\x11\x11\0\x0c",
                        SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x21\x11\0\4abcd", SIGNATURE + b"\x21\xf1\0\0",
                        b"GET / HTTP/1.1\r\n\r\n"):
            connection = self.dial()
            connection.sendall(hostile)
            self.assertEqual(Socket(connection).receive_all(), [], hostile)
        metrics = self.edge.admin("/metrics").body.decode()
        self.assertIn("\nverge_mqtt_proxied_refused_total 8\n", metrics)

    def test_the_header_of_others_is_no_mqtt(self):
        connection = self.dial(source="127.0.0.10")
        connection.sendall(proxy_header("192.0.2.7"))
        self.assertEqual(Socket(connection).receive_all(), [])
        self.assertEqual(self.connect(self.dial(source="127.0.0.10")), 0, "without one they are who they are")

    def test_proxies_change_with_sighup(self):
        with open(self.edge.config_path, encoding="utf-8") as file:
            text = file.read()
        self.edge.stop()
        self.edge.sets = [each for each in self.edge.sets if "prox" not in each]
        self.edge.start()
        self.assertEqual(self.connect(self.dial()), 0)
        self.edge.write_config(text + '[mqtt]\nproxy_protocol = true\ntrusted_proxies = "127.0.0.9"\n')
        self.edge.signal(verge.signal.SIGHUP)
        verge.wait_until(lambda: "the configuration was reloaded" in self.edge.log(), "the reload")
        self.assertIsNone(self.connect(self.dial()))


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
