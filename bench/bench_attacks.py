#!/usr/bin/env python3
"""Attackers beside a victim on one node: a victim's worker at 1,000 requests a second, one request of an attacker's worker
at a time, each client a process of its own, in turn with the victim alone, ROUNDS times. The goals: each attack ends within twice
its limit, and the victim's p99 stays within twice what it is alone.

    ./dev bench bench_attacks [SECONDS [ATTACK...]]

With `decide` among the attacks, `while (true) {}` runs in a worker while `verge bench decide` measures decisions, of
which the goal is a p99 below 1 ms."""
import http.client
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time

from bench_support import ROOT, Node, bench, machine, median, stolen_ms

sys.path.insert(0, str(ROOT / "tests/integration"))
from test_workers import ATTACKS, VICTIM, source

RATE = 1000
ROUNDS = 3
CPU_MS, WALL_MS, MEMORY_MB = 10, 30, 128
RULE = """
[[rule]]
name = "overheat"
sql = "SELECT device, temperature FROM 'plant/+/oven' WHERE temperature > 100"
do = [{ publish = "plant/${device}/command", payload = '{"action":"SHUTDOWN_EQUIPMENT"}' }]

"""


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


class Client:
    """One kept-alive connection to a host of the node."""

    def __init__(self, address, host):
        self.address, self.host = address, host
        self.connection = http.client.HTTPConnection(*address.rsplit(":", 1))

    def ask(self):
        begun = time.perf_counter()
        try:
            self.connection.request("GET", "/", headers={"Host": self.host})
            answer = self.connection.getresponse()
            answer.read()
            said = answer.getheader("Verge-Worker-Error", "")
            return (time.perf_counter() - begun) * 1000, answer.status, said.split(";")[0]
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = http.client.HTTPConnection(*self.address.rsplit(":", 1))
            return (time.perf_counter() - begun) * 1000, 0, type(error).__name__


def victim_latencies(node, seconds, failures):
    """From when each request was due, so that what is held up counts in full."""
    client = Client(node.http, "victim.test")
    latencies, begun = [], time.perf_counter()
    for i in range(int(seconds * RATE)):
        due = begun + i / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        _, status, said = client.ask()
        latencies.append((time.perf_counter() - due) * 1000)
        if status != 200:
            failures.append(said or str(status))
    return latencies


def assault(address, host, stop, told):
    client, ended = Client(address, host), []
    while not stop.is_set():
        ended.append(client.ask())
    told.put(ended)


class Attackers:
    """So many processes that ask for `name` until end(), which gives what they saw."""

    def __init__(self, node, name, count=1):
        self.stop, self.told = multiprocessing.Event(), multiprocessing.Queue()
        self.processes = [multiprocessing.Process(target=assault, args=(node.http, f"{name}.test", self.stop, self.told))
                          for _ in range(count)]
        for process in self.processes:
            process.start()

    def end(self):
        self.stop.set()
        ended = [one for _ in self.processes for one in self.told.get()]
        for process in self.processes:
            process.join()
        return ended


def most_frequent(values):
    return max(set(values), key=values.count)


def decisions(node, attackers=0):
    """Decisions at 10,000 a second, beside so many requests of `while (true) {}` at a time."""
    attack = Attackers(node, "loop", attackers) if attackers else None
    row = bench("decide", "--target", node.mqtt, "--seconds", 3)
    if attack:
        attack.end()
    return row


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2
    wanted = sys.argv[2:] or [*ATTACKS, "decide"]
    print(machine())
    with tempfile.TemporaryDirectory(prefix="verge-bench-") as directory:
        config = RULE
        for name, text in {**{name: source(text) for name, text in ATTACKS.items()}, "victim": VICTIM}.items():
            path = pathlib.Path(directory, f"{name}.js")
            path.write_text(text)
            config += f'[[worker]]\nname = "{name}"\nfile = "{path}"\nroutes = ["{name}.test/*"]\n'
        node = Node(config)
        failures, stolen = [], stolen_ms()
        victim_latencies(node, 1, failures)
        print(f"limits: {CPU_MS} ms of processor time, {WALL_MS} ms of time, {MEMORY_MB} MB; "
              f"{os.cpu_count()} cores; {RATE} requests a second of the victim, {seconds:g} s each, {ROUNDS} times, medians")
        print(f"{'attack':11}{'attacks':>8}{'end p50 ms':>11}{'max ms':>8}  {'ends with':18}"
              f"{'victim alone: p50':>18}{'p99 ms':>8}{'beside: p50':>13}{'p99 ms':>8}{'of alone':>10}  each")
        for name in wanted:
            if name == "decide":
                continue
            ended, alone, beside = [], [], []
            for _ in range(ROUNDS):
                alone.append(victim_latencies(node, seconds, failures))
                attackers = Attackers(node, name)
                beside.append(victim_latencies(node, seconds, failures))
                ended += attackers.end()
            took = [one[0] for one in ended]
            said = most_frequent([one[2] or str(one[1]) for one in ended])
            ratios = [percentile(late, .99) / percentile(base, .99) for late, base in zip(beside, alone)]
            shown = [median([percentile(run, share) for run in runs]) for runs in (alone, beside) for share in (.5, .99)]
            print(f"{name:11}{len(took):>8}{percentile(took, .5):>11.1f}{max(took):>8.1f}  {said:18}"
                  f"{shown[0]:>18.2f}{shown[1]:>8.2f}{shown[2]:>13.2f}{shown[3]:>8.2f}{median(ratios):>9.1f}x  "
                  + " ".join(f"{ratio:.1f}" for ratio in ratios), flush=True)
        print(f"\nprocessor time that the hypervisor took: {stolen_ms() - stolen:.0f} ms\nrequests of the victim that failed: {len(failures)}", *sorted(set(failures)))
        if "decide" in wanted:
            counts = (0, 1, os.cpu_count() or 1)
            rows = {count: [] for count in counts}
            for _ in range(5):
                for count in counts:
                    rows[count].append(decisions(node, count))
            print("decisions beside while (true) {}, medians of 5 runs of 3 s, alternating")
            for count in counts:
                p50, p99 = (median([row[name] for row in rows[count]]) for name in ("p50_us", "p99_us"))
                each = ", ".join(f"{row['p99_us']:.0f}" for row in rows[count])
                print(f"  {count} at a time: p50 {p50:.0f} µs, p99 {p99:.0f} µs (each: {each})")
        node.stop()


if __name__ == "__main__":
    main()
