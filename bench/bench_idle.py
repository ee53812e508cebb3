#!/usr/bin/env python3
"""An idle node: resident memory after five seconds, and the time from exec to ready (median of ten starts)."""
import threading

from bench_support import Node, machine, median


def main():
    starts, sizes = [], []
    for _ in range(10):
        node = Node()
        starts.append(node.ready_ms)
        if len(sizes) < 3:
            threading.Event().wait(5)
            sizes.append(node.resident_mb())
        node.stop()
    print(f"idle: {median(sizes):.1f} MB resident, ready in {median(starts):.1f} ms (max {max(starts):.1f}); {machine()}")


main()
