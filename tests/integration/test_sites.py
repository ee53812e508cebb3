"""What a site does beside caching: rules by path, redirects, header edits, files, limits, the client's own address, the
access log, signatures, and reloads."""

import base64
import contextlib
import gzip
import hashlib
import hmac
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import certificates
import verge
from test_cache import Origin

HEAD = """
[http]
ingest = false
uplink = false
{http}
{top}
[[site]]
hosts = "*"
{origins}
{site}
"""


def stored(request):
    request.give(fields=[("Cache-Control", "max-age=60"), ("X-Origin", "yes"), ("Server", "origin")], body=b"hello")


class Sites(verge.TestCase):
    def origin(self, answer=stored):
        made = Origin(answer)
        self.addCleanup(made.end)
        return made

    def config(self, site, origin=None, http="", top=""):
        origins = f'origins = ["{origin.url}"]' if origin else ""
        return HEAD.format(site=site, origins=origins, http=http, top=top)

    def sites(self, site, origin=None, http="", top=""):
        return self.node("sites", self.config(site, origin, http, top)).start()

    def get(self, node, path, fields=None, method="GET", body=None):
        return verge.http_request(node.addresses["http"], method, path, body, fields)

    def files(self):
        root = os.path.join(self.directory, "www")
        os.makedirs(os.path.join(root, "sub"), exist_ok=True)
        return root

    def write(self, root, name, data):
        with open(os.path.join(root, name), "wb") as file:
            file.write(data)

    def check(self, text):
        path = os.path.join(self.directory, "checked.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return verge.run("check", path)

    # --- Rules

    def test_the_first_rule_that_matches_counts(self):
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "max-age=60")], body=b"x"))
        node = self.sites("""
ignored_query = ["utm_*", "fbclid"]
[[site.rule]]
prefix = "/api/"
cache = false
[[site.rule]]
glob = "/**.jpg"
override_ttl = "1h"
[[site.rule]]
path = "/exact"
ignored_query = "*"
""", origin)
        for path in ("/api/a", "/%61pi/a", "/x/../api/a"):
            for _ in range(2):
                answer = self.get(node, path)
                self.assertIn("fwd=bypass", answer.fields["cache-status"], path)
        self.get(node, "/deep/pic.jpg")
        self.assertIn("ttl=3", self.get(node, "/deep/pic.jpg").fields["cache-status"], "3600 or one less")
        self.get(node, "/a?utm_source=1&b=2")
        self.assertIn("; hit", self.get(node, "/a?b=2&fbclid=9").fields["cache-status"])
        self.assertEqual(origin.requests[-1][1], "/a?utm_source=1&b=2", "the origin sees all of it")
        self.assertNotIn("; hit", self.get(node, "/a?b=3").fields["cache-status"])
        self.get(node, "/exact?a=1")
        self.assertIn("; hit", self.get(node, "/exact?a=2").fields["cache-status"])
        explained = node.admin("/v1/cache?url=" + urllib.parse.quote(node.http_url + "/deep/pic.jpg")).json()
        self.assertEqual((explained["rule"], explained["rule_for"], explained["override_ttl_s"]),
                         (1, 'glob = "/**.jpg"', 3600))
        explained = verge.run("cache", "explain", "--admin", node.addresses["admin"], node.http_url + "/api/x").stdout
        self.assertIn('its rule 1 (prefix = "/api/")', explained)
        self.assertIn("not stored: the site or its rule says cache = false", explained)

    def test_what_is_wrong_with_rules_is_said(self):
        def problem(site, *wanted):
            done = self.check(self.config('origins = "http://127.0.0.1:1"\n' + site))
            self.assertEqual(done.returncode, 2, done.stderr)
            for each in wanted:
                self.assertIn(each, done.stderr)
            self.assertRegex(done.stderr, r"checked\.toml:\d+:\d+: ")

        problem('[[site.rule]]\nprefx = "/a"', 'unknown key "prefx" in site.0.rule.0', 'did you mean "prefix"')
        problem("[[site.rule]]\ncache = false", "exactly one of path, prefix and glob")
        problem('[[site.rule]]\nprefix = "images/"', 'did you mean "/images/"')
        problem('[[site.rule]]\nprefix = "/a/../b"', 'write "/b"')
        problem('[[site.rule]]\npath = "/a"\nredirect = "/${pth}"', "did you mean ${path}")
        problem('[[site.rule]]\npath = "/a"\nredirect = "/${rest}"', "use ${path}")
        problem('[[site.rule]]\nglob = "/*"\nredirect = "/${2}"', "this rule has 1 of them")
        problem('[[site.rule]]\npath = "/a"\nredirect = "/b"\nredirect_status = 200', "301, 302, 303, 307, 308")
        problem('[[site.rule]]\npath = "/a"\nanswer_headers = { set = { Content-Length = "1" } }', "frames messages")
        problem('[[site.rule]]\npath = "/a"\nrequest_headers = { remov = ["A"] }', 'did you mean "remove"')
        problem('[[site.rule]]\npath = "/a"\nrequest_headers = { set = { A = "a\\nb" } }', "no control characters")
        problem('[[site.rule]]\npath = "/a"\nsigned = true', "signing_keys")
        problem('[[site.rule]]\nprefix = "/a"\nroot = "/no/such/directory"', "is no directory")
        done = self.check('[http]\ningest=false\nuplink=false\nproxy_protocol = true\n')
        self.assertIn("http.trusted_proxies", done.stderr)
        done = self.check('[http]\ntrusted_proxies = "10.0.0.1/8"\n')
        self.assertIn("bits behind the first 8 are set", done.stderr)
        done = self.check('[http]\ningest=false\nuplink=false\n[[site]]\nhosts = "a"\n')
        self.assertIn("a site has origins, a root or a redirect", done.stderr)

    def test_redirects(self):
        node = self.sites("""
[[site.rule]]
prefix = "/old/"
redirect = "/new/${rest}"
redirect_status = 308
[[site.rule]]
glob = "/blog/*/*"
redirect = "https://${host}/posts/${2}?year=${1}"
redirect_query = false
[[site.rule]]
prefix = "/"
scheme = "http"
redirect = "https://${host}${path}"
redirect_status = 301
""", self.origin())

        def to(path, fields=None):
            answer = self.get(node, path, fields)
            return answer.status, answer.fields["location"]

        self.assertEqual(to("/old/a/b?x=1"), (308, "/new/a/b?x=1"))
        self.assertEqual(to("/old//evil.example/"), (308, "/new/evil.example/"))
        self.assertEqual(to("/blog/2026/a%20b?x=1", {"Host": "W.example:81"}),
                         (302, "https://w.example/posts/a%20b?year=2026"))
        self.assertEqual(to("/any?q=1", {"Host": "w.example"}), (301, "https://w.example/any?q=1"))
        self.assertEqual(to("/old/%0d%0aSet-Cookie:a=b")[1], "/new/%0D%0ASet-Cookie:a=b")
        self.assertEqual(node.status()["cache"]["redirected"], 5)

    def test_header_edits(self):
        origin = self.origin()
        node = self.sites("""
request_headers = { remove = ["Cookie"], set = { X-Edge = "verge" } }
answer_headers = { remove = ["Server"], set = { Strict-Transport-Security = "max-age=1" }, add = { X-Origin = "too" } }
""", origin)
        for _ in range(2):  # a miss, then a hit
            answer = self.get(node, "/a", {"Cookie": "secret", "X-Edge": "client"})
            self.assertEqual((answer.body, answer.fields["strict-transport-security"]), (b"hello", "max-age=1"))
            self.assertNotIn("server", answer.fields)
            self.assertEqual(answer.fields["x-origin"], "too", "the last of the two")
        sent = origin.requests[0][2]
        self.assertEqual((sent["X-Edge"], sent.get("Cookie")), ("verge", None))

    # --- Files

    def test_files(self):
        root = self.files()
        self.write(root, "a.txt", b"0123456789")
        self.write(root, "sub/index.html", b"<p>")
        self.write(root, "a.css", b"body{}" * 100)
        self.write(root, "a.css.gz", gzip.compress(b"body{}" * 100))
        self.write(root, ".htpasswd", b"no")
        self.write(self.directory, "outside", b"no")
        os.symlink("../outside", os.path.join(root, "out"))
        large = os.urandom(3 << 20)
        self.write(root, "large.bin", large)
        node = self.sites(f'[[site.rule]]\nprefix = "/static/"\nroot = "{root}"\nprecompressed = true', self.origin())
        answer = self.get(node, "/static/a.txt")
        self.assertEqual((answer.status, answer.body, answer.fields["content-type"], answer.fields["accept-ranges"]),
                         (200, b"0123456789", "text/plain; charset=utf-8", "bytes"))
        tag, modified = answer.fields["etag"], answer.fields["last-modified"]
        head = self.get(node, "/static/a.txt", method="HEAD")
        self.assertEqual((head.status, head.fields["content-length"], head.body), (200, "10", b""))
        self.assertEqual(self.get(node, "/static/a.txt", {"If-None-Match": tag}).status, 304)
        self.assertEqual(self.get(node, "/static/a.txt", {"If-Modified-Since": modified}).status, 304)
        self.assertEqual(self.get(node, "/static/a.txt", {"If-Match": '"x"'}).status, 412)
        self.assertEqual(self.get(node, "/static/a.txt", {"If-Match": tag}).status, 200)
        part = self.get(node, "/static/a.txt", {"Range": "bytes=2-4"})
        self.assertEqual((part.status, part.body, part.fields["content-range"]), (206, b"234", "bytes 2-4/10"))
        self.assertEqual(self.get(node, "/static/a.txt", {"Range": "bytes=2-4", "If-Range": '"x"'}).status, 200)
        self.assertEqual(self.get(node, "/static/a.txt", {"Range": "bytes=20-"}).status, 416)
        self.assertEqual(self.get(node, "/static/a.txt", method="POST", body=b"x").status, 405)
        self.assertEqual(self.get(node, "/static/sub/").body, b"<p>")
        answer = self.get(node, "/static/sub?x=1")
        self.assertEqual((answer.status, answer.fields["location"]), (301, "/static/sub/?x=1"))
        for path in ("/static/none", "/static/.htpasswd", "/static/out", "/static/", "/static/a.txt/",
                     "/static/a.txt%00.html", "/static/sub/..%2f..%2f..%2fstatic/%2e%2e%2f/static/out"):
            self.assertEqual(self.get(node, path).status, 404, path)
        # Not below the prefix: the origin's.
        self.assertEqual(self.get(node, "/static/%2e%2e/outside").body, b"hello")
        css = self.get(node, "/static/a.css", {"Accept-Encoding": "gzip, br;q=0"})
        self.assertEqual((css.fields["content-encoding"], css.fields["vary"]), ("gzip", "Accept-Encoding"))
        self.assertEqual(gzip.decompress(css.body), b"body{}" * 100)
        self.assertNotIn("content-encoding", self.get(node, "/static/a.css", {"Accept-Encoding": "gzip;q=0"}).fields)
        self.assertEqual(self.get(node, "/static/large.bin").body, large)
        self.assertEqual(self.get(node, "/static/large.bin", {"Range": "bytes=100-2000099"}).body, large[100:2000100])
        self.assertIn("detail=file", self.get(node, "/static/a.txt").fields["cache-status"])
        # Several parts, of a small file in the order of the request, of a large one as they lie there.
        for name, content, ranges, expected in (
                ("a.css", b"body{}" * 100, "500-509,0-3", [(500, 509), (0, 3)]),
                ("large.bin", large, "2000000-2999999,5-9,-7", [(5, 9), (2000000, 2999999), (len(large) - 7, len(large) - 1)])):
            answer = self.get(node, "/static/" + name, {"Range": "bytes=" + ranges})
            self.assertEqual(answer.status, 206)
            boundary = b"\r\n--" + answer.fields["content-type"].split("boundary=")[1].encode()
            pieces = [piece.split(b"\r\n\r\n", 1) for piece in answer.body.split(boundary)[1:-1]]
            self.assertEqual([body for _, body in pieces], [content[first:last + 1] for first, last in expected])
            for (head, _), (first, last) in zip(pieces, expected):
                self.assertIn(f"Content-Range: bytes {first}-{last}/{len(content)}".encode(), head)

    def test_a_large_file_to_a_client_that_stops_takes_little_memory(self):
        root = self.files()
        with open(os.path.join(root, "huge"), "wb") as file:
            file.truncate(400 << 20)
        node = self.sites(f'root = "{root}"')
        address = (node.host, int(node.addresses["http"].rpartition(":")[2]))
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                client = stack.enter_context(socket.create_connection(address, verge.PATIENCE))
                client.sendall(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertTrue(client.recv(1000).startswith(b"HTTP/1.1 200"))
            # Another client is served meanwhile.
            self.assertEqual(self.get(node, "/none").status, 404)
            with open(f"/proc/{node.pid}/status", encoding="ascii") as file:
                resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
            # A window of 1 MiB each, what their sockets have not taken, and twice as much for a sanitizer's own.
            self.assertLess(resident, 400 << 10)

    # --- Limits

    def test_limits_a_client(self):
        node = self.sites("""
[[site.rule]]
prefix = "/few"
requests_a_second = 1
requests_burst = 3
""", self.origin(), http='trusted_proxies = ["127.0.0.0/8"]')
        client = {"X-Forwarded-For": "192.0.2.1"}
        statuses = [self.get(node, "/few", client).status for _ in range(5)]
        self.assertEqual(statuses[:3], [200] * 3)
        self.assertIn(429, statuses[3:])
        answer = next(answer for answer in (self.get(node, "/few", client) for _ in range(20)) if answer.status == 429)
        self.assertGreaterEqual(int(answer.fields["retry-after"]), 1)
        self.assertEqual(answer.fields["ratelimit-policy"], '"client";q=3;w=3')
        self.assertTrue(answer.fields["ratelimit"].startswith('"client";r=0;t='))
        self.assertEqual(self.get(node, "/few", {"X-Forwarded-For": "192.0.2.2"}).status, 200, "another client")
        self.assertEqual(self.get(node, "/other", client).status, 200, "another path")
        v6 = [self.get(node, "/few", {"X-Forwarded-For": f"2001:db8::{i}"}).status for i in range(1, 10)]
        self.assertIn(429, v6, "one network of 64 bits")
        self.assertGreater(node.status()["cache"]["limited"], 1)
        self.assertIn("verge_cache_limited_total", node.admin("/metrics").body.decode())

    def test_limits_what_is_under_way(self):
        goes_on, begun = threading.Event(), threading.Event()

        def slow(request):
            begun.set()
            goes_on.wait(verge.PATIENCE)
            request.give(fields=[("Cache-Control", "no-store")], body=b"x")

        node = self.sites("requests_at_once = 1", self.origin(slow))
        first = threading.Thread(target=self.get, args=(node, "/slow"))
        first.start()
        self.assertTrue(begun.wait(verge.PATIENCE))
        self.assertEqual(self.get(node, "/other").status, 429)
        goes_on.set()
        first.join()
        verge.wait_until(lambda: self.get(node, "/other").status == 200, "the first has ended")

    # --- Who asks

    def exchange(self, node, data):
        address = (node.host, int(node.addresses["http"].rpartition(":")[2]))
        with socket.create_connection(address, verge.PATIENCE) as client:
            client.sendall(data)
            text = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := client.recv(65536):
                    text += piece
            return text

    def test_proxy_protocol(self):
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "no-store")]))
        node = self.sites("", origin, http='trusted_proxies = "127.0.0.0/8"\nproxy_protocol = true')
        request = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" + socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + b"\1\1\0\x50"
        local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
        for header, client in ((b"PROXY TCP4 192.0.2.9 10.0.0.1 4711 80\r\n", "192.0.2.9"), (v2, "2001:db8::7"),
                               (local, "127.0.0.1")):
            self.assertIn(b"200", self.exchange(node, header + request)[:20])
            self.assertEqual(origin.requests[-1][2]["X-Forwarded-For"], client)
        self.assertEqual(self.exchange(node, request), b"", "a trusted proxy that says nothing")
        self.assertEqual(self.exchange(node, b"PROXY TCP4 1.2.3.4\r\n" + request), b"")

    def test_proxy_protocol_before_tls(self):
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "no-store")]))
        authority = certificates.Authority(self.directory)
        node = self.node("sites", self.config("", origin, http='trusted_proxies = "127.0.0.0/8"\nproxy_protocol = true'))
        shown = authority.issue(f"IP:{node.host}")
        node.sets += [f"http.tls_listen={node.host}:0", f"tls.certificate={shown.pem}", f"tls.key={shown.key}"]
        node.start()
        context = ssl.create_default_context(cafile=authority.pem)
        address = (node.host, int(node.addresses["http_tls"].rpartition(":")[2]))
        header = b"PROXY TCP4 192.0.2.9 10.0.0.1 4711 443\r\n"
        with socket.create_connection(address, verge.PATIENCE) as plain:
            plain.sendall(header)
            with context.wrap_socket(plain, server_hostname=node.host) as client:
                client.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                self.assertIn(b" 200 ", client.recv(100)[:20])
        self.assertEqual(origin.requests[-1][2]["X-Forwarded-For"], "192.0.2.9")
        self.assertEqual(origin.requests[-1][2]["X-Forwarded-Proto"], "https")
        with socket.create_connection(address, verge.PATIENCE) as plain, self.assertRaises(OSError):
            context.wrap_socket(plain, server_hostname=node.host)

    def test_a_proxy_header_from_a_stranger_is_no_request(self):
        node = self.sites("", self.origin(), http='trusted_proxies = "10.0.0.0/8"\nproxy_protocol = true')
        request = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        self.assertIn(b" 400 ", self.exchange(node, b"PROXY TCP4 192.0.2.9 10.0.0.1 1 2\r\n" + request)[:20])
        self.assertIn(b" 200 ", self.exchange(node, request)[:20])

    def test_forwarded_fields_are_believed_from_trusted_proxies_only(self):
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "no-store")]))
        node = self.sites('[[site.rule]]\nprefix = "/"\nscheme = "http"\nredirect = "https://${host}${path}"', origin,
                          http='trusted_proxies = "127.0.0.0/8"')
        answer = self.get(node, "/a", {"X-Forwarded-For": "6.6.6.6, 192.0.2.5, 127.0.0.9", "X-Forwarded-Proto": "https"})
        self.assertEqual(answer.status, 200)
        self.assertEqual(origin.requests[-1][2]["X-Forwarded-For"], "192.0.2.5")
        self.assertEqual(origin.requests[-1][2]["X-Forwarded-Proto"], "https")
        self.assertEqual(self.get(node, "/a").status, 302)
        other = self.node("strangers", self.config("", origin)).start()
        self.get(other, "/a", {"X-Forwarded-For": "6.6.6.6"})
        self.assertNotEqual(origin.requests[-1][2]["X-Forwarded-For"], "6.6.6.6")

    # --- The access log

    def lines(self, path):
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()

    def test_the_access_log(self):
        log = os.path.join(self.directory, "access.log")
        node = self.sites("", self.origin(), top=f'[access_log]\nfile = "{log}"')
        self.get(node, "/a?b=c", {"User-Agent": 'x"\n '.strip() + "\\"})
        self.get(node, "/a?b=c")
        verge.wait_until(lambda: len(self.lines(log)) == 2, "two lines")
        miss, hit = map(json.loads, self.lines(log))
        self.assertEqual((miss["method"], miss["path"], miss["status"], miss["bytes"], miss["client"]),
                         ("GET", "/a?b=c", 200, 5, "127.0.0.1"))
        self.assertIn("uri-miss", miss["cache"])
        self.assertGreater(miss["upstream_ms"], 0)
        self.assertIn("hit", hit["cache"])
        self.assertIsNone(hit["upstream_ms"])
        os.rename(log, log + ".1")
        node.process.send_signal(signal.SIGUSR1)
        verge.wait_until(lambda: os.path.exists(log), "the file is opened again")
        self.get(node, "/c")
        verge.wait_until(lambda: self.lines(log), "a line")
        self.assertEqual(json.loads(self.lines(log)[0])["path"], "/c")
        self.assertEqual(len(self.lines(log + ".1")), 2)
        self.assertIn("verge_access_log_dropped_total 0", node.admin("/metrics").body.decode())

    def test_the_access_log_has_what_was_refused(self):
        log = os.path.join(self.directory, "access.log")
        node = self.sites("", self.origin(), top=f'[access_log]\nfile = "{log}"')
        host, _, port = node.addresses["http"].rpartition(":")
        for sent, status, method, path in (
                (b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n", 400, "", ""),
                (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000, 431, "", ""),
                (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, "CONNECT", "a:443"),
                (b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413, "POST", "/up")):
            with self.subTest(status=status):
                before = len(self.lines(log))
                with socket.create_connection((host, int(port)), verge.PATIENCE) as client:
                    client.sendall(sent)
                    self.assertIn(b" %d " % status, client.recv(4096).splitlines()[0])
                verge.wait_until(lambda: len(self.lines(log)) == before + 1, "one line")
                line = json.loads(self.lines(log)[-1])
                self.assertEqual((line["status"], line["method"], line["path"], line["client"]),
                                 (status, method, path, "127.0.0.1"))

    # --- Signatures

    def sign(self, key, text):
        return base64.urlsafe_b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode().rstrip("=")

    def test_signed_urls_and_cookies(self):
        key = os.urandom(32)
        path = os.path.join(self.directory, "sign.key")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(f"hmac-sha256:{key.hex()}\n")
        origin = self.origin()
        node = self.sites(f"""
signing_keys = [{{ id = "k1", file = "{path}" }}]
[[site.rule]]
prefix = "/paid/"
signed = true
""", origin)
        self.assertEqual(self.get(node, "/free").status, 200)
        for path_ in ("/paid/a", "/%70aid/a", "//paid/a", "/x/../paid/a"):
            self.assertEqual(self.get(node, path_).status, 403, path_)
        expires = int(time.time()) + 1000
        host = node.host
        made = self.sign(key, f"verge-signed-1\nk1\n{expires}\npath\n{host}\n/paid/a\nq=1")
        url = f"/paid/a?q=1&verge-expires={expires}&verge-key=k1&verge-signature={made}"
        self.assertEqual(self.get(node, url).status, 200)
        self.assertEqual(origin.requests[-1][1], "/paid/a?q=1", "the signature is not passed on")
        self.assertEqual(self.get(node, url.replace("q=1", "q=2")).status, 403)
        self.assertEqual(self.get(node, url.replace("/a?", "/b?")).status, 403)
        later = self.sign(key, f"verge-signed-1\nk1\n{expires + 5}\npath\n{host}\n/paid/a\nq=1")
        other = f"/paid/a?q=1&verge-expires={expires + 5}&verge-key=k1&verge-signature={later}"
        self.assertIn("; hit", self.get(node, other).fields["cache-status"], "nor is it part of the key")
        for sent in ("/paid/a%20b", "/paid//a", "/paid/%c3%a9?x=%20"):
            where, _, query = sent.partition("?")
            made = self.sign(key, f"verge-signed-1\nk1\n{expires}\npath\n{host}\n{where}\n{query}")
            end = f"{'&' if query else '?'}verge-expires={expires}&verge-key=k1&verge-signature={made}"
            self.assertEqual(self.get(node, sent + end).status, 200, f"{sent} is signed as it is sent")
            self.assertEqual(origin.requests[-1][1], sent)
        old = self.sign(key, f"verge-signed-1\nk1\n9\npath\n{host}\n/paid/a\nq=1")
        answer = self.get(node, f"/paid/a?q=1&verge-expires=9&verge-key=k1&verge-signature={old}")
        self.assertEqual((answer.status, b"expired" in answer.body), (403, True))
        of_prefix = self.sign(key, f"verge-signed-1\nk1\n{expires}\nprefix\n{host}\n/paid/\n")
        cookie = f"verge-signed=verge-expires={expires}&verge-key=k1&verge-prefix=%2Fpaid%2F&verge-signature={of_prefix}"
        self.assertEqual(self.get(node, "/paid/c", {"Cookie": f"a=b; {cookie}"}).status, 200)
        self.assertEqual(origin.requests[-1][2]["Cookie"], "a=b")
        self.assertEqual(self.get(node, "/paid/../paid2", {"Cookie": cookie}).status, 200, "no rule is for it")
        inner = self.sign(key, f"verge-signed-1\nk1\n{expires}\nprefix\n{host}\n/paid/in/\n")
        inner = f"verge-signed=verge-expires={expires}&verge-key=k1&verge-prefix=%2Fpaid%2Fin%2F&verge-signature={inner}"
        self.assertEqual(self.get(node, "/paid/in/a%2fb", {"Cookie": inner}).status, 200)
        self.assertEqual(self.get(node, "/paid/out/%252e%252e/in/a", {"Cookie": inner}).status, 403,
                         "percent-encoding is undone once")

    def test_the_command_signs(self):
        key = os.path.join(self.directory, "ed.key")
        done = verge.run("cache", "sign-key", "--algorithm", "ed25519", "--out", key)
        self.assertEqual(done.returncode, 0, done.stderr)
        node = self.sites(f'signing_keys = [{{ id = "e", file = "{key}.pub" }}]\nsigned = true', self.origin())
        url = node.http_url + "/a?x=1"
        done = verge.run("cache", "sign", url, "--key-file", key, "--key-id", "e", "--expires-in", "1h", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        signed = json.loads(done.stdout)["url"]
        self.assertEqual(self.get(node, signed[len(node.http_url):]).status, 200)
        done = verge.run("cache", "sign", node.http_url + "/v/", "--prefix", "--key-file", key, "--key-id", "e",
                         "--expires-in", "1h", "--json")
        cookie = json.loads(done.stdout)["cookie"]
        self.assertEqual(self.get(node, "/v/1?y", {"Cookie": cookie}).status, 200)
        self.assertEqual(self.get(node, "/w/1", {"Cookie": cookie}).status, 403)
        done = verge.run("cache", "sign", url, "--key-file", key + ".pub", "--key-id", "e", "--expires-in", "1h")
        self.assertEqual(done.returncode, 1)
        self.assertIn("crypto.cannot-sign", done.stderr)

    # --- Reloads

    def reload(self, node, text, wanted):
        count = node.log().count(wanted)
        node.write_config(text)
        node.process.send_signal(signal.SIGHUP)
        verge.wait_until(lambda: node.log().count(wanted) > count, lambda: f"{wanted}:\n{node.log()}")

    def test_sites_are_taken_over_on_sighup(self):
        goes_on, begun = threading.Event(), threading.Event()

        def answer(request):
            if request.path == "/slow":
                begun.set()
                goes_on.wait(verge.PATIENCE)
            stored(request)

        origin, other = self.origin(answer), self.origin(lambda request: request.give(body=b"other"))
        node = self.sites("", origin)
        self.get(node, "/kept")
        address = (node.host, int(node.addresses["http"].rpartition(":")[2]))
        slow = []
        waiting = threading.Thread(target=lambda: slow.append(self.get(node, "/slow")))
        waiting.start()
        self.assertTrue(begun.wait(verge.PATIENCE))
        with socket.create_connection(address, verge.PATIENCE) as client:
            def ask(path):
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                text = b""
                while b"\r\n\r\n" not in text:
                    text += client.recv(65536)
                head, _, body = text.partition(b"\r\n\r\n")
                length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
                while len(body) < length:
                    body += client.recv(65536)
                return head.split(b" ")[1], body

            self.assertEqual(ask("/kept"), (b"200", b"hello"))
            self.reload(node, self.config('[[site.rule]]\npath = "/gone"\nredirect = "/new"\n', other), "reloaded: 0 rules")
            self.assertEqual(ask("/gone")[0], b"302")
            self.assertEqual(ask("/fresh"), (b"200", b"other"))
            text = self.get(node, "/kept", {"Host": node.addresses["http"]})
            self.assertEqual(text.body, b"hello", "what is stored stays")
            # A bad file changes nothing.
            self.reload(node, self.config('[[site.rule]]\npth = "/gone"\n', other), "not reloaded")
            self.assertEqual(node.log().count("not reloaded"), 1)
            self.assertEqual(ask("/gone")[0], b"302")
            # Without a site, the host is nobody's.
            self.reload(node, "[http]\ningest = false\nuplink = false\n", "reloaded: 0 rules")
            self.assertEqual(ask("/kept")[0], b"404")
        goes_on.set()
        waiting.join()
        self.assertEqual(slow[0].body, b"hello", "what was under way ended as it began")
        self.reload(node, self.config("", origin), "reloaded: 0 rules")
        self.assertIn("; hit", self.get(node, "/kept").fields["cache-status"])


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
