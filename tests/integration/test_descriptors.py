"""No descriptors left: what cannot be read is not passed over, what cannot be accepted waits, and it ends by itself."""

import os
import socket
import sys

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
    def open_descriptors(self, node):
        return len(os.listdir(f"/proc/{node.pid}/fd"))

    def take_all(self, node):
        """Idle connections until the node has no descriptor left."""
        host, _, port = node.addresses["mqtt"].rpartition(":")
        for _ in range(DESCRIPTORS):
            idle = socket.create_connection((host, int(port)), verge.PATIENCE)
            self.addCleanup(idle.close)
            yield idle

    def test_the_backlog_is_not_passed_over(self):
        cloud = self.node("cloud", tier="cloud").start()
        edge = self.node("edge", RULES, parent=cloud, sets=["spool.segment_bytes=4KiB"],
                         prefix=["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]).start()
        cloud.stop()
        client = self.mqtt(edge, "device")
        published = [client.publish("keep/x", {"number": number, "filling": "x" * 500}) for number in range(COUNT)]
        client.wait_acknowledged(published)
        idle = list(self.take_all(edge))
        verge.wait_until(lambda: self.open_descriptors(edge) >= DESCRIPTORS, "no descriptor is left")
        cloud.start()
        attempts = self.log_count(edge)
        verge.wait_until(lambda: self.log_count(edge) > attempts or edge.process.poll() is not None,
                         lambda: f"the uplink meets it; the log:\n{edge.log()}")
        self.assertIsNone(edge.process.poll(), edge.log())
        self.assertEqual(cloud.events(), [], "nothing can be read, so nothing was sent")
        for connection in idle:
            connection.close()
        edge.wait_delivered()
        self.assertEqual([event["payload"]["number"] for event in cloud.events()], list(range(COUNT)))
        edge.stop()

    def log_count(self, node):
        return sum("descriptor" in line or "open files" in line for line in node.log().splitlines())


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
