"""Names of origins that stand for other addresses while the node runs."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from origin import Origin

SITE = """
[http]
ingest = false
uplink = false
[cache]
resolve_every = "1s"
[[site]]
hosts = "*"
origins = ["http://origin.test:{port}"]
cache = false
failures_max = 1000
"""


def may_mount():
    """Whether this process may give another a file of its own in the place of /etc/hosts."""
    return subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


@unittest.skipUnless(may_mount(), "needs a mount namespace, which this user may not make")
class Names(verge.TestCase):
    def origin(self, address, port=0):
        made = Origin(lambda request: request.give(body=address.encode()), (address, port))
        self.addCleanup(made.end)
        return made

    def node_with(self, hosts, port):
        self.hosts = os.path.join(self.directory, "hosts")
        self.point_to(*hosts)
        prefix = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', self.hosts]
        return self.node("names", SITE.format(port=port), prefix=prefix).start()

    def point_to(self, *addresses):
        # In place: what is mounted is the file, not its name.
        with open(self.hosts, "w", encoding="ascii") as file:
            file.write("".join(f"{address} origin.test\n" for address in addresses))

    def get(self, node):
        return verge.http_request(node.addresses["http"], "GET", "/").body

    def test_requests_follow_the_name(self):
        first = self.origin("127.77.0.1")
        self.origin("127.77.0.2", first.port)
        node = self.node_with(["127.77.0.1"], first.port)
        self.assertEqual(self.get(node), b"127.77.0.1")
        self.point_to("127.77.0.2")
        verge.wait_until(lambda: self.get(node) == b"127.77.0.2", "requests go to the other address")
        self.point_to()
        verge.wait_until(lambda: "cannot be resolved any more" in node.log(), "the log says so")
        self.assertEqual(self.get(node), b"127.77.0.2", "the last good address counts")
        self.point_to("127.77.0.1")
        verge.wait_until(lambda: self.get(node) == b"127.77.0.1", "requests go back")

    def test_an_address_that_is_dead_gives_way_to_the_next(self):
        alive = self.origin("127.77.0.3")
        node = self.node_with(["127.77.0.9", "127.77.0.3"], alive.port)
        for _ in range(5):
            self.assertEqual(self.get(node), b"127.77.0.3")
        self.assertEqual(node.status()["cache"]["failures"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
