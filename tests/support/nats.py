"""Real nats-servers with JetStream on loopback, and enough of the NATS protocol to look into a stream."""

import base64
import json
import os
import shutil
import socket
import subprocess
import urllib.request

import verge

_PLACES = ("/usr/sbin/nats-server", os.path.join(verge.REPOSITORY, "build", "deps", "nats-server"))
PROGRAM = os.environ.get("VERGE_NATS_SERVER") or shutil.which("nats-server") or next(
    (place for place in _PLACES if os.access(place, os.X_OK)), None)


class Server:
    """One nats-server process; may be killed and started again, on the same address and files."""

    def __init__(self, directory, name, cluster=None, settings=""):
        self.name = name
        self.host = verge.own_host()
        self.directory = os.path.join(directory, name)
        self.cluster = cluster if cluster is not None else [self]
        self.settings = settings
        self.process = None
        os.makedirs(self.directory, exist_ok=True)

    @property
    def url(self):
        return f"nats://{self.host}:4222"

    def start(self):
        config = os.path.join(self.directory, "nats.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"server_name: {self.name}\nlisten: {self.host}:4222\nhttp: {self.host}:8222\n"
                       f"jetstream {{ store_dir: {self.directory}/store, max_file_store: 4GB }}\n{self.settings}\n")
            if len(self.cluster) > 1:
                routes = ", ".join(f"nats://{server.host}:6222" for server in self.cluster if server is not self)
                file.write(f"cluster {{ name: verge, listen: {self.host}:6222, routes: [{routes}] }}\n")
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = verge.spawn([PROGRAM, "-c", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def healthy(self):
        try:
            with urllib.request.urlopen(f"http://{self.host}:8222/healthz", timeout=verge.PATIENCE) as answer:
                return answer.status == 200
        except OSError:
            return False

    def leader_of(self, stream="VERGE"):
        """The stream's leader as this server sees it; None when there is none."""
        with urllib.request.urlopen(f"http://{self.host}:8222/jsz?streams=1", timeout=verge.PATIENCE) as answer:
            for account in json.load(answer).get("account_details", []):
                for detail in account.get("stream_detail", []):
                    if detail["name"] == stream:
                        return detail.get("cluster", {}).get("leader") or None
        return None

    def wait_healthy(self):
        verge.wait_until(self.healthy, lambda: f"{self.name} is healthy; its log:\n{self.log()[-2000:]}", 60)
        return self

    def log(self):
        with open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def kill9(self):
        self.discard()

    def stop(self):
        self.process.terminate()
        self.process.wait(verge.PATIENCE)
        self.discard()

    def discard(self):
        if self.process is not None:
            verge.end(self.process)
            self.process = None


class Cluster:
    """Servers that are one cluster."""

    def __init__(self, directory, size=3, settings=""):
        self.servers = []
        self.servers += [Server(directory, f"nats-{i}", self.servers, settings) for i in range(size)]

    def start(self):
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait_healthy()
        return self

    @property
    def urls(self):
        return "[" + ", ".join(f'"{server.url}"' for server in self.servers) + "]"

    def by_name(self, name):
        return next(server for server in self.servers if server.name == name)

    def client(self):
        """Of a server that runs."""
        return Client(next(server for server in self.servers if server.process is not None).host)

    def discard(self):
        for server in self.servers:
            server.discard()


class Client:
    """A connection that asks one thing after the other."""

    def __init__(self, host, port=4222):
        self.host = host
        self.port = port
        self._connect()

    def _connect(self):
        self.socket = socket.create_connection((self.host, self.port), verge.PATIENCE)
        self.input = self.socket.makefile("rb")
        self.inbox = 0
        assert self.input.readline().startswith(b"INFO ")
        self.socket.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nPING\r\n')
        while self.input.readline() != b"PONG\r\n":
            pass

    def request(self, subject, body=b""):
        """The answer's headers (bytes) and body."""
        self.inbox += 1
        inbox = f"_INBOX.test.{self.inbox}"
        self.socket.sendall(f"SUB {inbox} {self.inbox}\r\nUNSUB {self.inbox} 1\r\nPUB {subject} {inbox} {len(body)}\r\n".encode()
                            + body + b"\r\n")
        while True:
            line = self.input.readline()
            words = line.split()
            if not words:
                raise AssertionError(f"the server closed the connection while asked for {subject}")
            if words[0] == b"PING":
                self.socket.sendall(b"PONG\r\n")
            elif words[0] in (b"MSG", b"HMSG"):
                total = int(words[-1])
                headers = int(words[-2]) if words[0] == b"HMSG" else 0
                content = self.input.read(total + 2)
                return content[:headers], content[headers:total]
            elif words[0] == b"-ERR":
                raise AssertionError(f"the server says {line!r}")

    def ask(self, subject, question=None):
        """An API request; the JSON of the answer. Where nobody leads it is not answered, and says so after 2 s."""
        self.socket.settimeout(2)
        try:
            _, body = self.request("$JS.API." + subject, json.dumps(question).encode() if question else b"")
        except TimeoutError:
            self.close()
            self._connect()
            return {"error": {"description": "no answer"}}
        return json.loads(body) if body else {"error": {"description": "no responders"}}

    def stream(self, name="VERGE"):
        return self.ask(f"STREAM.INFO.{name}")

    def message(self, sequence, name="VERGE"):
        """(subject, headers as a dict, body) of a message, or None."""
        answer = self.ask(f"STREAM.MSG.GET.{name}", {"seq": sequence})
        if "error" in answer:
            return None
        message = answer["message"]
        headers = {}
        for line in base64.b64decode(message.get("hdrs", "")).decode().split("\r\n")[1:]:
            key, colon, value = line.partition(":")
            if colon:
                headers[key] = value.strip()
        return message["subject"], headers, base64.b64decode(message.get("data", ""))

    def messages(self, name="VERGE"):
        state = self.stream(name)["state"]
        found = []
        for sequence in range(state["first_seq"], state["last_seq"] + 1):
            message = self.message(sequence, name)
            assert message is not None, f"message {sequence} of {name} cannot be read"
            found.append((sequence, *message))
        return found

    def close(self):
        self.input.close()
        self.socket.close()
