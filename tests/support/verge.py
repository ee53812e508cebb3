"""What the integration tests need: real nodes, trees of them, MQTT clients and HTTP, with a deadline on every wait.

Each node listens on a loopback address of its own (127.x.y.z) and on ports that the system gives. A client that
connects again and again while its node is down takes its local ports from 127.0.0.1, so it can never be given the
node's port, nor connect to itself.
"""

import atexit
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VERGE = os.path.abspath(os.environ.get("VERGE", os.path.join(REPOSITORY, "build", "verge")))
# ThreadSanitizer keeps up to as many shadow bytes again, and more, for each byte that was touched.
SHADOW = 4 if "thread" in os.environ.get("VERGE_SANITIZE", "") else 1
# Generous: a wait that is met costs nothing, and the machine may be slow.
PATIENCE = float(os.environ.get("VERGE_TEST_PATIENCE", "30"))

_host_numbers = itertools.count(1)
_running = set()


def will_measure_memory():
    """Of nodes that are started later: what AddressSanitizer keeps of freed memory to find its users (256 MiB unless told) is not theirs."""
    os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=16")


def seed():
    """The seed of this run, from VERGE_SEED or fresh; printed so that a failure can be repeated."""
    value = int(os.environ.get("VERGE_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"VERGE_SEED={value}", flush=True)
    return value


def own_host():
    """A loopback address that no other node of this or another test process has."""
    pid = os.getpid()
    return f"127.{1 + (pid >> 8) % 254}.{pid % 256}.{next(_host_numbers) % 254 + 1}"


_never = threading.Event()


def own_address():
    """An address of this machine that is not loopback; None: it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # chooses a route, and sends nothing
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith(("127.", "0.")) else address


def pause(seconds):
    """For moments chosen by chance and for a client's own rhythm; never to wait for something to have happened."""
    _never.wait(seconds)


def wait_until(condition, what, seconds=PATIENCE):
    """Waits for condition() to be true and returns what it gave. `what` says in the failure what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            found = what() if callable(what) else what
            raise AssertionError(f"not within {seconds:g} s: {found}")
        pause(0.02)


def run(*arguments, **options):
    """Runs `verge ARGUMENTS` to its end. The result has returncode, stdout and stderr (text)."""
    options.setdefault("timeout", PATIENCE)
    return subprocess.run([VERGE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, **options)


def _end_all():
    for process in list(_running):
        if process.poll() is None:
            process.kill()
            process.wait()


atexit.register(_end_all)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a time limit from outside leaves nothing running either


def spawn(arguments, **options):
    """A process that does not outlive the test."""
    process = subprocess.Popen(arguments, **options)
    _running.add(process)
    return process


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    _running.discard(process)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


class Answer:
    """An HTTP response, read whole."""

    def __init__(self, response):
        self.status = response.status
        self.fields = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body[:500]!r}"


def http_request(address, method, path, body=None, fields=None, timeout=PATIENCE):
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
    try:
        connection.request(method, path, body, fields or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


class Node:
    """One `verge node` process and its data directory; may be started again, on the same ports."""

    def __init__(self, directory, name, config="", sets=(), parent=None, tier="edge", data_dir=None, prefix=(),
                 descriptors=()):
        self.name = name
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory, exist_ok=True)
        self.data_dir = data_dir or os.path.join(self.directory, "data")
        self.config_path = os.path.join(self.directory, "node.toml")
        self.ready_path = os.path.join(self.directory, "ready.json")
        self.log_path = os.path.join(self.directory, "log")
        self.write_config(config)
        self.sets = list(sets)
        self.parent = parent  # a Node or a URL
        self.tier = tier
        self.prefix = list(prefix)  # a command that runs the node, such as prlimit
        self.descriptors = tuple(descriptors)  # that it inherits
        self.host = own_host()
        self.addresses = None
        self.process = None

    def write_config(self, text):
        with open(self.config_path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(self.config_path + ".new", self.config_path)

    def command(self):
        sets = [f"node.name={self.name}", f"node.tier={self.tier}", f"node.data_dir={self.data_dir}"]
        for listener in ("mqtt", "http", "admin"):
            address = self.addresses[listener] if self.addresses else f"{self.host}:0"
            sets.append(f"{listener}.listen={address}")
        if self.parent is not None:
            url = self.parent if isinstance(self.parent, str) else self.parent.http_url
            sets += [f"parent.url={url}", "parent.batch_age_max=20ms", "parent.retry_max=200ms"]
        sets += self.sets
        command = [*self.prefix, VERGE, "node", "--config", self.config_path, "--ready-file", self.ready_path]
        for text in sets:
            command += ["--set", text]
        return command

    def launch(self):
        """Starts the process without waiting until it is ready."""
        assert self.process is None, f"{self.name} runs already"
        if os.path.exists(self.ready_path):
            os.unlink(self.ready_path)
        with open(self.log_path, "ab") as log:
            self.process = spawn(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 pass_fds=self.descriptors)

    def start(self):
        self.launch()
        self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode} at its start:\n{self.log()}")
            return os.path.exists(self.ready_path)

        wait_until(ready, lambda: f"{self.name} is ready; its log:\n{self.log()}")
        with open(self.ready_path, encoding="utf-8") as file:
            self.addresses = {listener: bound[0] for listener, bound in json.load(file).items() if bound}

    @property
    def mqtt_port(self):
        return int(self.addresses["mqtt"].rpartition(":")[2])

    @property
    def http_url(self):
        return "http://" + self.addresses["http"]

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_lines(self):
        """The log as JSON objects; a line that is none makes this fail."""
        return [json.loads(line) for line in self.log().splitlines() if line]

    def admin(self, path, method="GET", body=None):
        return http_request(self.addresses["admin"], method, path, body)

    def post(self, path, body, fields=None, method="POST"):
        if not isinstance(body, (bytes, str, type(None))):
            body = json.dumps(body)
        return http_request(self.addresses["http"], method, path, body, fields)

    def status(self):
        answer = self.admin("/v1/status")
        assert answer.status == 200, answer
        return answer.json()

    def events(self, topic="#", *options):
        """What `verge events query --data-dir` finds, all pages of it."""
        return self._query(["--data-dir", self.data_dir], topic, options)

    def events_by_admin(self, topic="#", *options):
        """What `verge events query --admin` finds."""
        return self._query(["--admin", self.addresses["admin"]], topic, options)

    @staticmethod
    def _query(where, topic, options):
        found = []
        after = []
        while True:
            answer = run("events", "query", *where, "--topic", topic, "--json", "--limit", "100000", *after, *options)
            if answer.returncode != 0:
                raise AssertionError(f"verge events query ended with {answer.returncode}: {answer.stderr}")
            found += [json.loads(line) for line in answer.stdout.splitlines()]
            if "--after " not in answer.stderr:
                return found
            after = ["--after", answer.stderr.split("--after ")[1].split()[0]]

    def events_by_http(self, topic="#", limit=100000, **parameters):
        """What GET /v1/events of the admin listener gives, all pages of it."""
        found = []
        query = {"topic": topic, "limit": limit, **parameters}
        while True:
            answer = self.admin("/v1/events?" + urllib.parse.urlencode(query))
            if answer.status != 200:
                raise AssertionError(f"GET /v1/events answered {answer}")
            found += [json.loads(line) for line in answer.body.splitlines()]
            if "verge-next" not in answer.fields:
                return found
            query["after"] = answer.fields["verge-next"]

    def undelivered(self):
        """Records that the parent does not have yet."""
        spool = self.status()["spool"]
        return sum(spool[stream]["records"] for stream in ("critical", "high", "normal", "low"))

    def wait_delivered(self, seconds=PATIENCE):
        wait_until(lambda: self.undelivered() == 0,
                   lambda: f"{self.name} delivers all it holds; {self.undelivered()} records are left", seconds)

    def signal(self, number):
        self.process.send_signal(number)

    def kill9(self):
        self.process.kill()
        self.process.wait()
        _running.discard(self.process)
        self.process = None

    def wait_end(self, seconds=PATIENCE):
        """Waits for the process to end by itself; returns its exit status."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended within {seconds:g} s:\n{self.log()[-3000:]}") from None
        _running.discard(self.process)
        self.process = None
        return status

    def stop(self):
        """SIGTERM; the node must drain and end with 0."""
        self.signal(signal.SIGTERM)
        status = self.wait_end()
        if status != 0:
            raise AssertionError(f"{self.name} ended with {status} after SIGTERM:\n{self.log()[-3000:]}")

    def discard(self):
        """For clean-up: ends the process, however it is."""
        if self.process is not None:
            end(self.process)
            self.process = None


class TestCase(unittest.TestCase):
    """A directory of its own and the ends of all that was started."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="verge-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        if not os.access(VERGE, os.X_OK):
            self.fail(f"there is no binary at {VERGE}: build it, or name it with VERGE")

    def node(self, name="node", config="", **options):
        node = Node(self.directory, name, config, **options)
        self.addCleanup(node.discard)
        return node

    def tree(self, edge_config="", **options):
        tree = Tree(self.directory, edge_config, **options)
        self.addCleanup(tree.discard)
        return tree

    def mqtt(self, node, client_id="", **options):
        client = Mqtt(node, client_id, **options)
        self.addCleanup(client.close)
        return client

    def raw(self, node, **options):
        client = RawMqtt(node, **options)
        self.addCleanup(client.close)
        return client


class Tree:
    """cloud ← fog ← edge."""

    def __init__(self, directory, edge_config="", edge_sets=(), fog_sets=(), cloud_sets=()):
        self.cloud = Node(directory, "cloud", tier="cloud", sets=cloud_sets)
        self.fog = Node(directory, "fog", tier="fog", parent=self.cloud, sets=fog_sets)
        self.edge = Node(directory, "edge", edge_config, tier="edge", parent=self.fog, sets=edge_sets)

    def start(self):
        for node in (self.cloud, self.fog, self.edge):
            node.start()
        return self

    def wait_delivered(self, seconds=PATIENCE):
        """Until everything the edge holds is at the root."""
        self.edge.wait_delivered(seconds)
        self.fog.wait_delivered(seconds)

    def stop(self):
        for node in (self.edge, self.fog, self.cloud):
            node.stop()

    def discard(self):
        for node in (self.edge, self.fog, self.cloud):
            node.discard()


class _Client(paho.Client):
    """paho 1.6 does not hand on the reason code of a PUBACK; this does. And when a second attempt to connect again is needed,
    it publishes anew, without DUP, what it has sent PUBREL for, which [MQTT-4.3.3-6] forbids; this sends PUBREL."""

    on_puback = None

    def _messages_reconnect_reset_out(self):
        released = [message for message in list(self._out_messages.values())
                    if message.state in (paho.mqtt_ms_wait_for_pubcomp, paho.mqtt_ms_resend_pubrel)]
        super()._messages_reconnect_reset_out()
        if not self._check_clean_session():
            for message in released:
                message.state = paho.mqtt_ms_resend_pubrel

    def _handle_pubackcomp(self, cmd):
        packet = self._in_packet["packet"]
        mid = struct.unpack("!H", packet[:2])[0]
        reason = packet[2] if len(packet) > 2 else 0
        if reason == 0x10:
            reason = 0  # that nobody subscribes is a success too
        if self.on_puback is not None:
            self.on_puback(mid, reason)
        return super()._handle_pubackcomp(cmd)


class Mqtt:
    """A paho client with its own thread; all that happens to it is counted under one condition.

    acknowledged: the reason code of each acknowledged publish, by the number that publish() returned.
    listener: of the node's; one that begins with mqtt_ws is spoken to by WebSocket. tls: an ssl.SSLContext.
    """

    def __init__(self, node, client_id="", version=5, keepalive=60, will=None, expiry=0, clean=True, connect=True,
                 inflight=1000, listener="mqtt", tls=None):
        self.node = node
        self.listener = listener
        self.version = version
        self.condition = threading.Condition()
        self.messages = []
        self.acknowledged = {}
        self.acknowledgements = 0
        self.connections = 0
        self.disconnections = []
        self.session_present = None
        self._keepalive = keepalive
        self._clean = clean
        self._expiry = expiry
        self._granted = {}
        self._mid_numbers = {}
        self._early = {}
        self._numbers = itertools.count()
        protocol = {5: paho.MQTTv5, 4: paho.MQTTv311}[version]
        extra = {} if version == 5 else {"clean_session": clean}
        if listener.startswith("mqtt_ws"):
            extra["transport"] = "websockets"
        self.client = _Client(client_id=client_id, protocol=protocol, **extra)
        if tls:
            self.client.tls_set_context(tls)
        self.client.max_inflight_messages_set(inflight)
        self.client.max_queued_messages_set(0)
        self.client.reconnect_delay_set(0.05, 0.2)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe
        self.client.on_puback = self._on_puback
        if will:
            self.client.will_set(*will)
        if connect:
            self.connect()

    def connect(self):
        host, _, port = self.node.addresses[self.listener].rpartition(":")
        host = host.strip("[]")
        extra = {}
        if self.version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = self._expiry
            extra = {"clean_start": self._clean, "properties": properties}
        before = self.connections
        self.client.connect(host, int(port), self._keepalive, **extra)
        self.client.loop_start()
        self.wait(lambda: self.connections > before, "the client is connected")

    def _on_connect(self, _client, _userdata, flags, reason, _properties=None):
        code = reason if isinstance(reason, int) else reason.value
        with self.condition:
            if code == 0:
                self.connections += 1
                self.session_present = bool(flags.get("session present"))
            self.condition.notify_all()

    def _on_disconnect(self, _client, _userdata, reason, _properties=None):
        with self.condition:
            self.disconnections.append(reason if isinstance(reason, int) else reason.value)
            self.condition.notify_all()

    def _on_message(self, _client, _userdata, message):
        with self.condition:
            self.messages.append(message)
            self.condition.notify_all()

    def _on_subscribe(self, _client, _userdata, mid, codes, _properties=None):
        with self.condition:
            self._granted[mid] = [code if isinstance(code, int) else code.value for code in codes]
            self.condition.notify_all()

    def _on_puback(self, mid, reason):
        with self.condition:
            self.acknowledgements += 1
            if mid in self._mid_numbers:
                self.acknowledged[self._mid_numbers.pop(mid)] = reason
            else:
                self._early[mid] = reason  # before publish() could note its number
            self.condition.notify_all()

    def wait(self, condition, what, seconds=PATIENCE):
        """Until condition(), looked at after each thing that happens to the client."""
        with self.condition:
            if not self.condition.wait_for(condition, seconds):
                raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")

    def publish(self, topic, payload, qos=1, retain=False, sequence=None):
        """Returns the number of this publish, for `acknowledged`."""
        properties = None
        if sequence is not None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = ("verge-sequence", str(sequence))
        if isinstance(payload, (dict, list)):
            payload = json.dumps(payload)
        number = next(self._numbers)
        mid = self.client.publish(topic, payload, qos, retain, properties).mid
        if qos > 0:
            with self.condition:
                if mid in self._early:
                    self.acknowledged[number] = self._early.pop(mid)
                    self.condition.notify_all()
                else:
                    self._mid_numbers[mid] = number
        return number

    def publish_and_wait(self, topic, payload, **options):
        """Publishes at QoS 1, returns the reason code of the acknowledgement."""
        number = self.publish(topic, payload, **options)
        self.wait(lambda: number in self.acknowledged, f"the publish to {topic} is acknowledged")
        return self.acknowledged[number]

    def wait_acknowledged(self, numbers, seconds=PATIENCE):
        numbers = list(numbers)
        self.wait(lambda: all(number in self.acknowledged for number in numbers),
                  lambda: f"{len(numbers)} publishes are acknowledged; "
                          f"{sum(number not in self.acknowledged for number in numbers)} are not", seconds)

    def subscribe(self, topic, qos=1):
        _, mid = self.client.subscribe(topic, qos)
        self.wait(lambda: mid in self._granted, f"the subscription to {topic} is granted")
        return self._granted[mid]

    def payloads(self, topic=None):
        with self.condition:
            return [bytes(message.payload) for message in self.messages if topic in (None, message.topic)]

    def wait_messages(self, count, seconds=PATIENCE):
        self.wait(lambda: len(self.messages) >= count,
                  lambda: f"{count} messages have come; got {len(self.messages)}: "
                          f"{[(m.topic, bytes(m.payload)[:80]) for m in self.messages[-5:]]}", seconds)
        with self.condition:
            return list(self.messages)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


# What MQTT packets are made of (MQTT 5.0 section 1.5); for tests that send what no library would.


def text_field(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("!H", len(data)) + data


def variable_integer(value):
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def packet(first, body=b""):
    return bytes([first]) + variable_integer(len(body)) + body


def connect_packet(version=5, client_id="raw", keepalive=60, flags=0x02, name="MQTT", properties=b"", rest=b""):
    body = text_field(name) + bytes([version, flags]) + struct.pack("!H", keepalive)
    if version >= 5:
        body += variable_integer(len(properties)) + properties
    return packet(0x10, body + text_field(client_id) + rest)


def publish_packet(topic, payload=b"", qos=1, packet_id=1, version=5, properties=b"", retain=False):
    body = text_field(topic)
    if qos:
        body += struct.pack("!H", packet_id)
    if version >= 5:
        body += variable_integer(len(properties)) + properties
    return packet(0x30 | qos << 1 | int(retain), body + payload)


def subscribe_packet(filter_text, packet_id=1, options=1, version=5):
    body = struct.pack("!H", packet_id) + (b"\0" if version >= 5 else b"") + text_field(filter_text)
    return packet(0x82, body + bytes([options]))


class RawMqtt:
    """A socket that speaks MQTT as badly as it is told."""

    def __init__(self, node, version=5, client_id="raw", connect=True, **options):
        host, _, port = node.addresses["mqtt"].rpartition(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        self.buffer = b""
        if connect:
            self.send(connect_packet(version, client_id, **options))
            answer = self.receive()
            if answer is None or answer[0] != 0x20 or answer[1][1] != 0:
                self.close()
                raise ConnectionError(f"CONNACK with success expected, got {answer}")

    def send(self, data):
        self.socket.sendall(data)

    def _fill(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def receive(self):
        """The next packet as (first byte, body); None when the server has closed."""
        while True:
            length = 0
            for at in range(1, min(len(self.buffer), 5)):
                length |= (self.buffer[at] & 0x7F) << 7 * (at - 1)
                if self.buffer[at] < 0x80:
                    if len(self.buffer) > at + length:
                        found = self.buffer[0], self.buffer[at + 1:at + 1 + length]
                        self.buffer = self.buffer[at + 1 + length:]
                        return found
                    break
            try:
                if not self._fill():
                    return None
            except ConnectionResetError:
                return None

    def receive_all(self):
        """All packets until the server closes the connection."""
        found = []
        while True:
            try:
                one = self.receive()
            except socket.timeout:
                raise AssertionError(f"the server has not closed the connection; it sent {found}") from None
            if one is None:
                return found
            found.append(one)

    def close(self):
        self.socket.close()


def find_program(name, variable):
    """A tool that may not be there: from the environment variable, else from PATH, else None."""
    return os.environ.get(variable) or shutil.which(name)
