"""A parent that is not reached is said within seconds of the start, with nothing stored and the default age of batches."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge


class ParentReach(verge.TestCase):
    def edge(self, url, *sets):
        # Not `parent=`, which shortens the age of batches.
        return self.node("edge", sets=[f"parent.url={url}", *sets]).start()

    def warnings(self, node):
        return [entry["message"] for entry in node.log_lines()
                if entry["level"] == "warning" and "is not reached" in entry["message"]]

    def check_said(self, node, *words):
        verge.wait_until(lambda: self.warnings(node), lambda: f"the log says it:\n{node.log()}", 20)
        [said] = self.warnings(node)
        for word in words:
            self.assertIn(word, said)
        uplink = node.status()["uplink"]
        self.assertFalse(uplink["reached"])
        self.assertFalse(uplink["paths"][0]["stands"])
        self.assertGreater(uplink["report_failures"], 0)
        metrics = node.admin("/metrics").body.decode()
        self.assertIn("\nverge_uplink_reached 0\n", metrics)
        self.assertRegex(metrics, r"verge_uplink_path_stands\{[^}]*\} 0\n")

    def test_refused_and_then_there(self):
        with socket.socket() as unused:
            unused.bind((verge.own_host(), 0))
            host, port = unused.getsockname()
        url = f"http://{host}:{port}"
        edge = self.edge(url, "parent.report_every=200ms")
        self.check_said(edge, url, "Connection refused", "check that a server listens there")
        failures = edge.status()["uplink"]["report_failures"]
        verge.wait_until(lambda: edge.status()["uplink"]["report_failures"] > failures + 5, "it is tried again and again")
        self.assertEqual(len(self.warnings(edge)), 1, "and said once")
        cloud = self.node("cloud", tier="cloud", sets=[f"http.listen={host}:{port}"]).start()
        verge.wait_until(lambda: edge.status()["uplink"]["reached"], "it is reached")
        again = [entry for entry in edge.log_lines() if entry["message"] == f"the parent {url} is reached"]
        self.assertEqual(len(again), 1, edge.log())
        uplink = edge.status()["uplink"]
        self.assertTrue(uplink["paths"][0]["stands"])
        self.assertEqual(uplink["batches"], 0, "nothing was stored")
        self.assertIn("\nverge_uplink_reached 1\n", edge.admin("/metrics").body.decode())
        cloud.stop()
        verge.wait_until(lambda: not edge.status()["uplink"]["reached"], "it is gone")

    def test_the_default_says_it(self):
        with socket.socket() as unused:
            unused.bind((verge.own_host(), 0))
            host, port = unused.getsockname()
        self.check_said(self.edge(f"http://{host}:{port}"), "Connection refused")

    def test_a_name_that_is_none(self):
        self.check_said(self.edge("http://nosuch.invalid:8081"), "nosuch.invalid", "IP address")

    def test_one_that_never_answers(self):
        with socket.create_server((verge.own_host(), 0)) as silent:
            host, port = silent.getsockname()
            self.check_said(self.edge(f"http://{host}:{port}"), "[http.timeout]")

    def test_one_that_cannot_be_connected_to(self):
        with socket.socket() as busy, socket.socket() as waiting, socket.socket() as more:
            busy.bind((verge.own_host(), 0))
            busy.listen(0)
            for connection in (waiting, more):  # its backlog is full: who comes now hears nothing
                connection.setblocking(False)
                connection.connect_ex(busy.getsockname())
            host, port = busy.getsockname()
            self.check_said(self.edge(f"http://{host}:{port}"), "time")

    def test_no_node_at_all(self):
        """The admin listener of a node takes no reports."""
        cloud = self.node("cloud", tier="cloud").start()
        self.check_said(self.edge("http://" + cloud.addresses["admin"]), "parent.url names the http listener")

    def test_a_parent_that_demands_a_token(self):
        token = os.path.join(self.directory, "token")
        with open(token, "w", encoding="utf-8") as file:
            file.write("open-sesame-of-this-test")
        cloud = self.node("cloud", f'[http]\nuplink_tokens = [{{ file = "{token}" }}]\n', tier="cloud").start()
        self.check_said(self.edge(cloud.http_url), "demands a token", "parent.token")


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
