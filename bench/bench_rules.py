#!/usr/bin/env python3
"""Rules over MQTT: devices publish, each message is tested by 300 (then 1,000) rules whose topic filters all match, with
different predicates, and one of them commands. Beside a node with that one rule only, alternating in one run. Prints
evaluations a second (one message tested by one rule whose filter matches it), latencies, the node's CPU time a message,
and what 10,000 rules take to load and to hold. Run `verge rules bench` for the same without a network."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from bench_support import VERGE, Node, bench, machine, median

DECIDES = """[[rule]]
name = "decides"
sql = "SELECT device FROM 'plant/+/oven' WHERE temperature > 100"
do = [{ publish = "plant/${device}/command", payload = "STOP" }]
report = "none"
"""
LOAD = ["--publishers", 10, "--publish", "plant/m%d/oven", "--payload",
        '{"device":"m%d","temperature":120.5,"pressure":3.2,"code":7,"humidity":55,"state":"run"}',
        "--receive", "plant/m%d/command", "--expect", "STOP"]


def rule(number):
    condition = (f"temperature > {200 + number}", f"code = {1000 + number}",
                 f"pressure < {-number - 1} AND temperature > 50", f"state = 's{number}' OR code = {100000 + number}",
                 f"humidity BETWEEN {200 + number} AND {201 + number}")[number % 5]
    return (f'[[rule]]\nname = "r{number}"\nsql = "SELECT device, temperature FROM \'plant/+/oven\' WHERE {condition}"\n'
            'do = [{ publish = "plant/${device}/alarm" }]\n')


def rules(count):
    return DECIDES + "".join(rule(number) for number in range(count - 1))


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def loading(count):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "rules.toml")
        path.write_text(rules(count))
        begun = time.monotonic()
        subprocess.run([VERGE, "check", str(path)], check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - begun


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    nodes = {count: Node(rules(count)) for count in (1, 300, 1000)}
    rows = {count: [] for count in nodes}
    for _ in range(runs):
        for count, node in nodes.items():
            before = cpu_seconds(node.process.pid)
            row = bench("decide", "--target", node.mqtt, "--rate", rate, "--seconds", 4, *LOAD)
            row["cpu_us"] = (cpu_seconds(node.process.pid) - before) / row["sent"] * 1e6
            rows[count].append(row)
    print(f"rules over MQTT: {rate} messages a second, 10 publishers, {runs} runs of 4 s each, alternating; {machine()}")
    print(f"{'rules':>6} {'evaluations/s':>14} {'p50 µs':>9} {'p99 µs':>9} {'CPU µs a message':>17}")
    for count, made in rows.items():
        print(f"{count:6} {median([r['rate'] for r in made]) * count:14.0f} {median([r['p50_us'] for r in made]):9.0f} "
              f"{median([r['p99_us'] for r in made]):9.0f} {median([r['cpu_us'] for r in made]):17.1f}")
    few, many = Node(rules(1)), Node(rules(10_000))
    print(f"10,000 rules: verge check takes {median([loading(10_000) for _ in range(runs)]):.2f} s, a node is ready after "
          f"{many.ready_ms / 1000:.2f} s, {(many.resident_mb() - few.resident_mb()) * 1024 / 9999:.2f} KiB a rule")
    inside = subprocess.run([VERGE, "rules", "bench", "--json"], check=True, capture_output=True, text=True).stdout
    print("in one process:", json.dumps(json.loads(inside)))


main()
