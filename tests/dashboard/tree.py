"""A tree for the dashboard to show: three nodes, a site with its origin, machines that send, clients that ask."""

import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import origin
import verge

RULES = """
[[rule]]
name = "overheat"
sql = "SELECT device, temperature FROM 'plant/+/telemetry' WHERE temperature > 90"
do = [{ publish = "plant/${device}/command", payload = '{"action":"SHUTDOWN_EQUIPMENT"}' },
      { upload = "critical", topic = "plant/${device}/overheat" }]

[[rule]]
name = "summary"
sql = "SELECT device, avg(temperature) AS temperature FROM 'plant/+/telemetry' GROUP BY device, TUMBLING(1 s)"
do = [{ upload = "normal", topic = "plant/${device}/1s" }]
"""

URLS = [f"/products/{number}" for number in range(12)] + ["/", "/index.css"]


def answer(request):
    if request.path.startswith("/private"):
        return request.give(fields=[("Cache-Control", "no-store")], body=b"private")
    tag = "products" if request.path.startswith("/products") else "pages"
    return request.give(fields=[("Cache-Control", "max-age=600"), ("Cache-Tag", tag), ("Content-Type", "text/html")],
                        body=b"<p>page</p>" * 50)


class DashboardTree:
    """cloud (Frankfurt) ← fog (Paris) ← edge (London), busy until end()."""

    def __init__(self, directory):
        self.origin = origin.Origin(answer)
        site = f'\n[[site]]\nhosts = ["shop.test"]\norigins = "{self.origin.url}"\n'
        self.tree = verge.Tree(
            directory, RULES + site,
            edge_sets=["node.site=London, Acton", "node.position=London"],
            fog_sets=["node.site=Paris", "node.position=Paris"],
            cloud_sets=["node.site=Frankfurt", "node.position=Frankfurt", 'node.children=["fog", "fog-2"]'])
        self.cloud, self.fog, self.edge = self.tree.cloud, self.tree.fog, self.tree.edge
        self.over = threading.Event()
        self.threads = []

    def start(self):
        self.tree.start()
        for work in (self._send, self._ask):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self.threads.append(thread)
        verge.wait_until(lambda: len(self.cloud.admin("/v1/tree").json()["nodes"]) == 2, "the tree reports")
        return self

    def get(self, path):
        return verge.http_request(self.edge.addresses["http"], "GET", path, fields={"Host": "shop.test"})

    def _send(self):
        turn = 0
        while not self.over.wait(0.1):
            turn += 1
            events = [{"topic": f"plant/press-{machine}/telemetry", "device": f"press-{machine}",
                       "payload": {"temperature": 60 + (turn * 7 + machine * 13) % 36}} for machine in range(10)]
            try:
                self.edge.post("/v1/events", json.dumps(events))
            except OSError:
                pass

    def _ask(self):
        turn = 0
        while not self.over.wait(0.02):
            turn += 1
            path = "/private" if turn % 40 == 0 else URLS[min(turn * turn % 29, len(URLS) - 1)]
            try:
                self.get(path)
            except OSError:
                pass

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.tree.discard()
        self.origin.end()
