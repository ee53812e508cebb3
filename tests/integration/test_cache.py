"""Sites: requests answered from the cache, or through it from origins that answer, stall, break and go away."""

import contextlib
import email
import email.policy
import hashlib
import http.client
import json
import os
import queue
import resource
import selectors
import socket
import sys
import threading
import urllib.parse

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
{more}
"""


class Cache(verge.TestCase):
    def origin(self, answer):
        made = Origin(answer)
        self.addCleanup(made.end)
        return made

    def cache(self, origin, more="", sets=()):
        return self.node("cache", SITE.format(origin=origin.url, more=more), sets=sets).start()

    def get(self, node, path, fields=None, method="GET", body=None):
        return verge.http_request(node.addresses["http"], method, path, body, fields)

    def test_a_miss_then_hits(self):
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "max-age=60")], body=b"hello"))
        node = self.cache(origin)
        first = self.get(node, "/a?x=1")
        self.assertEqual((first.status, first.body), (200, b"hello"))
        self.assertIn("fwd=uri-miss", first.fields["cache-status"])
        self.assertIn("stored", first.fields["cache-status"])
        second = self.get(node, "/a?x=1")
        self.assertEqual((second.status, second.body), (200, b"hello"))
        self.assertIn("; hit", second.fields["cache-status"])
        self.assertIn("age", second.fields)
        head = self.get(node, "/a?x=1", method="HEAD")
        self.assertEqual((head.status, head.fields["content-length"], head.body), (200, "5", b""))
        self.assertEqual(len(origin.requests), 1)
        self.assertEqual(self.get(node, "/a?x=2").body, b"hello")
        self.assertEqual(len(origin.requests), 2)
        sent = origin.requests[0][2]
        self.assertEqual(sent["Host"], node.addresses["http"], "the origin sees the client's host")
        self.assertEqual(sent["X-Forwarded-For"], "127.0.0.1")
        self.assertIn("verge", sent["Via"])
        self.assertGreater(node.status()["cache"]["hit_ratio"], 0.4)
        self.assertIn("verge_cache_hit_ratio", node.admin("/metrics").body.decode())

    def test_many_clients_of_one_cold_url_make_one_request(self):
        may_go_on, begun = threading.Event(), threading.Event()

        def answer(request):
            request.send_response(200)
            request.send_header("Cache-Control", "max-age=60")
            request.send_header("Content-Length", "10")
            request.end_headers()
            request.wfile.write(b"first")
            begun.set()
            may_go_on.wait(verge.PATIENCE)
            request.wfile.write(b"-last")

        count = 1000
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        origin = self.origin(answer)
        node = self.cache(origin)
        address = (node.host, int(node.addresses["http"].rpartition(":")[2]))
        texts = {}
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as ready:
            for _ in range(count):
                client = stack.enter_context(socket.create_connection(address, verge.PATIENCE))
                client.sendall(b"GET /cold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                ready.register(client, selectors.EVENT_READ)
                texts[client] = b""

            def read_until(all_have):
                while not all(all_have(text) for text in texts.values()):
                    events = ready.select(verge.PATIENCE)
                    self.assertTrue(events, "nothing comes any more")
                    for key, _ in events:
                        piece = key.fileobj.recv(65536)
                        texts[key.fileobj] += piece
                        if not piece:
                            ready.unregister(key.fileobj)

            read_until(lambda text: b"first" in text)
            self.assertTrue(begun.is_set() and not may_go_on.is_set(), "each had its first bytes before the last came")
            may_go_on.set()
            read_until(lambda text: text.endswith(b"first-last"))
        self.assertEqual(len(origin.requests), 1)

    def ask_together(self, answer, path, first, others, count=20):
        """One request, and while the origin is at it `count` others; what the others get, and what the origin was asked."""
        begun, may_go_on = threading.Event(), threading.Event()

        def slow(request):
            begun.set()
            may_go_on.wait(verge.PATIENCE)
            answer(request)

        origin = self.origin(slow)
        node = self.cache(origin)
        answers = queue.Queue()
        threads = [threading.Thread(target=lambda: answers.put(self.get(node, path, others))) for _ in range(count)]
        first = threading.Thread(target=self.get, args=(node, path, first))
        first.start()
        self.assertTrue(begun.wait(verge.PATIENCE))
        for thread in threads:
            thread.start()
        verge.wait_until(lambda: node.status()["cache"]["requests"] == count + 1, "all have asked")
        may_go_on.set()
        for thread in [first, *threads]:
            thread.join()
        return [answers.get() for _ in threads], origin.requests

    def test_many_clients_of_one_cold_part_make_one_request(self):
        def answer(request):
            fields = [("Cache-Control", "max-age=60"), ("ETag", '"a"'), ("Content-Range", "bytes 2-5/10")]
            request.give(206, fields, b"2345")

        part = {"Range": "bytes=2-5"}
        answers, requests = self.ask_together(answer, "/part", part, part)
        self.assertEqual(len(requests), 1)
        for got in answers:
            self.assertEqual((got.status, got.body, got.fields["content-range"]), (206, b"2345", "bytes 2-5/10"))

    def test_one_with_credentials_does_not_send_the_others_to_the_origin(self):
        def answer(request):
            request.give(fields=[("Cache-Control", "max-age=60")], body=(request.headers["Authorization"] or "all").encode())

        answers, requests = self.ask_together(answer, "/a", {"Authorization": "me"}, {})
        self.assertEqual({got.body for got in answers}, {b"all"})
        self.assertEqual(len(requests), 2)

    def test_one_with_credentials_does_not_take_out_what_is_stored(self):
        def answer(request):
            fields = [("Cache-Control", "max-age=1000"), ("Age", "999"), ("ETag", '"a"')]
            if request.headers["If-None-Match"] == '"a"':
                return request.give(304, fields)
            request.give(fields=fields, body=b"body")

        origin = self.origin(answer)
        node = self.cache(origin)
        self.get(node, "/a")
        fresh_for = lambda: json.loads(node.admin("/v1/cache?url=" + urllib.parse.quote("http://site.example/a")).body)
        self.get(node, "/a", {"Host": "site.example"})
        verge.wait_until(lambda: fresh_for()["in_memory"][0]["left_s"] <= 0, "it is stale")
        self.assertEqual(self.get(node, "/a", {"Host": "site.example", "Authorization": "me"}).body, b"body")
        self.assertEqual(len(fresh_for()["in_memory"]), 1, "others are still to be given it")

    def test_what_may_not_be_stored_is_shared_with_nobody(self):
        def answer(request):
            request.give(fields=[("Cache-Control", "private, max-age=60")], body=request.headers["Cookie"].encode())

        origin = self.origin(answer)
        node = self.cache(origin)
        answers = queue.Queue()
        threads = [threading.Thread(target=lambda n=n: answers.put((n, self.get(node, "/p", {"Cookie": f"user={n}"}).body)))
                   for n in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(30):
            number, body = answers.get()
            self.assertEqual(body, f"user={number}".encode())

    def test_purges(self):
        def answer(request):
            request.give(fields=[("Cache-Control", "max-age=600, stale-while-revalidate=600"), ("Cache-Tag", f"all, {request.path[1:2]}")],
                         body=str(len(origin.requests)).encode())

        origin = self.origin(answer)
        node = self.cache(origin)

        def warm():
            for path in ("/a/1", "/a/2", "/b/1"):
                self.get(node, path, {"Host": "site.example"})

        def purge(body):
            answer = verge.http_request(node.addresses["admin"], "POST", "/v1/purge", body)
            self.assertEqual(answer.status, 200, answer)

        def is_hit(path):
            return "; hit" in self.get(node, path, {"Host": "site.example"}).fields["cache-status"]

        for body, gone in (('{"tags":["a"]}', ["/a/1", "/a/2"]), ('{"tags":["all"]}', ["/a/1", "/a/2", "/b/1"]),
                           ('{"urls":["http://site.example/a/1"]}', ["/a/1"]),
                           ('{"prefixes":["http://site.example/a/"]}', ["/a/1", "/a/2"]),
                           ('{"hosts":["site.example"]}', ["/a/1", "/a/2", "/b/1"]), ('{"all":true}', ["/a/1", "/b/1"])):
            with self.subTest(purge=body):
                warm()
                self.assertTrue(is_hit("/a/1") and is_hit("/b/1"))
                purge(body)
                for path in gone:
                    self.assertFalse(is_hit(path), path)
                for path in {"/a/1", "/a/2", "/b/1"} - set(gone):
                    if "all" not in body:
                        self.assertTrue(is_hit(path), path)
        warm()
        before = len(origin.requests)
        purge('{"tags":["b"],"soft":true}')
        self.assertTrue(is_hit("/b/1"), "stale, while it is validated")
        verge.wait_until(lambda: len(origin.requests) == before + 1, "it is fetched behind")
        for wrong in ('{"urls":["/b/1"]}', '{"prefixes":["site.example/b"]}', '{"tags":[""]}', '{"tags":"b"}', "{}"):
            refused = verge.http_request(node.addresses["admin"], "POST", "/v1/purge", wrong)
            self.assertEqual((refused.status, refused.json()["error"]["code"]), (400, "cache.purge"), wrong)
        page = verge.http_request(node.addresses["admin"], "POST", "/v1/purge", '{"all":true}', {"Origin": "http://evil.example"})
        self.assertEqual((page.status, is_hit("/b/1")), (403, True), "no web page purges")
        refused = verge.http_request(node.addresses["admin"], "POST", "/v1/purge", '{"tag":["x"]}')
        self.assertEqual((refused.status, refused.json()["error"]["code"]), (400, "cache.purge"))

    def test_a_purge_on_publish(self):
        def answer(request):
            request.give(fields=[("Cache-Control", "max-age=600"), ("Cache-Tag", f"sku-{request.path[1:]}")],
                         body=str(len(origin.requests)).encode())

        rules = """
