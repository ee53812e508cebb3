"""TCP connections of workers: what they may connect to, both directions and their ends, TLS, bounds, and what cuts them."""

import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from certificates import Authority
from test_node_workers import WithWorkers
from test_workers import EASY, Served
from verge import wait_until

PRELUDE = """
import { connect } from "cloudflare:sockets";
const text = async (readable) => new Response(readable).text();
const send = async (socket, ...pieces) => {
  const writer = socket.writable.getWriter();
  for (const piece of pieces) await writer.write(new TextEncoder().encode(piece));
  writer.releaseLock();
};
const said = async (promise) => promise.then((value) => `good ${value}`, (error) => `${error.name}: ${error.message}`);
export default { async fetch(request, env, ctx) { %s } };
"""


class Server:
    """Accepts on loopback; `serve(connection)` runs in a thread for each."""

    def __init__(self, test, serve):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.accepted = []
        self.serve = serve
        test.addCleanup(self.end)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            connection.settimeout(verge.PATIENCE)
            self.accepted.append(connection)
            threading.Thread(target=self.run, args=(connection,), daemon=True).start()

    def run(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass

    def end(self):
        self.listening.close()
        for connection in self.accepted:
            connection.close()


def echo(connection):
    """To the end of what comes; then it ends, too."""
    with connection:
        while got := connection.recv(65536):
            connection.sendall(got)


def until_end(connection):
    pieces = []
    while got := connection.recv(65536):
        pieces.append(got)
    return b"".join(pieces)


class Connections(verge.TestCase):
    def served(self, body, *rules, arguments=EASY, environment=None):
        before = {name: os.environ.get(name) for name in environment or {}}
        os.environ.update(environment or {})
        try:
            return Served(self, {"worker": PRELUDE % body}, [*arguments, *(part for rule in rules for part in ("--connect", rule))])
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def answer(self, served, path="/", body=None):
        answer = served.get(path, "POST" if body is not None else "GET", body)
        self.assertEqual(answer.status, 200, (answer, served.said()))
        return answer.body.decode()

    # --- Both directions

    def test_what_is_sent_comes_back(self):
        server = Server(self, echo)
        served = self.served("""
          const socket = connect(env.AT);
          const { remoteAddress, localAddress } = await socket.opened;
          await send(socket, "hello ", "there");
          await socket.writable.close();
          const got = await text(socket.readable);
          return new Response([got, remoteAddress === env.AT, /^127.0.0.1:\\d+$/.test(localAddress), await said(socket.closed),
                               socket.secureTransport, socket.upgraded]);""",
                             server.address, arguments=[*EASY, "--env", f"AT={server.address}"])
        self.assertEqual(self.answer(served), "hello there,true,true,good undefined,off,false")

    def test_both_spellings_of_an_address_and_what_is_none(self):
        server = Server(self, echo)
        served = self.served("""
          const [, hostname, port] = /(.*):(.*)/.exec(env.AT);
          const made = [];
          for (const address of [env.AT, { hostname, port: Number(port) }, { hostname, port }]) {
            const socket = connect(address);
            await socket.opened;
            made.push("open");
            await socket.close();
          }
          for (const address of ["", "db", "db:", ":1", "db:0", "db:65536", "db:x", "a b:1", "::1:1", { hostname: "db" }, {}, { hostname: "a/b", port: 1 }]) {
            try { connect(address); made.push("?"); } catch (error) { made.push(error.name === "TypeError" ? "no" : error); }
          }
          try { connect(env.AT, { secureTransport: "yes" }); } catch (error) { made.push(error.message); }
          return new Response(made);""", server.address, arguments=[*EASY, "--env", f"AT={server.address}"])
        self.assertEqual(self.answer(served), ",".join(["open"] * 3 + ["no"] * 12)
                         + ",connect: secureTransport is 'off', 'on' or 'starttls', not 'yes'")

    def test_much_goes_both_ways_at_once(self):
        server = Server(self, echo)
        served = self.served("""
          const socket = connect(env.AT);
          const chunk = new Uint8Array(100_003).map((_, at) => at % 251);
          const write = (async () => {
            const writer = socket.writable.getWriter();
            for (let i = 0; i < 80; ++i) await writer.write(chunk);
            await writer.close();
          })();
          let size = 0, good = true;
          for await (const piece of socket.readable) {
            for (let at = 0; at < piece.length; at += 977) good &&= piece[at] === ((size + at) % 100_003) % 251;
            size += piece.length;
          }
          await write;
          return new Response(`${size} ${good}`);""", server.address, arguments=[*EASY, "--env", f"AT={server.address}"])
        self.assertEqual(self.answer(served), f"{80 * 100_003} true")

    def test_a_server_that_does_not_read_holds_the_writer_back(self):
        go_on = threading.Event()

        def late(connection):
            go_on.wait(verge.PATIENCE)
            connection.sendall(str(len(until_end(connection))).encode())
            connection.close()

        server = Server(self, late)
        served = self.served("""
          const socket = connect(env.AT);
          const writer = socket.writable.getWriter();
          let written = 0, waits = false;
          (async () => {
            for (let i = 0; i < 400; ++i) { await writer.write(new Uint8Array(100_000)); ++written; }
            await writer.close();
          })();
          // Until nothing has gone for a while: what the kernels and the windows take.
          for (let before = -1; before !== written; await new Promise((done) => setTimeout(done, 300))) before = written;
          waits = written < 400;
          await fetch(env.GO);
          return new Response(`${waits} ${await text(socket.readable)}`);""", server.address,
                             arguments=[*EASY, "--memory-mb", "64", "--env", f"AT={server.address}", "--env", f"GO={self.releasing(go_on)}"])
        self.assertEqual(self.answer(served), "true 40000000")

    def releasing(self, event):
        from origin import Origin

        def release(request):
            event.set()
            request.give(body=b"")

        made = Origin(release)
        self.addCleanup(made.end)
        return made.url

    # --- Ends

    def test_half_close(self):
        """The server answers what it has read to the end; and the worker writes on after the server's end, if it is allowed to."""
        def count_then_read(connection):
            connection.sendall(b"%d" % len(until_end(connection)))
            connection.close()

        counting = Server(self, count_then_read)
        got = []

        def speak_first(connection):
            connection.sendall(b"bye")
            connection.shutdown(socket.SHUT_WR)
            got.append(until_end(connection))
            connection.close()

        first = Server(self, speak_first)
        served = self.served("""
          const counting = connect(env.COUNTING);
          await send(counting, "12345");
          await counting.writable.close();
          const made = [await text(counting.readable)];
          const halfOpen = connect(env.FIRST, { allowHalfOpen: true });
          made.push(await text(halfOpen.readable));
          await send(halfOpen, "still ", "here");
          await halfOpen.writable.close();
          made.push(await said(halfOpen.closed));
          const closed = connect(env.FIRST);
          made.push(await text(closed.readable), await said(closed.closed), await said(send(closed, "no")));
          return new Response(made);""", counting.address, first.address,
                             arguments=[*EASY, "--env", f"COUNTING={counting.address}", "--env", f"FIRST={first.address}"])
        self.assertEqual(self.answer(served), "5,bye,good undefined,bye,good undefined,TypeError: The connection has ended")
        wait_until(lambda: sorted(got) == [b"", b"still here"], lambda: got)

    def test_close_sends_what_was_written(self):
        got = []
        server = Server(self, lambda connection: got.append(until_end(connection)))
        served = self.served("""
          const socket = connect(env.AT);
          const writer = socket.writable.getWriter();
          for (let i = 0; i < 50; ++i) writer.write(new Uint8Array(10_000)).catch(() => {});
          const closed = said(socket.close());
          return new Response([await closed, socket.close() === socket.closed, await said(writer.write(new Uint8Array(1)))]);""",
                             server.address, arguments=[*EASY, "--env", f"AT={server.address}"])
        self.assertEqual(self.answer(served), "good undefined,true,TypeError: The socket is closed")
        wait_until(lambda: [len(one) for one in got] == [500_000], lambda: [len(one) for one in got])

    def test_a_connection_that_is_cut(self):
        def cut(connection):
            connection.recv(5)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        server = Server(self, cut)
        served = self.served("""
          const socket = connect(env.AT);
          await send(socket, "hello");
          const read = await said(text(socket.readable));
          return new Response([read, await said(socket.closed), await said(send(socket, "x"))].join("|"));""",
                             server.address, arguments=[*EASY, "--env", f"AT={server.address}"])
        for part in self.answer(served).split("|"):
            self.assertIn("the connection to 127.0.0.1", part)
            self.assertIn("workers.connect", part)

    def test_it_ends_with_its_event_and_with_its_worker(self):
        ends = []

        def note(connection):
            try:
                ends.append(until_end(connection))
            except ConnectionError:
                ends.append(b"cut")

        server = Server(self, note)
        served = self.served("""
          const socket = connect(env.AT);
          await socket.opened;
          await send(socket, "x");
          if (request.url.endsWith("/spin")) while (true) {}
          return new Response("left open");""", server.address,
                             arguments=["--cpu-ms", "300", "--wall-ms", "30000", "--env", f"AT={server.address}"])
        self.assertEqual(self.answer(served), "left open")
        wait_until(lambda: len(ends) == 1, "it went with the event")
        self.assertEqual(served.get("/spin").fields.get("verge-worker-error"), 'workers.cpu; worker="worker"')
        wait_until(lambda: len(ends) == 2, "it went with the isolate")

    def test_the_time_of_a_call_holds(self):
        server = Server(self, lambda connection: until_end(connection))
        served = self.served("""
          const socket = connect(env.AT);
          return new Response(await text(socket.readable));""", server.address,
                             arguments=["--cpu-ms", "5000", "--wall-ms", "300", "--env", f"AT={server.address}"])
        self.assertEqual(served.get().fields.get("verge-worker-error"), 'workers.wall; worker="worker"')

    # --- What may be reached

    REFUSED = """
      const socket = connect(new URL(request.url).searchParams.get("at"));
      return new Response([await said(socket.opened), await said(text(socket.readable)), await said(socket.closed)].join("|"));"""

    def test_only_what_is_listed_is_reached(self):
        server = Server(self, echo)
        nobody = self.served(self.REFUSED)
        for part in self.answer(nobody, f"/?at={server.address}").split("|"):
            self.assertIn(f'list it in the worker\'s connect = ["{server.address}"] [workers.connect]', part)
        verge.end(nobody.process)
        os.unlink(nobody.ready)
        # A name that leads to this machine is none of its addresses.
        named = self.served(self.REFUSED, f"127.0.0.1:{server.port + 1 if server.port < 65535 else 1}", f"{socket.gethostname()}:{server.port}",
                            f"*.invalid:{server.port}")
        self.assertIn("may not connect to", self.answer(named, f"/?at={server.address}"))
        self.assertIn("may not connect to", self.answer(named, f"/?at=localhost:{server.port}"))
        self.assertIn("workers.connect", self.answer(named, f"/?at={socket.gethostname()}:{server.port}"))
        self.assertEqual(server.accepted, [])

    def test_what_is_no_rule_is_refused_at_the_start(self):
        path = os.path.join(self.directory, "worker.js")
        with open(path, "w", encoding="utf-8") as file:
            file.write(PRELUDE % "return new Response();")
        for rule in ("db", "*:1", "db:0", "http://db:1"):
            done = verge.run("worker", "serve", path, "--listen", "127.0.0.1:0", "--connect", rule)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn("workers.connect-rule", done.stderr)

    def test_where_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "127.0.0.1:%d" % free.getsockname()[1]
        served = self.served(self.REFUSED, address)
        self.assertIn("http.connect-refused", self.answer(served, f"/?at={address}"))

    def test_connections_are_bounded(self):
        server = Server(self, lambda connection: until_end(connection))
        served = self.served("""
          const sockets = Array.from({ length: 260 }, () => connect(env.AT));
          const all = await Promise.all(sockets.map((socket) => said(socket.opened)));
          const refused = all.filter((one) => one.includes("workers.busy")).length;
          await sockets[0].close();
          const another = await said(connect(env.AT).opened);
          return new Response(`${refused} ${another.slice(0, 4)}`);""", server.address,
                             arguments=[*EASY, "--subrequests", "1000", "--env", f"AT={server.address}"])
        self.assertEqual(self.answer(served), "4 good")
        few = 'return new Response(await said(Promise.all([1, 2, 3].map(() => connect(env.AT).opened))));'
        verge.end(served.process)
        os.unlink(served.ready)
        served = self.served(few, server.address, arguments=[*EASY, "--subrequests", "2", "--env", f"AT={server.address}"])
        self.assertIn("workers.subrequests", self.answer(served))

    def test_the_module_and_its_places(self):
        served = self.served("""
          const dynamic = await import("cloudflare:sockets");
          const missing = await said(import("cloudflare:none"));
          return new Response([Object.keys(dynamic), dynamic.connect === connect, missing.includes("cloudflare:none")]);""")
        self.assertEqual(self.answer(served), "connect,true,true")

    def test_it_is_not_there_at_start_up(self):
        served = self.served("return new Response();")
        path = os.path.join(self.directory, "early.js")
        with open(path, "w", encoding="utf-8") as file:
            file.write('import { connect } from "cloudflare:sockets";\nlet said;\ntry { connect("db:1"); } catch (error) { said = error.message; }\n'
                       "export default { fetch() { return new Response(said); } };\n")
        verge.end(served.process)
        os.unlink(served.ready)
        early = Served(self, {}, EASY, paths=[path])
        self.assertIn("cannot be used at start-up", self.answer(early))

    # --- TLS

    def tls_server(self, before=b""):
        self.authority = Authority(self.directory)
        shown = self.authority.issue("DNS:localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.pem, shown.key)

        def serve(connection):
            if before:
                connection.sendall(b"220 ready\n")
                if connection.recv(9) != b"STARTTLS\n":
                    return
                connection.sendall(b"go\n")
            with context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as secured:
                while got := secured.recv(65536):
                    secured.sendall(got.upper())
                secured.unwrap()

        return Server(self, serve)

    def test_tls_from_the_beginning(self):
        server = self.tls_server()
        body = """
          const socket = connect(env.AT, { secureTransport: "on" });
          try { await socket.opened; } catch (error) { return new Response(error.message); }
          await send(socket, "hello ", "x".repeat(200_000));
          await socket.writable.close();
          const got = await text(socket.readable);
          return new Response(`${got.slice(0, 7)} ${got.length} ${socket.secureTransport} ${await said(socket.closed)}`);"""
        at = f"localhost:{server.port}"
        served = self.served(body, at, arguments=[*EASY, "--env", f"AT={at}"], environment={"SSL_CERT_FILE": self.authority.pem})
        self.assertEqual(self.answer(served), "HELLO X 200006 on good undefined")
        verge.end(served.process)
        os.unlink(served.ready)
        served = self.served(body, at, arguments=[*EASY, "--env", f"AT={at}"])
        self.assertIn("net.tls-untrusted", self.answer(served), "its authority is not known here")

    def test_tls_later(self):
        server = self.tls_server(before=b"220")
        at = f"localhost:{server.port}"
        served = self.served("""
          const line = async (socket) => {
            const reader = socket.readable.getReader();
            let all = "";
            while (!all.endsWith("\\n")) all += new TextDecoder().decode((await reader.read()).value);
            reader.releaseLock();
            return all;
          };
          const plain = connect(env.AT, { secureTransport: "starttls" });
          const made = [plain.secureTransport, await line(plain)];
          await send(plain, "STARTTLS\\n");
          made.push(await line(plain));
          const secure = plain.startTls();
          await send(secure, "hello");  // waits for TLS
          await secure.writable.close();
          made.push(await text(secure.readable), secure.secureTransport, plain.upgraded, await said(send(plain, "x")));
          try { plain.startTls(); } catch (error) { made.push(error.name); }
          return new Response(made.join("|"));""", at, arguments=[*EASY, "--env", f"AT={at}"],
                             environment={"SSL_CERT_FILE": self.authority.pem})
        self.assertEqual(self.answer(served), "off|220 ready\n|go\n|HELLO|on|true|TypeError: The socket has been upgraded to TLS|TypeError")


class InANode(WithWorkers):
    def test_of_the_configuration_and_of_a_deploy(self):
        server = Server(self, echo)
        text = PRELUDE % """
          const socket = connect("%s");
          try { await socket.opened; } catch (error) { return new Response(error.message); }
          await send(socket, "node");
          await socket.writable.close();
          return new Response(await text(socket.readable));""" % server.address
        node = self.served(("one", text, f'routes = ["one.test/*"]\nconnect = ["{server.address}"]'),
                           ("none", text, 'routes = ["none.test/*"]'))
        self.assertEqual(self.get(node, host="one.test").body, b"node")
        self.assertIn(b"[workers.connect]", self.get(node, host="none.test").body)
        path = os.path.join(self.directory, "deployed.js")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run([verge.VERGE, "worker", "deploy", path, "--route", "deployed.test/*", "--cpu-ms", "5000", "--wall-ms", "30000",
                               "--connect", server.address, "--admin", node.addresses["admin"]], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.get(node, host="deployed.test").body, b"node")


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    unittest.main(verbosity=2)
