"""Several ways to the parent at once: one is cut, says nothing, or answers in the parent's place, and nothing waits."""

import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import line
import verge

RULES = "".join(f"""
[[rule]]
name = "keep-{priority}"
sql = "SELECT * FROM '{priority}/#'"
do = [{{ upload = "{priority}" }}]
""" for priority in ("critical", "high", "normal", "low"))

PORTAL = line.answer("200 OK", b"<html>sign in</html>", ["Content-Type: text/html"])
# Whoever waits for a path that says nothing waits longer than any test does.
LONG = "parent.timeout=10min"


def incompressible(size):
    return base64.b64encode(os.urandom(size * 3 // 4)).decode()


class Paths(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.node("cloud", tier="cloud").start()
        self.next_number = 0

    def lines(self, count, **options):
        lines = [line.Line(self.cloud.addresses["http"], **options) for _ in range(count)]
        for each in lines:
            self.addCleanup(each.end)
        return lines

    def edge_on(self, lines, redundant, *sets):
        urls = ", ".join(f'"{each.url}"' for each in lines)
        return self.node("edge", RULES, parent=lines[0].url,
                         sets=[f"parent.paths=[{urls}]", f"parent.redundant={redundant}", *sets]).start()

    def publish(self, client, count, priorities=("critical", "normal"), filling=""):
        published = []
        for _ in range(count):
            for priority in priorities:
                payload = {"number": self.next_number, "filling": filling}
                published.append(client.publish(f"{priority}/x", payload))
                self.next_number += 1
        client.wait_acknowledged(published)

    def paths(self, edge):
        return edge.status()["uplink"]["paths"]

    def check_all_there_once(self):
        numbers = [event["payload"]["number"] for event in self.cloud.events()]
        self.assertEqual(sorted(numbers), list(range(self.next_number)))

    def test_each_batch_goes_over_both(self):
        """Who is slower brings only what is known already, and is not cut off for it."""
        lines = self.lines(2)
        edge = self.edge_on(lines, 2)
        client = self.mqtt(edge, "device")
        for _ in range(10):
            self.publish(client, 3)
            edge.wait_delivered()
        self.check_all_there_once()
        paths = self.paths(edge)
        batches = edge.status()["uplink"]["batches"]
        self.assertEqual(sum(path["won"] for path in paths), batches)
        self.assertEqual([path["failures"] for path in paths], [0, 0])
        self.assertGreater(min(path["sent"] for path in paths), 1)
        self.assertGreater(self.cloud.status()["receiver"]["duplicates"], 0)
        for each in lines:
            self.assertLessEqual(each.connections, 3, "one a lane, and one for what the node says of itself")
        metrics = edge.admin("/metrics").body.decode()
        for number, path in enumerate(paths, start=1):
            labels = f'path="{number}",url="{path["url"]}",bind=""'
            self.assertIn(f"verge_uplink_path_won_total{{{labels}}} {path['won']}\n", metrics)
            self.assertIn(f"verge_uplink_path_stands{{{labels}}} 1\n", metrics)

    def test_a_path_is_cut_and_comes_back(self):
        lines = self.lines(2)
        edge = self.edge_on(lines, 2)
        client = self.mqtt(edge, "device")
        for gone in (0, 1, 0):
            target = lines[gone].target
            lines[gone].target = self.nobody()
            lines[gone].cut()
            failures = self.paths(edge)[gone]["failures"]
            for _ in range(5):
                self.publish(client, 5)
                edge.wait_delivered()
            self.assertGreater(self.paths(edge)[gone]["failures"], failures)
            self.assertEqual(edge.status()["uplink"]["failures"], 0, "a batch that one path has brought is delivered")
            lines[gone].target = target

            def is_back():
                self.publish(client, 1)
                return self.paths(edge)[gone]["stands"]
            verge.wait_until(is_back, "the path is used again")
        edge.wait_delivered()
        self.check_all_there_once()

    def nobody(self):
        """An address where nobody listens."""
        other = self.lines(1)[0]
        other.end()
        return other.address

    def test_a_path_that_says_nothing(self):
        lines = self.lines(2)
        edge = self.edge_on(lines, 2, LONG)
        client = self.mqtt(edge, "device")
        self.publish(client, 1)
        edge.wait_delivered()
        for stalled in (0, 1):
            lines[stalled].stalled = True
            for _ in range(5):
                self.publish(client, 5, filling=incompressible(500))
                edge.wait_delivered()
            lines[stalled].stalled = False
        self.check_all_there_once()
        self.assertEqual(edge.status()["uplink"]["failures"], 0)

    def test_one_after_the_other(self):
        """Without redundancy the next path is used where the first fails, and the first again when it is back."""
        lines = self.lines(2)
        edge = self.edge_on(lines, 1, "parent.timeout=4s")
        client = self.mqtt(edge, "device")
        self.publish(client, 5)
        edge.wait_delivered()
        self.assertGreater(self.paths(edge)[0]["won"], 0)
        lines[0].stalled = True
        self.publish(client, 5)
        edge.wait_delivered()
        self.assertGreater(self.paths(edge)[1]["won"], 0)
        lines[0].stalled = False

        def is_back():
            self.publish(client, 1)
            return self.paths(edge)[0]["stands"] and self.paths(edge)[0]["won"] > 2
        verge.wait_until(is_back, "the first path is used again")
        edge.wait_delivered()
        self.check_all_there_once()

    def test_somebody_else_answers(self):
        """A page to sign in at, a redirect, errors, and a proxy's refusal are nobody's word but the proxy's."""
        answers = {"portal": PORTAL, "redirect": line.answer("302 Found", b"", ["Location: /login"]),
                   "error": line.answer("503 Service Unavailable", b"", ["Retry-After: 60"]),
                   "refusal": line.answer("413 Content Too Large", b"too large")}
        for name, answer in answers.items():
            with self.subTest(name):
                self.next_number = 0
                self.cloud = self.node(f"cloud-{name}", tier="cloud").start()
                lines = self.lines(1, refusal=lambda _head, _body, answer=answer: answer) + self.lines(1)
                urls = ", ".join(f'"{each.url}"' for each in lines)
                edge = self.node(f"edge-{name}", RULES, parent=lines[0].url,
                                 sets=[f"parent.paths=[{urls}]", "parent.redundant=2", LONG]
                                 + [f"parent.attempts.{each}=1" for each in ("critical", "normal")]).start()
                client = self.mqtt(edge, "device")
                for _ in range(5):
                    self.publish(client, 5)
                    edge.wait_delivered()
                self.check_all_there_once()
                self.assertGreater(len(lines[0].answered), 0)
                status = edge.status()
                self.assertEqual(status["spool"]["dead_letters"], 0)
                self.assertEqual(status["uplink"]["refusals"], 0)
                portal, good = status["uplink"]["paths"]
                self.assertEqual((portal["won"], portal["stands"]), (0, False))
                self.assertEqual((good["failures"], good["stands"]), (0, True))

    def test_all_paths_gone(self):
        """That is an outage as with one path; whichever comes back first brings all of it."""
        lines = self.lines(3)
        edge = self.edge_on(lines, 2)
        client = self.mqtt(edge, "device")
        targets = [each.target for each in lines]
        for each in lines:
            each.target = self.nobody()
            each.cut()
        self.publish(client, 50, ("critical", "high", "normal", "low"))
        verge.wait_until(lambda: edge.status()["uplink"]["failures"] > 1, "the outage is noticed")
        self.assertEqual([path["stands"] for path in self.paths(edge)], [False] * 3)
        lines[2].target = targets[2]
        edge.wait_delivered()
        self.assertGreater(self.paths(edge)[2]["won"], 0)
        self.check_all_there_once()

    def test_weather_of_their_own(self):
        """Each path is cut, stuck and dishonest in turn, with a backlog to bring; then all is there, once."""
        state = [None, None, None]
        lines = []
        for number in range(3):
            lines += self.lines(1, refusal=lambda _head, _body, number=number: state[number])
        edge = self.edge_on(lines, 2, "parent.timeout=300ms")
        client = self.mqtt(edge, "device")
        for step in range(24):
            bad, worse = lines[step % 3], lines[(step + 1) % 3]
            kind = step % 4
            bad.stalled = kind == 0
            state[step % 3] = PORTAL if kind == 1 else None
            if kind >= 2:
                bad.cut()
            if kind == 3:
                worse.cut()
            self.publish(client, 10, ("critical", "high", "normal", "low"), incompressible(300))
            bad.stalled = False
        state[:] = [None] * 3
        edge.wait_delivered()
        self.check_all_there_once()
        self.assertEqual(edge.status()["spool"]["dead_letters"], 0)

    def test_where_it_sends_from(self):
        """A path has a local address or an interface of its own; one that this machine does not have is a path that
        does not work."""
        for bind, seen in (("127.77.1.9", "127.77.1.9"), ("lo", "127.0.0.1")):
            with self.subTest(bind):
                between = self.lines(1)[0]
                edge = self.node(f"edge-{bind}", RULES, parent=between.url,
                                 sets=[f'parent.paths=["{bind}"]']).start()
                client = self.mqtt(edge, "device")
                self.publish(client, 1)
                edge.wait_delivered()
                self.assertEqual(between.peers, {seen})
        lines = self.lines(1)
        edge = self.node("edge-3", RULES, parent=lines[0].url, sets=[
            'parent.paths=["198.51.100.7", "nosuchif0", {url = "%s", bind = "127.77.1.10"}]' % lines[0].url,
            "parent.redundant=2"]).start()
        client = self.mqtt(edge, "device")
        self.publish(client, 5)
        edge.wait_delivered()
        self.assertEqual([path["stands"] for path in self.paths(edge)], [False, False, True])
        self.assertEqual(lines[0].peers, {"127.77.1.10"})
        self.assertIn("cannot send from 198.51.100.7", edge.log())
        self.assertIn("cannot send from nosuchif0", edge.log())
        self.check_all_there_once()


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
