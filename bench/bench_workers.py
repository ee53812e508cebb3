#!/usr/bin/env python3
"""Workers beside workerd, Deno and Bun: hello world with a counter, a JSON transform of 10 KB, an HMAC verified, an echo of 100 KB,
a rewrite of 50 KB of HTML, a value read from and one written to the disk, messages of WebSockets. Each server on one core (ours:
node and isolate processes on the same one), wrk on another, alternating in one run. Hello stands beside a server without any code, too.

    ./dev bench bench_workers [RUNS [SECONDS [WHAT...]]]

WHAT: hello, json, hmac, echo, html, kv (a get, beside our hello), kvput (puts, each on the disk before it is answered), sockets
(echo of WebSockets, one message under way on each; the client is Bun), start (first requests of never-seen workers, memory of idle
ones), attacks; all by default. The
peers are npm's (workerd, deno, bun), installed into build/peers; those that are not to be had are left out with a word."""
import atexit
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from bench_support import ROOT, VERGE, _running, machine, median, wait_for

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[-1], CORES[0]
PEERS = ROOT / "build/peers"
CONNECTIONS = 64

HANDLERS = {
    "hello": "let n = 0; const handle = () => new Response(`Hello ${++n}`);",
    "json": "const handle = async (request) => { const all = await request.json();"
            " for (const one of all.items) { one.total = one.price * one.count; one.name = one.name.toUpperCase(); }"
            " all.items.sort((a, b) => b.total - a.total); return Response.json(all); };",
    # A token of 200 bytes is checked, as one is for each request that shows one.
    "hmac": "const secret = new Uint8Array(32).fill(7), token = new Uint8Array(200).fill(9); let key, code; const handle = async () => {"
            " key ??= await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);"
            " code ??= await crypto.subtle.sign('HMAC', key, token);"
            " return new Response(await crypto.subtle.verify('HMAC', key, code, token) ? 'good' : 'bad'); };",
    "echo": "const handle = (request) => new Response(request.body);",
    # What a page with htmx is edited for: addresses of its parts, its scripts, its title.
    "html": "class Link { element(link) { link.setAttribute('hx-get', '/edge' + link.getAttribute('hx-get')); } }"
            " const handle = (request) => new HTMLRewriter().on('button[hx-get]', new Link())"
            ".on('script', { element(script) { script.setAttribute('defer', ''); } })"
            ".on('title', { element(title) { title.setInnerContent('Edited'); } })"
            ".transform(new Response(request.body, { headers: { 'content-type': 'text/html' } }));",
}
# A POST puts the value that a GET is answered with.
KV_GET = ("const handle = async (request, env) => { if (request.method === 'POST') { await put('key', 'x'.repeat(100), env); return new Response(); }"
          " return new Response(await get('key', env)); };")
KV_PUT = ("const value = 'x'.repeat(100); let n = 0; const handle = async (request, env) => {"
          " await put(`key${++n % 10000}`, value, env); return new Response(); };")
KV_OF = {
    "verge": "const get = (key, env) => env.KV.get(key), put = (key, value, env) => env.KV.put(key, value);",
    "deno": "const kv = await Deno.openKv(Deno.args[0]);"
            " const get = async (key) => (await kv.get([key])).value, put = (key, value) => kv.set([key], value);",
}
PAIR = ("const handle = (request) => { if (request.headers.get('upgrade') !== 'websocket') return new Response();"
        " const [client, server] = Object.values(new WebSocketPair()); server.accept();"
        " server.addEventListener('message', ({ data }) => server.send(data)); return new Response(null, { status: 101, webSocket: client }); };")
