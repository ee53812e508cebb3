"""Sites whose origin is asked over HTTP/2: nghttpd, in clear and over TLS, and what becomes of requests when it goes."""

import concurrent.futures
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from certificates import Authority
from origin import Origin

SITE = """
[http]
ingest = false
uplink = false
[[site]]
hosts = "*"
origins = [{{ url = "{origin}", http2 = true }}]
default_ttl = "1h"
"""

NGHTTPD = shutil.which("nghttpd") or "/usr/sbin/nghttpd"


class Http2Origin(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.files = pathlib.Path(self.directory, "files")
        self.files.mkdir()
        self.host = verge.own_host()

    def nghttpd(self, certificate=None):
        """Its process, listening on self.host:8080."""
        how = ["--no-tls", "8080"] if certificate is None else ["8080", certificate.key, certificate.pem]
        self.log = pathlib.Path(self.directory, "nghttpd.log")
        with open(self.log, "ab") as log:
            process = verge.spawn([NGHTTPD, "--verbose", "--address", self.host, "--htdocs", str(self.files), *how],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(verge.end, process)
        verge.wait_until(lambda: "listen" in self.log.read_text(errors="replace"), "nghttpd listens")
        return process

    def node_for(self, url, more=""):
        return self.node("edge", SITE.format(origin=url) + more).start()

    def get(self, node, path, method="GET", body=None, fields=None):
        return verge.http_request(node.addresses["http"], method, path, body, fields)

    def fill(self, count):
        wanted = {}
        for number in range(count):
            content = os.urandom(1 + number * 997)
            (self.files / f"f{number}").write_bytes(content)
            wanted[f"/f{number}"] = content
        return wanted

    def check(self, node):
        wanted = self.fill(60)
        large = os.urandom(5 << 20)
        (self.files / "large").write_bytes(large)
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = dict(zip(wanted, pool.map(lambda path: self.get(node, path), wanted)))
        for path, content in wanted.items():
            self.assertEqual((answers[path].status, answers[path].body), (200, content), path)
        self.assertEqual(hashlib.sha256(self.get(node, "/large").body).digest(), hashlib.sha256(large).digest())
        self.assertIn("; hit", self.get(node, "/f1").fields["cache-status"])
        self.assertEqual(self.get(node, "/missing").status, 404)
        head = self.get(node, "/f59?x", method="HEAD")
        self.assertEqual((head.status, head.fields["content-length"]), (200, str(1 + 59 * 997)))

    def test_in_clear(self):
        self.nghttpd()
        node = self.node_for(f"http://{self.host}:8080")
        self.check(node)
        log = self.log.read_text(errors="replace")
        self.assertIn(":method: GET", log)
        self.assertIn("x-forwarded-for: 127.", log.lower())

    def test_over_tls(self):
        authority = Authority(self.directory)
        self.nghttpd(authority.issue(f"IP:{self.host}"))
        node = self.node_for(f"https://{self.host}:8080", more=f'origin_ca = "{authority.pem}"')
        self.check(node)

    def test_an_origin_that_goes_and_comes_back(self):
        process = self.nghttpd()
        self.fill(3)
        node = self.node_for(f"http://{self.host}:8080")
        self.assertEqual(self.get(node, "/f0").status, 200)
        verge.end(process)
        self.assertEqual(self.get(node, "/f1").status, 502)
        self.assertEqual(self.get(node, "/f0").status, 200, "what is stored is served")
        self.log.write_text("")
        self.nghttpd()
        self.assertEqual(self.get(node, "/f2").status, 200)

    def test_an_origin_that_speaks_http1_only(self):
        origin = Origin(lambda request: request.give(body=b"one"))
        self.addCleanup(origin.end)
        node = self.node_for(origin.url)
        self.assertEqual(self.get(node, "/a").status, 502, "in clear nothing says that it does not")


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
