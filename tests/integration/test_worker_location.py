"""request.cf of workers: where clients are, as a file in MaxMind's format says; and compatibility dates."""

import json
import os
import signal
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mmdb
import verge
from origin import Origin
from test_node_workers import WithWorkers, source
from test_workers import EASY, EXAMPLES, Served
from verge import wait_until

BERLIN = {
    "continent": {"code": "EU", "names": {"en": "Europe"}},
    "country": {"iso_code": "DE", "is_in_european_union": True, "names": {"en": "Germany"}},
    "city": {"names": {"en": "Berlin", "ja": "ベルリン"}},
    "subdivisions": [{"iso_code": "BE", "names": {"en": "Land Berlin"}}],
    "postal": {"code": "10115"},
    "location": {"latitude": 52.5244, "longitude": 13.4105, "time_zone": "Europe/Berlin"},
}
TOKYO = {
    "continent": {"code": "AS"},
    "country": {"iso_code": "JP", "is_in_european_union": False},
    "city": {"names": {"en": 'To"kyo\n\u6771'}},
    "location": {"latitude": -0.5, "longitude": 139.69171, "metro_code": 807},
}
NETWORKS = {
    "192.0.2.0/24": BERLIN,
    "2001:db8::/32": TOKYO,
    "198.51.100.0/24": {"autonomous_system_number": 64496, "autonomous_system_organization": "Example"},
    # What is of another type, not UTF-8, out of range or too long is left out; what is left of it is nothing.
    "203.0.113.0/24": {"country": {"iso_code": 7}, "city": {"names": {"en": b"\xff\xfe"}}, "postal": "10115",
                       "continent": {"code": "x" * 300}, "location": {"latitude": 1e300, "longitude": float("nan")}},
}
SEEN = source('return new Response(JSON.stringify(request.cf) ?? "undefined");')
BEFORE = 'routes = ["shop.test/*"]\nposition = "before"'


