#!/usr/bin/env python3
"""SIGKILL under load, with a million answers of 1 KB on the disk: how soon the node is ready, and what it finds again.

    ./dev bench bench_warm [ANSWERS]
"""
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import bench_cache
from bench_support import VERGE, Node, machine, wait_for

SITE = """
[http]
ingest = false
uplink = false
[[site]]
hosts = "*"
origins = "http://127.0.0.1:{origin}"
override_ttl = "1d"
[cache]
memory_bytes_max = "64MiB"
disk_bytes_max = "{bytes}"
"""
SAMPLE = 20_000


def warm(node, urls):
    return subprocess.Popen([VERGE, "cache", "warm", "-", "--at-a-time", "64", "--admin", node.addresses["admin"][0]],
                            stdin=urls.open(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def hits_of(port, host, numbers):
    found = 0
    with socket.create_connection(("127.0.0.1", port)) as client:
        text = b""
        for number in numbers:
            client.sendall(f"GET /{number} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            while (end := text.find(b"\r\n\r\n")) < 0:
                text += client.recv(1 << 16)
            length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", text[:end + 4])[1])
            while len(text) < end + 4 + length:
                text += client.recv(1 << 16)
            found += b"; hit" in text[:end]
            text = text[end + 4 + length:]
    return found


def main():
    answers = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    origin = bench_cache.Constant(1024)
    node = Node(SITE.format(origin=origin.port, bytes=max(answers * 2048, 16 << 20)))
    # A restarted node of the bench has the same ports, and so the same keys.
    base = f"http://{node.http}"
    with tempfile.TemporaryDirectory() as directory:
        urls = pathlib.Path(directory, "urls")
        urls.write_text("".join(f"{base}/{number}\n" for number in range(answers)))
        begun = time.monotonic()
        if warm(node, urls).wait() != 0:
            raise SystemExit("not all could be fetched")
        filled = time.monotonic() - begun

        def disk():
            return node.status()["cache"]["disk"]

        wait_for(lambda: disk()["written"] + disk()["skipped"] >= answers, 60)
        before = disk()
        load = warm(node, urls)
        wait_for(lambda: disk()["read"] > 10_000, 60)
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
        load.kill()
        load.wait()
        node.start()
        after = disk()
        port = int(node.http.rpartition(":")[2])
        draw = random.Random(1)
        begun = time.monotonic()
        found = hits_of(port, node.http, [draw.randrange(answers) for _ in range(SAMPLE)])
        took = time.monotonic() - begun
        print(f"{machine()}; {answers} answers of 1 KB, stored in {filled:.0f} s ({answers / filled:.0f}/s), "
              f"{before['skipped']} of them not on the disk")
        print(f"killed under load, ready again after {node.ready_ms:.0f} ms with {after['answers']} answers; "
              f"{found} of {SAMPLE} drawn ones are hits ({SAMPLE / took:.0f}/s over one connection), "
              f"{disk()['damaged']} damaged; {node.resident_mb():.0f} MB resident")
        node.stop()


if __name__ == "__main__":
    main()
