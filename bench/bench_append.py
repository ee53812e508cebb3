#!/usr/bin/env python3
"""Durable appends of 256-byte records, beside peers, alternating in one run, and what each promises for an acknowledgement.

  spool       verge's log, committed in groups of 64 and 1,024, beside a raw loop of write and fdatasync
  verge       verge's MQTT listener with a rule that uploads everything: each PUBACK after fdatasync
  mosquitto   with persistence, and a QoS 1 subscription whose client is away, so that all of it must be kept: it writes
              its whole memory to a file every second, and syncs that, but acknowledges before
  jetstream   a stream of one replica in the file store: acknowledges when the record is in the page cache; with
              sync_interval: always (nats-server 2.10 or later) after fsync

verge and mosquitto are driven by the same program at several rates, a fresh broker each, and the best that each did
counts: an overloaded one may do less. jetstream is driven by a program that keeps many publishes under way.
"""
import socket
import struct
import sys

from bench_support import Mosquitto, Nats, Node, bench, find_mosquitto, find_nats, machine, median, stolen_ms

RECORD = 256
PUBLISHERS = 10
INFLIGHT = 1024
SECONDS = 4
RATES = (20_000, 50_000, 150_000)
UPLOAD_ALL = """
[[rule]]
name = "all"
sql = "SELECT * FROM '#'"
do = [{ upload = "normal" }]
"""
# As often as can be told: a save each second; per change would write the whole memory for every message.
PERSISTENCE = "persistence true\npersistence_location {directory}/\nautosave_interval 1\n"


def subscribe_and_leave(address):
    """A kept session with a subscription to everything, whose client is not there."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as client:
        identity = b"\0\4away"
        connect = b"\0\4MQTT\4\0\0\0" + identity
        subscribe = b"\0\1" + b"\0\1#" + b"\1"
        client.sendall(bytes([0x10, len(connect)]) + connect + bytes([0x82, len(subscribe)]) + subscribe)
        received = b""
        while len(received) < 9:  # CONNACK, SUBACK
            more = client.recv(64)
            if not more:
                raise SystemExit("mosquitto did not take the subscription")
            received += more
        granted = struct.unpack("B", received[8:9])[0]
        if granted != 1:
            raise SystemExit(f"mosquitto granted {granted}, not QoS 1")
        client.sendall(b"\xe0\0")


def ingest(start):
    best = (0.0, 0.0)
    for rate in RATES:
        peer = start()
        try:
            row = bench("ingest", "--target", peer.mqtt, "--pid", peer.process.pid, "--publishers", PUBLISHERS, "--rate", rate,
                        "--seconds", SECONDS, "--warmup", 0.01, "--qos", 1, "--payload-bytes", RECORD, "--batch", 32)
        finally:
            peer.stop()
        if row["acknowledged"] > 0:
            cpu = row["cpu_us_per_message"] * row["sent"] / row["acknowledged"]
            best = max(best, (row["messages_per_s"], cpu))
    return best


def verge():
    return Node(UPLOAD_ALL, sets=("spool.bytes_max=8GiB",))


def mosquitto_that_keeps(program):
    broker = Mosquitto(program, PERSISTENCE)
    subscribe_and_leave(broker.mqtt)
    return broker


def of_jetstream(program, settings):
    server = Nats(program, settings)
    try:
        row = bench("jetstream", "--url", server.url, "--pid", server.process.pid, "--inflight", PUBLISHERS * INFLIGHT,
                    "--record-bytes", RECORD, "--seconds", SECONDS)
        return row["appends_per_s"], row["cpu_us_per_record"]
    finally:
        server.stop()


def of_spool(batch):
    row = bench("spool", "--batch", batch, "--record-bytes", RECORD, "--seconds", SECONDS)
    return ((row["appends_per_s"], row["cpu_us_per_record"]), (row["raw_appends_per_s"], row["raw_cpu_us_per_record"]))


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rows = {}

    def note(name, figures):
        rows.setdefault(name, []).append(figures)

    mosquitto, nats = find_mosquitto(), find_nats()
    for name, found in (("mosquitto", mosquitto), ("nats-server", nats)):
        if not found:
            print(f"{name} is not installed: ./dev deps")
    always = nats and Nats.knows_sync_interval(nats)
    if nats and not always:
        print("this nats-server has no sync_interval (2.10 or later has): it syncs every two minutes, and only so is measured")
    print(f"append: records of {RECORD} bytes, {runs} runs of {SECONDS} s each, alternating; {machine()}")
    stolen = stolen_ms()
    for _ in range(runs):
        for batch in (64, 1024):
            own, raw = of_spool(batch)
            note(f"spool, {batch} a commit", own)
            note(f"raw loop, {batch} a commit", raw)
        note("verge, QoS 1, durable", ingest(verge))
        if mosquitto:
            note("mosquitto, QoS 1, saved every second", ingest(lambda: mosquitto_that_keeps(mosquitto)))
        if nats:
            note("jetstream, synced every two minutes", of_jetstream(nats, ""))
        if always:
            note("jetstream, sync_interval: always", of_jetstream(nats, ", sync_interval: always"))
    print(f"{'':40}{'records a second':>18}{'CPU µs a record':>18}   each run")
    for name, its in rows.items():
        each = " ".join(f"{rate:,.0f}" for rate, _ in its)
        print(f"{name:40}{median([rate for rate, _ in its]):18,.0f}{median([cpu for _, cpu in its]):18.2f}   {each}")
    print(f"the hypervisor took {stolen_ms() - stolen:.0f} ms of CPU time")


if __name__ == "__main__":
    main()
