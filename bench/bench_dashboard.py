#!/usr/bin/env python3
"""The dashboard of a node with 500 nodes below it and 100 insights: first paint, the read API, what watching costs.

Nodes are played by this script: each posts a report every two seconds. Usage: bench_dashboard.py [SECONDS]
"""

import http.client
import json
import os
import shutil
import sys
import tempfile
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
import browser
import event_stream
import verge

NODES = 500
INSIGHTS = 100
EVERY = 2.0
READS = 300
PATHS = ("/v1/status", "/v1/now", "/v1/tree", "/v1/history", "/v1/insights", "/v1/goals", "/v1/requests",
         "/v1/latency?place=London", "/metrics")


class Children:
    """Posts the reports of NODES nodes, evenly over EVERY seconds, over a few connections."""

    def __init__(self, address, connections=5):
        self.address = address
        self.over = threading.Event()
        self.bodies = []
        for number in range(NODES):
            figures = {"events_per_s": 10 + number, "waiting_records": 0, "requests_per_s": 3, "request_p99_ms": 20,
                       "cache_hit_ratio": 0.5 if number < INSIGHTS else 0.97, "cpu_cores": 0.05}
            node = {"id": uuid.uuid4().hex, "name": f"press-{number}", "tier": "edge", "site": f"Hall {number // 25}",
                    "version": "0.1.0", "latitude": -50 + number % 100, "longitude": -170 + (number * 17) % 340,
                    "round_trip_ms": 5 + number % 20, "uptime_s": 5000, "figures": figures}
            self.bodies.append(json.dumps({"every_ms": int(EVERY * 1000), "nodes": [node]}))
        share = (NODES + connections - 1) // connections
        self.threads = [threading.Thread(target=self._post, args=(self.bodies[i * share:(i + 1) * share],), daemon=True)
                        for i in range(connections)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def _post(self, bodies):
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port))
        begun = time.monotonic()
        for turn in range(10 ** 9):
            body = bodies[turn % len(bodies)]
            due = begun + turn * EVERY / len(bodies)
            if self.over.wait(max(0.0, due - time.monotonic())):
                return
            connection.request("POST", "/v1/report", body, {"Content-Type": "application/json"})
            connection.getresponse().read()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def cores(node, seconds):
    """Of the process, over some seconds."""
    def used():
        return node.status()["process"]["cpu_seconds"]

    before, begun = used(), time.monotonic()
    verge.pause(seconds)
    return (used() - before) / (time.monotonic() - begun)


def read_times(node):
    host, _, port = node.addresses["admin"].rpartition(":")
    connection = http.client.HTTPConnection(host, int(port))
    rows = []
    for path in PATHS:
        times = []
        for _ in range(READS):
            begun = time.monotonic()
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            times.append((time.monotonic() - begun) * 1000)
            assert answer.status == 200, (path, answer.status)
        times.sort()
        rows.append((path, times[len(times) // 2], times[int(len(times) * 0.99)], len(body)))
    return rows


def first_paint(node, rounds=5):
    looking = browser.Browser()
    try:
        paints, ready = [], []
        for _ in range(rounds):
            looking.open(f"http://{node.addresses['admin']}/")
            looking.wait(f"document.querySelectorAll('tbody tr').length > {NODES}", "all nodes are shown")
            paints.append(looking.do("evaluate", script="performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            ready.append(looking.do("evaluate", script="performance.getEntriesByName('nodes')[0].startTime"))
        return sorted(paints), sorted(ready)
    finally:
        looking.close()


def main(seconds):
    directory = tempfile.mkdtemp(prefix="verge-bench-dashboard-")
    node = verge.Node(directory, "cloud", tier="cloud")
    children = None
    try:
        node.start()
        verge.pause(3)
        alone = cores(node, seconds)
        children = Children(node.addresses["http"])
        children.start()
        verge.wait_until(lambda: len(node.admin("/v1/tree").json()["nodes"]) == NODES, "all nodes report")
        insights = len(node.admin("/v1/insights").json()["insights"])
        verge.pause(4)
        unwatched = cores(node, seconds)
        stream = event_stream.EventStream(node.addresses["admin"], "/v1/stream")
        watched = cores(node, seconds)
        stream.close()
        print(f"{NODES} nodes, {insights} insights")
        print(f"cores in use: alone {alone:.4f}, with their reports {unwatched:.4f}, and watched {watched:.4f}: "
              f"watching costs {100 * (watched - unwatched):.2f} % of a core")
        for path, half, most, size in read_times(node):
            print(f"{path:<26} p50 {half:6.2f} ms  p99 {most:6.2f} ms  {size} bytes")
        if browser.missing():
            print(f"no first paint: {browser.missing()}")
        else:
            paints, ready = first_paint(node)
            print(f"first contentful paint, five times: {', '.join(f'{each:.0f}' for each in paints)} ms; rows of nodes there "
                  f"after {', '.join(f'{each:.0f}' for each in ready)} ms")
    finally:
        if children:
            children.end()
        node.discard()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