# Handlers that are not the same everywhere.
OWN_HANDLERS = {
    "kv": {name: own + KV_GET for name, own in KV_OF.items()},
    "kvput": {name: own + KV_PUT for name, own in KV_OF.items()},
    "sockets": {
        "verge": PAIR, "workerd": PAIR,
        "deno": "const handle = (request) => { if (request.headers.get('upgrade') !== 'websocket') return new Response();"
                " const { socket, response } = Deno.upgradeWebSocket(request);"
                " socket.onmessage = ({ data }) => socket.send(data); return response; };",
        "bun": "const websocket = { message(socket, data) { socket.send(data); } };"
               " const handle = (request, server) => server.upgrade(request) ? undefined : new Response();",
    },
}
LACKING = {"html": {"deno"}}  # what a peer has not
BODIES = {
    "json": json.dumps({"items": [{"id": i, "name": f"article number {i}", "price": i * 7 % 101, "count": i % 9 + 1}
                                  for i in range(160)]}),
    "echo": "x" * 102400,
    "html": "<!doctype html><html><head><title>Articles</title><script src=/htmx.js></script></head><body>" + "".join(
        f"<article id=a{i} class='card wide'><h2>Article {i}</h2><p>Some text of <em>article</em> number {i}, as long as such"
        f" texts are.</p><button hx-get='/articles/{i}' hx-target='#a{i}' hx-swap=outerHTML>More</button></article>\n"
        for i in range(235)) + "</body></html>",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        client.request("POST", "/", body=BODIES["json"])
        return client.getresponse().status == 200
    except OSError:
        return False


def tree_of(pid):
    """The process and all below it."""
    found = [pid]
    for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in children.read_text().split():
                found += tree_of(int(child))
        except OSError:
            pass
    return found


def cpu_seconds(pid):
    total = 0
    for each in tree_of(pid):
        try:
            stat = pathlib.Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += int(stat[11]) + int(stat[12])
        except OSError:
            pass
    return total / os.sysconf("SC_CLK_TCK")


def handler_of(what, name):
    return OWN_HANDLERS[what].get(name) if what in OWN_HANDLERS else HANDLERS[what]


class Server:
    """`store`: a directory for keys and values."""

    def __init__(self, name, directory, handler, store=None):
        self.port = free_port()
        worker = f"{handler}\nexport default {{ fetch: handle }};\n"
        source = pathlib.Path(directory, f"{name}.mjs" if name != "verge" else "worker.js")
        if name == "deno":
            worker = f"{handler}\nDeno.serve({{ port: {self.port}, hostname: '127.0.0.1', onListen() {{}} }}, handle);\n"
        elif name == "bun":
            websocket = ", websocket" if "const websocket" in handler else ""
            worker = f"{handler}\nBun.serve({{ port: {self.port}, hostname: '127.0.0.1', fetch: handle{websocket} }});\n"
        source.write_text(worker)
        command = {
            "verge": lambda: [VERGE, "worker", "serve", str(source), "--listen", f"127.0.0.1:{self.port}", "--wall-ms", "10000",
                              *(["--kv", "KV", "--kv-dir", store] if store else [])],
            "deno": lambda: [peer("deno"), "run", "--allow-net", *(["--unstable-kv", "--allow-read", "--allow-write"] if store else []),
                             str(source), *([f"{store}/deno.sqlite"] if store else [])],
            "bun": lambda: [peer("bun"), "run", str(source)],
            "workerd": lambda: [peer("workerd"), "serve", self.workerd_config(directory, source)],
            # The same answer to all: what TCP takes, and no server that computes one is faster.
            "constant": lambda: [VERGE, "bench", "constant", "--listen", f"127.0.0.1:{self.port}", "--body-bytes", "12"],
        }[name]()
        self.process = subprocess.Popen(["taskset", "-c", str(SERVER_CORE), *command], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        _running.append(self.process)
        wait_for(lambda: answers(self.port), 30)

    def workerd_config(self, directory, source):
        path = pathlib.Path(directory, "workerd.capnp")
        path.write_text(f"""using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [(name = "worker", esModule = embed "{source.name}")],
                                        compatibilityDate = "2024-09-01"))],
  sockets = [(name = "http", address = "127.0.0.1:{self.port}", http = (), service = "main")]);
""")
        return str(path)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        _running.remove(self.process)


def peer(name):
    """The native program of an npm package, which lies in an optional dependency."""
    patterns = {"workerd": "@cloudflare/workerd-linux-*/bin/workerd", "bun": "bun/bin/bun.exe",
                "deno": "@deno/linux-*/deno"}
    found = [path for path in sorted((PEERS / "node_modules").glob(patterns[name])) if os.access(path, os.X_OK)]
    found = [path for path in found if "musl" not in str(path)] or found
    return str(found[0]) if found else None


def install_peers():
    PEERS.mkdir(parents=True, exist_ok=True)
    if not (PEERS / "node_modules").exists():
        (PEERS / "package.json").write_text('{"private":true}\n')
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "workerd", "deno", "bun"], cwd=PEERS, check=False,
                       stdout=subprocess.DEVNULL)
    names = ["verge"]
    for name in ("workerd", "deno", "bun"):
        if peer(name):
            names.append(name)
        else:
            print(f"{name} is not to be had: left out", file=sys.stderr)
    return names


