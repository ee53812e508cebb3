"""WebSockets that workers answer: messages and closes both ways, back-pressure, limits, hostile frames, and who passes by."""

import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from origin import Origin
from test_node_workers import WithWorkers
from test_workers import EASY, EXAMPLES, Served
from verge import wait_until
import websocket
from websocket import Refused, WebSocket, frame

MIB = 1 << 20


def worker(body, date=""):
    return date + """export default { fetch(request, env, ctx) {
      const [client, server] = Object.values(new WebSocketPair());
      server.accept();
      %s
      return new Response(null, { status: 101, webSocket: client }); } };
""" % body


ECHO = worker('server.onmessage = ({ data }) => server.send(data);')
# Says how it ended.
LOGGING = worker("""
  server.addEventListener("message", ({ data }) => server.send(`got ${typeof data === "string" ? data : data.byteLength}`));
  for (const name of ["close", "error"]) server.addEventListener(name, (event) =>
    console.log(name, event.code, event.reason, event.wasClean, server.readyState));
""")


class Serving(verge.TestCase):
    def served(self, text, arguments=EASY):
        return Served(self, {"worker": text}, arguments)

    def socket(self, served, **options):
        made = WebSocket(served.address, **options)
        self.addCleanup(made.end)
        return made

    # --- Messages

    def test_messages_of_each_size_come_back(self):
        client = self.socket(self.served(ECHO))
        for message in ("", "a", "\u00e4\u4e2d\U0001f600", "x" * 70_000, b"", b"\0\xff", os.urandom(125), os.urandom(126),
                        os.urandom(65_535), os.urandom(65_536), os.urandom(MIB), "y" * MIB):
            client.send(message)
            self.assertTrue(client.message() == message, len(message))

    def test_many_messages_are_in_order(self):
        client = self.socket(self.served(ECHO))
        sent = [f"{i}" * (i % 50) for i in range(3000)]
        client.connection.sendall(b"".join(frame(1, text.encode()) for text in sent))
        self.assertEqual([client.message() for _ in sent], sent)

    def test_fragments_and_pings_between_them(self):
        client = self.socket(self.served(ECHO))
        client.connection.sendall(frame(1, b"a", final=False) + frame(9, b"there?") + frame(0, b"b", final=False) + frame(0, b"c"))
        self.assertEqual(client.frame(), (10, b"there?"))
        self.assertEqual(client.message(), "abc")

    def test_what_a_worker_may_send(self):
        client = self.socket(self.served(worker("""
          server.binaryType = "blob";
          server.onmessage = async ({ data }) => {
            server.send(new Uint8Array([1, 2, 3, 4]).subarray(1, 3));
            server.send(new DataView(new ArrayBuffer(2)));
            server.send(data);
            server.send(7);
            server.send(`${data instanceof Blob} ${data.size} ${await data.text()}`);
            let error;
            try { server.send("x".repeat(2 ** 20 + 1)); } catch (caught) { error = caught; }
            server.send(`${error?.name} ${server.readyState} ${server.bufferedAmount}`);
          };""")))
        client.send(b"hej")
        self.assertEqual([client.message() for _ in range(6)],
                         [b"\2\3", b"\0\0", b"hej", "7", "true 3 hej", "TypeError 1 0"])

    def test_messages_before_the_answer_and_from_timers(self):
        client = self.socket(self.served(worker("""
          server.send("at once");
          ctx.waitUntil(fetch("data:,later").then((answer) => answer.text()).then((text) => server.send(text)));
          setTimeout(() => server.send("last"), 50);""")))
        self.assertEqual([client.message() for _ in range(3)], ["at once", "later", "last"])

    def test_fields_of_the_answer(self):
        served = self.served("""export default { fetch(request) {
          const [client, server] = new WebSocketPair();
          server.accept();
          return new Response(null, { status: 101, webSocket: client, headers: { "X-Own": request.headers.get("upgrade"),
            "Sec-WebSocket-Protocol": "chat", "Sec-WebSocket-Accept": "nonsense", "Set-Cookie": "a=b" } }); } };""")
        fields = self.socket(served, fields={"Sec-WebSocket-Protocol": "other, chat"}).fields
        self.assertEqual((fields["x-own"], fields["sec-websocket-protocol"], fields["set-cookie"]), ("websocket", "chat", "a=b"))
        self.assertNotIn("sec-websocket-protocol", self.socket(served).fields)

    def test_both_ends_may_stay_in_the_worker(self):
        served = self.served("""export default { async fetch() {
          const [one, other] = new WebSocketPair();
          const seen = [];
          one.accept(); other.accept();
          one.onmessage = ({ data }) => { seen.push(data); one.close(4000, "enough"); };
          other.onmessage = ({ data }) => other.send(data + data);
          const closed = new Promise((done) => { other.onclose = done; });
          one.send("a");
          const { code, reason, wasClean } = await closed;
          return Response.json([seen, code, reason, wasClean, one.readyState, other.readyState]); } };""")
        self.assertEqual(served.get().body, b'[["aa"],4000,"enough",true,2,3]')

    def test_what_is_wrong_is_said(self):
        served = self.served("""export default { fetch(request) {
          const [client, server] = new WebSocketPair();
          const wrong = (what) => { try { what(); return "nothing"; } catch (error) { return error.name; } };
          const found = [wrong(() => server.send("a")), wrong(() => server.close()),
            wrong(() => new Response(null, { status: 101 })), wrong(() => new Response(null, { webSocket: client })),
            wrong(() => new Response("a", { status: 101, webSocket: client })), wrong(() => new Response(null, { status: 101, webSocket: {} })),
            wrong(() => new Response(null, { status: 101, webSocket: client }).clone()), wrong(() => new WebSocket())];
          server.accept();
          found.push(wrong(() => server.close(1005)), wrong(() => server.close(1000, "x".repeat(124))));
          return Response.json(found); } };""")
        self.assertEqual(served.get().body, b'["TypeError","TypeError","RangeError","RangeError","TypeError","TypeError","TypeError",'
                                            b'"TypeError","InvalidAccessError","SyntaxError"]')

    def test_the_end_that_was_accepted_cannot_be_given(self):
        served = self.served("""export default { fetch(request) {
          const [client, server] = new WebSocketPair();
          client.accept();
          return new Response(null, { status: 101, webSocket: client }); } };""")
        with self.assertRaises(Refused) as refused:
            self.socket(served)
        self.assertEqual(refused.exception.status, 500)

    # --- Handshakes

    def test_who_asks_for_none_is_told_so(self):
        served = self.served(ECHO)
        answer = served.get()
        self.assertEqual((answer.status, answer.fields["sec-websocket-version"]), (426, "13"))
        for fields in ({"Sec-WebSocket-Version": "12"}, {"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Key": None},
                       {"Upgrade": "h2c"}, {"Connection": "close"}):
            with self.subTest(fields=fields), self.assertRaises(Refused) as refused:
                self.socket(served, fields=fields)
            self.assertEqual(refused.exception.status, 426)

    def test_another_answer_is_an_answer(self):
        with self.assertRaises(Refused) as refused:
            self.socket(self.served('export default { fetch() { return new Response("no", { status: 403 }); } };'))
        self.assertEqual((refused.exception.status, refused.exception.body), (403, b"no"))

    # --- Closes

    def test_the_client_closes(self):
        for code, reason in ((1000, "done"), (4999, ""), (None, ""), (1011, "\u00e4")):
            with self.subTest(code=code):
                served = self.served(LOGGING)
                os.remove(served.ready)
                client = self.socket(served)
                client.close(code, reason)
                self.assertEqual(client.message()[0], code)
                self.assertTrue(client.is_at_end())
                wait_until(lambda: f"close {code or 1005} {reason} true 3" in served.said(), served.said)
                self.assertNotIn("error", served.said())

    def test_the_worker_closes(self):
        for call, told in (('server.close(4001, "enough")', (4001, "enough")), ("server.close()", (None, ""))):
            with self.subTest(call=call):
                served = self.served(worker("server.onmessage = () => { %s; server.send('lost'); };"
                                            "server.onclose = ({ code, wasClean }) => console.log('end', code, wasClean);" % call))
                os.remove(served.ready)
                client = self.socket(served)
                client.send("now")
                self.assertEqual(client.message(), told)
                client.close(told[0])
                self.assertTrue(client.is_at_end())
                wait_until(lambda: f"end {told[0] or 1005} true" in served.said(), served.said)

    def test_before_april_2026_a_worker_answers_a_close_itself(self):
        text = worker("""server.onclose = ({ code }) => { console.log("state", server.readyState); server.close(code, "mine"); };""",
                      '// compatibility_date = "2026-04-06"\n')
        served = self.served(text)
        client = self.socket(served)
        client.close(1000)
        self.assertEqual(client.message(), (1000, "mine"))
        wait_until(lambda: "state 2" in served.said(), served.said)

    def test_half_open_is_as_before(self):
        client = self.socket(self.served("""export default { fetch() {
          const [client, server] = new WebSocketPair();
          server.accept({ allowHalfOpen: true });
          server.onclose = () => { server.close(4002, "by hand"); };
          return new Response(null, { status: 101, webSocket: client }); } };"""))
        client.close(1000)
        self.assertEqual(client.message(), (4002, "by hand"))

    def test_a_client_that_breaks_off(self):
        served = self.served(LOGGING)
        client = self.socket(served)
        client.send("a")
        self.assertEqual(client.message(), "got a")
        client.end()
        wait_until(lambda: "close 1006  false 3" in served.said(), served.said)
        self.assertIn("error", served.said())

    def test_a_client_that_is_gone_before_the_answer(self):
        served = self.served("""let calls = 0;
          export default { async fetch(request) {
            if (new URL(request.url).pathname === "/count") return new Response(String(++calls));
            await new Promise((done) => setTimeout(done, 200));
            const [client, server] = new WebSocketPair();
            server.accept();
            server.onclose = ({ code }) => console.log("gone", code);
            server.send("nobody hears it");
            return new Response(null, { status: 101, webSocket: client }); } };""")
        self.assertEqual(served.get("/count").body, b"1")
        host, _, port = served.address.rpartition(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            self.assertEqual(served.get("/count").body, b"2")
        wait_until(lambda: "gone 1006" in served.said(), served.said)
        self.assertEqual(served.get("/count").body, b"3")

    def test_the_event_goes_on_as_long_as_the_socket(self):
        served = self.served(worker("server.onmessage = async () => { "
                                    "await new Promise((done) => setTimeout(done, 20)); server.send('late'); };"),
                             ["--cpu-ms", "1000", "--wall-ms", "300"])
        client = self.socket(served)
        # Three times as long as a call may take: what lasts is the connection.
        end = time.monotonic() + 0.9
        while time.monotonic() < end:
            client.send("a")
            self.assertEqual(client.message(), "late")

    # --- Limits

    def test_a_message_that_runs_for_ever_ends_the_worker_and_nobody_else(self):
        text = worker("server.onmessage = ({ data }) => { if (data === 'spin') while (true); server.send(data); };")
        served = self.served(text, ["--cpu-ms", "40", "--wall-ms", "30000"])
        client, other = self.socket(served), self.socket(served)
        other.send("there")
        self.assertEqual(other.message(), "there")
        client.send("spin")
        self.assertEqual(client.message(), (1011, "workers.cpu"))
        self.assertEqual(other.message(), (1011, "workers.restarted"))
        again = self.socket(served)
        again.send("again")
        self.assertEqual(again.message(), "again")

    def test_each_message_has_the_time_of_a_call(self):
        text = worker("server.onmessage = () => { const end = performance.now() + 20; while (performance.now() < end); server.send('done'); };")
        client = self.socket(self.served(text, ["--cpu-ms", "100", "--wall-ms", "30000"]))
        for _ in range(20):
            client.send("a")
            self.assertEqual(client.message(), "done")

    def test_each_message_may_fetch_as_often_as_a_call(self):
        origin = Origin(lambda request: request.give(body=b"x"))
        self.addCleanup(origin.end)
        text = worker("server.onmessage = async () => { try { server.send(await (await fetch('%s')).text()); } "
                      "catch (error) { server.send(`${error}`); } };" % origin.url)
        client = self.socket(self.served(text, [*EASY, "--subrequests", "2"]))
        for _ in range(6):
            client.send("a")
            self.assertEqual(client.message(), "x")

    def test_a_client_that_does_not_read_does_not_fill_memory(self):
        text = worker("""server.onmessage = () => {
          for (let i = 0; i < 150; ++i) server.send(new Uint8Array(100_000));
          console.log("sent", server.readyState); };
          server.onclose = ({ code, wasClean }) => console.log("end", code, wasClean);""")
        served = self.served(text)
        client = self.socket(served, receive_buffer=4096)
        client.send("a")
        wait_until(lambda: "sent 2" in served.said(), served.said)
        # What was taken until then arrives; behind it is the close.
        count = 0
        while (message := client.message()) == bytes(100_000):
            count += 1
        self.assertEqual(message, (1011, "too much waits to be sent"))
        self.assertGreater(count, 80)
        client.close(1011)
        wait_until(lambda: "end 1011 true" in served.said(), served.said)

    def test_a_worker_that_does_not_accept_holds_its_client_back(self):
        text = """let server; export default { fetch(request) {
          if (new URL(request.url).pathname === "/go") { server.binaryType = "arraybuffer"; server.accept(); let n = 0;
            server.onmessage = ({ data }) => { n += data.byteLength; server.send(`${n}`); }; return new Response("gone"); }
          const pair = new WebSocketPair();
          server = pair[1];
          return new Response(null, { status: 101, webSocket: pair[0] }); } };"""
        served = self.served(text)
        client = self.socket(served)
        piece = frame(2, bytes(100_000))
        client.connection.setblocking(False)
        sent, whole = 0, piece * 200
        while sent < len(whole) and select.select([], [client.connection], [], 1)[1]:
            sent += client.connection.send(whole[sent:sent + 65536])
        self.assertLess(sent, len(whole), "what nobody reads waits at the client")
        client.connection.settimeout(verge.PATIENCE)
        sender = threading.Thread(target=lambda: client.connection.sendall(whole[sent:]), daemon=True)
        sender.start()
        self.assertEqual(served.get("/go").body, b"gone")
        self.assertEqual([client.message() for _ in range(200)], [str(100_000 * (i + 1)) for i in range(200)])
        sender.join(verge.PATIENCE)

    # --- What no client should send

    def test_hostile_frames(self):
        served = self.served(ECHO)
        long = b"x" * 126
        for name, wire, code in (
                ("reserved bit", frame(1, b"a", reserved=4), 1002),
                ("unknown opcode", frame(3, b"a"), 1002),
                ("unknown control opcode", frame(11, b""), 1002),
                ("not masked", frame(1, b"a", masked=False), 1002),
                ("control frame in fragments", frame(9, b"", final=False), 1002),
                ("long control frame", frame(9, long), 1002),
                ("continuation of nothing", frame(0, b"a"), 1002),
                ("message within a message", frame(1, b"a", final=False) + frame(1, b"b"), 1002),
                ("length of 64 bits", b"\x82\xff" + b"\xff" * 8 + b"mask", 1002),
                ("too long", b"\x82\xff" + struct.pack(">Q", MIB + 1) + b"mask", 1009),
                ("too long in fragments", frame(2, bytes(MIB), final=False) + frame(0, b"x"), 1009),
                ("not UTF-8", frame(1, b"\xc3\x28"), 1007),
                ("half a character", frame(1, b"\xe4\xb8"), 1007),
                ("close of one byte", frame(8, b"\x03"), 1002),
                ("close with a code that is none", frame(8, struct.pack(">H", 1005)), 1002),
                ("close with a reason that is not UTF-8", frame(8, b"\x03\xe8\xff"), 1007)):
            with self.subTest(name=name):
                client = self.socket(served)
                client.send("first")
                self.assertEqual(client.message(), "first")
                client.connection.sendall(wire)
                self.assertEqual(client.message()[0], code)
                self.assertTrue(client.is_at_end())
        client = self.socket(served)
        client.send("still here")
        self.assertEqual(client.message(), "still here")

    def test_a_flood_of_pings_is_answered_at_its_pace(self):
        client = self.socket(self.served(ECHO))
        pings = frame(9, b"p" * 125) * 20_000
        sender = threading.Thread(target=lambda: client.connection.sendall(pings + frame(1, b"end")), daemon=True)
        sender.start()
        count = 0
        while (got := client.frame()) != (1, b"end"):
            self.assertEqual(got, (10, b"p" * 125))
            count += 1
        self.assertEqual(count, 20_000)
        sender.join(verge.PATIENCE)

    # --- The end of the server

    def test_the_server_ends(self):
        served = self.served(ECHO)
        client = self.socket(served)
        client.send("a")
        client.message()
        served.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.message()[0], 1001)
        self.assertEqual(served.process.wait(verge.PATIENCE), 0)

    def test_the_example(self):
        with open(os.path.join(EXAMPLES, "websocket_echo.js"), encoding="utf-8") as file:
            served = self.served(file.read())
        client = self.socket(served)
        client.send("hello")
        self.assertEqual(client.message(), "hello")
        client.send("time")
        self.assertRegex(client.message(), r"^20\d\d-.*Z$")
        client.send("bye")
        self.assertEqual(client.message(), (1000, "bye"))
        self.assertEqual(served.get().status, 426)


