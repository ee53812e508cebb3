"""The way up when it is bad: refused records, dishonest answers, half-open lines, slow ones, and what goes first."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import line
import verge

RULES = "".join(f"""
[[rule]]
name = "keep-{priority}"
sql = "SELECT * FROM '{priority}/#'"
do = [{{ upload = "{priority}" }}]
""" for priority in ("critical", "high", "normal", "low"))


def incompressible(size):
    return base64.b64encode(os.urandom(size * 3 // 4)).decode()


class Uplink(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.node("cloud", tier="cloud").start()

    def line_to(self, node, **options):
        between = line.Line(node.addresses["http"], **options)
        self.addCleanup(between.end)
        return between

    def edge_on(self, between, *sets):
        return self.node("edge", RULES, parent=between.url, sets=sets).start()

    def publish(self, client, topic, payloads):
        published = [client.publish(topic, payload) for payload in payloads]
        client.wait_acknowledged(published)

    def numbers(self, topic="#"):
        return [event["payload"]["number"] for event in self.cloud.events(topic)]

    def refusals_by_size(self, bytes_max):
        def refuse(_head, body):
            return line.answer("413 Content Too Large", b"too large") if len(body) > bytes_max else None
        return refuse

    def test_a_circle_of_parents_loses_nothing(self):
        """What comes back to where it entered is not taken a second time, and not forgotten by who sent it."""
        between = self.line_to(self.cloud)
        sets = ["parent.attempts.normal=2", "parent.batch_age_max=200ms", "parent.retry_max=200ms"]
        above = self.node("above", "", parent=between.url, sets=sets).start()
        between.stalled = True
        below = self.node("below", RULES, parent=above, sets=sets).start()
        between.target = below.addresses["http"]
        between.cut()
        between.stalled = False
        client = self.mqtt(below, "device")
        self.publish(client, "normal/1", [{"number": number} for number in range(3)])
        verge.wait_until(lambda: above.status()["spool"]["dead_letters"] == 3,
                         lambda: f"they are kept, with the reason: {above.status()['spool']}")
        below.wait_delivered()
        self.assertTrue(any("circle" in entry["message"] for entry in below.log_lines()), below.log())
        # With an end to the circle they go on.
        between.target = self.cloud.addresses["http"]
        between.cut()
        above.stop()
        self.assertEqual(verge.run("spool", "dlq", "replay", "--data-dir", above.data_dir).returncode, 0)
        above.start()
        verge.wait_until(lambda: sorted(self.numbers("normal/1")) == [0, 1, 2], "all are at the top, once")

    def test_a_refused_record_does_not_hold_up_the_others(self):
        """Poison is found by halves, offered as often as its budget says, and kept as a dead letter."""
        between = self.line_to(self.cloud, refusal=self.refusals_by_size(30_000))
        edge = self.edge_on(between, "parent.attempts.normal=3", "parent.batch_age_max=200ms")
        client = self.mqtt(edge, "device")
        payloads = [{"number": number, "filling": ""} for number in range(200)]
        for poison in (17, 18, 101):
            payloads[poison]["filling"] = incompressible(60_000)
        self.publish(client, "normal/x", payloads)
        edge.wait_delivered()
        self.assertEqual(sorted(self.numbers()), [n for n in range(200) if n not in (17, 18, 101)])
        status = edge.status()
        self.assertEqual(status["spool"]["dead_letters"], 3)
        self.assertEqual(status["uplink"]["buried"], 3)
        edge.stop()
        letters = self.spool_command(edge, "dlq", "ls")
        self.assertEqual(sorted(letter["event"]["payload"]["number"] for letter in letters), [17, 18, 101])
        for letter in letters:
            self.assertEqual(letter["stream"], "normal")
            self.assertEqual(letter["event"]["origin"]["name"], "edge")
            self.assertIn("413", letter["what"])
        # With a line that takes them, they go up again.
        replayed = verge.run("spool", "dlq", "replay", "--data-dir", edge.data_dir, "--json")
        self.assertEqual(replayed.returncode, 0, replayed.stderr)
        self.assertEqual(json.loads(replayed.stdout)["replayed"], 3)
        between.refusal = None
        edge.start()
        edge.wait_delivered()
        self.assertEqual(sorted(self.numbers()), list(range(200)))
        self.assertEqual(edge.status()["spool"]["dead_letters"], 0)

    def spool_command(self, node, *arguments):
        done = verge.run("spool", *arguments, "--data-dir", node.data_dir, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(text) for text in done.stdout.splitlines()]

    def test_quota_error_taken_as_delivery(self):
        """Nothing but the parent's own word is a delivery, and none of these spends a record's attempts."""
        answers = [line.answer("429 Too Many Requests", b"quota"), line.answer("200 OK", b"<html>sign in</html>"),
                   line.answer("503 Service Unavailable", b"", ["Retry-After: 0"]), line.answer("403 Forbidden"),
                   line.answer("507 Insufficient Storage"), line.answer("302 Found", b"", ["Location: /login"]),
                   line.answer("204 No Content"), line.answer("500 Internal Server Error")]
        between = self.line_to(self.cloud, refusal=lambda _head, _body: answers.pop(0) if answers else None)
        edge = self.edge_on(between, "parent.attempts.normal=1")
        client = self.mqtt(edge, "device")
        self.publish(client, "normal/x", [{"number": number} for number in range(20)])
        edge.wait_delivered()
        self.assertEqual(answers, [], "every one of them was met")
        self.assertEqual(self.numbers(), list(range(20)))
        self.assertEqual(edge.status()["spool"]["dead_letters"], 0)

    def test_a_half_open_line(self):
        """A line that takes everything and answers nothing costs a time-out, not the records."""
        between = self.line_to(self.cloud)
        edge = self.edge_on(between, "parent.timeout=300ms")
        client = self.mqtt(edge, "device")
        self.publish(client, "normal/x", [{"number": 0}])
        edge.wait_delivered()
        between.stalled = True
        self.publish(client, "normal/x", [{"number": number} for number in range(1, 20)])
        verge.wait_until(lambda: edge.status()["uplink"]["failures"] > 1, "time-outs")
        between.stalled = False
        edge.wait_delivered()
        self.assertEqual(self.numbers(), list(range(20)), "each once, however often it was sent")

    def test_backlog_not_drained_until_a_new_message(self):
        """An outage's backlog goes up by itself once the line stands."""
        between = self.line_to(self.cloud)
        edge = self.edge_on(between)
        client = self.mqtt(edge, "device")
        self.cloud.stop()
        for priority in ("low", "normal", "high", "critical"):
            self.publish(client, f"{priority}/x", [{"number": number} for number in range(50)])
        client.close()
        self.cloud.start()
        edge.wait_delivered()
        self.assertEqual(len(self.numbers()), 200)

    def test_restarted_while_offline(self):
        """What was there before a restart drains after it, though the parent was away at the start."""
        between = self.line_to(self.cloud)
        edge = self.edge_on(between)
        self.cloud.stop()
        client = self.mqtt(edge, "device")
        self.publish(client, "normal/x", [{"number": number} for number in range(50)])
        client.close()
        edge.kill9()
        edge.start()
        verge.wait_until(lambda: edge.status()["uplink"]["failures"] > 0, "the parent is missed")
        self.cloud.start()
        edge.wait_delivered()
        self.assertEqual(self.numbers(), list(range(50)))

    def test_a_restart_does_not_send_all_again(self):
        between = self.line_to(self.cloud)
        edge = self.edge_on(between)
        client = self.mqtt(edge, "device")
        self.publish(client, "normal/x", [{"number": n, "filling": incompressible(2000)} for n in range(200)])
        edge.wait_delivered()
        client.close()
        sent = between.up
        edge.kill9()
        edge.start()
        again = self.mqtt(edge, "device")
        self.publish(again, "normal/x", [{"number": 200, "filling": ""}])
        edge.wait_delivered()
        self.assertLess(between.up - sent, sent / 10)
        self.assertEqual(self.numbers(), list(range(201)))

    def test_a_data_directory_that_is_put_back(self):
        """What is new after it is not taken for what the parent had of the node before, however much there is."""
        between = self.line_to(self.cloud)
        edge = self.edge_on(between)
        copy = os.path.join(self.directory, "copy")

        def send(numbers):
            client = self.mqtt(edge, "device")
            self.publish(client, "normal/x", [{"number": number} for number in numbers])
            client.close()

        send(range(50))
        edge.wait_delivered()
        edge.stop()
        shutil.copytree(edge.data_dir, copy)
        edge.start()
        send(range(50, 150))
        edge.wait_delivered()
        edge.stop()
        shutil.rmtree(edge.data_dir)
        shutil.copytree(copy, edge.data_dir)
        # More than the parent had, all while it is away: no answer of it could show what has happened.
        self.cloud.stop()
        edge.start()
        send(range(150, 400))
        self.cloud.start()
        edge.wait_delivered()
        self.assertEqual(self.numbers(), list(range(400)))

    def test_live_critical_beside_a_backlog(self):
        """On a slow line, what is fresh and critical does not wait until the backlog is up."""
        between = self.line_to(self.cloud, rate=200_000)
        edge = self.edge_on(between)
        client = self.mqtt(edge, "device")
        between.stalled = True
        between.cut()
        self.publish(client, "critical/old", [{"number": n, "filling": incompressible(3000)} for n in range(100)])
        self.publish(client, "normal/old", [{"number": n, "filling": incompressible(3000)} for n in range(400)])
        between.cut()
        between.stalled = False
        verge.wait_until(lambda: edge.status()["uplink"]["connected"], "the line stands")
        left = edge.undelivered()
        self.assertGreater(left, 100, "there is a backlog")
        self.publish(client, "critical/new", [{"number": 1000}])
        verge.wait_until(lambda: self.cloud.events("critical/new"), "the fresh record has arrived")
        self.assertGreater(edge.undelivered(), 20, "before the backlog")
        edge.wait_delivered()
        self.assertEqual(sorted(self.numbers("critical/old")), list(range(100)))
        self.assertEqual(sorted(self.numbers("normal/old")), list(range(400)))
        self.assertEqual(self.numbers("critical/new"), [1000])

    def test_time_to_live(self):
        """What is too old is not sent; an outage does not make it older, unless that is asked for."""
        for stops, expected in (("true", 30), ("false", 0)):
            with self.subTest(ttl_stops_in_outage=stops):
                cloud = self.node(f"cloud-{stops}", tier="cloud").start()
                edge = self.node(f"edge-{stops}", RULES, parent=cloud,
                                 sets=["spool.normal.ttl=1s", f"spool.ttl_stops_in_outage={stops}"]).start()
                client = self.mqtt(edge, "device")
                self.publish(client, "critical/x", [{"number": 0}])
                edge.wait_delivered()
                cloud.stop()
                # The outage is noticed by whatever is sent.
                self.publish(client, "critical/x", [{"number": 1}])
                verge.wait_until(lambda: edge.status()["uplink"]["failures"] > 0, "the outage is noticed")
                self.publish(client, "normal/x", [{"number": n} for n in range(30)])
                until = time.monotonic() + 2.5
                verge.wait_until(lambda: time.monotonic() > until, "the time to live has passed")
                cloud.start()
                edge.wait_delivered()
                self.assertEqual(len(cloud.events("normal/x")), expected)
                self.assertEqual(edge.status()["uplink"]["expired"], 30 - expected)

    def test_policies_when_full(self):
        self.cloud.stop()
        sets = ["spool.bytes_max=256KiB", "spool.segment_bytes=16KiB", "spool.normal.when_full=drop-oldest",
                "spool.high.when_full=drop-lower", "spool.low.when_full=downsample"]
        edge = self.node("edge", RULES, parent=self.cloud, sets=sets).start()
        client = self.mqtt(edge, "device")
        payload = lambda number: {"number": number, "filling": "x" * 1000}
        # Thinned out as space runs short, then refused.
        low = [client.publish_and_wait("low/x", payload(n)) for n in range(400)]
        dropped = edge.status()["spool"]["low"]["dropped"]
        self.assertGreater(dropped, 30)
        self.assertIn(0x97, low)
        # The newest stay.
        self.assertEqual({client.publish_and_wait("normal/x", payload(n)) for n in range(3)}, {0x97},
                         "of its own stream there is nothing that could go")
        # Lower ones go for it.
        self.assertEqual({client.publish_and_wait("high/x", payload(n)) for n in range(50)}, {0})
        self.assertGreater(edge.status()["spool"]["low"]["dropped"], dropped)
        # Critical ones have their reserve.
        self.assertEqual({client.publish_and_wait("critical/x", payload(n)) for n in range(10)}, {0})
        self.cloud.start()
        edge.wait_delivered()
        self.assertEqual(self.numbers("high/x"), list(range(50)))
        self.assertEqual(self.numbers("critical/x"), list(range(10)))
        stored = self.numbers("low/x")
        self.assertEqual(stored, sorted(set(stored)))
        self.assertLess(len(stored), 300)


