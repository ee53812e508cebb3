#!/usr/bin/env python3
"""What a broker is beside taking messages in, beside Debian's mosquitto, alternating in one run: fan-out from one publisher
to 1,000 subscribers (CPU of the server by the kernel's accounting), memory of idle connections, and a wildcard
subscription over a million retained topics.

    bench/bench_broker.py [fan-out] [idle] [retained]
"""
import os
import resource
import select
import socket
import sys
import threading
import time

from bench_support import Mosquitto, Node, find_mosquitto, machine, median

RUNS = 3
SUBSCRIBERS, MESSAGES, FAN_OUT_RATE = 1000, 400, 100
IDLE = 15_000
RETAINED, GROUPS = 1_000_000, 10_000


def text(value):
    return len(value).to_bytes(2, "big") + value.encode()


def packet(first, body):
    length, left = b"", len(body)
    while True:
        length += bytes([left % 128 | (0x80 if left > 127 else 0)])
        left //= 128
        if not left:
            return bytes([first]) + length + body


class Client:
    """MQTT 3.1.1 at QoS 0, as little as it takes."""

    def __init__(self, peer, client_id, source="127.0.0.1"):
        host, port = peer.mqtt.rsplit(":", 1)
        # Ports of one address are not enough for all idle connections.
        self.socket = socket.socket()
        self.socket.bind((source, 0))
        self.socket.connect((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text(client_id)))
        self.expect(4)

    def expect(self, size):
        got = b""
        while len(got) < size:
            piece = self.socket.recv(size - len(got))
            if not piece:
                raise SystemExit("the broker closed a connection")
            got += piece
        return got

    def subscribe(self, topic_filter):
        self.socket.sendall(packet(0x82, b"\x00\x01" + text(topic_filter) + b"\x00"))
        self.expect(5)


def publish(topic, payload, retain=False):
    return packet(0x31 if retain else 0x30, text(topic) + payload)


def ping(client):
    """Returns when the broker has read all that came before."""
    client.socket.sendall(b"\xc0\x00")
    client.expect(2)


def cpu_s(peer):
    fields = open(f"/proc/{peer.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(peer, what="VmRSS"):
    for line in open(f"/proc/{peer.process.pid}/status"):
        if line.startswith(what + ":"):
            return int(line.split()[1]) * 1024
    return 0


def both():
    program = find_mosquitto()
    peers = {"verge": Node}
    if program:
        peers["mosquitto"] = lambda: Mosquitto(program, "queue_qos0_messages true\n")
    else:
        print("mosquitto is not installed: no peer (apt-get install mosquitto)")
    return peers


class Readers:
    """Takes what comes for many clients on a thread, and counts bytes."""

    def __init__(self, clients):
        self.poller = select.epoll()
        self.sockets = {client.socket.fileno(): client.socket for client in clients}
        for number in self.sockets:
            self.poller.register(number, select.EPOLLIN)
        self.bytes = 0
        self.stopped = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopped:
            for number, _ in self.poller.poll(0.1):
                self.bytes += len(self.sockets[number].recv(1 << 20))

    def stop(self):
        self.stopped = True
        self.thread.join()


def fan_out():
    print(f"fan-out: 1 publisher, {SUBSCRIBERS} subscribers, {MESSAGES} messages of 100 bytes at {FAN_OUT_RATE} a second, QoS 0, "
          f"{RUNS} runs, alternating")
    message = publish("fan/out", b"x" * 100)
    peers = {}
    for name, start in both().items():
        peer = start()
        clients = [Client(peer, f"s{i}") for i in range(SUBSCRIBERS)]
        for client in clients:
            client.subscribe("fan/#")
        peers[name] = (peer, Client(peer, "publisher"), Readers(clients))
    rows = {name: [] for name in peers}
    for _ in range(RUNS):
        for name, (peer, publisher, readers) in peers.items():
            bytes_before, cpu_before, begun = readers.bytes, cpu_s(peer), time.monotonic()
            for i in range(MESSAGES):
                wait = begun + i / FAN_OUT_RATE - time.monotonic()
                if wait > 0:
                    threading.Event().wait(wait)
                publisher.socket.sendall(message)
            expected = bytes_before + MESSAGES * SUBSCRIBERS * len(message)
            deadline = time.monotonic() + 20
            while readers.bytes < expected and time.monotonic() < deadline:
                threading.Event().wait(0.01)
            if readers.bytes != expected:
                print(f"  {name}: {(expected - readers.bytes) // len(message)} messages were not delivered")
            rows[name].append((cpu_s(peer) - cpu_before) / (MESSAGES * SUBSCRIBERS) * 1e6)
    for name, its in rows.items():
        print(f"  {name:10} {median(its):.2f} µs CPU a delivery ({' '.join(f'{each:.2f}' for each in its)})")
    if len(rows) == 2:
        print(f"  {median(rows['mosquitto']) / median(rows['verge']):.2f}× the deliveries a CPU-second")
    for peer, _, readers in peers.values():
        readers.stop()
        peer.stop()


def idle():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, wanted), hard), hard))
    count = min(IDLE, hard - 200)
    print(f"idle: {count} connections")
    for name, start in both().items():
        peer = start()
        threading.Event().wait(1)
        before = memory(peer)
        clients = [Client(peer, f"idle-{i}", source=f"127.0.0.{2 + i // 10_000}") for i in range(count)]
        threading.Event().wait(3)
        print(f"  {name:10} {(memory(peer) - before) / count / 1024:.2f} KB a connection")
        for client in clients:
            client.socket.close()
        peer.stop()


def retained():
    print(f"retained: {RETAINED} topics of 16 bytes, {GROUPS} groups; first message of a subscription to one group, 21 times each")
    for name, start in both().items():
        peer = start()
        before = memory(peer)
        publisher = Client(peer, "publisher")
        begun = time.monotonic()
        for i in range(0, RETAINED, 1000):
            publisher.socket.sendall(b"".join(publish(f"r/{k % GROUPS:04}/{k:07}", b"v" * 16, retain=True)
                                              for k in range(i, i + 1000)))
        ping(publisher)
        threading.Event().wait(2)
        stored = time.monotonic() - begun
        line = f"  {name:10} {(memory(peer) - before) / (1 << 20):.0f} MB more, stored in {stored:.1f} s;"
        for what, pattern in (("r/N/+", "r/{:04}/+"), ("r/+/N", "r/+/{:07}")):
            firsts, alls = [], []
            for k in range(21):
                client = Client(peer, f"reader-{k}")
                begun = time.monotonic()
                client.subscribe(pattern.format(k * 37))
                size = len(publish("r/0000/0000000", b"v" * 16))
                client.expect(size)
                firsts.append((time.monotonic() - begun) * 1000)
                if pattern.startswith("r/{"):
                    client.expect(size * (RETAINED // GROUPS - 1))
                    alls.append((time.monotonic() - begun) * 1000)
                client.socket.close()
            line += f"  {what}: first after {median(firsts):.1f} ms (max {max(firsts):.1f})"
            if alls:
                line += f", all {RETAINED // GROUPS} after {median(alls):.1f} ms"
        print(line)
        peer.stop()


def main():
    parts = {"fan-out": fan_out, "idle": idle, "retained": retained}
    print(f"broker: {machine()}")
    for part in sys.argv[1:] or parts:
        parts[part]()


main()
