#!/usr/bin/env python3
"""Messages taken in, beside Debian's mosquitto, alternating in one run: CPU a message by the kernel's accounting.

usage: bench_ingest.py [RUNS] [busy]

With `busy`: latencies at the rate where mosquitto uses 70 % of a core, which is looked for first."""
import sys

from bench_support import Mosquitto, Node, bench, find_mosquitto, machine, median


LOADS = ((32, 100_000), (1, 20_000))  # messages a write, messages a second


def load(peer, qos, batch, rate):
    return bench("ingest", "--target", peer.mqtt, "--pid", peer.process.pid, "--publishers", 10, "--rate", rate,
                 "--seconds", 4, "--qos", qos, "--payload-bytes", 100, "--batch", batch)


def share(row):
    """Of a core."""
    return row["cpu_us_per_message"] * row["messages_per_s"] / 1e6


def rate_for(peer, wanted, qos, batch, rate):
    """The rate at which `peer` uses `wanted` of a core; or the last that was tried, where it did not come that far."""
    for _ in range(8):
        used = share(load(peer, qos, batch, rate))
        if abs(used - wanted) < 0.03:
            break
        rate = int(rate * min(2.0, wanted / max(used, 0.01)))
    return rate


def busy(peers, runs):
    print(f"where mosquitto uses 70 % of a core: {runs} runs of 4 s each, alternating; {machine()}")
    for qos in (0, 1):
        for batch, rate in LOADS:
            rate = rate_for(peers["mosquitto"], 0.7, qos, batch, rate)
            rows = {name: [] for name in peers}
            for _ in range(runs):
                for name, peer in peers.items():
                    rows[name].append(load(peer, qos, batch, rate))
            line = f"QoS {qos}, {batch:2} a write, {rate:6} a second:"
            for name, its in rows.items():
                line += (f"  {name} p50 {median([row['p50_us'] for row in its]):.0f} µs, p99 "
                         f"{median([row['p99_us'] for row in its]):.0f} µs, {100 * median(map(share, its)):.0f} % of a core, "
                         f"{median([row['messages_per_s'] for row in its]):.0f} a second;")
            print(line, flush=True)


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    peers = {"verge": Node()}
    program = find_mosquitto()
    if program:
        peers["mosquitto"] = Mosquitto(program)
    else:
        print("mosquitto is not installed: no peer (apt-get install mosquitto)")
    if "busy" in sys.argv[2:]:
        if len(peers) == 2:
            busy(peers, runs)
        return
    print(f"ingest: {runs} runs of 4 s each, alternating; {machine()}")
    for qos in (0, 1):
        for batch, rate in LOADS:
            rows = {name: [] for name in peers}
            for _ in range(runs):
                for name, peer in peers.items():
                    rows[name].append(load(peer, qos, batch, rate))
            cpu = {name: median([row["cpu_us_per_message"] for row in its]) for name, its in rows.items()}
            line = f"QoS {qos}, {batch:2} a write, {rate:6} a second:"
            for name, its in rows.items():
                line += f"  {name} {cpu[name]:.2f} µs CPU a message, p99 {median([row['p99_us'] for row in its]):.0f} µs;"
            if len(peers) == 2:
                line += f"  {cpu['mosquitto'] / cpu['verge']:.2f}× the messages a CPU-second"
            print(line)


main()
