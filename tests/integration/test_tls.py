"""TLS: listeners for devices and children, the uplink over https, tokens, and what is wrong with any of them."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from certificates import Authority

UPLOAD = """
[[rule]]
name = "all"
sql = "SELECT * FROM 'n/#'"
do = [{ upload = "normal" }]
"""


def client_context(ca, shown=None, version=None):
    context = ssl.create_default_context(cafile=ca.pem)
    context.check_hostname = True
    if shown:
        context.load_cert_chain(shown.pem, shown.key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class TlsMqtt(verge.Mqtt):
    """A paho client on the TLS listener."""

    def __init__(self, node, context, client_id="", **options):
        self.context = context
        super().__init__(node, client_id, connect=False, **options)
        self.client.tls_set_context(context)
        plain = node.addresses["mqtt"]
        node.addresses["mqtt"] = node.addresses["mqtt_tls"]
        try:
            self.connect()
        finally:
            node.addresses["mqtt"] = plain


class TlsTestCase(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.ca = Authority(self.directory)
        self.stranger = Authority(self.directory, "stranger")

    def tls_node(self, name="node", config="", client_ca=False, shown=None, more="", **options):
        node = self.node(name, **options)
        node.certificate = shown or self.ca.issue(f"IP:{node.host}")
        # What is replaced later must not be what others use too.
        tls = f'[tls]\ncertificate = "{node.certificate.pem}"\nkey = "{node.certificate.key}"\n'
        if client_ca:
            tls += f'client_ca = "{self.ca.pem}"\n'
        node.tls_config = tls
        node.write_config(more + tls + config)
        node.sets += [f"mqtt.tls_listen={node.host}:0", f"http.tls_listen={node.host}:0", "runtime.loops=3"]
        return node

    def keep_tls_addresses(self, node):
        """A restart takes the same ports."""
        node.sets = [each for each in node.sets if "tls_listen" not in each]
        node.sets += [f"mqtt.tls_listen={node.addresses['mqtt_tls']}", f"http.tls_listen={node.addresses['http_tls']}"]

    def tls_mqtt(self, node, context=None, client_id="", **options):
        client = TlsMqtt(node, context or client_context(self.ca), client_id, **options)
        self.addCleanup(client.close)
        return client

    def tls_socket(self, node, listener="http_tls", context=None):
        host, port = node.addresses[listener].rsplit(":", 1)
        raw = socket.create_connection((host, int(port)), verge.PATIENCE)
        try:
            wrapped = (context or client_context(self.ca)).wrap_socket(raw, server_hostname=host)
        except BaseException:
            raw.close()
            raise
        self.addCleanup(wrapped.close)
        return wrapped

    def https(self, node, context=None):
        host, port = node.addresses["http_tls"].rsplit(":", 1)
        connection = http.client.HTTPSConnection(host, int(port), timeout=verge.PATIENCE,
                                                 context=context or client_context(self.ca))
        self.addCleanup(connection.close)
        return connection

    def post(self, connection, path, body, fields=None):
        connection.request("POST", path, body, fields or {})
        return verge.Answer(connection.getresponse())

    def serial(self, node):
        """Of the certificate that a new connection is shown."""
        with self.tls_socket(node) as connected:
            return connected.getpeercert()["serialNumber"]

    def wait_log(self, node, words, count=1):
        return verge.wait_until(lambda: node.log().count(words) >= count,
                                lambda: f"'{words}' in the log of {node.name}:\n{node.log()[-3000:]}")


class CommandLine(TlsTestCase):
    """verge pub and verge sub."""

    def said(self, node, *options, command=("pub", "n/x", "over TLS")):
        return verge.run(*command, "--target", node.addresses["mqtt_tls"], *options)

    def test_pub_and_sub(self):
        node = self.tls_node().start()
        ca = ["--ca", self.ca.pem]
        sub = verge.spawn([verge.VERGE, "sub", "n/#", "--count", "2", "--target", node.addresses["mqtt_tls"], *ca],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(verge.end, sub)
        verge.wait_until(lambda: node.status()["mqtt"]["subscriptions"] == 1, "the subscription")
        self.assertEqual(self.said(node, *ca, "--qos", "2").returncode, 0)
        self.assertEqual(self.said(node, "--tls", "--cafile", self.ca.pem).returncode, 0)
        out, err = sub.communicate(timeout=verge.PATIENCE)
        self.assertEqual((sub.returncode, out, err), (0, b"n/x over TLS\n" * 2, b""))
        self.assertEqual(node.status()["tls"]["accepted"], 3)

    def test_a_broker_that_is_not_trusted_is_told_nothing(self):
        """By a stranger's authority, by those of the system, and for another name."""
        node = self.tls_node().start()
        for options in (["--ca", self.stranger.pem], ["--tls"]):
            refused = self.said(node, *options)
            self.assertEqual(refused.returncode, 1, refused)
            self.assertIn("[net.tls-untrusted]", refused.stderr)
        other = self.tls_node("other", shown=self.ca.issue("DNS:broker.example")).start()
        refused = self.said(other, "--ca", self.ca.pem)
        self.assertEqual(refused.returncode, 1, refused)
        self.assertIn("[net.tls-untrusted]", refused.stderr)
        self.assertEqual([each.status()["tls"]["accepted"] for each in (node, other)], [0, 0])
        self.assertIn("[net.certificate-authority]", self.said(node, "--ca", "/nowhere.pem").stderr)
        plain = verge.run("pub", "n/x", "x", "--target", node.addresses["mqtt"], "--ca", self.ca.pem)
        self.assertEqual(plain.returncode, 1, plain)

    def test_a_certificate_is_shown(self):
        node = self.tls_node(client_ca=True, more="[mqtt]\ncertificate_users = true\n").start()
        own = self.ca.issue("DNS:press-7")
        shown = ["--ca", self.ca.pem, "--cert", own.pem, "--key", own.key]
        self.assertEqual(self.said(node, *shown).returncode, 0)
        self.assertEqual(self.said(node, "--ca", self.ca.pem).returncode, 1)
        self.assertEqual(self.said(node, "--ca", self.ca.pem, "--cert", own.pem).returncode, 2, "without its key")
        self.assertIn("[net.private-key]", self.said(node, *shown[:4], "--key", "/nowhere.key").stderr)


