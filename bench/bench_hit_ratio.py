#!/usr/bin/env python3
"""Hit ratios on Zipf traces with scans, with equal bytes of memory: Verge and Varnish as they run, and LRU as computed.

    ./dev bench bench_hit_ratio [REQUESTS]

Requests are for one of 40,000 objects of 4 KB, by Zipf's law; after each 20,000 comes a scan over 4,000 URLs that are
asked for once. Memory holds about a tenth of the objects. The first third of each trace warms up and does not count."""
import bisect
import itertools
import random
import re
import socket
import sys

import bench_cache
from bench_support import Node, machine

OBJECTS, BODY, SCAN_EVERY, SCAN = 40_000, 4096, 20_000, 4_000
MEMORY = 16 << 20
PIPELINE = 32
SITE = """
[http]
ingest = false
uplink = false
[[site]]
hosts = "*"
origins = "http://127.0.0.1:{origin}"
override_ttl = "1h"
"""


def trace(exponent, count):
    draw = random.Random(int(exponent * 100))
    sums = list(itertools.accumulate(1 / rank ** exponent for rank in range(1, OBJECTS + 1)))
    names = list(range(OBJECTS))
    draw.shuffle(names)
    scanned = 0
    urls = []
    while len(urls) < count:
        for _ in range(SCAN_EVERY):
            urls.append(f"/{names[bisect.bisect(sums, draw.random() * sums[-1])]}")
        for _ in range(SCAN):
            urls.append(f"/scan/{scanned}")
            scanned += 1
    return urls[:count]


def counted(urls):
    """Where counting begins, and how many requests count: scans are not meant to hit."""
    begin = len(urls) // 3
    return begin, sum(not url.startswith("/scan") for url in urls[begin:])


def replay(port, urls, is_hit):
    """Asks for all in order over one connection; the share of hits of those that count."""
    begin, total = counted(urls)
    hits = 0
    with socket.create_connection(("127.0.0.1", port)) as client:
        text = b""
        for first in range(0, len(urls), PIPELINE):
            group = urls[first:first + PIPELINE]
            client.sendall(b"".join(f"GET {url} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for url in group))
            for number, url in enumerate(group, first):
                while (end := text.find(b"\r\n\r\n")) < 0:
                    text += client.recv(1 << 20)
                head = text[:end + 4]
                length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head)[1])
                while len(text) < end + 4 + length:
                    text += client.recv(1 << 20)
                text = text[end + 4 + length:]
                if number >= begin and not url.startswith("/scan"):
                    hits += is_hit(head)
    return hits / total


def lru(urls, room):
    begin, total = counted(urls)
    hits, held = 0, {}
    for number, url in enumerate(urls):
        if url in held:
            hits += number >= begin and not url.startswith("/scan")
            held[url] = held.pop(url)
            continue
        held[url] = None
        if len(held) > room:
            del held[next(iter(held))]
    return hits / total


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 240_000
    print(machine())
    print(f"{count} requests a trace, {OBJECTS} objects of {BODY} bytes, a scan of {SCAN} after each {SCAN_EVERY}, "
          f"{MEMORY >> 20} MiB of memory\n")
    origin = bench_cache.Constant(BODY)
    has_varnish = bench_cache.is_installed(bench_cache.Varnish)
    if not has_varnish:
        print("varnish is not installed: left out")
    print(f"{'':10} {'verge':>8} {'LRU':>8} {'varnish':>8}")
    for exponent in (0.8, 0.9, 1.0):
        urls = trace(exponent, count)
        node = Node(SITE.format(origin=origin.port), ["runtime.loops=1", f"cache.memory_bytes_max={MEMORY}"])
        ours = replay(int(node.http.rpartition(":")[2]), urls, lambda head: b"; hit" in head)
        held = node.status()["cache"]
        # What an answer takes in this store counts for LRU too: the bytes are equal.
        room = int(MEMORY / (held["memory_bytes"] / held["answers"]))
        node.stop()
        theirs = None
        if has_varnish:
            peer = bench_cache.Varnish(origin.port, memory=MEMORY, ttl="1h")
            theirs = replay(peer.port, urls, lambda head: re.search(rb"(?i)x-varnish: \d+ \d+", head) is not None)
            peer.stop()
        print(f"Zipf({exponent})  {ours:8.3f} {lru(urls, room):8.3f} {theirs if theirs is None else format(theirs, '8.3f')}", flush=True)


if __name__ == "__main__":
    main()
