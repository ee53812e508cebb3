#!/usr/bin/env python3
"""Servers of a JetStream cluster are killed under load: for how long nothing that children send is acknowledged.

Three nats-servers, two parents on their stream, two children that are given events all the time. One server after the
other is killed (SIGKILL) and started again: leaders of the stream first, then followers of both streams."""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/support"))
import nats  # noqa: E402
import verge  # noqa: E402
from bench_support import machine  # noqa: E402


class Load:
    """Posts events of `size` bytes and more to a node until it is stopped."""

    def __init__(self, node, size):
        self.node, self.size, self.stopping = node, size, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        body = [{"topic": "load", "device": "bench", "payload": {"filler": "x" * self.size}}] * 20
        while not self.stopping:
            try:
                self.node.post("/v1/events", body)
            except OSError:
                pass
            verge.pause(0.01)

    def stop(self):
        self.stopping = True
        self.thread.join(verge.PATIENCE)


class Bench:
    def __init__(self, directory, size):
        self.cluster = nats.Cluster(directory).start()
        sets = ["store.engine=nats", f"store.urls={self.cluster.urls}"]
        self.parents = [verge.Node(directory, f"parent-{i}", tier="cloud", sets=sets).start() for i in range(2)]
        for parent in self.parents:
            verge.wait_until(lambda: parent.admin("/readyz").status == 200, "a parent reaches the stream", 60)
        self.children = [verge.Node(directory, f"child-{i}", parent=self.parents[i]).start() for i in range(2)]
        self.loads = [Load(child, size) for child in self.children]

    def discard(self):
        for node in (*self.children, *self.parents):
            node.discard()
        self.cluster.discard()

    def acknowledged(self):
        return sum(child.status()["uplink"]["records"] for child in self.children)

    def infos(self):
        client = self.cluster.client()
        try:
            return [client.stream(name) for name in ("VERGE", "VERGE_OVERFLOW")]
        finally:
            client.close()

    def leaders(self):
        return [info.get("cluster", {}).get("leader") for info in self.infos()]

    def wait_settled(self):
        def settled():
            infos = self.infos()
            leaders = {info.get("cluster", {}).get("leader") for info in infos}
            peers = [info.get("cluster", {}).get("replicas", []) for info in infos]
            return (None not in leaders and len(leaders) == 2 and infos[1].get("state", {}).get("messages") == 0
                    and all(len(p) == 2 and all(peer.get("current") for peer in p) for p in peers))

        verge.wait_until(settled, "the servers have everything again", 120)

    def kill(self, victim):
        """The longest time in which nothing was acknowledged, and when the stream had a leader again."""
        start = self.acknowledged()
        verge.wait_until(lambda: self.acknowledged() > start + 500, "the load flows")
        witness = next(server for server in self.cluster.servers if server is not victim)
        seen = self.acknowledged()
        begin = last_growth = time.monotonic()
        victim.kill9()
        longest, elected = 0, None
        while elected is None or time.monotonic() - begin < elected + 2:
            verge.pause(0.005)
            count, now = self.acknowledged(), time.monotonic()
            if elected is None and witness.leader_of() not in (None, victim.name):
                elected = now - begin
            if count > seen:
                longest, seen, last_growth = max(longest, now - last_growth), count, now
            if now - last_growth > 60:
                raise SystemExit("it does not flow again")
        longest = max(longest, time.monotonic() - last_growth)
        victim.start().wait_healthy()
        return longest, elected

    def round(self, of_leader):
        self.wait_settled()
        leaders = self.leaders()
        name = leaders[0] if of_leader else next(s.name for s in self.cluster.servers if s.name not in leaders)
        stall, elected = self.kill(self.cluster.by_name(name))
        return {"what": "leader" if of_leader else "follower", "stall_s": stall, "elected_s": elected}

    def finish(self):
        """(acknowledged to children, stored in the stream, of these by way of the overflow)."""
        for load in self.loads:
            load.stop()
        for child in self.children:
            child.wait_delivered(60)
        self.wait_settled()
        streams = [parent.status()["stream"] for parent in self.parents]
        return (self.acknowledged(), sum(stream["records"] for stream in streams),
                sum(stream["overflow"]["records"] for stream in streams))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--leaders", type=int, default=15, help="how often the stream's leader is killed (15)")
    options.add_argument("--followers", type=int, default=5, help="how often a server that leads neither stream is (5)")
    options.add_argument("--payload-bytes", type=int, default=200, help="of an event (200)")
    options.add_argument("--json", action="store_true", help="figures as JSON")
    chosen = options.parse_args()
    if nats.PROGRAM is None:
        raise SystemExit("nats-server is not here: ./dev deps brings it")
    directory = tempfile.mkdtemp(prefix="verge-bench-")
    bench = Bench(directory, chosen.payload_bytes)
    try:
        rounds = [bench.round(True) for _ in range(chosen.leaders)]
        rounds += [bench.round(False) for _ in range(chosen.followers)]
        acknowledged, stored, overflowed = bench.finish()
    finally:
        bench.discard()
        shutil.rmtree(directory, True)
    groups = {}
    for what in ("leader", "follower"):
        stalls = sorted(r["stall_s"] for r in rounds if r["what"] == what)
        if stalls:
            groups[what] = {"kills": len(stalls), "median_s": statistics.median(stalls), "max_s": stalls[-1],
                            "under_5_s": sum(stall < 5 for stall in stalls), "stalls_s": stalls}
    elections = sorted(r["elected_s"] for r in rounds if r["what"] == "leader")
    if chosen.json:
        print(json.dumps({"machine": machine(), "groups": groups, "elections_s": elections,
                          "acknowledged_records": acknowledged, "stored_records": stored,
                          "overflowed_records": overflowed}))
        return
    print(f"jetstream: three servers, one of them killed under load; {machine()}, load {os.getloadavg()[0]:.1f}")
    print(f"{'killed':10} {'times':>6} {'median stall':>13} {'longest':>9} {'under 5 s':>10}   stalls in s")
    for what, group in groups.items():
        print(f"{what:10} {group['kills']:6} {group['median_s']:11.2f} s {group['max_s']:7.2f} s {group['under_5_s']:10}   "
              + " ".join(f"{stall:.2f}" for stall in group["stalls_s"]))
    if elections:
        print(f"a new leader after {elections[0]:.1f} to {elections[-1]:.1f} s, median {statistics.median(elections):.1f} s")
    print(f"{acknowledged} records acknowledged to children, {stored} stored in the stream, "
          f"{overflowed} put in the overflow on the way")


if __name__ == "__main__":
    main()