class InANode(WithWorkers):
    def socket(self, node, **options):
        made = WebSocket(node.addresses["http"], host="shop.test", **options)
        self.addCleanup(made.end)
        return made

    def test_at_each_position_that_stands_for_the_origin(self):
        for position in ("before", "miss"):
            with self.subTest(position=position):
                text = worker("server.onmessage = ({ data }) => server.send(`${request.url} ${data}`);")
                node = self.node(position, "[runtime]\nloops = 2\n" + self.worker(
                    "ws", text, f'routes = ["shop.test/ws*"]\nposition = "{position}"')).start()
                client = self.socket(node, path="/ws?a=b")
                client.send("hello")
                self.assertEqual(client.message(), "http://shop.test/ws?a=b hello")
                client.close(1000)
                self.assertEqual(client.message(), (1000, ""))

    def tunnel_origin(self):
        """An origin that agrees to every WebSocket and sends back what comes."""
        heads = []

        def handle(connection):
            agreed = websocket.agree(connection)
            if not agreed:
                return
            heads.append(agreed[0])
            connection.sendall(agreed[1] + frame(1, b"from the origin", masked=False))
            while connection.recv(4096):
                pass

        return "http://" + websocket.agreeing(self, handle), heads

    def passed(self, text, more):
        url, heads = self.tunnel_origin()
        config = f'[runtime]\nloops = 1\n[[site]]\nhosts = ["shop.test"]\norigins = ["{url}"]\n'
        node = self.node("node", config + self.worker("ws", text, 'routes = ["shop.test/*"]\n' + more)).start()
        self.assertEqual(self.socket(node, path="/a?b").message(), "from the origin")
        self.assertTrue(heads[0].startswith("GET /a?b HTTP/1.1\r\n"), heads)

    def test_a_worker_that_fetches_what_was_asked_for_is_passed_by(self):
        self.passed("export default { fetch(request) { return fetch(request); } };", "")

    def test_and_one_that_stands_on_answers(self):
        self.passed("export default { fetch(request) { return fetch(request); } };", 'position = "client-answer"')

    def test_and_one_that_fails_and_falls_back(self):
        self.passed("export default { fetch(request) { throw new Error('no'); } };", 'fallback = "origin"')

    def test_a_worker_may_refuse(self):
        node = self.node("node", "[runtime]\nloops = 1\n" + self.worker(
            "ws", 'export default { fetch() { return new Response("no", { status: 403 }); } };', 'routes = ["shop.test/*"]')).start()
        with self.assertRaises(Refused) as refused:
            self.socket(node)
        self.assertEqual((refused.exception.status, refused.exception.body), (403, b"no"))

    def test_the_death_of_the_isolate_and_the_end_of_the_node(self):
        node = self.node("node", "[runtime]\nloops = 1\n" + self.worker("ws", ECHO, 'routes = ["shop.test/*"]')).start()
        client = self.socket(node)
        client.send("a")
        self.assertEqual(client.message(), "a")
        isolates = self.isolates(node)
        self.assertGreater(len(isolates), 0)
        for pid in isolates:
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(client.message()[0], 1011)
        client.close(1011)
        again = None

        def is_back():  # a call that a process took with it is answered 503
            nonlocal again
            try:
                again = self.socket(node)
            except Refused as refused:
                self.assertEqual(refused.status, 503)
            return again is not None

        verge.wait_until(is_back, "a new process answers")
        again.send("b")
        self.assertEqual(again.message(), "b")
        node.signal(signal.SIGTERM)
        self.assertEqual(again.message()[0], 1001)
        again.close(1001)
        self.assertEqual(node.wait_end(), 0)

    def isolates(self, node):
        with open(f"/proc/{node.pid}/task/{node.pid}/children", encoding="utf-8") as file:
            zygotes = file.read().split()
        found = []
        for zygote in zygotes:
            with open(f"/proc/{zygote}/task/{zygote}/children", encoding="utf-8") as file:
                found += map(int, file.read().split())
        return found

    def test_those_under_way_stay_with_their_version(self):
        version = lambda n: worker(f"server.onmessage = () => server.send('{n}');")
        path = os.path.join(self.directory, "ws.js")
        node = self.node("node", "[runtime]\nloops = 1\n").start()
        clients = []
        for n in (1, 2):
            with open(path, "w", encoding="utf-8") as file:
                file.write(version(n))
            done = verge.run("worker", "deploy", path, "--route", "shop.test/*", "--admin", node.addresses["admin"])
            self.assertEqual(done.returncode, 0, done.stderr)
            clients.append(self.socket(node))
        for n, client in enumerate(clients, 1):
            client.send("which?")
            self.assertEqual(client.message(), str(n))


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    unittest.main(verbosity=2)
