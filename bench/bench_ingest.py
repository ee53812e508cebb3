#!/usr/bin/env python3
"""Messages taken in, beside Debian's mosquitto, alternating in one run: CPU a message by the kernel's accounting."""
import sys

from bench_support import Mosquitto, Node, bench, find_mosquitto, machine, median


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    peers = {"verge": Node()}
    program = find_mosquitto()
    if program:
        peers["mosquitto"] = Mosquitto(program)
    else:
        print("mosquitto is not installed: no peer (apt-get install mosquitto)")
    print(f"ingest: {runs} runs of 4 s each, alternating; {machine()}")
    for qos in (0, 1):
        for batch, rate in ((32, 100_000), (1, 20_000)):
            rows = {name: [] for name in peers}
            for _ in range(runs):
                for name, peer in peers.items():
                    rows[name].append(bench("ingest", "--target", peer.mqtt, "--pid", peer.process.pid, "--publishers", 10,
                                            "--rate", rate, "--seconds", 4, "--qos", qos, "--payload-bytes", 100,
                                            "--batch", batch))
            cpu = {name: median([row["cpu_us_per_message"] for row in its]) for name, its in rows.items()}
            line = f"QoS {qos}, {batch:2} a write, {rate:6} a second:"
            for name, its in rows.items():
                line += f"  {name} {cpu[name]:.2f} µs CPU a message, p99 {median([row['p99_us'] for row in its]):.0f} µs;"
            if len(peers) == 2:
                line += f"  {cpu['mosquitto'] / cpu['verge']:.2f}× the messages a CPU-second"
            print(line)


main()
