"""HTTP/2 as curl speaks it, over TLS and with prior knowledge: ingest, the admin pages, and sites from the cache."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from certificates import Authority
from test_cache import Origin


def curl_speaks_http2():
    if shutil.which("curl") is None:
        return False
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"^Features:.*\bHTTP2\b", version, re.M) is not None


class Answer:
    def __init__(self, head, body):
        lines = head.decode().split("\r\n")
        self.version, self.status = lines[0].split(" ")[0], int(lines[0].split(" ")[1])
        self.fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.body = body


@unittest.skipUnless(curl_speaks_http2(), "curl with HTTP/2 is not installed")
class Http2(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.ca = Authority(self.directory)

    def site_node(self, origin, **options):
        node = self.node(**options)
        shown, site = self.ca.issue(f"IP:{node.host},DNS:node.test"), self.ca.issue("DNS:www.test")
        node.write_config(f"""
[tls]
certificate = "{shown.pem}"
key = "{shown.key}"
[[site]]
hosts = "www.test"
origins = "{origin.url}"
[site.tls]
certificate = "{site.pem}"
key = "{site.key}"
""")
        node.sets += [f"http.tls_listen={node.host}:0", "runtime.loops=2"]
        return node.start()

    def curl(self, node, path="/", *arguments, host="www.test", listener="http_tls"):
        """One request; the name is resolved to the node, and its certificate verified."""
        address, port = node.addresses[listener].rsplit(":", 1)
        scheme = "https" if listener == "http_tls" else "http"
        how = "--http2" if listener == "http_tls" else "--http2-prior-knowledge"
        head, body = os.path.join(self.directory, "head"), os.path.join(self.directory, "body")
        subprocess.run(["curl", "--silent", "--show-error", how, "--cacert", self.ca.pem, "--max-time", str(verge.PATIENCE),
                        "--connect-to", f"{host}:{port}:{address}:{port}", "--dump-header", head, "--output", body,
                        *arguments, f"{scheme}://{host}:{port}{path}"], check=True)
        with open(head, "rb") as heads, open(body, "rb") as bodies:
            return Answer(heads.read().rstrip().split(b"\r\n\r\n")[-1], bodies.read())

    def test_a_site(self):
        def answer(request):
            request.give(fields=[("Cache-Control", "max-age=60")], body=b"x" * int(request.path[1:]))

        origin = Origin(answer)
        self.addCleanup(origin.end)
        node = self.site_node(origin)
        for size in (0, 1000, 10 << 20):
            for listener in ("http_tls", "http"):
                first, second = (self.curl(node, f"/{size}", listener=listener) for _ in range(2))
                for got in (first, second):
                    self.assertEqual((got.version, got.status, len(got.body)), ("HTTP/2", 200, size))
                self.assertIn("fwd=uri-miss", first.fields["cache-status"])
                self.assertIn("hit", second.fields["cache-status"])
                self.assertNotIn("connection", second.fields)
        self.assertEqual(len(origin.requests), 6, "https and http are apart, and each is fetched once")
        self.assertEqual({fields["X-Forwarded-Proto"] for _, _, fields, _ in origin.requests}, {"http", "https"})
        got = self.curl(node, "/1000", "--range", "10-19")
        self.assertEqual((got.status, got.body, got.fields["content-range"]), (206, b"x" * 10, "bytes 10-19/1000"))
        self.assertEqual(self.curl(node, "/1000", "--head").fields["content-length"], "1000")
        node.stop()

    def test_few_bytes_that_stand_for_many_fields_are_not_looked_at_for_ever(self):
        node = self.site_node(self.origin_of_nothing())
        address, port = node.addresses["http"].rsplit(":", 1)
        client = socket.create_connection((address, int(port)), verge.PATIENCE)
        self.addCleanup(client.close)

        def frame(kind, flags, stream, payload=b""):
            return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

        # A field of 3,900 bytes goes into the dynamic table (RFC 7541 section 6.2.1), and is named 4,000 times a head.
        field = b"\x40\x01x\x7f\xbd\x1d" + b"y" * 3900
        heads = (frame(1, 5, 1 + 2 * number, b"\x82" + (field if number == 0 else b"") + b"\xbe" * 4000) for number in range(2000))
        came = b""
        try:
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(4, 1, 0))
            for head in heads:
                client.sendall(head)
            while piece := client.recv(65536):
                came += piece
        except ConnectionError:
            pass
        self.assertNotIn(b"the head is too long", came, "none is answered")
        self.assertEqual(self.curl(node, "/", listener="http").status, 200)
        answered = node.status()["cache"]["requests"]
        self.assertEqual(answered, 1)

    def origin_of_nothing(self):
        origin = Origin(lambda request: request.give(body=b"x"))
        self.addCleanup(origin.end)
        return origin

    def test_what_else_is_served(self):
        origin = Origin(lambda request: request.give(body=request.body))
        self.addCleanup(origin.end)
        node = self.site_node(origin)
        with open(os.path.join(self.directory, "large"), "wb") as file:
            file.write(os.urandom(5 << 20))
        with open(file.name, "rb") as sent:
            self.assertEqual(self.curl(node, "/", "--data-binary", "@" + file.name).body, sent.read())
        posted = self.curl(node, "/v1/events", "--data", '{"topic":"a/b"}', host="node.test")
        self.assertEqual((posted.version, posted.status), ("HTTP/2", 200))
        refused = self.curl(node, "/v1/nothing", host="node.test")
        self.assertEqual((refused.status, json.loads(refused.body)["error"]["code"]), (404, "http.not-found"))
        status = self.curl(node, "/v1/status", listener="admin", host=node.host)
        self.assertEqual((status.version, status.status), ("HTTP/2", 200))
        self.assertEqual(json.loads(status.body)["node"]["name"], node.status()["node"]["name"])
        node.stop()


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
