"""A line between two nodes that can be slow, late, cut, stuck or dishonest."""

import queue
import socket
import threading
import time

import verge


class Line:
    """A TCP proxy in front of `target` ("host:port"). All may be changed while it runs.

    rate: bytes a second upwards, None: no limit. delay: seconds added each way.
    stalled: nothing passes, connections stay. refusal: None, or a function of (head, body) of each HTTP request that
    gives the bytes of an answer, or None for "pass it on"; whether there is one is settled when a connection is made.
    """

    def __init__(self, target, rate=None, delay=0.0, refusal=None):
        self.target = target
        self.rate = rate
        self.delay = delay
        self.refusal = refusal
        self.stalled = False
        self.up = 0  # bytes passed on upwards
        self.requests = 0
        self.connections = 0
        self.peers = set()  # the addresses that they came from
        self.answered = []  # what refusal() answered
        self._free_at = 0.0  # when the next byte may go up
        self._lock = threading.Lock()
        self._open = set()
        self._listener = socket.create_server((verge.own_host(), 0))
        self.address = "%s:%d" % self._listener.getsockname()[:2]
        self.url = "http://" + self.address
        self._ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                below, peer = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self.peers.add(peer[0])
            threading.Thread(target=self._serve, args=(below,), daemon=True).start()

    def _serve(self, below):
        host, _, port = self.target.rpartition(":")
        try:
            above = socket.create_connection((host, int(port)), 5)
        except OSError:
            below.close()
            return
        pair = (below, above)
        with self._lock:
            self._open.add(pair)
        threading.Thread(target=self._pump_down, args=pair, daemon=True).start()
        try:
            self._pump_up(below, above)
        except (OSError, ValueError):
            pass
        finally:
            self._close(pair)

    def _close(self, pair):
        with self._lock:
            self._open.discard(pair)
        for each in pair:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()

    def _wait_while_stalled(self):
        while self.stalled and not self._ended:
            verge.pause(0.01)

    def _pass_up(self, above, data):
        for at in range(0, len(data), 4096):
            piece = data[at:at + 4096]
            self._wait_while_stalled()
            if self.rate:
                with self._lock:
                    now = time.monotonic()
                    start = max(now, self._free_at)
                    self._free_at = start + len(piece) / self.rate
                verge.pause(max(0.0, self._free_at - now))
            above.sendall(piece)
            self.up += len(piece)

    def _read_ahead(self, below, arrived):
        """What comes in waits out the delay while more comes in."""
        try:
            while True:
                data = below.recv(4096)
                arrived.put((time.monotonic() + self.delay, data))
                if not data:
                    return
        except OSError:
            arrived.put((0.0, b""))

    def _pump_up(self, below, above):
        if self.refusal is None:
            arrived = queue.Queue(64)
            threading.Thread(target=self._read_ahead, args=(below, arrived), daemon=True).start()
            while True:
                due, data = arrived.get()
                verge.pause(max(0.0, due - time.monotonic()))
                if not data:
                    return
                self._pass_up(above, data)
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                data = below.recv(65536)
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            while len(buffer) < length:
                data = below.recv(65536)
                if not data:
                    return
                buffer += data
            body, buffer = buffer[:length], buffer[length:]
            self.requests += 1
            answer = self.refusal(head, body) if self.refusal else None
            if answer is None:
                self._pass_up(above, head + b"\r\n\r\n" + body)
            else:
                self.answered.append(answer)
                below.sendall(answer)

    def _pump_down(self, below, above):
        try:
            while True:
                data = above.recv(65536)
                if not data:
                    break
                if self.delay:
                    verge.pause(self.delay)
                self._wait_while_stalled()
                below.sendall(data)
        except OSError:
            pass
        finally:
            self._close((below, above))

    def cut(self):
        """Resets every connection that is open."""
        with self._lock:
            pairs = list(self._open)
        for pair in pairs:
            self._close(pair)

    def end(self):
        self._ended = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # a close alone leaves it listening while accept() waits
        except OSError:
            pass
        self._listener.close()
        self.cut()


def answer(status, body=b"", fields=()):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
