#!/usr/bin/env python3
"""Cache hits beside nginx, Varnish and Traffic Server, and beside a bare epoll loop that answers constant bytes: wrk with
64 kept-alive connections on one core, each server on one other core, alternating in one run. Then beside nginx over TLS
(wrk), HTTP/2 without TLS and HTTP/2 over TLS (h2load, 16 connections of 10 streams), all with the same certificate.

    ./dev bench bench_cache [RUNS [SECONDS [PROTOCOL...]]]

PROTOCOL: h1, h1s, h2, h2s; all by default.

Peers that are not installed are left out with a word (apt-get install nginx-light varnish trafficserver wrk nghttp2-client). Their
configurations stand below: one worker, everything in memory or in the page cache, no access log."""
import atexit
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

from bench_support import VERGE, Node, _running, machine, median, stolen_ms, wait_for

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[-1], CORES[0]
SIZES = {"1 KB": 1024, "100 KB": 102400}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Origin:
    """Answers /N with N bytes that are fresh for an hour."""

    def __init__(self):
        class Receiver(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = os.urandom(int(self.path[1:]))
                self.send_response(200)
                for name, value in (("Content-Type", "application/octet-stream"), ("Cache-Control", "max-age=3600"),
                                    ("Content-Length", str(len(body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, *_):
                pass  # a proxy that goes away

        self.server = Server(("127.0.0.1", 0), Receiver)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def directory():
    path = tempfile.mkdtemp(prefix="verge-bench-")
    os.chmod(path, 0o755)
    atexit.register(shutil.rmtree, path, True)
    return pathlib.Path(path)


def on_one_core(command, **options):
    process = subprocess.Popen(["taskset", "--cpu-list", str(SERVER_CORE), *map(str, command)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    _running.append(process)
    return process


class Certificate:
    """Of its own, on P-256, for both servers."""

    def __init__(self):
        place = directory()
        self.pem, self.key = place / "certificate.pem", place / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2",
                        "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out", self.pem],
                       check=True, capture_output=True)


SITE = """
[http]
tls_listen = "127.0.0.1:0"
ingest = false
uplink = false
[tls]
certificate = "{certificate.pem}"
key = "{certificate.key}"
[[site]]
hosts = "*"
origins = "http://127.0.0.1:{origin}"
"""


class Verge:
    def __init__(self, origin, certificate):
        self.node = Node(SITE.format(origin=origin, certificate=certificate), ["runtime.loops=1"])
        for thread in os.listdir(f"/proc/{self.node.process.pid}/task"):
            os.sched_setaffinity(int(thread), {SERVER_CORE})
        self.port = self.h2_port = int(self.node.http.rpartition(":")[2])
        self.tls_port = int(self.node.addresses["http_tls"][0].rpartition(":")[2])
        self.pid = self.node.process.pid


class Constant:
    def __init__(self, size):
        ready = directory() / "ready.json"
        self.process = on_one_core([VERGE, "bench", "constant", "--body-bytes", size, "--ready-file", ready])
        wait_for(ready.exists)
        self.port = int(json.loads(ready.read_text())["http"][0].rpartition(":")[2])
        self.pid = self.process.pid


NGINX = """
worker_processes 1; daemon off; pid {place}/pid; error_log /dev/null crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  open_file_cache max=10000 inactive=600s; open_file_cache_valid 600s; open_file_cache_min_uses 1;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  proxy_cache_path {place}/cache keys_zone=all:50m max_size=1g use_temp_path=off;
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{h2_port} http2; listen 127.0.0.1:{tls_port} ssl http2;
    ssl_certificate {certificate.pem}; ssl_certificate_key {certificate.key};
    location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_cache all; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


class Nginx:
    programs = ("/usr/sbin/nginx",)

    def __init__(self, origin, certificate):
        place, self.port, self.h2_port, self.tls_port = directory(), free_port(), free_port(), free_port()
        os.chmod(place, 0o777)
        (place / "nginx.conf").write_text(NGINX.format(place=place, port=self.port, h2_port=self.h2_port,
                                                       tls_port=self.tls_port, certificate=certificate, origin=origin))
        on_one_core([self.programs[0], "-c", place / "nginx.conf"])
        wait_for(lambda: listens(self.port))
        self.pid = int((place / "pid").read_text())


class Varnish:
    programs = ("/usr/sbin/varnishd",)

    def __init__(self, origin, _=None, memory=512 << 20, ttl=None):
        place, self.port = directory(), free_port()
        kept = f"sub vcl_backend_response {{ set beresp.ttl = {ttl}; }}" if ttl else ""
        (place / "default.vcl").write_text(
            f'vcl 4.1; backend default {{ .host = "127.0.0.1"; .port = "{origin}"; }}\n{kept}\n')
        process = on_one_core([self.programs[0], "-F", "-a", f"127.0.0.1:{self.port}", "-f", place / "default.vcl", "-n",
                               place / "work", "-s", f"malloc,{memory}", "-p", "thread_pools=1", "-p", "thread_pool_min=100"])
        wait_for(lambda: listens(self.port), 30)
        self.process, self.pid = process, process.pid

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def is_installed(kind):
    return any(os.path.exists(program) for program in kind.programs)


class TrafficServer:
    programs = ("/usr/bin/traffic_server", "/usr/sbin/traffic_server")

    def __init__(self, origin, _):
        place, self.port = directory(), free_port()
        os.chmod(place, 0o777)
        for name in ("etc", "run", "log", "cache"):
            (place / name).mkdir(mode=0o777)
        for source in pathlib.Path("/etc/trafficserver").iterdir():
            if source.is_file():
                shutil.copy(source, place / "etc")
        (place / "etc/remap.config").write_text(f"map / http://127.0.0.1:{origin}/\n")
        (place / "etc/storage.config").write_text(f"{place}/cache 256M\n")
        settings = {"proxy.config.http.server_ports STRING": f"{self.port}:ip-in=127.0.0.1",
                    "proxy.config.exec_thread.autoconfig INT": 0, "proxy.config.exec_thread.limit INT": 1,
                    "proxy.config.accept_threads INT": 0, "proxy.config.log.logging_enabled INT": 0,
                    "proxy.config.cache.ram_cache.size INT": 268435456, "proxy.config.admin.user_id STRING": "#-1",
                    "proxy.config.http.cache.required_headers INT": 2,
                    "proxy.config.http.keep_alive_no_activity_timeout_in INT": 120}
        (place / "etc/records.config").write_text("".join(f"CONFIG {name} {value}\n" for name, value in settings.items()))
        (place / "runroot.yaml").write_text(
            f"prefix: {place}\nsysconfdir: {place}/etc\nlocalstatedir: {place}/run\nruntimedir: {place}/run\n"
            f"logdir: {place}/log\ncachedir: {place}/cache\nbindir: /usr/bin\nsbindir: /usr/sbin\n")
        program = next(program for program in self.programs if os.path.exists(program))
        process = on_one_core([program, f"--run-root={place}/runroot.yaml"])
        wait_for(lambda: listens(self.port), 30)
        self.pid = process.pid


def cpu_us(pid):
    """Of the process and its children, as they are now."""
    ticks = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(stat.parent.name) == pid or int(fields[1]) == pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks * 1e6 / os.sysconf("SC_CLK_TCK")


PROTOCOLS = {"h1": "HTTP/1.1", "h1s": "HTTP/1.1 over TLS", "h2": "HTTP/2", "h2s": "HTTP/2 over TLS",
             "half": "HTTP/1.1 at half load"}
PROGRAMS = {"h1": "wrk", "h1s": "wrk", "h2": "h2load", "h2s": "h2load", "half": "h2load"}


def url(server, protocol, path):
    port = {"h1": "port", "h1s": "tls_port", "h2": "h2_port", "h2s": "tls_port"}[protocol]
    return f"{'https' if protocol.endswith('s') else 'http'}://127.0.0.1:{getattr(server, port)}{path}"


def wrk(target, seconds):
    text = subprocess.run(["taskset", "--cpu-list", str(CLIENT_CORE), "wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", target],
                          capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"{target}: {text}")
    return int(re.search(r"(\d+) requests in", text).group(1)), float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))


def h2load(target, seconds):
    text = subprocess.run(["taskset", "--cpu-list", str(CLIENT_CORE), "h2load", "-t1", "-c16", "-m10", "-D", str(seconds), target],
                          capture_output=True, text=True, check=True).stdout
    done, failed, errored = (int(re.search(rf"requests: .*?(\d+) {word}", text).group(1)) for word in ("done", "failed", "errored"))
    if done == 0 or failed or errored or "Application protocol: http/1.1" in text:
        raise SystemExit(f"{target}: {text}")
    return done, float(re.search(r"finished in .*?, ([\d.]+) req/s", text).group(1))


def load(server, protocol, path, seconds):
    before, stolen = cpu_us(server.pid), stolen_ms()
    requests, rate = (wrk if PROGRAMS[protocol] == "wrk" else h2load)(url(server, protocol, path), seconds)
    return {"rate": rate, "cpu_us": (cpu_us(server.pid) - before) / max(1, requests), "stolen_ms": stolen_ms() - stolen}


def measure(targets, protocol, label, path, runs, seconds):
    rows = {name: [] for name in targets}
    for server in targets.values():
        load(server, protocol, path, 1)
    for _ in range(runs):
        for name, server in targets.items():
            rows[name].append(load(server, protocol, path, seconds))
    own = median([row["rate"] for row in rows["verge"]])
    own_cpu = median([row["cpu_us"] for row in rows["verge"]])
    print(f"{label:26} {'requests/s':>11} {'CPU µs each':>12} {'verge, rate':>12} {'verge, CPU':>11}   of each run")
    for name, its in rows.items():
        rate, cpu = median([row["rate"] for row in its]), median([row["cpu_us"] for row in its])
        each = " ".join(f"{row['rate']:.0f}" for row in its)
        print(f"{name:26} {rate:11.0f} {cpu:12.2f} {own / rate:11.2f}× {own_cpu / cpu:10.2f}×   {each}")
    taken = sum(row["stolen_ms"] for its in rows.values() for row in its)
    print(f"the hypervisor took {taken:.0f} ms of CPU time meanwhile")


def latencies(target, rate, seconds):
    """Of all requests at a steady rate, over 64 connections; µs, sorted."""
    log = directory() / "log"
    subprocess.run(["taskset", "--cpu-list", str(CLIENT_CORE), "h2load", "--h1", "-t1", "-c64", "-m1", "-D", str(seconds),
                    f"--rps={rate / 64:.1f}", f"--log-file={log}", target], capture_output=True, check=True)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    if any(row[1] != "200" for row in rows):
        raise SystemExit(f"{target}: some requests failed")
    return sorted(int(row[2]) for row in rows)


def measure_half_load(servers, label, path, runs, seconds):
    """Every server at the same rate: half of what the best peer can do."""
    peers = {name: server for name, server in servers.items() if name != "verge"}
    best = max(load(server, "h1", path, seconds)["rate"] for server in peers.values())
    rows = {name: [] for name in servers}
    for _ in range(runs):
        for name, server in servers.items():
            stolen = stolen_ms()
            its = latencies(url(server, "h1", path), best / 2, seconds)
            rows[name].append((its[len(its) // 2], its[len(its) * 99 // 100], len(its) / seconds, stolen_ms() - stolen))
    print(f"{label:26} {'p50 µs':>8} {'p99 µs':>8} {'requests/s':>11}   p99 of each run (CPU time that the hypervisor took, ms)")
    for name, its in rows.items():
        p50, p99, rate = (median([row[i] for row in its]) for i in range(3))
        print(f"{name:26} {p50:8.0f} {p99:8.0f} {rate:11.0f}   " + " ".join(f"{row[1]} ({row[3]:.0f})" for row in its))


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    protocols = sys.argv[3:] or list(PROTOCOLS)
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed (apt-get install wrk)")
    origin, certificate = Origin(), Certificate()
    servers = {"verge": Verge(origin.port, certificate)}
    for name, kind in (("nginx", Nginx), ("Varnish", Varnish), ("Traffic Server", TrafficServer)):
        if is_installed(kind):
            servers[name] = kind(origin.port, certificate)
        else:
            print(f"{name} is not installed: left out")
    print(f"cache hits: wrk -t1 -c64 or h2load -t1 -c16 -m10 on one core, each server on another, {runs} runs of {seconds} s, "
          f"alternating; {machine()}")
    for protocol in protocols:
        if protocol == "half" and shutil.which("h2load") is not None and len(servers) > 1:
            for label, size in SIZES.items():
                measure_half_load(servers, f"half load, {label}", f"/{size}", runs, seconds)
            continue
        if shutil.which(PROGRAMS[protocol]) is None:
            print(f"{PROGRAMS[protocol]} is not installed: {PROTOCOLS[protocol]} is left out (apt-get install nghttp2-client)")
            continue
        for label, size in SIZES.items():
            # Varnish needs another program for TLS, Traffic Server another configuration.
            targets = {name: server for name, server in servers.items() if protocol == "h1" or name in ("verge", "nginx")}
            if protocol == "h1":
                targets["bare loop"] = Constant(size)
            measure(targets, protocol, f"{PROTOCOLS[protocol]}, {label}", f"/{size}", runs, seconds)


if __name__ == "__main__":
    main()