class NameServers(verge.TestCase):
    """The parent's name is asked for, and nobody answers."""

    def node_of_a_silent_name(self):
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
            self.skipTest("no mount namespaces here")
        host = verge.own_host()
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.settimeout(verge.PATIENCE)
        try:
            server.bind((host, 53))
        except PermissionError:
            self.skipTest("port 53 is not for us")
        resolv = os.path.join(self.directory, "resolv.conf")
        with open(resolv, "w", encoding="ascii") as file:
            file.write(f"nameserver {host}\noptions timeout:30 attempts:5\n")
        script = f"mount --bind {resolv} /etc/resolv.conf && exec \"$@\""
        node = self.node("edge", parent="http://fog.example:8080",
                         prefix=["unshare", "-m", "sh", "-c", script, "sh"]).start()
        self.assertEqual(node.post("/v1/events", {"topic": "first", "payload": 1}).status, 200)
        self.assertIn(b"fog", server.recv(512), "it is asked for")
        return node

    def test_others_go_on_while_a_name_does_not_come(self):
        """What a worker parses, and a child's batch, which one unpacks."""
        node = self.node_of_a_silent_name()
        long = [{"topic": "x", "payload": incompressible(1000)} for _ in range(20)]
        self.assertEqual(node.post("/v1/events", long).status, 200)
        child = self.node("child", parent=node).start()
        self.assertEqual(child.post("/v1/events", long).status, 200)
        child.wait_delivered()
        node.stop()
        self.assertNotIn("cannot be resolved", node.log(), "it was never answered")
        self.assertEqual(len(node.events("x")), 40)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
