"""Misses that go to the parent first, and origins that are asked whether they are well."""

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from origin import Origin

SITE = """
[[site]]
hosts = ["a.example"]
origins = [{origins}]
{more}
"""
STORED = ("Cache-Control", "max-age=600")


class Above(verge.TestCase):
    def origin(self, answer=None):
        made = Origin(answer or (lambda request: request.give(fields=[STORED], body=request.path.encode())))
        self.addCleanup(made.end)
        return made

    def site_node(self, name, origins, more="", parent=None):
        config = SITE.format(origins=", ".join(f'"{origin}"' for origin in origins), more=more)
        return self.node(name, config, parent=parent).start()

    def get(self, node, path, method="GET", body=None):
        return verge.http_request(node.addresses["http"], method, path, body, {"Host": "a.example"})

    def test_a_miss_goes_to_the_parent_and_is_stored_at_both(self):
        origin = self.origin()
        parent = self.site_node("parent", [origin.url])
        children = [self.site_node(f"child{n}", [origin.url], "shield = true", parent) for n in range(2)]
        for child in children:
            first = self.get(child, "/a")
            self.assertEqual((first.status, first.body), (200, b"/a"))
            self.assertIn("; hit", self.get(child, "/a").fields["cache-status"])
        self.assertEqual(len(origin.requests), 1)
        self.assertEqual(parent.status()["cache"]["requests"], 2)
        self.assertEqual(self.get(children[0], "/form", "POST", b"x=1").status, 200)
        self.assertIn("child0, parent", origin.requests[-1][2]["CDN-Loop"])

    def test_without_the_parent_the_origin_is_asked(self):
        origin = self.origin()
        parent = self.site_node("parent", [origin.url])
        child = self.site_node("child", [origin.url], "shield = true", parent)
        self.assertEqual(self.get(child, "/a").status, 200)
        parent.discard()
        self.assertEqual(self.get(child, "/b").body, b"/b")
        self.assertEqual(self.get(child, "/form", "POST", b"x=1").status, 200)
        self.assertNotIn("parent", origin.requests[-1][2]["CDN-Loop"])

    def test_what_the_parent_cannot_reach_is_tried_from_here(self):
        origin, gone = self.origin(), self.origin()
        gone.end()
        parent = self.site_node("parent", [gone.url])
        child = self.site_node("child", [origin.url], "shield = true", parent)
        self.assertEqual(self.get(child, "/a").body, b"/a")
        self.assertEqual(len(origin.requests), 1)

    def test_a_shield_without_a_parent_is_refused(self):
        node = self.node("edge", SITE.format(origins='"http://127.0.0.1:1"', more="shield = true"))
        with self.assertRaises(AssertionError) as refused:
            node.start()
        self.assertIn("config.value", str(refused.exception))

    def test_an_origin_that_fails_its_health_check_is_left_alone(self):
        well = threading.Event()

        def answer(request):
            is_check = request.path == "/healthz"
            request.give(200 if well.is_set() or not is_check else 500, [("Cache-Control", "no-store")])

        sick, sound = self.origin(answer), self.origin(lambda request: request.give(fields=[("Cache-Control", "no-store")]))
        node = self.site_node("edge", [sick.url, sound.url],
                              '[site.health]\npath = "/healthz"\nevery = "20ms"\nfailures = 2\npasses = 2')
        verge.wait_until(lambda: "fails its health check" in node.log(), "the sick one is noticed")

        def asked(origin):
            return sum(1 for request in list(origin.requests) if request[1] == "/x")

        # Each event loop finds out for itself.
        def a_round_spares_the_sick():
            before = asked(sick)
            for _ in range(20):
                self.assertEqual(self.get(node, "/x").status, 200)
            return asked(sick) == before

        verge.wait_until(a_round_spares_the_sick, "it is left alone")
        well.set()
        verge.wait_until(lambda: not a_round_spares_the_sick(), "it is asked again")
        self.assertIn("passes its health check again", node.log())

    def test_when_all_are_sick_one_is_tried(self):
        origin = self.origin(lambda request: request.give(500 if request.path == "/healthz" else 200))
        node = self.site_node("edge", [origin.url], '[site.health]\npath = "/healthz"\nevery = "20ms"\nfailures = 1')
        verge.wait_until(lambda: "fails its health check" in node.log(), "it is noticed")
        self.assertEqual(self.get(node, "/x").status, 200)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
