"""Request smuggling: what two parsers could read in two ways is refused, or goes to the origin in one way only."""

import os
import re
import socket
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
origins = ["{origin}"]
"""

HOST = b"Host: a\r\n"
POST = b"POST /x HTTP/1.1\r\n" + HOST
GET = b"GET /x HTTP/1.1\r\n" + HOST
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED = None

# What is sent; and the body that the origin has to get with an unambiguous length, or REFUSED.
CASES = {
    # Both lengths, and transfer codings that only some read.
    "Content-Length and Transfer-Encoding": (POST + b"Content-Length: 6\r\n" + CHUNKED + b"\r\n0\r\n\r\nG", REFUSED),
    "Transfer-Encoding and Content-Length": (POST + CHUNKED + b"Content-Length: 4\r\n\r\n5c\r\n", REFUSED),
    "chunked in other letters": (POST + b"tRANSFER-eNCODING: CHUNKED\r\n\r\n" + CHUNKS, b"hello"),
    "xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS, REFUSED),
    "chunked, then identity": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS, REFUSED),
    "identity, then chunked": (POST + b"Transfer-Encoding: identity, chunked\r\n\r\n" + CHUNKS, REFUSED),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKS, REFUSED),
    "two lines of Transfer-Encoding": (POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS, REFUSED),
    "two equal lines of Transfer-Encoding": (POST + CHUNKED + CHUNKED + b"\r\n" + CHUNKS, REFUSED),
    "a quoted coding": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKS, REFUSED),
    "a coding after a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKS, REFUSED),
    "a coding before a NUL": (POST + b"Transfer-Encoding: chunked\x00\r\n\r\n" + CHUNKS, REFUSED),
    "an empty coding": (POST + b"Transfer-Encoding: \r\nContent-Length: 5\r\n\r\nhello", REFUSED),
    "a space before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS, REFUSED),
    "a tab before the colon": (POST + b"Content-Length\t: 5\r\n\r\nhello", REFUSED),
    "a colon on the next line": (POST + b"Transfer-Encoding\r\n : chunked\r\n\r\n" + CHUNKS, REFUSED),
    "an underscore for a hyphen": (POST + b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "chunked in HTTP/1.0": (b"POST /x HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n" + CHUNKS, REFUSED),
    # Lengths that not all read alike.
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", REFUSED),
    "two equal lengths": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", REFUSED),
    "a list of lengths": (POST + b"Content-Length: 5, 5\r\n\r\nhello", REFUSED),
    "a length with a sign": (POST + b"Content-Length: +5\r\n\r\nhello", REFUSED),
    "a negative length": (POST + b"Content-Length: -5\r\n\r\nhello", REFUSED),
    "a hexadecimal length": (POST + b"Content-Length: 0x5\r\n\r\nhello", REFUSED),
    "a length with a unit": (POST + b"Content-Length: 5b\r\n\r\nhello", REFUSED),
    "a length with a fraction": (POST + b"Content-Length: 5.0\r\n\r\nhello", REFUSED),
    "a length in two words": (POST + b"Content-Length: 5 5\r\n\r\nhello", REFUSED),
    "no length": (POST + b"Content-Length: \r\n\r\nhello", REFUSED),
    "a length over 64 bits": (POST + b"Content-Length: 18446744073709551621\r\n\r\nhello", REFUSED),
    "a length with zeros before it": (POST + b"Content-Length: 0005\r\n\r\nhello", b"hello"),
    "a length with spaces around it": (POST + b"Content-Length:  \t5 \t\r\n\r\nhello", b"hello"),
    "a length with a NUL": (POST + b"Content-Length: 5\x00\r\n\r\nhello", REFUSED),
    # Lines.
    "a folded line": (POST + b"Content-Length: 5\r\nX-A: b\r\n Content-Length: 60\r\n\r\nhello", REFUSED),
    "a line that begins with a space": (b"POST /x HTTP/1.1\r\n " + HOST + b"Content-Length: 5\r\n\r\nhello", REFUSED),
    "a bare LF": (POST + b"X-A: b\nContent-Length: 5\r\n\r\nhello", REFUSED),
    "a bare CR in a value": (POST + b"X-A: b\rContent-Length: 60\r\nContent-Length: 5\r\n\r\nhello", REFUSED),
    "a bare LF at the end of the head": (POST + b"Content-Length: 5\r\n\nhello", REFUSED),
    "a NUL in a value": (POST + b"X-A: b\x00c\r\nContent-Length: 5\r\n\r\nhello", REFUSED),
    "a line without a colon": (POST + b"X-A\r\nContent-Length: 5\r\n\r\nhello", REFUSED),
    "a field without a name": (POST + b": b\r\nContent-Length: 5\r\n\r\nhello", REFUSED),
    "a space in a name": (POST + b"X A: b\r\nContent-Length: 5\r\n\r\nhello", REFUSED),
    "a name with a CR": (POST + b"X\rA: b\r\nContent-Length: 5\r\n\r\nhello", REFUSED),
    # Chunks.
    "an extension": (POST + CHUNKED + b"\r\n5;a=b\r\nhello\r\n0\r\n\r\n", b"hello"),
    "an extension with a bare LF": (POST + CHUNKED + b"\r\n5;a\n\r\nhello\r\n0\r\n\r\n", REFUSED),
    "an extension with a bare CR": (POST + CHUNKED + b"\r\n5;a\rb\r\nhello\r\n0\r\n\r\n", REFUSED),
    "a size with a prefix": (POST + CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n", REFUSED),
    "a size with a sign": (POST + CHUNKED + b"\r\n+5\r\nhello\r\n0\r\n\r\n", REFUSED),
    "a negative size": (POST + CHUNKED + b"\r\n-5\r\nhello\r\n0\r\n\r\n", REFUSED),
    "a size over 64 bits": (POST + CHUNKED + b"\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", REFUSED),
    "a size with a space before it": (POST + CHUNKED + b"\r\n 5\r\nhello\r\n0\r\n\r\n", REFUSED),
    "no size": (POST + CHUNKED + b"\r\n\r\nhello\r\n0\r\n\r\n", REFUSED),
    "a size line with a bare LF": (POST + CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n", REFUSED),
    "a chunk that is longer than it says": (POST + CHUNKED + b"\r\n5\r\nhello!\r\n0\r\n\r\n", REFUSED),
    "a chunk that ends with a bare LF": (POST + CHUNKED + b"\r\n5\r\nhello\n0\r\n\r\n", REFUSED),
    "a last chunk of many zeros": (POST + CHUNKED + b"\r\n5\r\nhello\r\n000\r\n\r\n", b"hello"),
    "trailers that would change the request": (
        POST + CHUNKED + b"\r\n5\r\nhello\r\n0\r\nContent-Length: 60\r\nHost: evil\r\nTransfer-Encoding: x\r\n\r\n", b"hello"),
    "a trailer with a bare LF": (POST + CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX: y\n\r\n", REFUSED),
    # The first line.
    "two spaces": (b"GET  /x HTTP/1.1\r\n" + HOST + b"\r\n", REFUSED),
    "a tab for a space": (b"GET\t/x HTTP/1.1\r\n" + HOST + b"\r\n", REFUSED),
    "a space in the target": (b"GET /x y HTTP/1.1\r\n" + HOST + b"\r\n", REFUSED),
    "no version": (b"GET /x\r\n" + HOST + b"\r\n", REFUSED),
    "HTTP/1.9": (b"GET /x HTTP/1.9\r\n" + HOST + b"\r\n", b""),
    "HTTP/3.1": (b"GET /x HTTP/3.1\r\n" + HOST + b"\r\n", REFUSED),
    "http/1.1 in small letters": (b"GET /x http/1.1\r\n" + HOST + b"\r\n", REFUSED),
    "a fragment": (b"GET /x#y HTTP/1.1\r\n" + HOST + b"\r\n", REFUSED),
    "a NUL in the target": (b"GET /x\x00 HTTP/1.1\r\n" + HOST + b"\r\n", REFUSED),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n", REFUSED),
    "a method with a colon": (b"GE:T /x HTTP/1.1\r\n" + HOST + b"\r\n", REFUSED),
    # Hosts.
    "no Host": (b"GET /x HTTP/1.1\r\n\r\n", REFUSED),
    "two Hosts": (GET + b"Host: b\r\n\r\n", REFUSED),
    "two equal Hosts": (GET + HOST + b"\r\n", REFUSED),
    "a list of Hosts": (b"GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n", REFUSED),
    "a Host with a user": (b"GET /x HTTP/1.1\r\nHost: u@a\r\n\r\n", REFUSED),
    "a Host with a path": (b"GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n", REFUSED),
    "a target of another host": (b"GET http://b/x HTTP/1.1\r\n" + HOST + b"\r\n", b""),
    # What belongs to the connection.
    "Connection names the length": (POST + b"Connection: close, Content-Length\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "Connection names Host": (POST + b"Connection: Host, keep-alive\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "an upgrade to h2c": (GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", b""),
    # Bodies where none is expected.
    "GET with a body": (GET + b"Content-Length: " + str(len(HIDDEN)).encode() + b"\r\n\r\n" + HIDDEN, HIDDEN),
    "HEAD with a body": (b"HEAD /x HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "GET with chunks": (GET + CHUNKED + b"\r\n" + CHUNKS, b"hello"),
    "a request in a body": (POST + b"Content-Length: " + str(len(HIDDEN)).encode() + b"\r\n\r\n" + HIDDEN, HIDDEN),
}


class RawOrigin:
    """Keeps what arrives, byte for byte, and answers each head that it sees; it reads lengths as the standard says."""

    def __init__(self):
        self.requests = []  # (head, body)
        self.strays = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        text = b""
        with client:
            while True:
                while b"\r\n\r\n" not in text:
                    piece = client.recv(65536)
                    if not piece:
                        if text:
                            self.strays.append(text)
                        return
                    text += piece
                head, _, text = text.partition(b"\r\n\r\n")
                lengths = re.findall(rb"(?im)^content-length:\s*(\d+)\s*$", head + b"\r\n".replace(b"\r", b""))
                length = int(lengths[0]) if lengths else 0
                while len(text) < length:
                    text += client.recv(65536)
                self.requests.append((head, text[:length]))
                text = text[length:]
                client.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nok")

    def end(self):
        self.listener.close()


class Smuggling(verge.TestCase):
    @staticmethod
    def one_answer(client, is_head):
        text = b""
        while True:
            head, end, body = text.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            if end and (is_head or len(body) >= int(length[1])):
                return text
            piece = client.recv(65536)
            if not piece:
                return text
            text += piece

    def test_each_case(self):
        origin = RawOrigin()
        self.addCleanup(origin.end)
        node = self.node("edge", SITE.format(origin=origin.url)).start()
        host, port = node.addresses["http"].rsplit(":", 1)
        for name, (request, expected) in CASES.items():
            with self.subTest(case=name):
                origin.requests.clear()
                with socket.create_connection((host, int(port)), verge.PATIENCE) as client:
                    client.sendall(request)
                    answer = self.one_answer(client, is_head=request.startswith(b"HEAD"))
                    # A second one, to something in the first?
                    client.shutdown(socket.SHUT_WR)
                    while piece := client.recv(65536):
                        answer += piece
                statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
                self.assertEqual(len(statuses), 1, f"one request, one answer: {answer}")
                if expected is REFUSED:
                    self.assertIn(statuses[0], (400, 405, 414, 501, 505), answer)
                    self.assertEqual(origin.requests, [], "nothing of it gets to the origin")
                    continue
                self.assertEqual(statuses[0], 200, answer)
                self.assertEqual(len(origin.requests), 1, origin.requests)
                head, body = origin.requests[0]
                self.assertEqual(body, expected)
                lines = head.split(b"\r\n")
                self.assertNotIn(b"\n", head.replace(b"\r\n", b""))
                names = [line.partition(b":")[0].lower() for line in lines[1:]]
                self.assertNotIn(b"transfer-encoding", [name.replace(b"_", b"-") for name in names])
                self.assertNotIn(b"upgrade", names)
                self.assertEqual(names.count(b"host"), 1)
                self.assertEqual(names.count(b"content-length"), 1 if expected else names.count(b"content-length"))
                self.assertNotIn(b"evil", head)
                if name == "a target of another host":
                    self.assertIn(b"Host: b", lines)
                    self.assertTrue(lines[0].startswith(b"GET /x "), lines[0])
        self.assertEqual(origin.strays, [], "no connection to the origin had more than requests")

    def test_the_next_request_is_its_own(self):
        origin = RawOrigin()
        self.addCleanup(origin.end)
        node = self.node("edge", SITE.format(origin=origin.url)).start()
        host, port = node.addresses["http"].rsplit(":", 1)
        for name, (request, expected) in CASES.items():
            if expected is REFUSED or b"close" in request or request.startswith(b"HEAD"):
                continue
            with self.subTest(case=name), socket.create_connection((host, int(port)), verge.PATIENCE) as client:
                origin.requests.clear()
                client.sendall(request + b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answer = b""
                while piece := client.recv(65536):
                    answer += piece
                self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 2, answer)
                self.assertEqual(len(origin.requests), 2)
                paths = sorted(head.split(b" ")[1] for head, _ in origin.requests)
                self.assertEqual(paths, [b"/next", b"/x"])


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