class Location(WithWorkers):
    def setUp(self):
        super().setUp()
        self.file = os.path.join(self.directory, "locations.mmdb")
        mmdb.write(self.file, NETWORKS)

    def located(self, top="", text=SEEN, http='trusted_proxies = "127.0.0.0/8"', more=BEFORE):
        config = f'[workers]\ngeo_file = "{self.file}"\n[http]\n{http}\n[runtime]\nloops = 1\n{top}'
        return self.node("node", config + self.worker("seen", text, more)).start()

    def seen(self, node, client):
        return self.get(node, X_Forwarded_For=client).body.decode()

    def test_what_the_file_says(self):
        node = self.located()
        self.assertEqual(json.loads(self.seen(node, "192.0.2.7")), {
            "country": "DE", "isEUCountry": "1", "continent": "EU", "city": "Berlin", "region": "Land Berlin",
            "regionCode": "BE", "postalCode": "10115", "timezone": "Europe/Berlin", "latitude": "52.52440",
            "longitude": "13.41050"})
        self.assertEqual(json.loads(self.seen(node, "2001:db8:1::1")), {
            "country": "JP", "continent": "AS", "city": 'To"kyo\n\u6771', "metroCode": "807", "latitude": "-0.50000",
            "longitude": "139.69171"})
        self.assertEqual(json.loads(self.seen(node, "::ffff:192.0.2.7"))["city"], "Berlin")
        self.assertEqual(json.loads(self.seen(node, "198.51.100.1")), {"asn": 64496, "asOrganization": "Example"})
        for stranger in ("203.0.113.1", "192.0.3.1", "2001:db9::1", "127.0.0.1", "::1"):
            self.assertEqual(self.seen(node, stranger), "undefined", stranger)

    def test_only_those_are_believed_who_may_say_it(self):
        self.assertEqual(self.seen(self.located(http=""), "192.0.2.7"), "undefined")

    def test_the_proxy_header_says_who_it_is(self):
        node = self.located(http='trusted_proxies = "127.0.0.0/8"\nproxy_protocol = true')
        host, _, port = node.addresses["http"].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=verge.PATIENCE) as connection:
            connection.sendall(b"PROXY TCP4 192.0.2.9 10.0.0.1 1 2\r\n"
                               b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
        self.assertIn(b'"city":"Berlin"', answer)

    def test_every_position_knows_it(self):
        origin = self.origin()
        site = f'[[site]]\nhosts = ["shop.test"]\norigins = ["{origin.url}"]\n'
        for position in ("miss", "origin-answer", "client-answer"):
            with self.subTest(position=position):
                node = self.node(position, f'[workers]\ngeo_file = "{self.file}"\n[http]\ntrusted_proxies = "127.0.0.0/8"\n'
                                           f'[runtime]\nloops = 1\n{site}'
                                 + self.worker("seen", source('return new Response(request.cf.city);'),
                                               f'routes = ["shop.test/*"]\nposition = "{position}"')).start()
                self.assertEqual(self.seen(node, "192.0.2.7"), "Berlin")

    def test_copies_of_a_request_have_it(self):
        node = self.located(text=source("""
            const copies = [new Request(request), request.clone(), new Request("http://a/", request), new Request("http://a/"),
              new Request("http://a/", { cf: { own: 1 } }), new Request(request, { cf: null })];
            return Response.json([request.cf === request.cf, ...copies.map(({ cf }) => cf?.city ?? cf?.own ?? null)]);"""))
        self.assertEqual(json.loads(self.seen(node, "192.0.2.7")), [True, "Berlin", "Berlin", "Berlin", None, 1, None])

    def test_a_new_file_counts_from_sighup_on(self):
        node = self.located()
        self.assertEqual(json.loads(self.seen(node, "192.0.2.7"))["country"], "DE")
        mmdb.write(self.file + ".new", {"192.0.2.0/24": {"country": {"iso_code": "SE"}}})
        os.rename(self.file + ".new", self.file)
        node.signal(signal.SIGHUP)
        wait_until(lambda: self.seen(node, "192.0.2.7") == '{"country":"SE"}', "the new file is read")
        # One that is no such file changes nothing.
        with open(self.file + ".new", "w", encoding="utf-8") as file:
            file.write("no locations")
        os.rename(self.file + ".new", self.file)
        node.signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded" in node.log(), "the bad file is refused")
        self.assertIn("geo.file", node.log())
        self.assertEqual(self.seen(node, "192.0.2.7"), '{"country":"SE"}')
        node.stop()
        with self.assertRaisesRegex(AssertionError, "geo.file"):
            node.start()


class ServedLocation(verge.TestCase):
    def serve(self, name, *arguments, files=None):
        with open(os.path.join(EXAMPLES, name + ".js"), encoding="utf-8") as file:
            return Served(self, {name: file.read()}, [*EASY, *arguments])

    def geo(self, value):
        path = os.path.join(self.directory, "here.mmdb")
        mmdb.write(path, {"127.0.0.0/8": value})
        return "--geo", path

    def test_hello_from_a_country(self):
        self.assertEqual(self.serve("hello_country", *self.geo(BERLIN)).get().body, b"Hallo, Berlin!\n")

    def test_hello_from_nowhere(self):
        self.assertEqual(self.serve("hello_country").get().body, b"Hello, somewhere!\n")

    def routed(self, *geo):
        far, near = (Origin(lambda request, name=name: request.give(body=name + request.path.encode())) for name in (b"far", b"near"))
        self.addCleanup(far.end)
        self.addCleanup(near.end)
        origins = json.dumps([{"url": far.url, "latitude": 35.7, "longitude": 139.7},
                              {"url": near.url, "latitude": 50.1, "longitude": 8.7}])
        return self.serve("geo_routing", *geo, "--env", "ORIGINS=" + origins).get("/a?b=c").body

    def test_geo_routing_goes_to_the_nearest(self):
        self.assertEqual(self.routed(*self.geo(BERLIN)), b"near/a?b=c")

    def test_geo_routing_goes_somewhere_where_nobody_knows(self):
        self.assertEqual(self.routed(), b"far/a?b=c")

    def test_a_file_that_is_none_is_refused(self):
        path = os.path.join(self.directory, "hello.js")
        with open(path, "w", encoding="utf-8") as file:
            file.write(SEEN)
        done = verge.run("worker", "serve", path, "--listen", "127.0.0.1:0", "--geo", path)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("geo.file", done.stderr)


class CompatibilityDates(WithWorkers):
    def listed(self, node):
        workers = json.loads(node.admin("/v1/workers").body)["workers"]
        return {worker["name"]: worker["compatibility_date"] for worker in workers}

    def test_where_it_may_stand(self):
        stated = '// compatibility_date = "2026-01-02"\n' + SEEN
        node = self.served(("none", SEEN, 'routes = ["a.test/*"]'),
                           ("file", stated, 'routes = ["b.test/*"]'),
                           ("both", stated, 'routes = ["c.test/*"]\ncompatibility_date = "2026-03-04"'))
        self.assertEqual(self.listed(node), {"none": "", "file": "2026-01-02", "both": "2026-03-04"})

        path = os.path.join(self.directory, "deployed.js")
        with open(path, "w", encoding="utf-8") as file:
            file.write(stated)
        deploy = ("worker", "deploy", path, "--route", "d.test/*", "--admin", node.addresses["admin"])
        self.assertEqual(verge.run(*deploy).returncode, 0)
        self.assertEqual(self.listed(node)["deployed"], "2026-01-02")
        self.assertEqual(verge.run(*deploy, "--compatibility-date", "2026-05-06").returncode, 0)
        self.assertEqual(self.listed(node)["deployed"], "2026-05-06")
        shown = verge.run("worker", "list", "--admin", node.addresses["admin"]).stdout
        self.assertRegex(shown, r"deployed +2 .* 2026-05-06 ")
        self.assertRegex(shown, r"none +config .* newest ")
        # It goes with its version, and is there after a restart.
        self.assertEqual(verge.run("worker", "rollback", "deployed", "--admin", node.addresses["admin"]).returncode, 0)
        self.assertEqual(self.listed(node)["deployed"], "2026-01-02")
        node.stop()
        node.start()
        self.assertEqual(self.listed(node)["deployed"], "2026-01-02")

        refused = verge.run(*deploy, "--compatibility-date", "2026-02-30")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("2026-02-30", refused.stderr)
        with open(path, "w", encoding="utf-8") as file:
            file.write("// compatibility_date = tomorrow\n" + SEEN)
        refused = verge.run(*deploy)
        self.assertIn("workers.compatibility-date", refused.stderr)
        served = verge.run("worker", "serve", path, "--listen", "127.0.0.1:0")
        self.assertIn("workers.compatibility-date", served.stderr)
        served = verge.run("worker", "serve", path, "--listen", "127.0.0.1:0", "--compatibility-date", "x")
        self.assertIn("--compatibility-date", served.stderr)


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    unittest.main(verbosity=2)
