"""Descriptors: connections leave those that storage needs; where there are none at all, what cannot be read is not
passed over, what cannot be accepted waits, and it ends by itself."""

import os
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

RULES = """
[[rule]]
name = "everything"
sql = "SELECT * FROM 'keep/#'"
do = [{ upload = "normal" }]
"""
DESCRIPTORS = 128
COUNT = 60


@verge.unittest.skipIf(os.environ.get("VERGE_SANITIZE"),
                       "the sanitizers' runtime needs descriptors of its own to look at memory")
class Descriptors(verge.TestCase):
    def start(self, prefix=()):
        cloud = self.node("cloud", tier="cloud").start()
        edge = self.node("edge", RULES, parent=cloud, sets=["spool.segment_bytes=4KiB", "parent.retry_max=100ms"],
                         prefix=prefix).start()
        return cloud, edge

    def publish(self, edge, device):
        client = self.mqtt(edge, device)
        published = [client.publish("keep/x", {"number": number, "filling": "x" * 500}) for number in range(COUNT)]
        client.wait_acknowledged(published)

    def numbers(self, node):
        return [event["payload"]["number"] for event in node.events()]

    def log_lines(self, node, words):
        return [line for line in node.log().splitlines() if words in line]

    def test_connections_do_not_take_all(self):
        """Clients that take what they get leave enough for the spool, the uplink and the admin listener."""
        cloud, edge = self.start(prefix=["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"])
        cloud.stop()
        warning = "\n".join(self.log_lines(edge, "mqtt.connections_max is"))
        self.assertIn(f"this process may have {DESCRIPTORS} descriptors", warning)
        self.assertIn("instead of 100000", warning)
        self.assertIn("LimitNOFILE", warning)
        self.publish(edge, "device")
        idle = []
        for name in ("mqtt", "http"):
            host, _, port = edge.addresses[name].rpartition(":")
            for _ in range(DESCRIPTORS):
                idle.append(socket.create_connection((host, int(port)), verge.PATIENCE))
                self.addCleanup(idle[-1].close)
        # In the order in which the kernel queues them: the last is decided on when one of its listener's is answered.
        verge.wait_until(lambda: any(self.is_closed(each) for each in idle), "one too many is closed")
        open_now = len(os.listdir(f"/proc/{edge.pid}/fd"))
        self.assertLess(open_now, DESCRIPTORS - 16, "some are kept back")
        cloud.start()
        edge.wait_delivered()
        self.assertEqual(self.numbers(cloud), list(range(COUNT)))
        self.assertEqual(edge.status()["node"]["name"], "edge")
        for connection in idle:
            connection.close()
        self.publish(edge, "another")
        edge.stop()

    def is_closed(self, connection):
        connection.setblocking(False)
        try:
            return connection.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    def test_too_few_to_start(self):
        edge = self.node("edge", prefix=["prlimit", "--nofile=40:40"])
        edge.launch()
        self.assertEqual(edge.wait_end(), 1)
        self.assertIn("[node.descriptors]", edge.log())

    def test_the_backlog_is_not_passed_over(self):
        cloud, edge = self.start()
        cloud.stop()
        self.publish(edge, "device")
        _, hard = resource.prlimit(edge.pid, resource.RLIMIT_NOFILE)
        begin = time.monotonic()
        resource.prlimit(edge.pid, resource.RLIMIT_NOFILE, (3, hard))
        host, _, port = edge.addresses["mqtt"].rpartition(":")
        idle = [socket.create_connection((host, int(port)), verge.PATIENCE) for _ in range(8)]
        cloud.start()
        verge.wait_until(lambda: self.log_lines(edge, "cannot accept a connection") or edge.process.poll() is not None,
                         lambda: f"it cannot accept; the log:\n{edge.log()}")
        def uplink_attempts():
            return len(self.log_lines(edge, "open files")) - len(self.log_lines(edge, "cannot accept a connection"))

        attempts = uplink_attempts()
        verge.wait_until(lambda: uplink_attempts() > attempts + 1 or edge.process.poll() is not None,
                         lambda: f"the uplink meets it; the log:\n{edge.log()}")
        self.assertIsNone(edge.process.poll(), edge.log())
        self.assertEqual(cloud.events(), [], "nothing can be read, so nothing was sent")
        resource.prlimit(edge.pid, resource.RLIMIT_NOFILE, (hard, hard))
        edge.wait_delivered()
        # One line a listener every 10 s, of hundreds of attempts.
        listeners = edge.status()["node"]["loops"] * 2 + 1
        lines = self.log_lines(edge, "cannot accept a connection")
        self.assertLessEqual(len(lines), listeners * (1 + (time.monotonic() - begin) // 10), lines)
        self.assertEqual(self.numbers(cloud), list(range(COUNT)))
        for connection in idle:
            connection.close()
        edge.stop()


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
