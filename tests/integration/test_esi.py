"""Sites that compose pages in ESI 1.0: templates and fragments from an origin, each cached for itself."""

import gzip
import http.client
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from origin import Origin

verge.will_measure_memory()

SITE = """
[http]
ingest = false
uplink = false
[[site]]
hosts = ["a.example", "b.example"]
origins = ["{origin}"]
esi = "{esi}"
{more}
"""

HTML = ("Content-Type", "text/html")
ESI = ("Surrogate-Control", 'max-age=60, content="ESI/1.0"')
STORED = ("Cache-Control", "max-age=600")


class Pages(verge.TestCase):
    """`self.pages`: path → body of a template, or (status, fields, body) of what is none."""

    def setUp(self):
        super().setUp()
        self.pages = {}

    def site(self, more="", answer=None, esi="announced"):
        def usual(request):
            page = self.pages.get(request.path, (404, [STORED], b"none"))
            if isinstance(page, str):
                page = (200, [STORED, HTML, ESI, ("ETag", '"t"')], page.encode())
            elif isinstance(page, bytes):
                page = (200, [STORED], page)
            request.give(*page)

        self.origin = Origin(answer or usual)
        self.addCleanup(self.origin.end)
        return self.node("edge", SITE.format(origin=self.origin.url, more=more, esi=esi)).start()

    def get(self, node, path, fields=None, method="GET"):
        return verge.http_request(node.addresses["http"], method, path, None, {"Host": "a.example"} | (fields or {}))

    def asked(self, path):
        return [request for request in self.origin.requests if request[1] == path]

    def test_template_and_fragments_are_cached_each_for_itself(self):
        self.pages = {"/page": '<p><esi:include src="/f/one"/> and <esi:include src="f/two?x=1"/></p>',
                      "/f/one": b"1", "/f/two?x=1": (200, [("Cache-Control", "no-store")], b"2")}
        node = self.site()
        for round_number in range(3):
            page = self.get(node, "/page")
            self.assertEqual((page.status, page.body), (200, b"<p>1 and 2</p>"))
            self.assertEqual(len(self.asked("/f/two?x=1")), round_number + 1)
        self.assertIn("; hit", page.fields["cache-status"])
        self.assertEqual((len(self.asked("/page")), len(self.asked("/f/one"))), (1, 1))
        self.assertEqual(page.fields["cache-control"], "private", "the page is one visitor's")
        for of_the_template in ("etag", "surrogate-control", "last-modified", "content-length"):
            self.assertNotIn(of_the_template, page.fields)
        self.assertEqual(self.asked("/page")[0][2]["Surrogate-Capability"], 'verge="ESI/1.0"')
        head = self.get(node, "/page", method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))

    def test_the_whole_language(self):
        self.pages = {
            "/page?who=eve%3Cb%3E": """<esi:comment text="gone"/><esi:remove>gone</esi:remove><!--esi A -->
<esi:vars>$(HTTP_HOST) $(QUERY_STRING{who}) $(HTTP_COOKIE{lang}|none)</esi:vars>
<esi:choose><esi:when test="$(HTTP_COOKIE{lang})=='da'">dansk</esi:when><esi:otherwise>other</esi:otherwise></esi:choose>
<esi:try><esi:attempt><esi:include src="/missing"/>gone</esi:attempt><esi:except>except</esi:except></esi:try>
<esi:include src="/missing" alt="/there"/><esi:include src="/missing" onerror="continue"/>.""",
            "/there": b"there"}
        node = self.site()
        page = self.get(node, "/page?who=eve%3Cb%3E", {"Cookie": "lang=da"})
        self.assertEqual(page.body.decode().split("\n"),
                         [" A ", "a.example eve&lt;b&gt; da", "dansk", "except", "there."])
        page = self.get(node, "/page?who=eve%3Cb%3E")
        self.assertEqual(page.body.decode().split("\n")[1:3], ["a.example eve&lt;b&gt; none", "other"])

    def test_a_page_without_a_part_that_it_needs_is_an_error(self):
        self.pages = {"/page": 'a<esi:include src="/missing"/>b'}
        node = self.site()
        # The first time the page has begun before the fragment is known to be missing.
        self.assert_is_no_whole(node)
        self.assert_is_no_whole(node)

    def assert_is_no_whole(self, node):
        try:
            page = self.get(node, "/page")
        except (http.client.IncompleteRead, ConnectionError):
            return
        self.assertEqual(page.status, 502)
        self.assertNotIn(b"missing", page.body)

    def test_text_before_a_slow_fragment_does_not_wait_for_it(self):
        may_go_on = threading.Event()

        def answer(request):
            if request.path == "/page":
                return request.give(200, [STORED, HTML, ESI], b'first<esi:include src="/slow"/>last')
            may_go_on.wait(verge.PATIENCE)
            request.give(200, [STORED], b"-slow-")

        node = self.site(answer=answer)
        host, _, port = node.addresses["http"].rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=verge.PATIENCE)
        self.addCleanup(client.close)
        client.request("GET", "/page", headers={"Host": "a.example"})
        response = client.getresponse()
        self.assertEqual(response.read(5), b"first")
        self.assertFalse(may_go_on.is_set())
        may_go_on.set()
        self.assertEqual(response.read(), b"-slow-last")

    def test_fragments_include_in_turn_but_not_for_ever(self):
        self.pages = {"/page": '[<esi:include src="/inner"/>]', "/inner": '(<esi:include src="/leaf"/>)', "/leaf": b"leaf",
                      "/ring": '.<esi:include src="/ring" onerror="continue"/>'}
        node = self.site()
        self.assertEqual(self.get(node, "/page").body, b"[(leaf)]")
        self.assertEqual(self.get(node, "/ring").body, b"......")

    def test_fragments_within_fragments_count_for_the_page(self):
        self.pages = {"/bomb": '.<esi:include src="/bomb" onerror="continue"/>' * 200}
        node = self.site()
        page = self.get(node, "/bomb")
        self.assertEqual(page.body, b"." * 200 * 257, "256 fragments, and the page around them")
        self.assertEqual(node.status()["cache"]["requests"], 257)

    def test_fragments_that_come_together_are_not_all_held(self):
        size = 4 << 20
        self.pages = {"/page": '.<esi:include src="/big" onerror="continue"/>' * 200,
                      "/big": (200, [STORED], b"x" * size)}
        node = self.site()
        self.get(node, "/big")
        page = self.get(node, "/page").body
        self.assertEqual(page.count(b"."), 200)
        self.assertGreaterEqual(len(page), 200 + size)
        with open(f"/proc/{node.pid}/status", encoding="ascii") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        self.assertLess(peak, (200 << 10) * verge.SHADOW, "KiB: far from that of 200 fragments")

    def test_only_the_hosts_of_sites_are_asked(self):
        with socket.create_server(("127.0.0.1", 0)) as outside:
            port = outside.getsockname()[1]
            self.pages = {"/page": f'<esi:include src="http://127.0.0.1:{port}/secret" onerror="continue"/>'
                                   '<esi:include src="http://b.example/f"/>', "/f": b"of b"}
            node = self.site()
            self.assertEqual(self.get(node, "/page").body, b"of b")
            outside.setblocking(False)
            self.assertRaises(BlockingIOError, outside.accept)
        self.assertEqual(self.asked("/f")[0][2]["Host"], "b.example")

    def test_fragments_see_the_visitor_and_not_their_conditions(self):
        self.pages = {"/page": '<esi:include src="/f"/>', "/f": (200, [("Cache-Control", "private")], b"x")}
        node = self.site()
        self.get(node, "/page", {"Cookie": "a=1", "If-None-Match": '"t"', "Range": "bytes=0-1", "Accept-Encoding": "gzip"})
        page = self.get(node, "/page", {"If-None-Match": '"t"', "Range": "bytes=0-0"})
        self.assertEqual((page.status, page.body), (200, b"x"))
        sent = self.asked("/f")[0][2]
        self.assertEqual((sent["Cookie"], sent["Accept-Encoding"]), ("a=1", "identity"))
        self.assertNotIn("If-None-Match", sent)
        self.assertNotIn("Range", sent)

    def test_what_is_not_announced_is_left_alone(self):
        text = b'<esi:include src="/f"/>'
        self.pages = {"/page": (200, [STORED, HTML], text)}
        node = self.site()
        for _ in range(2):
            self.assertEqual(self.get(node, "/page").body, text)

    def test_html_without_an_announcement_where_the_site_says_so(self):
        self.pages = {"/page": (200, [STORED, HTML], b'<esi:include src="/f"/>'), "/f": b"f"}
        node = self.site(esi="html")
        self.assertEqual(self.get(node, "/page").body, b"f")

    def test_a_faulty_page_is_sent_as_text_from_the_fault_on(self):
        self.pages = {"/page": '<p><esi:include src="/f"/><esi:try>oops</p>', "/f": b"f"}
        node = self.site()
        self.assertEqual(self.get(node, "/page").body, b"<p>f<esi:try>oops</p>")
        self.assertIn("without ESI from byte 26 on: <esi:try> is not closed", node.log())

    def test_composed_pages_are_compressed_as_they_go(self):
        self.pages = {"/page": "word " * 2000 + '<esi:include src="/f"/>', "/f": b"f"}
        node = self.site('compress = ["gzip"]')
        for _ in range(2):
            page = self.get(node, "/page", {"Accept-Encoding": "gzip"})
            self.assertEqual(page.fields["content-encoding"], "gzip")
            self.assertEqual(gzip.decompress(page.body), b"word " * 2000 + b"f")

    def test_a_large_template_that_is_not_stored_is_read_whole(self):
        text = b"x" * (3 << 20)
        self.pages = {"/page": (200, [("Cache-Control", "no-store"), HTML, ESI], text + b'<esi:include src="/f"/>'),
                      "/f": b"f", "/huge": (200, [STORED, HTML, ESI], b"x" * (5 << 20))}
        node = self.site()
        self.assertEqual(self.get(node, "/page").body, text + b"f")
        self.assertEqual(self.get(node, "/huge").status, 502)

    def test_visitors_who_leave_are_forgotten(self):
        begun, may_go_on = threading.Event(), threading.Event()

        def answer(request):
            if request.path == "/page":
                return request.give(200, [STORED, HTML, ESI], b'a<esi:include src="/slow"/>b')
            begun.set()
            may_go_on.wait(verge.PATIENCE)
            request.give(200, [STORED], b"slow")

        node = self.site(answer=answer)
        host, _, port = node.addresses["http"].rpartition(":")
        for _ in range(20):
            with socket.create_connection((host, int(port)), verge.PATIENCE) as client:
                client.sendall(b"GET /page HTTP/1.1\r\nHost: a.example\r\n\r\n")
                client.recv(1000)
        begun.wait(verge.PATIENCE)
        may_go_on.set()
        self.assertEqual(self.get(node, "/page").body, b"aslowb")


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
