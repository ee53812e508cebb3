#!/usr/bin/env python3
"""A backlog drains, with both ends on this machine: how long the start takes with it, how fast records climb, and how soon
a fresh critical record is at the parent meanwhile."""
import json
import subprocess
import sys
import threading
import time

from bench_support import VERGE, Node, bench, machine, stolen_ms

# The topic under which a critical record arrives is published again at the parent, so that a client there sees it.
EDGE = """
[[rule]]
name = "keep"
sql = "SELECT * FROM 'bench/#'"
do = [{ upload = "normal" }]

[[rule]]
name = "alarm"
sql = "SELECT * FROM 'alarm/#'"
do = [{ upload = "critical" }]
"""
PARENT = """
[[rule]]
name = "seen"
sql = "SELECT number FROM 'alarm/#'"
do = [{ publish = "seen", payload = "${number}" }]
"""


class Client:
    """Just enough MQTT 3.1.1 to publish at QoS 0 and to hear what is published."""

    def __init__(self, address, name, subscribe=None, on_message=None):
        import socket
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(b"\x10" + bytes([12 + len(name)]) + b"\0\4MQTT\4\2\0\0\0" + bytes([len(name)]) + name.encode())
        self.socket.recv(4)
        if subscribe:
            body = b"\0\1\0" + bytes([len(subscribe)]) + subscribe.encode() + b"\0"
            self.socket.sendall(b"\x82" + bytes([len(body)]) + body)
            self.socket.recv(5)
            threading.Thread(target=self._read, args=(on_message,), daemon=True).start()

    def publish(self, topic, payload):
        body = b"\0" + bytes([len(topic)]) + topic.encode() + payload
        self.socket.sendall(b"\x30" + bytes([len(body)]) + body)

    def _read(self, on_message):
        data = b""
        while True:
            got = self.socket.recv(4096)
            if not got:
                return
            now = time.monotonic()
            data += got
            while len(data) >= 2 and len(data) >= 2 + data[1]:
                body, data = data[2:2 + data[1]], data[2 + data[1]:]
                on_message(body[2 + body[1]:], now)


def main():
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    parent = Node(PARENT, sets=["node.tier=cloud", "spool.bytes_max=8GiB"])
    parent.stop()
    edge = Node(EDGE, sets=[f"parent.url=http://{parent.http}", "spool.bytes_max=8GiB"])
    while edge.status()["spool"]["normal"]["records"] < records:
        # 256 bytes a record as it is stored, topic, device and framing included.
        bench("ingest", "--target", edge.mqtt, "--publishers", 10, "--rate", 100_000, "--seconds", 2, "--qos", 1,
              "--payload-bytes", 206, "--batch", 32)
    edge.stop()
    spool = json.loads(subprocess.run([VERGE, "spool", "stat", "--json", "--data-dir", edge.data_dir], check=True,
                                      capture_output=True).stdout)["normal"]
    print(f"drain: a backlog of {spool['records']} records, {spool['bytes'] / spool['records']:.0f} bytes each on the disk; "
          f"{machine()}")
    parent.start()
    sent, delays = {}, []
    Client(parent.mqtt, "listener", "seen", lambda payload, now: delays.append(now - sent[int(float(payload))]))
    stolen = stolen_ms()
    began = time.monotonic()
    edge.start()
    first = edge.status()["spool"]["normal"]["records"]
    print(f"start with the backlog: ready in {edge.ready_ms:.0f} ms, {edge.resident_mb():.1f} MB resident")
    alarms = Client(edge.mqtt, "alarms")
    peak, number, left = 0.0, 0, first
    while left > 0:
        number += 1
        sent[number] = time.monotonic()
        alarms.publish("alarm/a", json.dumps({"number": number}).encode())
        peak = max(peak, edge.resident_mb())
        left = edge.status()["spool"]["normal"]["records"]
        threading.Event().wait(0.02)
    took = time.monotonic() - began
    print(f"drained in {took:.2f} s: {first / took:,.0f} records a second; edge at most {peak:.1f} MB resident; the "
          f"hypervisor took {stolen_ms() - stolen:.0f} ms")
    threading.Event().wait(1)
    up = edge.status()["uplink"]
    print(f"batches: {up['batches']} of {up['event_bytes'] / up['batches'] / 1024:.0f} KiB; the line seemed to take {up['line_bytes_per_s'] / 1e6:.1f} MB/s, level {up['compression_level']}")
    delays.sort()
    print(f"fresh critical records meanwhile: {len(delays)} of {number}; at the parent after p50 "
          f"{1000 * delays[len(delays) // 2]:.1f} ms, p99 {1000 * delays[int(len(delays) * 0.99)]:.1f} ms")


main()
