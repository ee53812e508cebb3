#!/usr/bin/env python3
"""Device publishes → a rule decides → device receives the command, at 10,000 messages a second, beside a bare echo server
(the same protocol without a broker, a rule or a disk), alternating in one run. Prints the median of the runs.

Twice: with all programs as ordinary ones, and with all of them in real time (verge with runtime.scheduling =
"realtime"), server and load generator each on a core of its own. That needs the permission to; without it the second
half is left out."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from bench_support import VERGE, Node, _running, bench, machine, median, stolen_ms, wait_for

RULE = """
[[rule]]
name = "overheat"
sql  = "SELECT device, temperature FROM 'plant/+/oven' WHERE temperature > 100"
do   = [{ publish = "plant/${device}/command", payload = '{"action":"SHUTDOWN_EQUIPMENT"}' }%s]
"""
UPLOADED = RULE % ', { upload = "critical" }'
LOAD = ["--publishers", 10, "--rate", 10000, "--seconds", 5, "--publish", "plant/m%d/oven", "--payload",
        '{"device":"m%d","temperature":120.5}', "--receive", "plant/m%d/command", "--expect",
        '{"action":"SHUTDOWN_EQUIPMENT"}']
REALTIME = ["runtime.scheduling=realtime", "runtime.loops=1"]


def in_real_time(core):
    return ["chrt", "--fifo", "1", "taskset", "--cpu-list", str(core)]


class Echo:
    def __init__(self, prefix=()):
        self.directory = tempfile.TemporaryDirectory()
        ready = pathlib.Path(self.directory.name, "ready.json")
        self.process = subprocess.Popen([*prefix, VERGE, "bench", "echo", "--listen", "127.0.0.1:0", "--ready-file",
                                         str(ready), "--payload", '{"action":"SHUTDOWN_EQUIPMENT"}'],
                                        stderr=subprocess.DEVNULL)
        _running.append(self.process)
        wait_for(ready.exists)
        self.mqtt = json.loads(ready.read_text())["mqtt"][0]


def ordinary_targets():
    # "decide": act and report; "uploaded": each message is also stored before its PUBACK.
    return {"bare echo": (Echo(), 0), "verge, QoS 0": (Node(RULE % ""), 0), "verge, QoS 1": (Node(RULE % ""), 1),
            "verge, QoS 1, uploaded": (Node(UPLOADED), 1)}


def realtime_targets():
    return {"bare echo": (Echo(in_real_time(max(os.sched_getaffinity(0)))), 0),
            "verge, QoS 0": (Node(RULE % "", REALTIME), 0), "verge, QoS 1": (Node(RULE % "", REALTIME), 1),
            "verge, QoS 1, uploaded": (Node(UPLOADED, REALTIME), 1)}


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    halves = {"ordinary": ((), ordinary_targets())}
    if subprocess.run([*in_real_time(0), "true"], capture_output=True).returncode == 0:
        halves["in real time"] = (in_real_time(min(os.sched_getaffinity(0))), realtime_targets())
    results = {(half, name): [] for half, (_, targets) in halves.items() for name in targets}
    for _ in range(runs):
        for half, (prefix, targets) in halves.items():
            for name, (target, qos) in targets.items():
                before = stolen_ms()
                row = bench("decide", "--target", target.mqtt, "--qos", qos, *LOAD, prefix=prefix)
                results[half, name].append(row | {"stolen_ms": stolen_ms() - before})
    print(f"decide: 10,000 messages a second, 10 publishers, {runs} runs of 5 s each, alternating; {machine()}")
    for half, (_, targets) in halves.items():
        print(f"{half:24} {'p50 µs':>9} {'p99 µs':>9} {'max µs':>9}   "
              "p99 of each run (CPU time that the hypervisor took, ms)")
        for name, (target, _) in targets.items():
            rows = results[half, name]
            each = " ".join(f"{row['p99_us']:.0f} ({row['stolen_ms']:.0f})" for row in rows)
            print(f"{name:24} {median([r['p50_us'] for r in rows]):9.0f} {median([r['p99_us'] for r in rows]):9.0f} "
                  f"{median([r['max_us'] for r in rows]):9.0f}   {each}")
            quiet = [row for row in rows if row["undisturbed"] >= 1000]
            if quiet:
                print(f"{'':24} undisturbed: p99 {median([r['undisturbed_p99_us'] for r in quiet]):.0f} µs, median of "
                      f"{len(quiet)} runs with together {sum(r['undisturbed'] for r in quiet)} commands in moments in "
                      "which the hypervisor took nothing")
        for name, (target, _) in targets.items():
            if isinstance(target, Node):
                inside = target.status()["decisions"]
                print(f"inside the node ({name}): p50 {inside['p50_us']} µs, p99 {inside['p99_us']} µs over "
                      f"{inside['count']} decisions")


main()
