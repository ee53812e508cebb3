"""A server of WebSockets that runs a suite's own handlers (websockets/handlers/NAME_wsh.py at /NAME), with the part of
pywebsocket3 that they use. It follows RFC 6455 as that library does: a handler's return closes with 1000, a client's close
is answered with what the handler says, without a word from it with 1000."""
import base64
import hashlib
import importlib.util
import pathlib
import socketserver
import ssl
import struct
import sys
import threading
import types
import urllib.parse

STATUS_NORMAL_CLOSURE = 1000
STATUS_NO_STATUS_RECEIVED = 1005
KEY_FIELD = "Sec-WebSocket-Key"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Aborted(Exception):
    """The connection is to be dropped without a close."""


class Ended(Exception):
    """The client is gone."""


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def frame(opcode, payload):
    head = bytes([0x80 | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    if len(payload) < 65536:
        return head + b"\x7e" + struct.pack(">H", len(payload)) + payload
    return head + b"\x7f" + struct.pack(">Q", len(payload)) + payload


def close_payload(code, reason=""):
    return b"" if code in (None, STATUS_NO_STATUS_RECEIVED) else struct.pack(">H", code) + (reason or "").encode()


def as_text(payload):
    return payload if isinstance(payload, str) else payload.decode()


class Connection:
    """request.connection: the bytes."""

    def __init__(self, socket):
        self.socket = socket
        self.came = b""

    def write(self, data):
        self.socket.sendall(data)

    def read(self, count):
        while len(self.came) < count:
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise Ended
            self.came += piece
        taken, self.came = self.came[:count], self.came[count:]
        return taken

    def read_head(self):
        while b"\r\n\r\n" not in self.came:
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise Ended
            self.came += piece
        head, _, self.came = self.came.partition(b"\r\n\r\n")
        return head.decode("latin-1")


class Fields:
    def __init__(self, pairs):
        self.pairs = pairs

    def get(self, name, default=None):
        return next((value for key, value in self.pairs if key.lower() == name.lower()), default)


class Stream:
    """request.ws_stream: the messages."""

    def __init__(self, request):
        self.request = request

    def receive_message(self):
        """A string or bytes; None behind the close, which has been answered then."""
        kind, whole = None, b""
        while True:
            opcode, final, payload = self._frame()
            if opcode == CLOSE:
                self._take_close(payload)
                return None
            if opcode == PING:
                self._write(frame(PONG, payload))
            if opcode >= CLOSE:
                continue
            kind, whole = kind or opcode, whole + payload
            if final:
                return whole.decode() if kind == TEXT else whole

    def send_message(self, message, end=True, binary=False):
        assert end, "messages in parts"
        self._write(frame(BINARY if binary else TEXT, message.encode() if isinstance(message, str) else message))

    def send_ping(self, payload):
        self._write(frame(PING, payload.encode() if isinstance(payload, str) else payload))

    def close_connection(self, code=STATUS_NORMAL_CLOSURE, reason="", wait_response=True):
        if self.request.server_terminated:
            return
        self.request.server_terminated = True
        self._write(frame(CLOSE, close_payload(code, reason)))
        while wait_response and not self.request.client_terminated:
            self.receive_message()

    def _write(self, data):
        self.request.connection.write(data)

    def _frame(self):
        read = self.request.connection.read
        first, second = read(2)
        size = second & 0x7f
        if size == 126:
            size, = struct.unpack(">H", read(2))
        elif size == 127:
            size, = struct.unpack(">Q", read(8))
        if not second & 0x80:
            raise Aborted("a client's frame is not masked")
        mask = read(4)
        payload = read(size)
        whole = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")
        return first & 0x0f, bool(first & 0x80), masked.to_bytes(size, "big")

    def _take_close(self, payload):
        request = self.request
        request.client_terminated = True
        request.ws_close_code = struct.unpack(">H", payload[:2])[0] if payload else STATUS_NO_STATUS_RECEIVED
        request.ws_close_reason = payload[2:].decode()
        if request.server_terminated:
            return
        answer = getattr(request.handler, "web_socket_passive_closing_handshake", lambda request: (STATUS_NORMAL_CLOSURE, ""))
        code, reason = answer(request)
        request.server_terminated = True
        self._write(frame(CLOSE, close_payload(code, reason)))


class Request:
    def __init__(self, connection, target, fields, handler):
        self.connection, self.headers_in, self.handler = connection, fields, handler
        self.uri = self.unparsed_uri = target
        self.protocol = "HTTP/1.1"
        self.ws_origin = fields.get("origin") or ""
        named = fields.get("sec-websocket-protocol")
        self.ws_requested_protocols = [one.strip() for one in named.split(",")] if named else None
        self.ws_protocol = None
        self.ws_extension_processors, self.extra_headers = [], []
        self.ws_close_code = self.ws_close_reason = None
        self.client_terminated = self.server_terminated = False
        self.ws_stream = Stream(self)


def message_functions():
    module = types.ModuleType("pywebsocket3.msgutil")
    module.send_message = lambda request, message, end=True, binary=False: request.ws_stream.send_message(message, end, binary)
    module.receive_message = lambda request: request.ws_stream.receive_message()
    return module


def install():
    """What handlers import."""
    common = types.ModuleType("pywebsocket3.common")
    common.STATUS_NORMAL_CLOSURE, common.STATUS_NO_STATUS_RECEIVED = STATUS_NORMAL_CLOSURE, STATUS_NO_STATUS_RECEIVED
    common.SEC_WEBSOCKET_KEY_HEADER = KEY_FIELD
    stream = types.ModuleType("pywebsocket3.stream")
    stream.create_closing_handshake_body = close_payload
    stream.create_close_frame = lambda body: frame(CLOSE, body)
    hybi = types.ModuleType("pywebsocket3.handshake.hybi")
    hybi.compute_accept_from_unicode = accept_of
    handshake = types.ModuleType("pywebsocket3.handshake")
    handshake.AbortedByUserException, handshake.hybi = Aborted, hybi
    package = types.ModuleType("pywebsocket3")
    parts = {"common": common, "msgutil": message_functions(), "stream": stream, "handshake": handshake}
    for name, module in parts.items():
        setattr(package, name, module)
        sys.modules[f"pywebsocket3.{name}"] = module
    sys.modules.update({"pywebsocket3": package, "pywebsocket3.handshake.hybi": hybi})


class Handlers:
    def __init__(self, suites):
        self.directories = [pathlib.Path(suite, "websockets/handlers") for suite in suites]
        self.lock = threading.Lock()
        self.loaded = {}

    def find(self, path):
        name = path.strip("/").replace("/", "_")
        with self.lock:
            if name not in self.loaded:
                self.loaded[name] = self._load(name)
            return self.loaded[name]

    def _load(self, name):
        file = next((path for each in self.directories if (path := each / f"{name}_wsh.py").is_file()), None)
        if file is None or not name.replace("-", "_").isidentifier():
            return None
        specification = importlib.util.spec_from_file_location(f"wsh_{name.replace('-', '_')}", file)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module


def converse(connection, handlers):
    first, *lines = connection.read_head().split("\r\n")
    target = first.split(" ")[1]
    fields = Fields([tuple(part.strip() for part in line.split(":", 1)) for line in lines])
    handler = handlers.find(urllib.parse.urlsplit(target).path)
    key = fields.get(KEY_FIELD)
    if handler is None or key is None:
        connection.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return
    request = Request(connection, target, fields, handler)
    handler.web_socket_do_extra_handshake(request)
    head = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_of(key).decode())]
    if request.ws_protocol is not None:
        head.append(("Sec-WebSocket-Protocol", request.ws_protocol))
    lines = "".join(f"{name}: {value}\r\n" for name, value in [*head, *request.extra_headers])
    connection.write(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode("latin-1"))
    handler.web_socket_transfer_data(request)
    request.ws_stream.close_connection()


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that went away: the test says what it saw


def serve(suites, certificate=None):
    """(port, close) on the loopback address; with TLS where there is a certificate (`pem` and `key`, paths)."""
    handlers = Handlers(suites)
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.pem, certificate.key)

    class Conversation(socketserver.BaseRequestHandler):
        def handle(self):
            socket = context.wrap_socket(self.request, server_side=True) if context else self.request
            try:
                converse(Connection(socket), handlers)
            except (Aborted, Ended, OSError):
                pass
            finally:
                if context:
                    socket.close()

    server = Server(("127.0.0.1", 0), Conversation)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], server.shutdown


install()
