"""A client's end of a WebSocket (RFC 6455), which sends what it is told to, broken frames too."""

import base64
import hashlib
import os
import socket
import socketserver
import struct
import threading

PATIENCE = 30


def frame(opcode, payload=b"", final=True, masked=True, reserved=0, mask=b"\x12\x34\x56\x78"):
    head = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if not masked:
        return head + payload
    long_mask = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return head + mask + xor(payload, long_mask)


def xor(one, other):
    if not one:
        return b""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def agree(connection):
    """The server's part of a handshake on a connection: (the head that came, the answer's bytes, to be sent); None where the peer left."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            return None
        head += piece
    head = head.decode()
    key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    return head, (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode()


def agreeing(test, handle):
    """host:port of a server that runs handle(connection) for each connection, as long as the test."""
    class Receiver(socketserver.BaseRequestHandler):
        def handle(self):
            handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    test.addCleanup(server.server_close)
    test.addCleanup(server.shutdown)
    return f"127.0.0.1:{server.server_address[1]}"


class Refused(Exception):
    """Another answer than 101: `status`, `fields`, `body` (what came of it)."""

    def __init__(self, status, fields, body):
        super().__init__(f"{status} {body!r}")
        self.status, self.fields, self.body = status, fields, body


class WebSocket:
    def __init__(self, address, path="/", host="localhost", fields=None, receive_buffer=None):
        name, _, port = address.rpartition(":")
        self.connection = socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET)
        if receive_buffer:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.connection.settimeout(PATIENCE)
        self.connection.connect((name.strip("[]"), int(port)))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": key, **(fields or {})}
        head = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
        self.connection.sendall(head.encode() + b"\r\n")
        self.input = b""
        while b"\r\n\r\n" not in self.input:
            piece = self.connection.recv(65536)
            if not piece:
                raise AssertionError(f"the connection ended after {self.input!r}")
            self.input += piece
        answer, _, self.input = self.input.partition(b"\r\n\r\n")
        first, *rest = answer.decode().split("\r\n")
        self.fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        status = int(first.split()[1])
        if status != 101:
            length = int(self.fields.get("content-length", 0))
            while len(self.input) < length:
                self.input += self.connection.recv(65536)
            self.connection.close()
            raise Refused(status, self.fields, self.input[:length])
        accept = base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        assert self.fields["sec-websocket-accept"] == accept.decode(), self.fields

    def take(self, count):
        while len(self.input) < count:
            piece = self.connection.recv(1 << 20)
            if not piece:
                raise EOFError
            self.input += piece
        taken, self.input = self.input[:count], self.input[count:]
        return taken

    def frame(self):
        """(opcode, payload) of the next frame; servers neither mask nor, here, fragment."""
        first, second = self.take(2)
        assert first & 0xf0 == 0x80 and second & 0x80 == 0, (first, second)
        size = second
        if size == 126:
            size, = struct.unpack(">H", self.take(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.take(8))
        return first & 0x0f, self.take(size)

    def send(self, message):
        text = isinstance(message, str)
        self.connection.sendall(frame(1 if text else 2, message.encode() if text else message))

    def message(self):
        """The next message; a Close is returned as (code, reason), (None, "") without a code."""
        while True:
            opcode, payload = self.frame()
            if opcode == 1:
                return payload.decode()
            if opcode == 2:
                return payload
            if opcode == 8:
                return (struct.unpack(">H", payload[:2])[0] if payload else None, payload[2:].decode())
            if opcode == 9:
                self.connection.sendall(frame(10, payload))

    def close(self, code=1000, reason=""):
        self.connection.sendall(frame(8, b"" if code is None else struct.pack(">H", code) + reason.encode()))

    def is_at_end(self):
        try:
            return self.input == b"" and self.connection.recv(1) == b""
        except ConnectionResetError:
            return True

    def end(self):
        self.connection.close()