[[rule]]
name = "changed"
sql = "SELECT sku FROM 'shop/changes'"
do = [{ purge = "sku-${sku}" }]
[[rule]]
name = "moved"
sql = "SELECT path FROM 'shop/moves'"
do = [{ purge = "http://site.example${path}", by = "url" }]
"""
        origin = self.origin(answer)
        node = self.cache(origin, rules, sets=["runtime.loops=2", "cache.disk_bytes_max=64MiB"])
        client = self.mqtt(node, "shop")

        def is_hit(path):
            return "; hit" in self.get(node, path, {"Host": "site.example"}).fields["cache-status"]

        for topic, message in (("shop/changes", {"sku": 17}), ("shop/moves", {"path": "/17"})):
            with self.subTest(topic=topic):
                self.get(node, "/17", {"Host": "site.example"})
                self.get(node, "/18", {"Host": "site.example"})
                self.assertTrue(is_hit("/17") and is_hit("/18"))
                client.publish_and_wait(topic, message)
                self.assertFalse(is_hit("/17"), "in effect once the publish is acknowledged")
                self.assertTrue(is_hit("/18"))
        client.publish_and_wait("shop/changes", {"sku": None})
        self.assertEqual(node.status()["events"]["purges"], 2)
        self.assertIn("verge_cache_purges_total 2\n", node.admin("/metrics").body.decode())
        # It stays so over a restart.
        self.assertTrue(is_hit("/17"))
        client.publish_and_wait("shop/changes", {"sku": 17})
        client.close()
        node.kill9()
        node.start()
        self.assertFalse(is_hit("/17"))
        self.assertTrue(is_hit("/18"))

    def test_who_waits_for_a_fetch_that_was_purged_meanwhile_gets_what_is_new(self):
        begun, may_go_on, versions = threading.Semaphore(0), threading.Event(), iter(range(100))

        def answer(request):
            version = next(versions)
            begun.release()
            if version == 0:
                may_go_on.wait(verge.PATIENCE)
            request.give(fields=[("Cache-Control", "max-age=600"), ("Cache-Tag", "t")], body=b"v%d" % version)

        origin = self.origin(answer)
        node = self.cache(origin, sets=["runtime.loops=2"])
        bodies = queue.Queue()

        def ask():
            bodies.put(self.get(node, "/p").body)

        first = threading.Thread(target=ask)
        first.start()
        self.assertTrue(begun.acquire(timeout=verge.PATIENCE))
        self.assertEqual(verge.http_request(node.addresses["admin"], "POST", "/v1/purge", '{"tags":["t"]}').status, 200)
        later = [threading.Thread(target=ask) for _ in range(50)]
        for thread in later:
            thread.start()
        verge.wait_until(lambda: node.status()["cache"]["requests"] == 51, "all have asked")
        may_go_on.set()
        for thread in [first, *later]:
            thread.join()
        got = sorted(bodies.get() for _ in range(51))
        self.assertEqual(got, [b"v0"] + [b"v1"] * 50, "who asked before has the old, all others the new")
        self.assertEqual(len(origin.requests), 2)

    def test_an_origin_that_fails_is_asked_once_for_all_that_wait(self):
        begun, may_go_on = threading.Semaphore(0), threading.Event()

        def answer(request):
            begun.release()
            may_go_on.wait(verge.PATIENCE)
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True

        origin = self.origin(answer)
        node = self.cache(origin)
        statuses = queue.Queue()
        threads = [threading.Thread(target=lambda: statuses.put(self.get(node, "/p").status)) for _ in range(30)]
        for thread in threads:
            thread.start()
        self.assertTrue(begun.acquire(timeout=verge.PATIENCE))
        verge.wait_until(lambda: node.status()["cache"]["requests"] == 30, "all have asked")
        may_go_on.set()
        for thread in threads:
            thread.join()
        self.assertEqual({statuses.get() for _ in threads}, {502})
        self.assertEqual(len(origin.requests), 1)

    def test_stored_parts_are_completed(self):
        content = bytes(range(256)) * 40
        version = ['"v1"']

        def answer(request):
            fields = [("Cache-Control", "max-age=600"), ("ETag", version[0]), ("Content-Type", "x/y")]
            asked = request.headers["Range"]
            if not asked or request.headers.get("If-Range", version[0]) != version[0]:
                return request.give(fields=fields, body=content)
            first, last = asked.removeprefix("bytes=").split("-")
            last = int(last or len(content) - 1)
            part = content[int(first):last + 1]
            request.give(206, [*fields, ("Content-Range", f"bytes {first}-{last}/{len(content)}")], part)

        origin = self.origin(answer)
        node = self.cache(origin)

        def part(path, first, last):
            answer = self.get(node, path, {"Range": f"bytes={first}-{last}"})
            self.assertEqual((answer.status, answer.body), (206, content[first:last + 1]))
            self.assertEqual(answer.fields["content-range"], f"bytes {first}-{last}/{len(content)}")
            return answer.fields["cache-status"]

        part("/a", 0, 999)
        self.assertIn("fwd=partial; fwd-status=206; stored", part("/a", 500, 1999), "what follows is put to it")
        self.assertEqual(origin.requests[-1][2]["Range"], "bytes=1000-1999")
        self.assertEqual(origin.requests[-1][2]["If-Range"], '"v1"')
        self.assertIn("; hit", part("/a", 10, 1900))
        part("/a", 8000, 10239)
        self.assertIn("; hit", part("/a", 10, 1900), "parts that do not touch are kept beside each other")
        whole = self.get(node, "/a")
        self.assertEqual((whole.status, whole.body, whole.fields["content-length"]), (200, content, str(len(content))))
        self.assertIn("fwd=partial", whole.fields["cache-status"])
        self.assertNotIn("content-range", whole.fields)
        self.assertEqual(origin.requests[-1][2]["Range"], "bytes=2000-7999")
        before = len(origin.requests)
        self.assertEqual(self.get(node, "/a").body, content)
        self.assertIn("; hit", part("/a", 3, 9000))
        self.assertEqual(len(origin.requests), before, "it is whole now")
        self.assertEqual(json.loads(verge.run("cache", "stat", "--json", "--admin", node.addresses["admin"]).stdout)
                         ["answers"], 1, "the parts are part of it")

        part("/b", 0, 99)
        version[0] = '"v2"'
        changed = self.get(node, "/b")
        self.assertEqual((changed.status, changed.body, changed.fields["etag"]), (200, content, '"v2"'))
        self.assertIn("; hit", self.get(node, "/b").fields["cache-status"])

    def test_an_origin_that_sends_another_part_is_asked_once_more(self):
        content = b"0123456789" * 10

        def answer(request):
            fields = [("Cache-Control", "max-age=600"), ("ETag", '"v1"')]
            asked = request.headers["Range"]
            if asked == "bytes=0-9":
                return request.give(206, [*fields, ("Content-Range", "bytes 0-9/100")], content[:10])
            if asked:  # not what was asked for, of something else
                return request.give(206, [("ETag", '"v1"'), ("Content-Range", "bytes 20-29/100")], b"x" * 10)
            request.give(fields=fields, body=content)

        origin = self.origin(answer)
        node = self.cache(origin)
        self.get(node, "/a", {"Range": "bytes=0-9"})
        self.assertEqual(self.get(node, "/a").body, content)
        self.assertEqual([request[2].get("Range") for request in origin.requests], ["bytes=0-9", "bytes=10-", None])

    def test_several_ranges(self):
        content = os.urandom(300_000)
        origin = self.origin(lambda request: request.give(
            fields=[("Cache-Control", "max-age=600"), ("Content-Type", "image/x")], body=content))
        node = self.cache(origin)
        self.get(node, "/a")

        def parts(ranges):
            answer = self.get(node, "/a", {"Range": f"bytes={ranges}"})
            self.assertEqual(answer.status, 206)
            kind = answer.fields["content-type"]
            if not kind.startswith("multipart"):
                return [(answer.fields["content-range"], answer.body)]
            message = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + answer.body,
                                               policy=email.policy.HTTP)
            for part in message.iter_parts():
                self.assertEqual(part["content-type"], "image/x")
            boundary = b"--" + kind.split("boundary=")[1].encode()
            pieces = answer.body.split(b"\r\n" + boundary)[1:-1]
            heads, bodies = zip(*(piece.split(b"\r\n\r\n", 1) for piece in pieces))
            ranges = [head.decode().split("Content-Range: ")[1].splitlines()[0] for head in heads]
            return list(zip(ranges, bodies))

        self.assertEqual(parts("200000-200009, 5-9, -3"),
                         [("bytes 200000-200009/300000", content[200000:200010]),
                          ("bytes 5-9/300000", content[5:10]), ("bytes 299997-299999/300000", content[-3:])])
        self.assertEqual(parts("5-9, 12-13"), [("bytes 5-13/300000", content[5:14])], "too near to be worth two")
        self.assertEqual(parts(",".join(["0-"] * 16)), [("bytes 0-299999/300000", content)], "no byte twice")
        self.assertEqual(self.get(node, "/a", {"Range": "bytes=" + ",".join(f"{n}000-{n}001" for n in range(17))}).status,
                         200, "too many")
        self.assertEqual(len(origin.requests), 1)

    def test_head_updates_what_is_stored(self):
        head = []

        def answer(request):
            if request.command == "HEAD":
                return request.give(fields=head, body=b"hello")
            request.give(fields=[("Cache-Control", "max-age=1"), ("Age", "1"), ("ETag", '"v1"'), ("A", "old"),
                                 ("B", "kept")], body=b"hello")

        origin = self.origin(answer)
        node = self.cache(origin, 'stale_if_error = "1h"')
        self.get(node, "/a")
        head[:] = [("Cache-Control", "max-age=600"), ("ETag", '"v1"'), ("A", "new")]
        answered = self.get(node, "/a", method="HEAD")
        self.assertEqual((answered.fields["a"], answered.fields["b"]), ("new", "kept"))
        hit = self.get(node, "/a")
        self.assertIn("; hit", hit.fields["cache-status"])
        self.assertEqual((hit.body, hit.fields["a"], hit.fields["b"]), (b"hello", "new", "kept"))

        self.get(node, "/b")
        head[:] = [("Cache-Control", "max-age=600"), ("ETag", '"v2"')]
        self.get(node, "/b", method="HEAD")
        before = len(origin.requests)
        self.assertIn("fwd=stale", self.get(node, "/b").fields["cache-status"])
        self.assertEqual(len(origin.requests), before + 1, "what HEAD shows to be out of date is asked for again")

    def test_what_may_not_be_stored_any_more_goes_when_it_is_validated(self):
        def answer(request):
            if request.headers.get("If-None-Match") == '"v1"':
                return request.give(304, [("Cache-Control", "no-store"), ("ETag", '"v1"')])
            request.give(fields=[("Cache-Control", "no-cache"), ("ETag", '"v1"')], body=b"hello")

        origin = self.origin(answer)
        node = self.cache(origin)
        self.get(node, "/a")
        self.assertEqual(self.get(node, "/a").body, b"hello")
        self.assertEqual(self.get(node, "/a").body, b"hello")
        self.assertEqual([request[2].get("If-None-Match") for request in origin.requests], [None, '"v1"', None])

    def test_an_origin_that_is_away(self):
        origin = self.origin(lambda request: request.give(fields=[
            ("Cache-Control", "max-age=0, stale-if-error=600"), ("ETag", '"1"'), ("Connection", "close")], body=b"kept"))
        node = self.cache(origin)
        self.get(node, "/kept")
        origin.end()
        kept = self.get(node, "/kept")
        self.assertEqual((kept.status, kept.body), (200, b"kept"))
        status = kept.fields["cache-status"]
        self.assertRegex(status, r'^"\S+"; fwd=stale; ttl=(0|-\d+); detail=stale-if-error$', "it was forwarded: no hit")
        other = self.get(node, "/other")
        self.assertEqual(other.status, 502)
        self.assertIn("http.connect-refused", other.fields["cache-status"])

    def test_unsafe_methods_pass_and_invalidate(self):
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "max-age=60")], body=request.body or b"page"))
        node = self.cache(origin)
        self.get(node, "/x")
        posted = self.get(node, "/x", method="POST", body=b"form")
        self.assertEqual(posted.body, b"form")
        self.assertEqual(origin.requests[-1][3], b"form")
        self.assertIn("fwd=uri-miss", self.get(node, "/x").fields["cache-status"])

    def test_groups(self):
        def answer(request):
            if request.command == "POST":
                return request.give(fields=[("Cache-Group-Invalidation", '"products"')])
            group = "products" if request.path.startswith("/product") else "other"
            request.give(fields=[("Cache-Control", "max-age=60"), ("Cache-Groups", f'"{group}"')], body=b"x")

        origin = self.origin(answer)
        node = self.cache(origin)
        for path in ("/product/1", "/product/2", "/page"):
            self.get(node, path)
        self.get(node, "/buy", method="POST", body=b"1")
        for path, expected in (("/product/1", "fwd=uri-miss"), ("/product/2", "fwd=uri-miss"), ("/page", "; hit")):
            self.assertIn(expected, self.get(node, path).fields["cache-status"], path)

    def test_a_site_that_is_its_own_origin(self):
        origin = self.origin(lambda request: request.give())
        node = self.cache(origin)
        node.stop()
        node.sets.append(f'site.0.origins=["http://{node.addresses["http"]}"]')
        node.start()
        self.assertEqual(self.get(node, "/").status, 508)

    def test_conditions_on_what_is_not_stored_are_the_origins_to_judge(self):
        def answer(request):
            fields = [("Cache-Control", "private"), ("ETag", '"1"')]
            if request.headers["If-None-Match"] == '"1"':
                return request.give(304, fields)
            request.give(fields=fields, body=b"mine")

        origin = self.origin(answer)
        node = self.cache(origin)
        self.assertEqual(self.get(node, "/").body, b"mine")
        self.assertEqual(self.get(node, "/", {"If-None-Match": '"1"'}).status, 304)

    def test_two_origins_one_away(self):
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "max-age=60")], body=b"x"))
        with socket.create_server(("127.0.0.1", 0)) as away:
            dead = away.getsockname()[1]
        node = self.cache(origin)
        node.stop()
        node.sets.append(f'site.0.origins=["http://127.0.0.1:{dead}", "{origin.url}"]')
        node.start()
        for number in range(20):
            self.assertEqual(self.get(node, f"/{number}").status, 200, "another origin is asked")

    def test_poisoning_by_what_is_not_in_the_key(self):
        origin = self.origin(lambda request: request.give(
            fields=[("Cache-Control", "max-age=60")],
            body=";".join(f"{name}={value}" for name, value in request.headers.items() if name.lower().startswith("x-")).encode()))
        node = self.cache(origin)
        evil = {"X-Forwarded-Host": "evil.example", "X-Original-URL": "/admin", "X-Forwarded-Proto": "evil",
                "X-HTTP-Method-Override": "POST", "Host": "site.example"}
        body = self.get(node, "/", evil).body
        self.assertNotIn(b"evil", body)
        self.assertNotIn(b"admin", body)
        self.assertIn(b"X-Forwarded-Host=site.example", body)
        fat = self.get(node, "/fat", method="GET", body=b"poison")
        self.assertNotIn("stored", fat.fields["cache-status"])
        for number, name in enumerate(("X-Forwarded-Ssl", "X-Forwarded-Path", "X_Forwarded_User", "True-Client-IP", "Proxy")):
            self.get(node, f"/{number}", {name: "evil"})
            self.assertNotIn("evil", origin.requests[-1][2].values(), name)

    def test_poisoning_by_a_range_that_cannot_be_had(self):
        def answer(request):
            if "Range" in request.headers:
                return request.give(416, [("Cache-Control", "max-age=60"), ("Content-Range", "bytes */5")])
            request.give(fields=[("Cache-Control", "max-age=60")], body=b"whole")

        node = self.cache(self.origin(answer))
        self.assertEqual(self.get(node, "/", {"Range": "bytes=9-"}).status, 416)
        whole = self.get(node, "/")
        self.assertEqual((whole.status, whole.body), (200, b"whole"))

    def test_the_origin_sees_the_host_and_the_target_of_the_key(self):
        origin = self.origin(lambda request: request.give(
            fields=[("Cache-Control", "max-age=60")], body=f"{request.headers['Host']}{request.path}".encode()))
        node = self.cache(origin)
        for host in ("inside*.example.com", "*", "a*"):
            self.assertEqual(self.get(node, "/", {"Host": host}).body, f"{host}/".encode())
        self.assertEqual(self.get(node, "/x?", {"Host": "a"}).body, b"a/x?")
        self.assertEqual(self.get(node, "/x", {"Host": "a"}).body, b"a/x", "an empty query is one")
        self.assertIn("; hit", self.get(node, "/x?", {"Host": "a"}).fields["cache-status"])

    def test_what_reaches_the_origin_is_what_chose_the_answer(self):
        def answer(request):
            body = f"{request.headers['Accept-Language']} {request.headers['Host']}".encode()
            request.give(fields=[("Cache-Control", "max-age=600"), ("Vary", "Accept-Language")], body=body)

        node = self.cache(self.origin(answer))
        hidden = self.get(node, "/a", {"Accept-Language": "en", "Connection": "Accept-Language", "Host": "b.example"})
        self.assertEqual(hidden.body, b"None b.example")
        self.assertIn("fwd=bypass", hidden.fields["cache-status"])
        self.assertEqual(self.get(node, "/a", {"Accept-Language": "en", "Host": "B.Example:80"}).body, b"en b.example",
                         "the host as it is compared")
        self.assertIn("; hit", self.get(node, "/a", {"Accept-Language": "en", "Host": "b.example"}).fields["cache-status"])

    def test_methods_that_look_at_the_way(self):
        origin = self.origin(lambda request: request.give(body=b"x"))
        origin.server.RequestHandlerClass.do_OPTIONS = origin.server.RequestHandlerClass.do_GET
        node = self.cache(origin)
        traced = self.get(node, "/a", method="TRACE")
        self.assertEqual(traced.status, 405)
        self.assertIn("GET", traced.fields["allow"])
        self.assertEqual(self.get(node, "/a", {"Max-Forwards": "0"}, "OPTIONS").status, 204)
        self.assertEqual(len(origin.requests), 0)
        self.assertEqual(self.get(node, "/a", {"Max-Forwards": "3"}, "OPTIONS").status, 200)
        self.assertEqual(origin.requests[-1][2]["Max-Forwards"], "2")

    def test_trailers_are_stored_too(self):
        def answer(request):
            request.send_response(200)
            request.send_header("Cache-Control", "max-age=600")
            request.send_header("Transfer-Encoding", "chunked")
            request.send_header("Trailer", "X-Sum")
            request.end_headers()
            request.wfile.write(b"5\r\nhello\r\n0\r\nX-Sum: 17\r\n\r\n")

        node = self.cache(self.origin(answer))
        address = (node.host, int(node.addresses["http"].rpartition(":")[2]))
        for expected in (b"uri-miss", b"; hit", b"; hit"):
            with socket.create_connection(address, verge.PATIENCE) as client:
                client.sendall(b"GET /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                text = b"".join(iter(lambda: client.recv(65536), b""))
            self.assertIn(expected, text)
            self.assertIn(b"hello", text)
            self.assertTrue(text.lower().endswith(b"x-sum: 17\r\n\r\n"), text)

    def test_large_bodies_and_ranges(self):
        body = os.urandom(3_000_000)
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "max-age=60"), ("ETag", '"big"')], body=body))
        node = self.cache(origin)
        self.assertEqual(self.get(node, "/big").body, body)
        self.assertEqual(self.get(node, "/big").body, body)
        part = self.get(node, "/big", {"Range": "bytes=1000000-1999999"})
        self.assertEqual((part.status, part.fields["content-range"]), (206, "bytes 1000000-1999999/3000000"))
        self.assertEqual(part.body, body[1_000_000:2_000_000])
        self.assertEqual(self.get(node, "/big", {"Range": "bytes=9000000-"}).status, 416)
        self.assertEqual(self.get(node, "/big", {"Range": "bytes=0-9", "If-Range": '"other"'}).status, 200)
        self.assertEqual(len(origin.requests), 1)

    def test_larger_than_what_is_stored_passes_through(self):
        body = os.urandom(5_000_000)
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "max-age=60")], body=body))
        node = self.cache(origin, "object_bytes_max = '1MiB'")
        for _ in range(2):
            answer = self.get(node, "/big")
            self.assertEqual(answer.body, body)
            self.assertNotIn("; hit", answer.fields["cache-status"])
        self.assertLess(node.status()["cache"]["memory_bytes"], 1_000_000)

    def test_warm_after_sigkill_under_load(self):
        def body_of(path):
            text = hashlib.sha256(path.encode()).hexdigest().encode()
            return text * (1 + int(path[1:]) % 300)

        origin = self.origin(lambda request: request.give(
            fields=[("Cache-Control", "max-age=600"), ("Cache-Tag", f"t{int(request.path[1:]) % 10}")], body=body_of(request.path)))
        node = self.cache(origin, sets=["cache.disk_bytes_max=67108864", "cache.memory_bytes_max=1048576"])
        site = {"Host": "site.example"}
        paths = [f"/{number}" for number in range(400)]

        def disk():
            return node.status()["cache"]["disk"]

        for path in paths:
            self.assertEqual(self.get(node, path, site).body, body_of(path))
        verge.wait_until(lambda: disk()["written"] == len(paths), "all is written")
        wrong = queue.Queue()
        ends = threading.Event()

        def load(first):
            while not ends.is_set():
                for path in paths[first::3]:
                    try:
                        answer = self.get(node, path, site)
                    except OSError:
                        return  # it was killed
                    except http.client.HTTPException:
                        return
                    if answer.body != body_of(path):
                        wrong.put(path)

        threads = [threading.Thread(target=load, args=(first,)) for first in range(3)]
        for thread in threads:
            thread.start()
        verge.wait_until(lambda: disk()["read"] > 200, "memory holds a part of it: the rest comes from the disk")
        node.kill9()
        ends.set()
        for thread in threads:
            thread.join()
        self.assertTrue(wrong.empty())
        before = len(origin.requests)
        node.start()
        for path in paths:
            answer = self.get(node, path, site)
            self.assertEqual(answer.body, body_of(path))
            self.assertIn("; hit", answer.fields["cache-status"], path)
        self.assertEqual(len(origin.requests), before, "the origin was not asked again")
        part = self.get(node, "/299", {**site, "Range": "bytes=5-9"})
        self.assertEqual((part.status, part.body), (206, body_of("/299")[5:10]))
        # What is purged stays so.
        answer = verge.http_request(node.addresses["admin"], "POST", "/v1/purge", '{"tags":["t7"],"urls":["http://site.example/5"]}')
        self.assertEqual(answer.status, 200)
        node.kill9()
        node.start()
        for path, expected in (("/7", "fwd=uri-miss"), ("/17", "fwd=uri-miss"), ("/5", "fwd=uri-miss"), ("/6", "; hit")):
            self.assertIn(expected, self.get(node, path, site).fields["cache-status"], path)
        self.assertEqual(disk()["damaged"], 0)

    def test_the_command(self):
        def answer(request):
            if request.path == "/private":
                return request.give(fields=[("Cache-Control", "private")], body=b"mine")
            request.give(fields=[("Cache-Control", "max-age=600"), ("Vary", "Accept-Language"), ("Cache-Tag", "one, two")], body=b"page")

        origin = self.origin(answer)
        node = self.cache(origin)
        url = "http://site.example/a?b=c"

        def cache(*arguments, **options):
            return verge.run("cache", arguments[0], "--admin", node.addresses["admin"], *arguments[1:], **options)

        nothing = cache("explain", url)
        self.assertEqual(nothing.returncode, 0, nothing.stderr)
        self.assertIn("nobody asked for it", nothing.stdout)
        self.assertEqual(cache("get", url).returncode, 1)
        warmed = cache("warm", "--json", "--at-a-time", "1", url, "http://site.example/private", "http://site.example/a?b=c")
        self.assertEqual(json.loads(warmed.stdout), {"urls": 3, "fetched": 2, "stored_before": 1, "failed": 0})
        said = json.loads(cache("explain", "--json", url).stdout)
        stored = said["in_memory"][0]
        self.assertEqual((stored["lifetime_s"], stored["lifetime_from"], stored["use"]), (600, "max-age", "serve"))
        self.assertEqual(stored["selected_by"], {"accept-language": None})
        text = cache("explain", url).stdout
        for expected in ("600 s, from max-age", "accept-language: (absent)", "serve (fresh)"):
            self.assertIn(expected, text)
        self.assertIn("not stored: the answer says private", cache("explain", "http://site.example/private").stdout)
        self.assertEqual(cache("get", url).stdout, "page")
        found = json.loads(cache("get", url, "--json").stdout)
        self.assertEqual((found["url"], found["status"], found["body"]), (url, 200, "page"))
        self.assertIn("date", {field["name"].lower() for field in found["fields"]})
        self.assertIn("hits", cache("stat").stdout)
        self.assertGreater(json.loads(cache("stat", "--json").stdout)["answers"], 0)
        self.assertEqual(cache("purge").returncode, 2)
        self.assertEqual(cache("purge", "--tag", "two", "--soft").returncode, 0)
        self.assertIn("purged: softly", cache("explain", url).stdout)
        self.assertEqual(cache("purge", "--url", url).returncode, 0)
        self.assertIn("0 answers", cache("explain", url).stdout)
        self.assertEqual(cache("explain", "site.example/a").returncode, 1)

    def test_a_damaged_disk_tier_serves_nothing_that_is_not_right(self):
        body = os.urandom(20_000)
        origin = self.origin(lambda request: request.give(fields=[("Cache-Control", "max-age=600")], body=body))
        node = self.cache(origin, sets=["cache.disk_bytes_max=67108864"])
        site = {"Host": "site.example"}
        for number in range(50):
            self.get(node, f"/{number}", site)
        verge.wait_until(lambda: node.status()["cache"]["disk"]["written"] == 50, "all is written")
        node.kill9()
        directory = os.path.join(node.data_dir, "cache")
        data = os.path.join(directory, next(name for name in sorted(os.listdir(directory)) if name.endswith(".data")))
        with open(data, "r+b") as file:
            for place in range(10_000, os.path.getsize(data), 40_000):
                file.seek(place)
                file.write(b"damaged")
        node.start()
        for number in range(50):
            self.assertEqual(self.get(node, f"/{number}", site).body, body)
        self.assertGreater(node.status()["cache"]["disk"]["damaged"], 10)
        self.assertGreater(len(origin.requests), 60)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