class Listeners(TlsTestCase):
    def test_mqtt(self):
        node = self.tls_node().start()
        subscriber = self.tls_mqtt(node, client_id="subscriber")
        subscriber.subscribe("n/#")
        plain = self.mqtt(node, "plain")
        plain.subscribe("n/#")
        clients = [self.tls_mqtt(node, client_id=f"c{i}", version=4 + i % 2) for i in range(8)]
        for i, client in enumerate(clients):
            for j in range(50):
                client.publish(f"n/{i}", f"{i}-{j}")
        expected = sorted(f"{i}-{j}".encode() for i in range(8) for j in range(50))
        for receiver in (subscriber, plain):
            receiver.wait_messages(400)
            self.assertEqual(sorted(receiver.payloads()), expected)
        big = os.urandom(900_000)
        clients[0].publish_and_wait("n/big", big)
        for receiver in (subscriber, plain):
            self.assertEqual(receiver.wait_messages(401)[-1].payload, big)
        self.assertEqual(node.status()["tls"]["accepted"], 9)
        node.stop()

    def test_http(self):
        node = self.tls_node().start()
        connection = self.https(node)
        for i in range(20):
            answer = self.post(connection, "/v1/events", json.dumps({"topic": f"n/{i}"}))
            self.assertEqual(answer.status, 200, answer)
        self.assertEqual(connection.sock.version(), "TLSv1.3")
        many = "\n".join(json.dumps({"topic": "n/many", "payload": "x" * 500}) for _ in range(9000))
        answer = self.post(connection, "/v1/events", many)
        self.assertEqual((answer.status, answer.json()["stored"]), (200, 9000))
        self.assertEqual(len(node.events_by_admin("n/many")), 9000)
        self.assertEqual(node.status()["tls"]["accepted"], 1, "over one connection")
        node.stop()

    def test_protocols_and_versions(self):
        node = self.tls_node().start()
        context = client_context(self.ca)
        context.set_alpn_protocols(["http/1.1", "h2"])
        with self.tls_socket(node, context=context) as connected:
            self.assertEqual(connected.selected_alpn_protocol(), "h2")
        context = client_context(self.ca)
        context.set_alpn_protocols(["spdy/3", "http/1.1"])
        with self.tls_socket(node, context=context) as connected:
            self.assertEqual(connected.selected_alpn_protocol(), "http/1.1")
        context = client_context(self.ca)
        context.set_alpn_protocols(["spdy/3"])
        with self.assertRaises(ssl.SSLError):
            self.tls_socket(node, context=context)
        with self.tls_socket(node, context=client_context(self.ca, version=ssl.TLSVersion.TLSv1_2)) as connected:
            self.assertEqual(connected.version(), "TLSv1.2")
            self.assertRegex(connected.cipher()[0], "^ECDHE-.*(GCM|CHACHA20)", "forward secrecy")
        host, port = node.addresses["http_tls"].rsplit(":", 1)
        old = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_1", "-cipher",
                              "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                             timeout=verge.PATIENCE)
        self.assertIn("alert protocol version", old.stderr)
        again = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_2"], input="R\n",
                               capture_output=True, text=True, check=False, timeout=verge.PATIENCE)
        self.assertIn("no renegotiation", again.stderr)
        node.stop()

    def test_sessions_are_resumed(self):
        node = self.tls_node(client_ca=True).start()
        shown = self.ca.issue("DNS:child")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client_context(self.ca, shown, version)
            host, port = node.addresses["http_tls"].rsplit(":", 1)
            session = None
            for expected in (False, True):
                with socket.create_connection((host, int(port)), verge.PATIENCE) as raw:
                    with context.wrap_socket(raw, server_hostname=host, session=session) as connected:
                        connected.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
                        self.assertIn(b" 404 ", connected.recv(1000))
                        self.assertEqual(connected.session_reused, expected, version)
                        session = connected.session
        self.assertEqual(node.status()["tls"]["resumed"], 2)
        node.stop()

    def test_a_stop_ends_tls_too(self):
        node = self.tls_node().start()
        host, port = node.addresses["mqtt_tls"].rsplit(":", 1)
        for version in (4, 5):
            with socket.create_connection((host, int(port)), verge.PATIENCE) as raw:
                connected = client_context(self.ca).wrap_socket(raw, server_hostname=host, suppress_ragged_eofs=False)
                connected.sendall(verge.connect_packet(version, f"c{version}"))
                self.assertEqual(connected.recv(1), b"\x20")
                if version == 4:
                    connected.sendall(verge.packet(0xE0))
                else:
                    node.stop()
                said = b""
                while True:  # raises where TLS is cut off and not ended
                    more = connected.recv(1000)
                    if not more:
                        break
                    said += more
                self.assertEqual(b"\xe0" in said, version == 5, "DISCONNECT")
                connected.close()

    def test_client_certificates_are_demanded(self):
        node = self.tls_node(client_ca=True).start()
        good = client_context(self.ca, self.ca.issue("DNS:device-7"))
        client = self.tls_mqtt(node, good, "known")
        self.assertEqual(client.publish_and_wait("n/x", "1"), 0)
        self.assertEqual(self.post(self.https(node, good), "/v1/events", '{"topic":"n/y"}').status, 200)
        for what, shown in (("none", None), ("of a stranger", self.stranger.issue("DNS:device-7")),
                            ("expired", self.ca.issue_expired("DNS:device-7"))):
            with self.subTest(what):
                with self.assertRaises((ssl.SSLError, ConnectionError)):
                    connected = self.tls_socket(node, "mqtt_tls", client_context(self.ca, shown))
                    connected.sendall(verge.connect_packet())
                    if connected.recv(100) == b"":
                        raise ConnectionError("closed")
        # The plain listener, on loopback, stays what it was.
        self.assertEqual(self.mqtt(node, "plain").publish_and_wait("n/z", "1"), 0)
        verge.wait_until(lambda: node.status()["tls"]["failed"] == 3, "the three are counted")
        self.wait_log(node, "could not agree on TLS")
        node.stop()

    def test_certificates_are_read_again(self):
        node = self.tls_node().start()
        client = self.tls_mqtt(node, client_id="stays")
        connection = self.https(node)
        self.post(connection, "/v1/events", '{"topic":"n/0"}')
        before = self.serial(node)
        node.certificate.replace(self.ca.issue(f"IP:{node.host}"))
        self.assertEqual(self.serial(node), before, "only a signal makes it read them")
        node.signal(signal.SIGHUP)
        self.wait_log(node, "was reloaded")
        after = self.serial(node)
        self.assertNotEqual(after, before)
        # A key that is not the certificate's changes nothing.
        with open(node.certificate.key, "w", encoding="ascii") as file, \
                open(self.ca.issue("DNS:x").key, encoding="ascii") as other:
            file.write(other.read())
        node.signal(signal.SIGHUP)
        self.wait_log(node, "not reloaded")
        self.assertIn("does not belong to the certificate", node.log())
        self.assertIn("[net.private-key]", node.log())
        self.assertEqual(self.serial(node), after)
        self.assertEqual(client.publish_and_wait("n/x", "1"), 0)
        self.assertEqual((client.connections, client.disconnections), (1, []), "nobody lost a connection")
        self.assertEqual(self.post(connection, "/v1/events", '{"topic":"n/1"}').status, 200)
        node.stop()

    def shown_for(self, node, name):
        """The common name of the certificate that a client is shown who asks for this name."""
        host, port = node.addresses["http_tls"].rsplit(":", 1)
        context = client_context(self.ca)
        context.check_hostname = False
        with socket.create_connection((host, int(port)), verge.PATIENCE) as raw:
            with context.wrap_socket(raw, server_hostname=name) as connected:
                return dict(part[0] for part in connected.getpeercert()["subject"])["commonName"]

    def test_sites_have_their_own_certificates(self):
        shop, static = self.ca.issue("DNS:shop.test", common_name="shop"), self.ca.issue("DNS:*.static.test",
                                                                                         common_name="static")
        site = '[[site]]\nhosts = {}\norigins = "http://127.0.0.1:1"\n[site.tls]\ncertificate = "{}"\nkey = "{}"\n'
        sites = site.format('"shop.test"', shop.pem, shop.key) + site.format('["*.static.test"]', static.pem, static.key)
        node = self.tls_node(config=sites, shown=self.ca.issue("DNS:node", common_name="node")).start()
        for name, expected in (("shop.test", "shop"), ("a.static.test", "static"), ("static.test", "node"),
                               ("other.test", "node"), (None, "node")):
            self.assertEqual(self.shown_for(node, name), expected, name)
        shop.replace(self.ca.issue("DNS:shop.test", common_name="new"))
        node.signal(signal.SIGHUP)
        self.wait_log(node, "was reloaded")
        self.assertEqual(self.shown_for(node, "shop.test"), "new")
        self.assertEqual(self.shown_for(node, "a.static.test"), "static")
        with open(static.key, "w", encoding="ascii") as file, open(shop.key, encoding="ascii") as other:
            file.write(other.read())
        node.signal(signal.SIGHUP)
        self.wait_log(node, "not reloaded")
        self.assertIn("site.1.tls.key: the private key", node.log())
        self.assertEqual(self.shown_for(node, "a.static.test"), "static")
        node.stop()

    def test_a_reload_does_not_open_listeners(self):
        """What protects an address that runs cannot be taken away before that address is."""
        node = self.node()
        certificate = self.ca.issue(f"IP:{node.host}")
        keys = f'[tls]\ncertificate = "{certificate.pem}"\nkey = "{certificate.key}"\n'
        node.write_config(f'[mqtt]\ntls_listen = "0.0.0.0:0"\n{keys}client_ca = "{self.ca.pem}"\n')
        node.start()
        node.write_config(f'[mqtt]\ntls_listen = "127.0.0.1:0"\n{keys}')
        node.signal(signal.SIGHUP)
        self.wait_log(node, "not reloaded, because listeners stay")
        self.assertIn("[config.exposed]", node.log())
        host, port = "127.0.0.1", node.addresses["mqtt_tls"].rsplit(":", 1)[1]
        context = client_context(self.ca)
        context.check_hostname = False
        with self.assertRaises((ssl.SSLError, ConnectionError)), socket.create_connection((host, int(port))) as raw:
            with context.wrap_socket(raw) as connected:
                connected.sendall(verge.connect_packet())
                if connected.recv(100) == b"":
                    raise ConnectionError("closed")
        node.stop()


