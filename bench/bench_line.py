#!/usr/bin/env python3
"""How much of a slow line is used: a backlog climbs over 64 KB/s with 50 ms each way."""
import base64
import json
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/support"))
from bench_support import Node, machine, stolen_ms

import line

RATE = 64_000
SECONDS = 20
RULES = """
[[rule]]
name = "keep"
sql = "SELECT * FROM 'bench/#'"
do = [{ upload = "normal" }]
"""


def main():
    import urllib.request
    parent = Node("", sets=["node.tier=cloud"])
    between = line.Line(parent.http, rate=RATE, delay=0.05)
    between.stalled = True
    edge = Node(RULES, sets=[f"parent.url={between.url}"])
    for number in range(400):
        payload = {"number": number, "noise": base64.b64encode(os.urandom(6000)).decode()}
        request = urllib.request.Request(f"http://{edge.http}/v1/events",
                                         json.dumps({"topic": "bench/x", "payload": payload}).encode())
        urllib.request.urlopen(request).read()
    between.cut()
    between.stalled = False
    # The first batch finds out how slow the line is.
    start_bytes = between.up
    while between.up - start_bytes < RATE:
        threading.Event().wait(0.05)
    stolen, began, first = stolen_ms(), time.monotonic(), between.up
    while time.monotonic() - began < SECONDS:
        threading.Event().wait(0.05)
    used = (between.up - first) / (time.monotonic() - began)
    status = edge.status()["uplink"]
    print(f"line: {RATE / 1000:.0f} KB/s, 50 ms each way, {SECONDS} s of a backlog; {machine()}")
    print(f"used: {used / 1000:.1f} KB/s, {100 * used / RATE:.1f} % of the line; compression level "
          f"{status['compression_level']}, failures {status['failures']}; the hypervisor took {stolen_ms() - stolen:.0f} ms")
    between.end()


main()
