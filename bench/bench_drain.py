#!/usr/bin/env python3
"""A backlog drains: how long the start takes, how fast records climb with both ends on this machine, and how soon a fresh
critical record arrives meanwhile."""
import json
import statistics
import subprocess
import sys
import time

from bench_support import VERGE, Node, bench, machine, median, stolen_ms, wait_for

RULES = """
[[rule]]
name = "keep"
sql = "SELECT * FROM 'bench/#'"
do = [{ upload = "normal" }]

[[rule]]
name = "alarm"
sql = "SELECT * FROM 'alarm/#'"
do = [{ upload = "critical" }, { publish = "seen/${device}" , payload = "x" }]
"""


def main():
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    parent = Node("", sets=["node.tier=cloud"])
    url = "http://" + parent.http
    parent.stop()
    edge = Node(RULES, sets=[f"parent.url={url}", "spool.bytes_max=8GiB"])
    # 256 bytes a record as it is stored: topic, device and framing included.
    filled = 0
    while filled < records:
        row = bench("ingest", "--target", edge.mqtt, "--publishers", 10, "--rate", 100_000, "--seconds", 2, "--qos", 1,
                    "--payload-bytes", 215, "--batch", 32)
        filled = edge.status()["spool"]["normal"]["records"]
    edge.stop()
    spool = json.loads(subprocess.run([VERGE, "spool", "stat", "--json", "--data-dir", edge.data_dir], check=True,
                                      capture_output=True).stdout)["normal"]
    print(f"drain: {spool['records']} records, {spool['bytes'] / spool['records']:.0f} bytes each on the disk; {machine()}")
    parent.start()
    before = stolen_ms()
    began = time.monotonic()
    edge.start()
    ready = time.monotonic() - began
    memory = edge.status()["process"]["resident_bytes"] if "process" in edge.status() else edge.resident_bytes()
    print(f"start with the backlog: ready in {ready * 1000:.0f} ms, {memory / 1e6:.1f} MB resident")
    first = edge.status()["spool"]["normal"]["records"]
    began = time.monotonic()
    peak = memory
    # Fresh critical records, one every 20 ms, until the backlog is gone.
    import paho.mqtt.client as paho
    seen, sent, delays = set(), {}, []
    client = paho.Client("alarm")
    host, _, port = edge.mqtt.rpartition(":")
    client.connect(host, int(port))
    client.loop_start()
    watcher = parent.watch("alarm/#", lambda number: delays.append(time.monotonic() - sent[number]))
    number = 0
    while edge.status()["spool"]["normal"]["records"] > 0:
        number += 1
        sent[number] = time.monotonic()
        client.publish("alarm/a", json.dumps({"number": number}), 1)
        time.sleep(0.02)
        peak = max(peak, edge.resident_bytes())
    took = time.monotonic() - began
    watcher()
    print(f"drained {first} records in {took:.2f} s: {first / took:,.0f} a second; peak {peak / 1e6:.1f} MB; "
          f"the hypervisor took {stolen_ms() - before} ms")
    if delays:
        delays.sort()
        print(f"fresh critical records meanwhile: {len(delays)}; at the parent p50 {1000 * delays[len(delays) // 2]:.1f} ms, "
              f"p99 {1000 * delays[int(len(delays) * 0.99)]:.1f} ms")


main()
