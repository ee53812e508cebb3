"""Sites with content codings: what independent clients (Python's gzip, curl) read of it."""

import gzip
import http.client
import json
import os
import pathlib
import subprocess
import sys
import threading
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from origin import Origin

SITE = """
[http]
ingest = false
uplink = false
[[site]]
hosts = "*"
origins = ["{origin}"]
compress = ["br", "zstd", "gzip"]
"""

TEXT = "".join(f"line {n} of a page that says nothing new\n" for n in range(4000)).encode()
STORED = ("Cache-Control", "max-age=600")
HTML = ("Content-Type", "text/html; charset=utf-8")


class Compression(verge.TestCase):
    def site(self, answer):
        self.origin = Origin(answer)
        self.addCleanup(self.origin.end)
        return self.node("edge", SITE.format(origin=self.origin.url)).start()

    def get(self, node, path, coding=None, method="GET", **fields):
        given = {name.replace("_", "-"): value for name, value in fields.items()}
        if coding:
            given["Accept-Encoding"] = coding
        return verge.http_request(node.addresses["http"], method, path, None, given)

    def curl(self, node, path, coding):
        """Status of curl, and the body as it decoded it."""
        done = subprocess.run(["curl", "--silent", "--show-error", "--fail", "--compressed", "--max-time", "60", "--header",
                               f"Accept-Encoding: {coding}", f"http://{node.addresses['http']}{path}"],
                              capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_each_client_gets_the_coding_it_takes_from_one_request_to_the_origin(self):
        node = self.site(lambda request: request.give(fields=[STORED, HTML, ("ETag", '"v1"')], body=TEXT))
        for coding in ("br", "zstd", "gzip"):
            first, then = self.curl(node, "/page", coding), self.curl(node, "/page", coding)
            self.assertEqual((first, then), (TEXT, TEXT), coding)
            answer = self.get(node, "/page", coding)
            self.assertEqual(answer.fields["content-encoding"], coding)
            self.assertEqual(answer.fields["etag"], f'"v1-{coding}"')
            self.assertEqual(answer.fields["vary"].lower(), "accept-encoding")
            self.assertEqual(int(answer.fields["content-length"]), len(answer.body))
            self.assertLess(len(answer.body), len(TEXT) / 5)
            self.assertIn("; hit", answer.fields["cache-status"])
            head = self.get(node, "/page", coding, method="HEAD")
            self.assertEqual((head.fields["content-encoding"], head.fields["content-length"], head.body),
                             (coding, str(len(answer.body)), b""))
        plain = self.get(node, "/page")
        self.assertEqual((plain.body, plain.fields["etag"], plain.fields["vary"].lower()),
                         (TEXT, '"v1"', "accept-encoding"))
        self.assertNotIn("content-encoding", plain.fields)
        self.assertEqual(len(self.origin.requests), 1)
        self.assertEqual(self.origin.requests[0][2]["Accept-Encoding"], "identity")

    def test_the_very_first_client_is_served_compressed_while_it_arrives(self):
        may_go_on = threading.Event()

        def answer(request):
            request.send_response(200)
            for name, value in (STORED, HTML, ("Content-Length", str(2 * len(TEXT)))):
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(TEXT)
            may_go_on.wait(verge.PATIENCE)
            request.wfile.write(TEXT)

        node = self.site(answer)
        host, _, port = node.addresses["http"].rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=verge.PATIENCE)
        self.addCleanup(client.close)
        client.request("GET", "/slow", headers={"Accept-Encoding": "gzip"})
        response = client.getresponse()
        self.assertEqual(response.headers["Content-Encoding"], "gzip")
        decoder = zlib.decompressobj(wbits=31)
        text = b""
        while len(text) < len(TEXT):
            text += decoder.decompress(response.read1())
        self.assertEqual(text, TEXT)
        may_go_on.set()
        text += decoder.decompress(response.read())
        self.assertEqual(text, TEXT + TEXT)
        self.assertTrue(decoder.eof)

    def test_events_of_a_stream_that_is_not_stored_come_at_once(self):
        events, may_go_on = 3, threading.Semaphore(0)

        def answer(request):
            request.send_response(200)
            request.send_header("Content-Type", "text/event-stream")
            request.send_header("Cache-Control", "no-store")
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            for number in range(events):
                event = f"data: {number}\n\n".encode()
                request.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                may_go_on.acquire(timeout=verge.PATIENCE)
            request.wfile.write(b"0\r\n\r\n")

        node = self.site(answer)
        host, _, port = node.addresses["http"].rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=verge.PATIENCE)
        self.addCleanup(client.close)
        client.request("GET", "/events", headers={"Accept-Encoding": "gzip"})
        response = client.getresponse()
        self.assertEqual(response.headers["Content-Encoding"], "gzip")
        decoder = zlib.decompressobj(wbits=31)
        text = b""
        for number in range(events):
            while not text.endswith(f"data: {number}\n\n".encode()):
                text += decoder.decompress(response.read1())
            may_go_on.release()
        self.assertEqual(response.read()[-8:], zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little"))

    def test_conditions_are_about_the_coding_that_the_client_has(self):
        node = self.site(lambda request: request.give(fields=[STORED, HTML, ("ETag", '"v1"')], body=TEXT))
        self.get(node, "/page", "gzip")
        same = self.get(node, "/page", "gzip", If_None_Match='"v1-gzip"')
        self.assertEqual((same.status, same.fields["etag"], same.body), (304, '"v1-gzip"', b""))
        self.assertEqual(same.fields["vary"].lower(), "accept-encoding")
        self.assertEqual(self.get(node, "/page", "gzip", If_None_Match='"v1"').status, 200)
        self.assertEqual(self.get(node, "/page", "br", If_None_Match='"v1-gzip"').status, 200)
        self.assertEqual(self.get(node, "/page", None, If_None_Match='"v1"').status, 304)
        self.assertEqual(self.get(node, "/page", None, If_None_Match='"v1-gzip"').status, 200)

    def test_ranges_are_of_the_bytes_as_they_are(self):
        node = self.site(lambda request: request.give(fields=[STORED, HTML, ("ETag", '"v1"')], body=TEXT))
        self.get(node, "/page", "gzip")
        part = self.get(node, "/page", "gzip", Range="bytes=10-19")
        self.assertEqual((part.status, part.body, part.fields["etag"]), (206, TEXT[10:20], '"v1"'))
        self.assertNotIn("content-encoding", part.fields)
        # A client that began with the coded form does not get a piece of the other.
        whole = self.get(node, "/page", "gzip", Range="bytes=10-19", If_Range='"v1-gzip"')
        self.assertEqual(whole.status, 200)

    def test_what_is_small_or_no_text_or_promised_goes_as_it_is(self):
        answers = {"/small": (TEXT[:500], [HTML]),
                   "/image": (TEXT, [("Content-Type", "image/png")]),
                   "/promised": (TEXT, [HTML, ("Repr-Digest", "sha-256=:AAAA:")]),
                   "/untouched": (TEXT, [HTML, ("Cache-Control", "no-transform")])}

        def answer(request):
            body, fields = answers[request.path]
            request.give(fields=[STORED, *fields], body=body)

        node = self.site(answer)
        for path, (body, _) in answers.items():
            for _ in range(2):
                got = self.get(node, path, "br, zstd, gzip")
                self.assertNotIn("content-encoding", got.fields, path)
                self.assertEqual(got.body, body, path)

    def test_what_the_origin_compressed_itself_is_passed_on(self):
        body = gzip.compress(TEXT)
        node = self.site(lambda request: request.give(fields=[STORED, HTML, ("Content-Encoding", "gzip"), ("ETag", '"z"')],
                                                      body=body))
        for _ in range(2):
            got = self.get(node, "/page", "br, gzip")
            self.assertEqual((got.fields["content-encoding"], got.fields["etag"], got.body), ("gzip", '"z"', body))

    def test_an_origin_that_varies_by_it_is_asked_once(self):
        node = self.site(lambda request: request.give(fields=[STORED, HTML, ("Vary", "Accept-Encoding")], body=TEXT))
        for coding in ("gzip", "br", None, "gzip, br;q=0.5"):
            got = self.get(node, "/page", coding)
            self.assertEqual(got.fields["vary"], "Accept-Encoding")
        self.assertEqual(len(self.origin.requests), 1)

    def test_what_breaks_off_at_the_origin_breaks_off_here(self):
        def answer(request):
            request.send_response(200)
            for name, value in (STORED, HTML, ("Content-Length", str(2 * len(TEXT)))):
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(TEXT)
            request.close_connection = True

        node = self.site(answer)
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            self.get(node, "/page", "gzip")

    def test_a_coding_that_is_none_is_refused_with_its_place(self):
        path = pathlib.Path(self.directory, "verge.toml")
        path.write_text(SITE.format(origin="http://127.0.0.1:1").replace('"zstd"', '"zsdt"'))
        done = subprocess.run([verge.VERGE, "check", str(path)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr + done.stdout, r"verge\.toml:8:\d+.*zsdt")
        self.assertIn("zstd", done.stderr + done.stdout)

    def test_purged_and_refreshed_answers_lose_their_coded_forms(self):
        texts = iter([TEXT, TEXT[::-1]])
        node = self.site(lambda request: request.give(fields=[STORED, HTML], body=next(texts)))
        self.assertEqual(self.curl(node, "/page", "gzip"), TEXT)
        purge = json.dumps({"urls": [f"http://{node.addresses['http']}/page"]})
        self.assertEqual(verge.http_request(node.addresses["admin"], "POST", "/v1/purge", purge).status, 200)
        self.assertEqual(self.curl(node, "/page", "gzip"), TEXT[::-1])


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
