"""What the benchmarks share: starting nodes and peers on free loopback ports, medians, tables. Everything that is started
is stopped again, by its process id."""
import atexit
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
VERGE = os.environ.get("VERGE", str(ROOT / "build/verge"))
_running = []


def _stop_all():
    for process in _running:
        if process.poll() is None:
            process.terminate()
            process.wait(10)


atexit.register(_stop_all)


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("a server did not start in time")
        threading.Event().wait(0.005)


class Node:
    """A verge node on free ports with the given rules, in a directory of its own."""

    def __init__(self, rules="", sets=()):
        self.directory = tempfile.mkdtemp(prefix="verge-bench-")
        atexit.register(shutil.rmtree, self.directory, True)
        self.config = pathlib.Path(self.directory, "node.toml")
        self.config.write_text(rules)
        self.data_dir = f"{self.directory}/data"
        self.sets = list(sets)
        self.addresses = None
        self.start()

    def start(self):
        """May be called again after stop(): on the same ports, with the same data."""
        ready = pathlib.Path(self.directory, "ready.json")
        ready.unlink(missing_ok=True)
        command = [VERGE, "node", "--config", str(self.config), "--ready-file", str(ready)]
        for listener in ("mqtt", "http", "admin"):
            command += ["--set", f"{listener}.listen={self.addresses[listener][0] if self.addresses else '127.0.0.1:0'}"]
        for value in (f"node.data_dir={self.data_dir}", *self.sets):
            command += ["--set", value]
        begun = time.monotonic()
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        _running.append(self.process)
        while not ready.exists():
            if self.process.poll() is not None:
                raise SystemExit("the node did not start")
        self.ready_ms = (time.monotonic() - begun) * 1000
        self.addresses = json.loads(ready.read_text())
        self.mqtt = self.addresses["mqtt"][0]
        self.http = self.addresses["http"][0]

    def status(self):
        with urllib.request.urlopen(f"http://{self.addresses['admin'][0]}/v1/status") as answer:
            return json.load(answer)

    def resident_mb(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Mosquitto:
    """Debian's mosquitto, as it comes, without persistence unless `settings` say otherwise; {directory} is its own."""

    def __init__(self, program, settings=""):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.directory = tempfile.mkdtemp(prefix="verge-bench-")
        atexit.register(shutil.rmtree, self.directory, True)
        config = pathlib.Path(self.directory, "mosquitto.conf")
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\nlog_type none\n" + settings.format(directory=self.directory))
        os.chmod(self.directory, 0o777)  # started as root it goes on as a user of its own
        self.process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _running.append(self.process)
        self.mqtt = f"127.0.0.1:{port}"

        def listens():
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Nats:
    """nats-server with JetStream's file store; `settings` stand in its jetstream block."""

    def __init__(self, program, settings=""):
        self.directory = tempfile.mkdtemp(prefix="verge-bench-")
        atexit.register(shutil.rmtree, self.directory, True)
        config = pathlib.Path(self.directory, "nats.conf")
        config.write_text(f"listen: 127.0.0.1:-1\njetstream {{ store_dir: {self.directory}/store, max_file_store: 8GB{settings} }}\n")
        command = [program, "-c", str(config), "--ports_file_dir", self.directory]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _running.append(self.process)
        ports = pathlib.Path(self.directory, f"{os.path.basename(program)}_{self.process.pid}.ports")
        wait_for(lambda: ports.exists() and ports.read_text().strip())
        self.url = json.loads(ports.read_text())["nats"][0]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    @staticmethod
    def knows_sync_interval(program):
        """Servers before 2.10 refuse the setting."""
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
            config.write("jetstream { store_dir: /nonexistent, sync_interval: always }\n")
            config.flush()
            return subprocess.run([program, "-c", config.name, "-t"], capture_output=True).returncode == 0


def find_nats():
    for place in (os.environ.get("VERGE_NATS_SERVER"), "/usr/sbin/nats-server", shutil.which("nats-server"), str(ROOT / "build/deps/nats-server")):
        if place and os.access(place, os.X_OK):
            return place
    return None


def find_mosquitto():
    for place in ("/usr/sbin/mosquitto", shutil.which("mosquitto")):
        if place and os.path.exists(place):
            return place
    return None


def bench(*arguments, prefix=()):
    """The figures of a `verge bench` command; `prefix`: what it is started by, such as chrt and taskset."""
    done = subprocess.run([*prefix, VERGE, "bench", *map(str, arguments), "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"verge bench {' '.join(map(str, arguments))}: {done.stderr}")
    return json.loads(done.stdout)


def median(values):
    return statistics.median(values)


def stolen_ms():
    """CPU time the hypervisor gave to others instead of this machine, so far: what it took shows in every p99."""
    ticks = int(open("/proc/stat").readline().split()[8])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}"
