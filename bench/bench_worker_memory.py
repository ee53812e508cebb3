#!/usr/bin/env python3
"""Memory over many requests: 200 workers on one node, called in turn. The goal is memory that is flat within 5 % over
5,000,000 requests, once all workers have been called.

    ./dev bench bench_worker_memory [REQUESTS [WORKERS]]

200,000 requests by default. Memory is that of the node, the zygote and all isolate processes together, each page counted once
(proportional set size), in tenths of the run; the first three tenths are the warming-up."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from bench_support import Node, machine
from bench_workers import tree_of

WORKER = """let n = 0; const kept = [];
export default { async fetch(request, env) {
  n++;
  const body = { n, path: new URL(request.url).pathname, made: Array.from({ length: 50 }, (_, i) => ({ i, text: "x".repeat(i) })) };
  kept.push(n); if (kept.length > 100) kept.shift();
  return Response.json(body, { headers: { "Cache-Control": "no-store" } });
} };
"""


def memory_mb(pid):
    total = 0
    for each in tree_of(pid):
        try:
            for line in pathlib.Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total / 1024


def main():
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed: apt-get install wrk")
    print(machine())
    with tempfile.TemporaryDirectory(prefix="verge-bench-") as directory:
        config = "[runtime]\nloops = 1\n"
        path = pathlib.Path(directory, "worker.js")
        path.write_text(WORKER)
        for i in range(workers):
            config += (f'[[worker]]\nname = "w{i}"\nfile = "{path}"\nroutes = ["w{i}.test/*"]\ntenant = "t{i % 20}"\n'
                       'cpu = "1s"\nwall = "30s"\n')
        script = pathlib.Path(directory, "turn.lua")
        script.write_text(f'local n = 0\nrequest = function() n = n + 1\n'
                          f'  return wrk.format("GET", "/", {{ ["Host"] = "w" .. (n % {workers}) .. ".test" }}) end\n')
        node = Node(config)
        print(f"{requests:,} requests over {workers} workers of 20 tenants, one event loop")
        print(f"{'requests':>12}{'MB':>10}")
        done, samples, begun = 0, [], time.monotonic()
        while done < requests:
            # wrk counts by time: short rounds, until the tenth is full.
            target = requests * (len(samples) + 1) / 10
            while done < target:
                said = subprocess.run(["wrk", "-t1", "-c32", "-d2s", "-s", str(script), f"http://{node.http}/"],
                                      capture_output=True, text=True, check=True).stdout
                done += int(said.split(" requests in")[0].split()[-1])
            time.sleep(1)
            samples.append(memory_mb(node.process.pid))
            print(f"{done:>12,}{samples[-1]:>10.1f}", flush=True)
        status = node.status()["workers"]
        failed = sum(worker["errors"] for worker in status)
        steady = samples[3:] or samples
        print(f"flat within {100 * (max(steady) - min(steady)) / min(steady):.1f} % (goal 5), "
              f"from first to last {100 * (steady[-1] / steady[0] - 1):+.1f} %; {failed} calls failed; "
              f"{done / (time.monotonic() - begun):,.0f} requests a second")
        node.stop()


if __name__ == "__main__":
    main()
