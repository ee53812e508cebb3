"""WebSockets through a site: an origin that agrees and echoes, one that does not, and either side going away."""

import base64
import hashlib
import os
import select
import socket
import socketserver
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

SITE = """
[http]
ingest = false
uplink = false
[[site]]
hosts = "*"
origins = ["http://{origin}"]
"""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # that of RFC 6455 section 1.3


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(1)
        if not piece:
            break
        head += piece
    return head.decode()


def fields_of(head):
    lines = head.split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}


class WebSockets(verge.TestCase):
    def site(self, serve):
        """A node before an origin that runs `serve(connection, head)` for each connection."""
        test = self
        self.heads = []

        class Receiver(socketserver.BaseRequestHandler):
            def handle(self):
                head = read_head(self.request)
                if head:
                    test.heads.append(head)
                    serve(self.request, head)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        server = Server(("127.0.0.1", 0), Receiver)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.origin = server
        return self.node(f"edge{server.server_address[1]}", SITE.format(origin=f"127.0.0.1:{server.server_address[1]}")).start()

    @staticmethod
    def agree(connection, head):
        key = fields_of(head)["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        connection.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n".encode())

    def echo(self, connection, head):
        self.agree(connection, head)
        while piece := connection.recv(65536):
            connection.sendall(piece)

    def connect(self, node, upgrade="websocket", ahead=b""):
        host, _, port = node.addresses["http"].rpartition(":")
        client = socket.create_connection((host, int(port)), verge.PATIENCE)
        self.addCleanup(client.close)
        client.sendall(f"GET /chat?x=1 HTTP/1.1\r\nHost: a.example\r\nUpgrade: {upgrade}\r\nConnection: keep-alive, Upgrade\r\n"
                       f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nOrigin: http://a.example\r\n\r\n".encode() + ahead)
        return client, read_head(client)

    def receive(self, client, size):
        text = b""
        while len(text) < size:
            piece = client.recv(65536)
            self.assertTrue(piece, "it ended early")
            text += piece
        return text

    def websockets(self, node):
        return node.status()["cache"]["websockets"]

    def test_bytes_go_both_ways(self):
        node = self.site(self.echo)
        client, head = self.connect(node, ahead=b"sent ahead")
        self.assertTrue(head.startswith("HTTP/1.1 101 "), head)
        fields = fields_of(head)
        self.assertEqual((fields["upgrade"].lower(), fields["sec-websocket-accept"], fields["sec-websocket-protocol"]),
                         ("websocket", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "chat"))
        self.assertEqual(fields["cache-status"], f'"{node.name}"; fwd=bypass')
        self.assertEqual(self.receive(client, 10), b"sent ahead")
        asked = self.heads[0]
        self.assertTrue(asked.startswith("GET /chat?x=1 HTTP/1.1\r\nHost: a.example\r\n"), asked)
        self.assertEqual(fields_of(asked)["x-forwarded-for"], "127.0.0.1")
        self.assertEqual(self.websockets(node), 1)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(client.recv(10), b"")
        verge.wait_until(lambda: self.websockets(node) == 0, "the tunnel is gone")

    def test_much_at_the_pace_of_the_slower_side(self):
        node = self.site(self.echo)
        client, _ = self.connect(node)
        blob = os.urandom(1 << 20)
        sent = 0
        # Nothing is read: what is under way is bounded by buffers, and then the sender waits.
        client.setblocking(False)
        while select.select([], [client], [], 0.3)[1]:
            sent += client.send(blob[sent % len(blob):])
            self.assertLess(sent, 200 << 20, "somebody holds it all")
        client.settimeout(verge.PATIENCE)
        wanted = hashlib.sha256((blob * (sent // len(blob) + 1))[:sent]).digest()
        self.assertEqual(hashlib.sha256(self.receive(client, sent)).digest(), wanted)

    def test_an_origin_that_does_not_agree_answers(self):
        def refuse(connection, _):
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: no\r\n\r\nno")

        node = self.site(refuse)
        client, head = self.connect(node)
        self.assertTrue(head.startswith("HTTP/1.1 403 "), head)
        self.assertEqual((self.receive(client, 2), fields_of(head)["x-why"]), (b"no", "no"))
        self.assertEqual(self.websockets(node), 0)

    def test_other_protocols_are_not_passed_on(self):
        def plain(connection, _):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        node = self.site(plain)
        for upgrade in ("h2c", "websocket, h2c", "TLS/1.2"):
            _, head = self.connect(node, upgrade)
            self.assertTrue(head.startswith("HTTP/1.1 200 "), head)
            self.assertNotIn("upgrade", fields_of(self.heads[-1]))

    def test_either_side_going_ends_the_other(self):
        ended = threading.Event()

        def wait_for_the_end(connection, head):
            self.agree(connection, head)
            try:
                while connection.recv(100):
                    pass
            except OSError:
                pass
            ended.set()

        node = self.site(wait_for_the_end)
        client, _ = self.connect(node)
        client.close()
        self.assertTrue(ended.wait(verge.PATIENCE))
        self.origin.shutdown()

        def say_and_go(connection, head):
            self.agree(connection, head)
            connection.sendall(b"bye")

        node = self.site(say_and_go)
        client, _ = self.connect(node)
        self.assertEqual((self.receive(client, 3), client.recv(10)), (b"bye", b""))
        verge.wait_until(lambda: self.websockets(node) == 0, "the tunnel is gone")

    def test_an_origin_that_is_not_there(self):
        node = self.site(self.echo)
        self.origin.shutdown()
        self.origin.server_close()
        _, head = self.connect(node)
        self.assertTrue(head.startswith("HTTP/1.1 502 "), head)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
