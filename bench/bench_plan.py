#!/usr/bin/env python3
"""The planner against its figures: calibration, generalised assignment beside plain CBC, the routing table, greedy
placement, and the simulator beside the EPaxos paper.

    python3 bench/bench_plan.py [--seconds 20] [--only NAME]    NAME: latency, gap, table, greedy, paper, million

Published data is read from ../shared/data where it is there. Peers: `cbc` (Debian's coinor-cbc), where it is installed.
"""
import argparse
import csv
import json
import pathlib
import random
import resource
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
VERGE = ROOT / "build/verge"
DATA = next((up / "shared/data" for up in (ROOT, *ROOT.parents) if (up / "shared/data").is_dir()), None)


def plan(*words):
    begun = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([VERGE, "plan", *map(str, words), "--json"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), time.monotonic() - begun, cpu, after.ru_maxrss / 1024


def latency(_):
    for cloud in ("aws", "gcp"):
        found, _, _, _ = plan("latency", "--rtt", DATA / "rtt" / cloud)
        print(f"{cloud}: {found['pairs']} pairs, {found['below_floor']} below the floor, median error "
              f"{found['median_error']:.1%} (floor {found['floor_median_error']:.1%}, one factor "
              f"{found['one_factor_median_error']:.1%})")


def cbc(path, seconds):
    """The value that plain CBC has after so long, from the same programme as an LP file."""
    numbers = list(map(int, path.read_text().split()))
    agents, jobs = numbers[:2]
    cost, weight, capacity = numbers[2:2 + agents * jobs], numbers[2 + agents * jobs:2 + 2 * agents * jobs], numbers[-agents:]
    name = [f"x{i}_{j}" for i in range(agents) for j in range(jobs)]
    lines = ["Minimize", " + ".join(f"{c} {n}" for c, n in zip(cost, name)), "Subject To"]
    lines += [" + ".join(name[i * jobs + j] for i in range(agents)) + " = 1" for j in range(jobs)]
    lines += [" + ".join(f"{weight[i * jobs + j]} {name[i * jobs + j]}" for j in range(jobs)) + f" <= {capacity[i]}"
              for i in range(agents)]
    with tempfile.TemporaryDirectory() as directory:
        model = pathlib.Path(directory, "model.lp")
        model.write_text("\n".join(lines + ["Binaries", "\n".join(name), "End", ""]))
        done = subprocess.run(["cbc", model, "sec", str(seconds), "threads", "2", "solve"], capture_output=True, text=True)
    values = [float(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith("Objective value")]
    return values[-1] if values else None


def gap(options):
    best = {row["Path"].split("/")[1]: float(row["Best known solution value"]) for row in csv.DictReader(open(DATA / "gap/best_known.csv"))}
    for name, known in best.items():
        found, wall, cpu, _ = plan("place", "--gap", DATA / "gap" / name, "--seconds", options.seconds)
        line = f"{name}: {found['value']:.0f}, {found['value'] / known - 1:.3%} above best known {known:.0f}; bound " \
               f"{(known - found['bound']) / known:.3%} below it; {wall:.1f} s, {cpu:.1f} s CPU"
        if options.peers and shutil.which("cbc"):
            peer = cbc(DATA / "gap" / name, options.seconds)
            line += f"; plain CBC {peer / known - 1:+.2%}" if peer else "; plain CBC: nothing"
        print(line, flush=True)
    for name in ("c05100", "e05100"):
        found, wall, _, _ = plan("place", "--gap", DATA / "gap" / name, "--mode", "exact", "--seconds", 60)
        print(f"{name} exact: {found['value']:.0f}, optimal {found['optimal']}, {wall:.1f} s", flush=True)


def table(_):
    chosen = random.Random(1)
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "nodes.csv")
        with open(path, "w") as file:
            file.write("name,lat,lon,zone,cost,load\n")
            for i in range(100_000):
                file.write(f"n{i},{chosen.uniform(-60, 70):.4f},{chosen.uniform(-180, 180):.4f},z{i % 500},"
                           f"{chosen.uniform(0, .02):.4f},{chosen.uniform(0, .95):.3f}\n")
        found, wall, _, memory = plan("select", "--nodes", path, "--table", 1_000_000)
    print(f"{found['nodes']} nodes, {found['cells']} cells: built in {found['build_seconds']:.1f} s ({wall:.1f} s with reading), "
          f"{memory:.0f} MiB, a lookup {found['lookup_ns']:.1f} ns")


def greedy(_):
    chosen = random.Random(2)
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "plan.csv")
        with open(path, "w") as file:
            file.write("kind,name,lat,lon,zone,cpu,memory_gb,bandwidth_mbps,users,latency_max_ms\n")
            for i in range(1000):
                file.write(f"node,n{i},{chosen.uniform(-60, 70):.4f},{chosen.uniform(-180, 180):.4f},z{i % 50},64,256,10000,,\n")
            for i in range(100):
                file.write(f"user,u{i},{chosen.uniform(-60, 70):.4f},{chosen.uniform(-180, 180):.4f},,,,,,\n")
            for i in range(10_000):
                file.write(f"workload,w{i},,,,{chosen.uniform(.5, 6):.2f},{chosen.uniform(1, 20):.1f},{chosen.randrange(10, 500)},"
                           f"u{i % 100},\n")
        found, wall, cpu, _ = plan("place", path, "--mode", "greedy")
    print(f"greedy: {len(found['placements'])} workloads on 1000 nodes, {wall:.2f} s with reading and printing, {cpu:.2f} s CPU, "
          f"gap {found['gap_percent']:.1f} %")


def paper(_):
    matrix = ROOT / "examples/plan/round-trips.csv"
    for protocol, medians, more in (("epaxos", (81, 79, 81, 135, 152), ()), ("multipaxos", (170, 85, 107, 211, 250), ("--leader", "CA"))):
        found, _, _, _ = plan("protocol", "--matrix", matrix, "--protocol", protocol, *more)
        values = [site["p50_ms"] for site in found["sites"]]
        errors = [abs(value / median - 1) for value, median in zip(values, medians)]
        print(f"{protocol}: " + ", ".join(f"{site['site']} {value:.0f} ({median})" for site, value, median in zip(found["sites"], values, medians)) +
              f"; largest error {max(errors):.1%}, mean {sum(errors) / 5:.1%}")


def million(_):
    for protocol in ("raft", "epaxos"):
        _, wall, _, _ = plan("protocol", "--matrix", ROOT / "examples/plan/round-trips.csv", "--protocol", protocol, "--conflict", 0.02,
                             "--operations", 1_000_000)
        print(f"{protocol}: a million operations in {wall:.2f} s")


def main():
    parts = {"latency": latency, "gap": gap, "table": table, "greedy": greedy, "paper": paper, "million": million}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", choices=parts)
    parser.add_argument("--peers", action="store_true", help="plain CBC beside each instance")
    options = parser.parse_args()
    for name, part in parts.items():
        if options.only not in (None, name):
            continue
        if DATA is None and name in ("latency", "gap"):
            print(f"{name}: skipped, there is no ../shared/data")
            continue
        part(options)


main()