def wrk(port, seconds, script):
    command = ["taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    if script:
        command += ["-s", script]
    said = subprocess.run([*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    requests = int(re.search(r"(\d+) requests in", said).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))
    return rate, requests, int(bad.group(1)) if bad else 0


def print_rows(unit, results, base=None):
    """Medians of {name: [(rate, CPU µs each, failed)]}."""
    print(f"{'':12}{unit:>12}{'CPU µs each':>13}{'failed':>8}   ours is")
    ours = median([rate for rate, _, _ in results["verge"]])
    for name, its in results.items():
        rate = median([one[0] for one in its])
        print(f"{name:12}{rate:>12,.0f}{median([one[1] for one in its]):>13.1f}{sum(one[2] for one in its):>8}"
              f"   {ours / rate:.2f} x" if rate else name)
    if base in results and ours:
        of_base, cpu, base_cpu = (median([one[at] for one in results[name]]) for name, at in ((base, 0), ("verge", 1), (base, 1)))
        if of_base:
            print(f"ours is {100 * ours / of_base:.0f} % of our {base}, {100 * base_cpu / cpu:.0f} % by processor time")


def throughput(what, names, runs, seconds):
    with tempfile.TemporaryDirectory(prefix="verge-bench-") as directory:
        script = None
        if what in BODIES:
            script = pathlib.Path(directory, "post.lua")
            pathlib.Path(directory, "body").write_text(BODIES[what])
            script.write_text(f'local f = io.open("{directory}/body"); wrk.method = "POST"; wrk.body = f:read("*a")\n')
        handlers = {name: handler_of(what, name) for name in names}
        if what == "hello":
            handlers["constant"] = ""
        if what == "kv":
            handlers = {"hello": HANDLERS["hello"], **handlers}
        results = {name: [] for name in handlers}
        for _ in range(runs):
            for name, handler in handlers.items():
                # On the disk that this tree is on: a temporary directory may be in memory.
                with tempfile.TemporaryDirectory(prefix="kv-", dir=ROOT / "build") as store:
                    server = Server("verge" if name == "hello" else name, directory, handler, store if what in ("kv", "kvput") else None)
                    wrk(server.port, 1, script)  # warm
                    before = cpu_seconds(server.process.pid)
                    rate, requests, bad = wrk(server.port, seconds, script)
                    cpu = (cpu_seconds(server.process.pid) - before) / max(requests, 1) * 1e6
                    results[name].append((rate, cpu, bad))
                    server.stop()
    print(f"\n{what}: {CONNECTIONS} connections, {runs} runs of {seconds} s each, alternating")
    print_rows("requests/s", results, base="hello")


# Says "begin" when all are open and warm, then how many messages came back in the time.
SOCKET_CLIENT = """const [port, connections, seconds] = process.argv.slice(2).map(Number);
const text = "x".repeat(100);
let open = 0, count = 0;
for (let i = 0; i < connections; ++i) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  socket.onopen = () => { ++open; socket.send(text); };
  socket.onmessage = () => { ++count; socket.send(text); };
  socket.onclose = () => { console.log("lost"); process.exit(1); };
}
setTimeout(() => {
  if (open !== connections) { console.log("lost"); process.exit(1); }
  console.log("begin");
  count = 0;
  setTimeout(() => { console.log(count); process.exit(0); }, seconds * 1000);
}, 1000);
"""


def sockets(names, runs, seconds):
    if not peer("bun"):
        print("sockets: Bun is the client, and is not to be had: left out", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="verge-bench-") as directory:
        script = pathlib.Path(directory, "client.mjs")
        script.write_text(SOCKET_CLIENT)
        results = {name: [] for name in names}
        for _ in range(runs):
            for name in names:
                server = Server(name, directory, handler_of("sockets", name))
                client = subprocess.Popen(["taskset", "-c", str(CLIENT_CORE), peer("bun"), "run", str(script), str(server.port), str(CONNECTIONS),
                                           str(seconds)], stdout=subprocess.PIPE, text=True)
                _running.append(client)
                assert client.stdout.readline() == "begin\n", f"{name} lost connections"
                before = cpu_seconds(server.process.pid)
                count = int(client.stdout.readline())
                cpu = (cpu_seconds(server.process.pid) - before) / max(count, 1) * 1e6
                client.wait(20)
                _running.remove(client)
                results[name].append((count / seconds, cpu, 0))
                server.stop()
    print(f"\nsockets: {CONNECTIONS} WebSockets, messages of 100 bytes, {runs} runs of {seconds} s each, alternating")
    print_rows("messages/s", results)


def serve_many(directory, sources, arguments=()):
    paths = []
    for name, text in sources.items():
        path = pathlib.Path(directory, f"{name}.js")
        path.write_text(text)
        paths.append(str(path))
    port = free_port()
    process = subprocess.Popen(["taskset", "-c", str(SERVER_CORE), VERGE, "worker", "serve", *paths, "--listen", f"127.0.0.1:{port}", *arguments],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _running.append(process)

    def listens():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listens, 30)
    return process, port


def timed(connection, path):
    begun = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return (time.perf_counter() - begun) * 1000, answer.status


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def private_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) / 1024
    return 0.0


def start(workers=1000, asked=300):
    hello = "let n = 0; export default { fetch() { return new Response(`Hello ${++n}`); } };\n"
    with tempfile.TemporaryDirectory(prefix="verge-bench-") as directory:
        process, port = serve_many(directory, {f"w{i}": hello for i in range(workers)}, ["--wall-ms", "10000"])
        connection = http.client.HTTPConnection("127.0.0.1", port)
        timed(connection, "/w0/")
        os.sched_setaffinity(0, {CLIENT_CORE})
        spaced, together, awake = [], [], []
        for i in range(1, asked):
            if i % 2:
                time.sleep(0.03)  # the pool is ready again
                awake.append(timed(connection, "/w0/")[0])  # how long the machine takes for anything after such a pause
                time.sleep(0.03)
            took, status = timed(connection, f"/w{i}/")
            assert status == 200, status
            (spaced if i % 2 else together).append(took)
        warm = [timed(connection, "/w1/")[0] for _ in range(500)]
        isolates = [pid for pid in tree_of(process.pid)[1:] if "isolate" in pathlib.Path(f"/proc/{pid}/comm").read_text()]
        time.sleep(2)  # they give back what they can
        memory = sorted(private_mb(pid) for pid in isolates)
        print(f"\nstart: {workers} workers deployed, {asked} asked for the first time, one after the other")
        print(f"  from the warm pool      p50 {percentile(spaced, .5):.2f} ms, p99 {percentile(spaced, .99):.2f} ms")
        print(f"  right after another     p50 {percentile(together, .5):.2f} ms, p99 {percentile(together, .99):.2f} ms")
        print(f"  a live worker           p50 {percentile(warm, .5):.2f} ms, p99 {percentile(warm, .99):.2f} ms; "
              f"after a pause p50 {percentile(awake, .5):.2f} ms, p99 {percentile(awake, .99):.2f} ms")
        print(f"  memory of an idle one   median {statistics.median(memory):.2f} MB private dirty, of {len(memory)} processes")
        process.terminate()
        process.wait(20)


def attacks():
    sys.path.insert(0, str(ROOT / "tests/integration"))
    from test_workers import ATTACKS, VICTIM, source
    with tempfile.TemporaryDirectory(prefix="verge-bench-") as directory:
        process, port = serve_many(directory, {**{name: source(text) for name, text in ATTACKS.items()}, "victim": VICTIM})
        victim = http.client.HTTPConnection("127.0.0.1", port)
        for _ in range(200):
            timed(victim, "/victim/")

        def measure(seconds, attack=None):
            """The victim's latencies at 1,000 a second, and how long each attack took."""
            ended = []
            stop = threading.Event()

            def assault():
                connection = http.client.HTTPConnection("127.0.0.1", port)
                while not stop.is_set():
                    took, status = timed(connection, f"/{attack}/")
                    ended.append((took, status))

            thread = threading.Thread(target=assault) if attack else None
            if thread:
                thread.start()
            latencies, begun = [], time.perf_counter()
            for i in range(int(seconds * 1000)):
                due = begun + i / 1000
                time.sleep(max(0, due - time.perf_counter()))
                _, status = timed(victim, "/victim/")
                latencies.append((time.perf_counter() - due) * 1000)
                assert status == 200, status
            stop.set()
            if thread:
                thread.join()
            return latencies, ended

        alone, _ = measure(3)
        base = percentile(alone, .99)
        print(f"\nattacks: victim alone p50 {percentile(alone, .5):.2f} ms, p99 {base:.2f} ms at 1,000 a second")
        print(f"{'attack':12}{'ends p50 ms':>13}{'max ms':>9}{'victim p99 ms':>15}{'of alone':>10}")
        for name in ATTACKS:
            latencies, ended = measure(2, name)
            took = [one[0] for one in ended]
            p99 = percentile(latencies, .99)
            print(f"{name:12}{percentile(took, .5):>13.1f}{max(took):>9.1f}{p99:>15.2f}{p99 / base:>9.1f}x")
        process.terminate()
        process.wait(20)


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    wanted = sys.argv[3:] or ["hello", "json", "hmac", "echo", "html", "kv", "kvput", "sockets", "start", "attacks"]
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed: apt-get install wrk")
    print(machine())
    names = install_peers() if any(what in HANDLERS or what in OWN_HANDLERS for what in wanted) else []
    for what in wanted:
        having = [name for name in names if name not in LACKING.get(what, ())
                  and (what not in OWN_HANDLERS or name in OWN_HANDLERS[what])]
        if what == "sockets":
            sockets(having, runs, seconds)
        elif what in HANDLERS or what in OWN_HANDLERS:
            throughput(what, having, runs, seconds)
        elif what == "start":
            start()
        elif what == "attacks":
            attacks()


if __name__ == "__main__":
    main()