class BadClients(TlsTestCase):
    def raw_socket(self, node, listener="mqtt_tls"):
        host, port = node.addresses[listener].rsplit(":", 1)
        raw = socket.create_connection((host, int(port)), verge.PATIENCE)
        self.addCleanup(raw.close)
        return raw

    def client_hello(self, node):
        """The first bytes of a handshake."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        shaking = client_context(self.ca).wrap_bio(incoming, outgoing, server_hostname=node.host)
        with self.assertRaises(ssl.SSLWantReadError):
            shaking.do_handshake()
        return outgoing.read()

    def check_serves(self, node):
        client = self.tls_mqtt(node)
        self.assertEqual(client.publish_and_wait("n/x", "1"), 0)
        client.close()
        self.assertEqual(node.admin("/readyz").status, 200)

    def test_garbage(self):
        node = self.tls_node().start()
        hello = self.client_hello(node)
        flipped = bytearray(hello)
        flipped[5] ^= 0xFF
        long = b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + b"\0" * 16379
        for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", verge.connect_packet(), os.urandom(4000), b"\0" * 100,
                        bytes(flipped), b"\x16\x03\x01\xff\xff" + b"x" * 70000, long * 10,
                        b"\x15\x03\x03\x00\x02\x02\x28", hello + b"trash behind it that is no record"):
            for listener in ("mqtt_tls", "http_tls"):
                raw = self.raw_socket(node, listener)
                try:
                    raw.sendall(garbage)
                    raw.settimeout(5)
                    while raw.recv(65536):
                        pass
                except ConnectionError:
                    pass
        verge.wait_until(lambda: node.status()["tls"]["failed"] == 18, "all of them are counted")
        self.wait_log(node, "could not agree on TLS")
        self.check_serves(node)
        node.stop()

    def test_stalled_handshakes(self):
        node = self.tls_node().start()
        hello = self.client_hello(node)
        stalled = []
        for i in range(200):
            raw = self.raw_socket(node)
            raw.sendall(hello[:i % len(hello)])
            stalled.append(raw)
        self.check_serves(node)
        for raw in stalled[:3] + stalled[-3:]:
            raw.settimeout(25)
            try:
                self.assertEqual(raw.recv(100), b"", "it is closed after a while")
            except ConnectionError:
                pass
        verge.wait_until(lambda: node.status()["tls"]["failed"] == 200, "all of them ended")
        self.assertIn("was not done in time", node.log())
        node.stop()

    def test_peers_that_vanish(self):
        node = self.tls_node().start()
        watcher = self.mqtt(node, "watcher")
        watcher.subscribe("will/#")

        def connect(name):
            connected = self.tls_socket(node, "mqtt_tls")
            will = verge.text_field(f"will/{name}") + verge.text_field("gone")
            connected.sendall(verge.connect_packet(4, name, flags=0x06, rest=will))
            self.assertEqual(connected.recv(100)[:1], b"\x20")
            return connected

        connected = connect("cut")
        os.close(connected.detach())  # FIN without close_notify
        watcher.wait_messages(1)
        connected = connect("reset")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        os.close(connected.detach())
        watcher.wait_messages(2)
        connected = connect("ended")
        connected.unwrap()  # close_notify, and the answer to it
        watcher.wait_messages(3)
        # One that only ends its own side, in the middle of a packet.
        connected = connect("half")
        connected.sendall(verge.publish_packet("n/x", b"half of it")[:7])
        socket.socket.shutdown(connected, socket.SHUT_WR)
        watcher.wait_messages(4)
        self.assertEqual({message.topic for message in watcher.messages},
                         {"will/cut", "will/reset", "will/ended", "will/half"})
        self.check_serves(node)
        node.stop()

    def test_a_changed_record(self):
        node = self.tls_node().start()
        raw = self.raw_socket(node)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        shaking = client_context(self.ca).wrap_bio(incoming, outgoing, server_hostname=node.host)
        while True:
            try:
                shaking.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
        raw.sendall(outgoing.read())
        shaking.write(verge.connect_packet())
        record = bytearray(outgoing.read())
        record[-1] ^= 1
        raw.sendall(record)
        raw.settimeout(verge.PATIENCE)
        try:
            while raw.recv(65536):
                pass
        except ConnectionError:
            pass
        verge.wait_until(lambda: node.status()["mqtt"]["connections"] == 0, "the connection is closed")
        self.check_serves(node)
        node.stop()

    def test_a_crowd_does_not_hold_up_others(self):
        """While hundreds shake hands, those who are there are served."""
        node = self.tls_node().start()
        client = self.tls_mqtt(node, client_id="there")
        context = client_context(self.ca)
        done = []

        def crowd():
            for _ in range(60):
                self.tls_socket(node, context=context).close()
                done.append(1)

        threads = [threading.Thread(target=crowd) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.assertEqual(client.publish_and_wait("n/x", "1"), 0)
        for thread in threads:
            thread.join()
        self.assertEqual(len(done), 240)
        node.stop()


class Files(TlsTestCase):
    def check(self, text):
        path = os.path.join(self.directory, "node.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        answer = verge.run("check", path)
        data = os.path.join(self.directory, "data")
        started = verge.run("node", "--config", path, "--set", f"node.data_dir={data}") if answer.returncode else None
        if started:
            self.assertEqual((started.returncode, started.stderr), (2, answer.stderr), "a start says the same")
        return answer

    def test_what_is_wrong_is_said_at_check_and_start(self):
        good, other = self.ca.issue("DNS:a"), self.ca.issue("DNS:b")
        locked = os.path.join(self.directory, "locked.key")
        with open(good.key, encoding="ascii") as file:
            damaged = file.read()
        damaged_path = os.path.join(self.directory, "damaged.key")
        with open(damaged_path, "w", encoding="ascii") as file:
            file.write(damaged.replace("\n", "\nA", 1))
        subprocess.run(["openssl", "pkey", "-in", good.key, "-aes256", "-passout", "pass:x", "-out", locked], check=True)
        missing = os.path.join(self.directory, "nothing.pem")
        cases = [
            (f'certificate = "{missing}"\nkey = "{good.key}"', 4, "tls.certificate", "No such file", "net.certificate"),
            (f'certificate = "{good.pem}"\nkey = "{missing}"', 5, "tls.key", "No such file", "net.private-key"),
            (f'certificate = "{good.pem}"\nkey = "{other.key}"', 5, "tls.key", "does not belong", "net.private-key"),
            (f'certificate = "{good.key}"\nkey = "{good.key}"', 4, "tls.certificate", "no certificate",
             "net.certificate"),
            (f'certificate = "{good.pem}"\nkey = "{good.pem}"', 5, "tls.key", "no private key", "net.private-key"),
            (f'certificate = "{good.pem}"\nkey = "{locked}"', 5, "tls.key", "passphrase", "net.private-key"),
            (f'certificate = "{good.pem}"\nkey = "{damaged_path}"', 5, "tls.key", "damaged", "net.private-key"),
            (f'certificate = "{good.pem}"\nkey = "{good.key}"\nclient_ca = "{missing}"', 6, "tls.client_ca",
             "No such file", "net.certificate-authority"),
            (f'certificate = "{good.pem}"', 4, "tls.key", "together", "config.value"),
            ('', 2, "tls_listen", "tls.certificate", "config.missing"),
        ]
        for tls, line, key, why, code in cases:
            with self.subTest(why + " " + key):
                answer = self.check(f'[mqtt]\ntls_listen = "127.0.0.1:0"\n[tls]\n{tls}\n')
                self.assertEqual(answer.returncode, 2)
                self.assertEqual(len(answer.stderr.splitlines()), 1, answer.stderr)
                for words in (f"node.toml:{line}:", key, why, f"[{code}]", ";"):
                    self.assertIn(words, answer.stderr)
        if os.geteuid() != 0:
            os.chmod(good.key, 0)
            answer = self.check(f'[tls]\ncertificate = "{good.pem}"\nkey = "{good.key}"\n')
            self.assertIn("Permission denied; let the user", answer.stderr)

    def test_secrets(self):
        path = os.path.join(self.directory, "token")
        with open(path, "w", encoding="ascii") as file:
            file.write("s3cr3t-value\nsecond line\n")
        config = f'[parent]\nurl = "https://127.0.0.1:1"\ntoken = {{ file = "{path}" }}\n'
        self.assertEqual(self.check(config).returncode, 0)
        printed = verge.run("node", "--config", os.path.join(self.directory, "node.toml"), "--print-config")
        self.assertEqual(printed.returncode, 0, printed.stderr)
        self.assertNotIn("s3cr3t-value", printed.stdout)
        self.assertEqual(self.check(printed.stdout).returncode, 0, "what is printed is accepted")
        for wrong, why in (('"s3cr3t-value"', "not what it is"), ('{ file = "/nowhere" }', "No such file"),
                           ('{ env = "VERGE_NOT_SET" }', "is not set"), ('{ file = "a", env = "b" }', "exactly one"),
                           ('{ vault = "s3cr3t-value" }', "file or in the environment"), ('{ file = "/" }', "directory"),
                           ('{ file = "/dev/null" }', "is empty")):
            answer = self.check(f'[parent]\nurl = "https://127.0.0.1:1"\ntoken = {wrong}\n')
            self.assertEqual(answer.returncode, 2, wrong)
            self.assertIn("node.toml:3:", answer.stderr)
            self.assertIn("parent.token", answer.stderr)
            self.assertIn(why, answer.stderr)
            self.assertNotIn("s3cr3t-value", answer.stderr)
        for key, value in (("parent.token", "s3cr3t-value"), ("parent.token", '{ file = "/x" }'),
                           ("http.uplink_tokens", '[{ env = "X" }]'), ("parent", '{ token = "s3cr3t-value" }')):
            answer = verge.run("node", "--print-config", "--set", f"{key}={value}")
            self.assertEqual(answer.returncode, 2, answer)
            self.assertIn("is a secret", answer.stderr)
            self.assertIn("[config.override]", answer.stderr)
            self.assertNotIn("s3cr3t-value", answer.stderr + answer.stdout)

    def test_exposed(self):
        certificate = self.ca.issue("DNS:a")
        token = os.path.join(self.directory, "token")
        with open(token, "w", encoding="ascii") as file:
            file.write("abc")
        keys = f'[tls]\ncertificate = "{certificate.pem}"\nkey = "{certificate.key}"\n'
        demanded = keys + f'client_ca = "{self.ca.pem}"\n'
        tokens = f'uplink_tokens = [{{ file = "{token}" }}]\n'
        mqtt, http_tls, plain = ('[mqtt]\ntls_listen = "0.0.0.0:0"\n', '[http]\ntls_listen = "0.0.0.0:0"\n',
                                 '[http]\nlisten = "0.0.0.0:0"\n')
        for what, config, exposed in (
                ("MQTT, anybody", mqtt + keys, True),
                ("MQTT, certificates", mqtt + demanded, False),
                ("HTTP, anybody", http_tls + keys, True),
                ("HTTP, certificates", http_tls + demanded, False),
                ("HTTP, tokens for children, events from anybody", http_tls + tokens + keys, True),
                ("HTTP, tokens for children, no events", http_tls + tokens + "ingest = false\n" + keys, False),
                ("HTTP, children without tokens", http_tls + "ingest = false\n" + keys, True),
                ("HTTP, nothing to do", http_tls + "ingest = false\nuplink = false\n" + keys, False),
                ("plain HTTP with tokens in clear", plain + tokens + "ingest = false\n", True),
                ("plain HTTP beside certificates", plain + demanded, True),
                ("plain MQTT beside certificates", '[mqtt]\nlisten = "0.0.0.0:0"\n' + demanded, True),
                ("admin beside certificates", '[admin]\nlisten = "0.0.0.0:0"\n' + demanded, True),
                ("MQTT exposed beside HTTP with tokens",
                 mqtt + http_tls + tokens + "ingest = false\n" + keys, True)):
            with self.subTest(what):
                path = os.path.join(self.directory, "exposed.toml")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(config)
                answer = verge.run("check", path)
                self.assertEqual("[config.exposed]" in answer.stderr, exposed, answer.stderr)
                self.assertEqual(answer.returncode, 2 if exposed else 0, answer.stderr)
                with open(path, "a", encoding="utf-8") as file:
                    file.write("[node]\nallow_anonymous = true\n")
                self.assertEqual(verge.run("check", path).returncode, 0)


class Uplink(TlsTestCase):
    COUNT = 200

    def child(self, parent, config="", name="child"):
        url = parent if isinstance(parent, str) else "https://" + parent.addresses["http_tls"]
        return self.node(name, UPLOAD + config, parent=url)

    def parent_table(self, ca=None, shown=None, token=None):
        text = "[parent]\n"
        if ca:
            text += f'ca = "{ca.pem}"\n'
        if shown:
            text += f'certificate = "{shown.pem}"\nkey = "{shown.key}"\n'
        if token:
            text += f'token = {{ file = "{token}" }}\n'
        return text

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def fill(self, child, count=COUNT, begin=0):
        client = self.mqtt(child, "filler")
        client.wait_acknowledged([client.publish("n/x", str(i)) for i in range(begin, begin + count)])
        client.close()

    def check_once(self, parent, count=COUNT):
        found = sorted(int(event["payload"]) for event in parent.events_by_admin("n/x"))
        self.assertEqual(found, list(range(count)), "each once")

    def check_refused(self, child, parent, *said):
        """Nothing is delivered, and the log says why."""
        # Whichever fails first says so: the uplink, or the report.
        verge.wait_until(lambda: "not delivered" in child.log() or "is not reached" in child.log(),
                         lambda: f"the log says it: {child.log()}")
        verge.wait_until(lambda: child.status()["uplink"]["failures"] >= 2, "it tries again")
        for words in said:
            self.assertIn(words, child.log())
        self.assertEqual(child.undelivered(), self.COUNT)
        if parent:
            self.assertEqual(parent.events_by_admin(), [])

    def test_mutual_tls(self):
        parent = self.tls_node("parent", client_ca=True).start()
        child = self.child(parent, self.parent_table(self.ca, self.ca.issue("DNS:child"))).start()
        self.fill(child)
        child.wait_delivered()
        self.check_once(parent)
        self.assertTrue(child.status()["uplink"]["connected"])
        self.assertGreater(child.status()["uplink"]["bytes_sent"], 0)
        # Again after a restart of the parent, which drains first, and after it was killed.
        self.keep_tls_addresses(parent)
        for number, end in enumerate((parent.stop, parent.kill9)):
            end()
            self.fill(child, begin=(number + 1) * self.COUNT)
            parent.start()
            child.wait_delivered()
            self.check_once(parent, (number + 2) * self.COUNT)
        child.stop()
        parent.stop()

    def test_a_chain_of_tls(self):
        """cloud ← fog ← edge, each hop with certificates."""
        cloud = self.tls_node("cloud", client_ca=True, tier="cloud").start()
        fog = self.tls_node("fog", self.parent_table(self.ca, self.ca.issue("DNS:fog")), client_ca=True, tier="fog",
                            parent="https://" + cloud.addresses["http_tls"]).start()
        edge = self.child(fog, self.parent_table(self.ca, self.ca.issue("DNS:edge"))).start()
        self.fill(edge)
        edge.wait_delivered()
        fog.wait_delivered()
        self.check_once(cloud)

    def test_no_certificate_for_a_parent_that_demands_one(self):
        parent = self.tls_node("parent", client_ca=True).start()
        child = self.child(parent, self.parent_table(self.ca)).start()
        self.fill(child)
        self.check_refused(child, parent, "the other side demands a certificate")
        shown = self.ca.issue("DNS:child")
        child.write_config(UPLOAD + self.parent_table(self.ca, shown))
        child.signal(signal.SIGHUP)
        child.wait_delivered()
        self.check_once(parent)

    def test_parents_that_are_not_trusted(self):
        for what, certificate, said in (
                ("expired", lambda host: self.ca.issue_expired(f"IP:{host}"), "has expired; renew"),
                ("wrong name", lambda host: self.ca.issue("DNS:other.example,IP:192.0.2.1"), "mismatch; connect by a name"),
                ("wrong authority", lambda host: self.stranger.issue(f"IP:{host}"), "trust the authority")):
            with self.subTest(what):
                name = what.replace(" ", "-")
                parent = self.node("parent-" + name)
                shown = certificate(parent.host)
                parent.write_config(f'[tls]\ncertificate = "{shown.pem}"\nkey = "{shown.key}"\n')
                parent.sets.append(f"http.tls_listen={parent.host}:0")
                parent.start()
                child = self.child(parent, self.parent_table(self.ca), name="child-" + name).start()
                self.fill(child)
                self.check_refused(child, parent, said, "[net.tls-untrusted]")
                shown.replace(self.ca.issue(f"IP:{parent.host}"))
                parent.signal(signal.SIGHUP)
                child.wait_delivered()
                self.check_once(parent)
                child.stop()
                parent.stop()

    def test_the_system_does_not_know_the_authority(self):
        parent = self.tls_node("parent").start()
        child = self.child(parent).start()
        self.fill(child)
        self.check_refused(child, parent, "[net.tls-untrusted]")

    def test_token(self):
        token = self.write("token", "right-token-0123456789\n")
        mine = self.write("mine", "wrong-token-0123456789\n")
        parent = self.tls_node("parent", f'[http]\nuplink_tokens = [{{ env = "VERGE_TEST_TOKEN" }}, '
                                         f'{{ file = "{token}" }}]\n')
        os.environ["VERGE_TEST_TOKEN"] = "another-token"
        self.addCleanup(os.environ.pop, "VERGE_TEST_TOKEN")
        parent.start()
        child = self.child(parent, self.parent_table(self.ca, token=mine)).start()
        self.fill(child)
        self.check_refused(child, parent, "does not know this node's token", "parent.token", "[uplink.unauthorized]")
        self.write("mine", "right-token-0123456789\n")
        child.signal(signal.SIGHUP)
        child.wait_delivered()
        self.check_once(parent)
        for node in (child, parent):
            self.assertNotIn("token-0123456789", node.log())
            self.assertNotIn("token-0123456789", node.admin("/v1/status").body.decode())
        # The parent takes another one, without a start.
        self.write("token", "new-token\n")
        parent.signal(signal.SIGHUP)
        self.wait_log(parent, "was reloaded")
        self.fill(child, 10, self.COUNT)
        self.wait_log(child, "does not know this node's token", 2)
        self.write("mine", "new-token\n")
        child.signal(signal.SIGHUP)
        child.wait_delivered()
        self.check_once(parent, self.COUNT + 10)

    def test_what_is_answered_without_a_token(self):
        token = self.write("token", "abc\n")
        parent = self.tls_node("parent", f'[http]\nuplink_tokens = [{{ file = "{token}" }}]\n').start()
        connection = self.https(parent)
        for fields, challenge in (({}, 'Bearer realm="verge uplink"'), ({"Authorization": "Basic YWJj"}, "Bearer"),
                                  ({"Authorization": "Bearer wrong"}, 'error="invalid_token"'),
                                  ({"Authorization": "Bearer "}, "Bearer"), ({"Authorization": "Bearer abcd"}, "invalid")):
            answer = self.post(connection, "/v1/uplink", b"x", fields)
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (401, "uplink.unauthorized"))
            self.assertIn(challenge, answer.fields["www-authenticate"])
            self.assertEqual(parent.post("/v1/uplink", b"x", fields).status, 401, "the plain listener too")
        self.assertEqual(self.post(connection, "/v1/uplink", b"x", {"authorization": "bearer abc"}).status, 400)
        self.assertEqual(self.post(connection, "/v1/events", '{"topic":"a"}').status, 200, "events need none")

    def test_who_shows_no_token_is_answered_by_the_head(self):
        """No byte of a stranger's body is read, nor is the stranger told to send it."""
        token = self.write("token", "abc\n")
        parent = self.tls_node("parent", f'[http]\nuplink_tokens = [{{ file = "{token}" }}]\n').start()
        host, _, port = parent.addresses["http"].rpartition(":")

        def ask(fields, body=b""):
            with socket.create_connection((host, int(port)), verge.PATIENCE) as connection:
                connection.sendall(f"POST /v1/uplink HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode() + body)
                received = b""
                while more := connection.recv(65536):
                    received += more
                    if received.endswith(b"100 Continue\r\n\r\n"):
                        connection.sendall(b"not a batch")
                return received

        for fields, body in (("Content-Length: 20000000\r\n", b""), ("Transfer-Encoding: chunked\r\n", b"5\r\nab"),
                             ("Content-Length: 11\r\nExpect: 100-continue\r\n", b""),
                             ("Authorization: Bearer abcd\r\nContent-Length: 99999999\r\n", b"x" * 1000)):
            received = ask(fields, body)
            self.assertTrue(received.startswith(b"HTTP/1.1 401 "), received)
            self.assertIn(b"Connection: close\r\n", received)
        received = ask("Authorization: Bearer abc\r\nContent-Length: 11\r\nConnection: close\r\nExpect: 100-continue\r\n")
        self.assertTrue(received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 "), received)
        self.assertIn(b"uplink.malformed", received)

    def test_a_certificate_serves_as_a_token(self):
        token = self.write("token", "abc\n")
        parent = self.tls_node("parent", f'[http]\nuplink_tokens = [{{ file = "{token}" }}]\n', client_ca=True).start()
        child = self.child(parent, self.parent_table(self.ca, self.ca.issue("DNS:child"))).start()
        self.fill(child)
        child.wait_delivered()
        self.check_once(parent)
        self.assertEqual(parent.post("/v1/uplink", b"x").status, 401, "the plain listener knows nobody")

    def test_a_parent_without_tls(self):
        parent = self.node("parent").start()
        child = self.child("https://" + parent.addresses["http"], self.parent_table(self.ca)).start()
        self.fill(child)
        self.check_refused(child, parent, "the other side does not speak TLS")

    def test_a_parent_that_says_nothing(self):
        silent = socket.create_server((verge.own_host(), 0))
        self.addCleanup(silent.close)
        host, port = silent.getsockname()
        child = self.child(f"https://{host}:{port}", self.parent_table(self.ca))
        child.sets.append("parent.timeout=300ms")
        child.start()
        self.fill(child)
        self.check_refused(child, None)
        child.stop()


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
