"""SIGHUP reloads without dropping anybody; SIGTERM drains; a second one ends at once."""

import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge


def rule(answer, filter_text="ask"):
    return f"""
[[rule]]
name = "answer"
sql = "SELECT * FROM '{filter_text}'"
do = [{{ publish = "answer", payload = "{answer}" }}]
"""


WINDOW = """
[[rule]]
name = "hourly"
sql = "SELECT device, count(*) AS n, sum(x) AS total FROM 'count/#' GROUP BY device, TUMBLING(24 h)"
do = [{ upload = "normal" }]
"""


class Reload(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.edge = self.node("edge", rule("one"), sets=["runtime.loops=2"]).start()
        self.clients = [self.mqtt(self.edge, f"client-{i}", version=4 + i % 2) for i in range(6)]
        for client in self.clients:
            client.subscribe("answer", qos=0)

    def ask(self, expected):
        before = len(self.clients[0].messages)
        self.clients[0].publish_and_wait("ask", "?")
        for client in self.clients:
            messages = client.wait_messages(before + 1)
            self.assertEqual(bytes(messages[before].payload).decode(), expected)

    def reload(self, text, said):
        lines = len(self.edge.log_lines())
        self.edge.write_config(text)
        self.edge.signal(signal.SIGHUP)
        return verge.wait_until(
            lambda: [line for line in self.edge.log_lines()[lines:] if said in line["message"]],
            lambda: f"'{said}' in the log:\n{self.edge.log()}")

    def check_connections(self):
        for client in self.clients:
            self.assertEqual((client.connections, client.disconnections), (1, []), "a client lost its connection")

    def test_a_changed_rule(self):
        self.ask("one")
        self.reload(rule("two"), "reloaded")
        self.ask("two")
        self.reload("", "reloaded")
        self.clients[0].publish_and_wait("ask", "?")
        self.reload(rule("three"), "reloaded")
        self.ask("three")
        self.check_connections()
        self.edge.stop()

    def test_a_broken_file(self):
        self.ask("one")
        for text, place in (("[mqtt]\nlisen = 1\n", ":2:1"), (rule("x").replace("SELECT", "SELEC"), ":4:"),
                            ("nonsense", ":1:")):
            said = self.reload(text, "not reloaded")
            self.assertIn(self.edge.config_path + place, said[0]["message"], "the place is in the log")
            self.assertEqual(said[0]["level"], "error")
            self.ask("one")
        os.unlink(self.edge.config_path)
        self.edge.signal(signal.SIGHUP)
        verge.wait_until(lambda: self.edge.log().count("not reloaded") >= 4, "a missing file is no reason to stop")
        self.ask("one")
        self.reload(rule("two"), "reloaded")
        self.ask("two")
        self.check_connections()

    def test_what_cannot_change_is_said(self):
        said = self.reload(rule("two") + "[mqtt]\ninflight_max = 7\n", "reloaded")
        self.assertEqual(said[0]["level"], "warning", "a setting that needs a start is not passed over in silence")
        self.assertTrue(said[0]["message"].endswith("at the next start: mqtt.inflight_max"), said)
        self.ask("two")
        self.check_connections()

    def test_many_under_load(self):
        numbers = []
        for i in range(30):
            numbers += [self.clients[1].publish("ask", "?", qos=1) for _ in range(20)]
            self.edge.write_config(rule(f"r{i}"))
            self.edge.signal(signal.SIGHUP)
        self.clients[1].wait_acknowledged(numbers)
        for client in self.clients:
            client.wait_messages(len(numbers))
        self.check_connections()

    def test_windows_go_on(self):
        """Readings that came before a reload are not forgotten by it."""
        self.reload(WINDOW, "reloaded")
        for x in (1, 2):
            self.clients[0].publish_and_wait("count/a", {"x": x})
        self.reload(WINDOW + rule("more"), "reloaded")
        for x in (3, 4):
            self.clients[0].publish_and_wait("count/a", {"x": x})
        self.edge.stop()
        rows = [event["payload"] for event in self.edge.events("windows/hourly")]
        self.assertEqual((sum(row["n"] for row in rows), sum(row["total"] for row in rows)), (4, 10), rows)


    def test_windows_of_changed_rules_are_closed(self):
        """What a rule counted until its SQL changed is emitted by the rule as it was, not thrown away."""
        self.reload(WINDOW, "reloaded")
        for device in ("a", "b", "c"):
            for client in self.clients[:3]:
                client.publish_and_wait(f"count/{device}", {"x": 1})
        lines = len(self.edge.log_lines())
        changed = WINDOW.replace("sum(x) AS total", "max(x) AS top")
        self.reload(changed, "reloaded")
        said = [line for line in self.edge.log_lines()[lines:] if "rule hourly" in line["message"]]
        self.assertEqual([line["level"] for line in said], ["warning"], said)
        self.clients[0].publish_and_wait("count/a", {"x": 5})
        self.reload("", "rule hourly")
        self.edge.stop()
        rows = [event["payload"] for event in self.edge.events("windows/hourly")]
        before = [row for row in rows if "total" in row]
        after = [row for row in rows if "top" in row]
        self.assertEqual((sum(row["n"] for row in before), sum(row["total"] for row in before)), (9, 9), rows)
        self.assertEqual([(row["n"], row["top"]) for row in after], [(1, 5)], rows)


class Pipes(verge.TestCase):
    def test_who_reads_the_log_or_the_access_log_may_go_before_the_node_does(self):
        lines = os.path.join(self.directory, "access")
        os.mkfifo(lines)
        reader = os.open(lines, os.O_RDONLY | os.O_NONBLOCK)
        root = os.path.join(self.directory, "www")
        os.mkdir(root)
        node = self.node("edge", f'[access_log]\nfile = "{lines}"\n[[site]]\nhosts = "a.test"\nroot = "{root}"\n').start()
        os.close(reader)
        for _ in range(3):
            self.assertEqual(verge.http_request(node.addresses["http"], "GET", "/none", None, {"Host": "a.test"}).status, 404)
        # What is written is written by a thread of its own.
        verge.wait_until(lambda: "access" in node.log(), "it says that lines cannot be written")
        self.assertEqual(node.admin("/healthz").status, 200)
        node.stop()


class Terminate(verge.TestCase):
    def test_clients_are_told(self):
        edge = self.node("edge", sets=["runtime.loops=3"]).start()
        modern = [self.raw(edge, client_id=f"v5-{i}") for i in range(6)]
        old = self.raw(edge, version=4, client_id="v4")
        idle = socket.create_connection(edge.addresses["http"].rsplit(":", 1), verge.PATIENCE)
        self.addCleanup(idle.close)
        edge.stop()
        for client in modern:
            packets = client.receive_all()
            self.assertEqual([first for first, _ in packets], [0xE0], "DISCONNECT")
            self.assertEqual(packets[0][1][:1], b"\x8b", "the server is shutting down")
        self.assertEqual(old.receive_all(), [], "3.1.1 is closed without a word")

    def test_sigint_drains_too(self):
        edge = self.node("edge").start()
        edge.signal(signal.SIGINT)
        self.assertEqual(edge.wait_end(), 0)

    def test_windows_are_emitted_and_delivered(self):
        cloud = self.node("cloud", tier="cloud").start()
        edge = self.node("edge", WINDOW, parent=cloud, sets=["runtime.loops=3"]).start()
        for device in ("a", "b", "c", "d"):
            client = self.mqtt(edge, device)
            for x in (1, 2, 3):
                client.publish_and_wait(f"count/{device}", {"x": x})
        self.assertEqual(edge.events(), [], "the window is open until midnight")
        edge.stop()
        rows = sorted((e["payload"]["device"], e["payload"]["n"], e["payload"]["total"]) for e in edge.events())
        self.assertEqual(rows, [(device, 3, 6) for device in "abcd"], "what was counted is not lost")
        self.assertEqual(len(cloud.events("windows/hourly")), 4, "with the parent there, it is delivered before the end")

    def test_what_is_acknowledged_under_way_is_kept(self):
        edge = self.node("edge", "[[rule]]\nname = \"all\"\nsql = \"SELECT * FROM 'n/#'\"\n"
                                 "do = [{ upload = \"normal\" }]\n").start()
        client = self.mqtt(edge, "busy")
        numbers = [client.publish("n/x", str(i)) for i in range(3000)]
        client.wait(lambda: len(client.acknowledged) > 300, "some are acknowledged")
        edge.stop()
        acknowledged = {i for i, number in enumerate(numbers) if client.acknowledged.get(number) == 0}
        found = [int(event["payload"]) for event in edge.events("n/x")]
        self.assertEqual(len(found), len(set(found)), "nothing is stored twice")
        self.assertEqual(sorted(acknowledged - set(found)), [], "acknowledged and lost")

    def start_slow_request(self, edge):
        """A request whose body does not come."""
        slow = socket.create_connection(edge.addresses["http"].rsplit(":", 1), verge.PATIENCE)
        self.addCleanup(slow.close)
        slow.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n")
        self.assertIn(b"100", slow.recv(1000), "the request is being read")
        edge.signal(signal.SIGTERM)
        verge.wait_until(lambda: "stopping" in edge.log(), "the drain begins")
        return slow

    def test_what_is_stored_is_acknowledged(self):
        """On every loop: a publish that was made durable while the node stops has its PUBACK before the end."""
        edge = self.node("edge", "[[rule]]\nname = \"all\"\nsql = \"SELECT * FROM 'a/#'\"\n"
                                 "do = [{ upload = \"normal\" }]\n", sets=["runtime.loops=2"]).start()
        clients = [self.raw(edge, client_id=f"client-{number}") for number in range(8)]
        for client in clients:
            for number in range(1, 200):
                client.send(verge.publish_packet(f"a/{number}", b"x" * 1000, packet_id=number))
        for client in clients:
            self.assertEqual(client.receive()[0], 0x40, "some are acknowledged")
        edge.signal(signal.SIGTERM)
        acknowledged = len(clients)
        for client in clients:
            kinds = [kind for kind, _ in client.receive_all()]
            self.assertEqual(kinds[-1], 0xE0, "DISCONNECT at the end")
            acknowledged += kinds.count(0x40)
        self.assertEqual(edge.wait_end(), 0)
        self.assertEqual(len(edge.events("a/#")), acknowledged)

    def test_a_request_under_way_is_finished(self):
        edge = self.node("edge").start()
        slow = self.start_slow_request(edge)
        slow.sendall(b'{"topic":"x1"}')
        answer = slow.recv(65536)
        self.assertRegex(answer, rb"^HTTP/1.1 (200|503) ", "the request gets an answer")
        self.assertEqual(edge.wait_end(), 0)
        stored = [event["topic"] for event in edge.events()]
        self.assertEqual(stored, ["x1"] if b" 200 " in answer[:15] else [], "as the answer said")

    def test_a_second_signal_ends_at_once(self):
        edge = self.node("edge").start()
        self.start_slow_request(edge)
        self.assertIsNone(edge.process.poll(), "the drain waits for the request")
        begin = time.monotonic()
        edge.signal(signal.SIGTERM)
        self.assertEqual(edge.wait_end(), 128 + signal.SIGTERM)
        self.assertLess(time.monotonic() - begin, 3, "at once")
        edge.start()
        edge.stop()

    def test_a_request_that_does_not_come_is_not_waited_for(self):
        """Nor does it keep the node from sending what it holds and from noting what its parent has."""
        root = self.node("root", tier="cloud").start()
        edge = self.node("edge", parent=root, sets=["parent.batch_age_max=1h"]).start()
        for number in range(20):
            self.assertEqual(edge.post("/v1/events", {"topic": f"x{number}"}).status, 200)
        begin = time.monotonic()
        self.start_slow_request(edge)
        self.assertEqual(edge.wait_end(), 0)
        self.assertLess(time.monotonic() - begin, 6, "it has a second")
        self.assertIn("stopped", edge.log())
        self.assertEqual(len(root.events()), 20)
        edge.start()
        self.assertEqual(edge.undelivered(), 0, "the cursor was written")


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
