"""What workers open: WebSockets by `new WebSocket(url)` and by fetch(), and EventSource."""

import base64
import json
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from origin import Origin
from test_workers import EASY, Served
import websocket
from websocket import WebSocket, frame

ECHO = """export default { fetch(request) {
  const [client, server] = new WebSocketPair();
  server.accept();
  server.onmessage = ({ data }) => {
    if (data === "bye") server.close(4001, "as asked");
    else if (data === "url") server.send(request.url);
    else server.send(data);
  };
  return new Response(null, { status: 101, webSocket: client, headers: { "sec-websocket-protocol": "chat" } }); } };
"""


def handler(body):
    return "export default { async fetch(request, env, ctx) { const server = env.SERVER; %s } };" % body


class Opening(verge.TestCase):
    def served(self, text, *arguments):
        served = Served(self, {"worker": text}, [*EASY, *arguments])
        os.remove(served.ready)
        return served

    def echo(self):
        return self.served(ECHO).address

    def answer(self, body, server=None):
        served = self.served(handler(body), "--env", f"SERVER={server or self.echo()}")
        answer = served.get()
        self.assertEqual(answer.status, 200, (answer.body, served.said()))
        return json.loads(answer.body)

    def peer(self, serve):
        """A server that agrees to each WebSocket, then runs serve(connection)."""
        def handle(connection):
            agreed = websocket.agree(connection)
            if agreed:
                serve(connection, agreed[1])

        return websocket.agreeing(self, handle)

    # --- new WebSocket

    def test_messages_and_the_close(self):
        seen = self.answer("""
          const socket = new WebSocket(`ws://${server}/a?b`, ["other", "chat"]);
          socket.binaryType = "arraybuffer";
          const seen = [socket.readyState, socket.url === `ws://${server}/a?b`];
          return new Promise((done) => {
            socket.onopen = () => {
              seen.push(socket.readyState, socket.protocol);
              socket.send("hello"); socket.send(new Uint8Array([1, 2, 255])); socket.send("x".repeat(300000)); socket.send("url"); socket.send("bye");
            };
            socket.onmessage = ({ data }) => seen.push(typeof data === "string" ? (data.length > 100 ? data.length : data) : [...new Uint8Array(data)]);
            socket.onclose = ({ code, reason, wasClean }) => done(Response.json([...seen, code, reason, wasClean, socket.readyState]));
          });""")
        self.assertEqual(seen[:6], [0, True, 1, "chat", "hello", [1, 2, 255]])
        self.assertEqual(seen[6], 300000)
        self.assertRegex(seen[7], r"^http://127\.0\.0\.1:\d+/a\?b$")
        self.assertEqual(seen[8:], [4001, "as asked", True, 3])

    def test_the_worker_closes(self):
        self.assertEqual(self.answer("""
          const socket = new WebSocket(`http://${server}/`, "chat");
          return new Promise((done) => {
            socket.onopen = () => { socket.close(4002, "mine"); socket.send("lost"); };
            socket.onclose = ({ code, reason, wasClean }) => done(Response.json([socket.url.slice(0, 5), code, reason, wasClean]));
          });"""), ["ws://", 4002, "", True])

    def test_who_does_not_answer_and_who_refuses(self):
        origin = Origin(lambda request: request.give(status=403))
        self.addCleanup(origin.end)
        for server in ("127.0.0.1:1", origin.url[len("http://"):]):
            self.assertEqual(self.answer("""
              const socket = new WebSocket(`ws://${server}/`);
              const seen = [];
              return new Promise((done) => {
                for (const name of ["open", "error", "message"]) socket.addEventListener(name, () => seen.push(name));
                socket.onclose = ({ code, wasClean }) => done(Response.json([...seen, code, wasClean, socket.readyState]));
              });""", server), ["error", 1006, False, 3])

    def test_what_is_wrong_is_said(self):
        self.assertEqual(self.answer("""
          const wrong = (what) => { try { what(); return "nothing"; } catch (error) { return error.name; } };
          const socket = new WebSocket(`ws://${server}/`, "chat");
          return Response.json([wrong(() => new WebSocket()), wrong(() => new WebSocket("nonsense")), wrong(() => new WebSocket("ftp://a/")),
            wrong(() => new WebSocket("ws://a/#b")), wrong(() => new WebSocket("ws://a/", ["a", "a"])), wrong(() => new WebSocket("ws://a/", "a b")),
            wrong(() => socket.send("early")), wrong(() => socket.close(65536 + 1000)), wrong(() => socket.close(1001.5))]);"""),
            ["TypeError", "SyntaxError", "SyntaxError", "SyntaxError", "SyntaxError", "SyntaxError", "InvalidStateError", "InvalidAccessError", "nothing"])

    def test_what_waits_to_be_sent_is_counted(self):
        self.assertEqual(self.answer("""
          const socket = new WebSocket(`ws://${server}/`, "chat");
          const seen = [];
          return new Promise((done) => {
            socket.onopen = () => {
              socket.send("x"); seen.push(socket.bufferedAmount);
              socket.send("\u00e5\u5336"); socket.send(new Uint8Array(7)); seen.push(socket.bufferedAmount);
            };
            let messages = 0;
            socket.onmessage = () => {
              if (++messages < 3) return;
              seen.push(socket.bufferedAmount);
              socket.close();
              socket.send("lost"); seen.push(socket.bufferedAmount);
            };
            socket.onclose = () => { seen.push(socket.bufferedAmount); done(Response.json(seen)); };
          });"""), [1, 13, 0, 4, 4])

    def test_a_close_before_it_is_open(self):
        answers = threading.Event()
        self.addCleanup(answers.set)

        def silent(_):
            answers.wait(verge.PATIENCE)

        self.assertEqual(self.answer("""
          const socket = new WebSocket(`ws://${server}/`);
          const seen = [];
          return new Promise((done) => {
            for (const name of ["open", "error"]) socket.addEventListener(name, () => seen.push(name));
            socket.onclose = ({ code, wasClean }) => done(Response.json([...seen, code, wasClean, socket.readyState]));
            setTimeout(() => { socket.close(); seen.push(socket.readyState); }, 20);
          });""", websocket.agreeing(self, silent)), [2, "error", 1006, False, 3])

    def test_bytes_are_blobs_as_of_march_2026(self):
        server = self.echo()
        for date, kind in (("", "Blob"), ('// compatibility_date = "2026-03-16"\n', "ArrayBuffer")):
            with self.subTest(date=date):
                served = self.served(date + handler("""
                  const socket = new WebSocket(`ws://${server}/`, "chat");
                  return new Promise((done) => {
                    socket.onopen = () => socket.send(new Uint8Array(3));
                    socket.onmessage = ({ data, origin }) => done(Response.json([data.constructor.name, data.size ?? data.byteLength, origin]));
                  });"""), "--env", f"SERVER={server}")
                self.assertEqual(json.loads(served.get().body), [kind, 3, f"ws://{server}"])

    def test_user_and_password_of_the_url(self):
        heads = []

        def serve(connection):
            head, answer = websocket.agree(connection)
            heads.append(head)
            connection.sendall(answer + frame(8, b"", masked=False))

        self.assertEqual(self.answer("""
          const socket = new WebSocket(`ws://us%C3%A4r:p%3A@${server}/`);
          return new Promise((done) => { socket.onclose = ({ wasClean }) => done(Response.json(wasClean)); });""",
                                     websocket.agreeing(self, serve)), True)
        self.assertIn(base64.b64encode("us\u00e4r:p:".encode()).decode(), heads[0])
        self.assertNotIn("@", heads[0])

    def test_who_names_protocols_is_to_get_one(self):
        def serve(connection, head):
            connection.sendall(head + frame(1, b"fine", masked=False))
            while connection.recv(4096):
                pass

        self.assertEqual(self.answer("""
          const socket = new WebSocket(`ws://${server}/`, "chat");
          const seen = [];
          return new Promise((done) => {
            for (const name of ["open", "error", "message"]) socket.addEventListener(name, () => seen.push(name));
            socket.onclose = ({ code }) => done(Response.json([...seen, code]));
          });""", self.peer(serve)), ["error", 1006])

    def test_a_server_that_breaks_rules(self):
        def masked(connection, head):
            connection.sendall(head + frame(1, b"fine", masked=False) + frame(1, b"masked"))
            while connection.recv(4096):
                pass

        def cut(connection, head):
            connection.sendall(head + frame(1, b"fine", masked=False))

        def other_key(connection, head):
            connection.sendall(head.replace(b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: x"))
            while connection.recv(4096):
                pass

        for serve, expected in ((masked, ["fine", 1006, False]), (cut, ["fine", 1006, False]), (other_key, [1006, False])):
            with self.subTest(serve=serve.__name__):
                self.assertEqual(self.answer("""
                  const socket = new WebSocket(`ws://${server}/`);
                  const seen = [];
                  return new Promise((done) => {
                    socket.onmessage = ({ data }) => seen.push(data);
                    socket.onclose = ({ code, wasClean }) => done(Response.json([...seen, code, wasClean]));
                  });""", self.peer(serve)), expected)

    def test_it_ends_with_the_event_that_opened_it(self):
        ended = threading.Event()

        def serve(connection, head):
            connection.sendall(head)
            try:
                while connection.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            ended.set()

        self.assertEqual(self.answer("""
          const socket = new WebSocket(`ws://${server}/`);
          await new Promise((done) => { socket.onopen = done; });
          return Response.json("open");""", self.peer(serve)), "open")
        self.assertTrue(ended.wait(verge.PATIENCE), "the connection ends")

    # --- fetch

    def test_fetch_opens_one(self):
        self.assertEqual(self.answer("""
          const answer = await fetch(`http://${server}/`, { headers: { Upgrade: "websocket" } });
          const socket = answer.webSocket;
          socket.accept();
          const seen = [answer.status, answer.body];
          return new Promise((done) => {
            socket.addEventListener("message", ({ data }) => { seen.push(data); socket.close(1000); });
            socket.addEventListener("close", ({ code }) => done(Response.json([...seen, code])));
            socket.send("hello");
          });"""), [101, None, "hello", 1000])

    def test_fetch_of_who_opens_none(self):
        origin = Origin(lambda request: request.give(status=403, body=b"no"))
        self.addCleanup(origin.end)
        self.assertEqual(self.answer("""
          const answer = await fetch(`http://${server}/`, { headers: { Upgrade: "websocket" } });
          return Response.json([answer.status, answer.webSocket, await answer.text()]);""", origin.url[len("http://"):]), [403, None, "no"])

    def test_a_worker_between_a_client_and_a_server(self):
        server = self.echo()
        served = self.served(handler("const answer = await fetch(`http://${server}/`, request);"
                                     "return new Response(null, { status: 101, webSocket: answer.webSocket });"), "--env", f"SERVER={server}")
        client = WebSocket(served.address)
        self.addCleanup(client.end)
        for message in ("hello", b"\0\1", "y" * 200_000):
            client.send(message)
            self.assertTrue(client.message() == message)
        client.send("bye")
        self.assertEqual(client.message(), (4001, "as asked"))
        client.close(4001)
        other = WebSocket(served.address)
        self.addCleanup(other.end)
        other.close(4003, "from here")
        self.assertEqual(other.message()[0], 4003)

    # --- EventSource

    def test_events_come_as_they_are_sent(self):
        asked = []

        def serve(request):
            asked.append((request.headers["Accept"], request.headers.get("Last-Event-ID")))
            text = {1: b"\xef\xbb\xbf: a comment\nretry: 10\nid: 7\ndata: one\ndata:two\r\n\r\nevent: named\rdata:  three\r\rdata\n\ndata: lost",
                    2: b"data: again\n\n"}.get(len(asked))
            if text is None:
                return request.give(status=204)
            request.give(fields=[("Content-Type", "text/event-stream; charset=utf-8")], body=text)

        origin = Origin(serve)
        self.addCleanup(origin.end)
        self.assertEqual(self.answer("""
          const source = new EventSource(`http://${server}/`);
          const seen = [];
          return new Promise((done) => {
            source.onopen = () => seen.push(`open ${source.readyState}`);
            source.onmessage = ({ data, lastEventId, origin }) => seen.push([data, lastEventId, origin === `http://${server}`]);
            source.addEventListener("named", ({ data, type }) => seen.push([type, data]));
            source.onerror = () => { seen.push(`error ${source.readyState}`); if (source.readyState === 2) done(Response.json(seen)); };
          });""", origin.url[len("http://"):]),
            ["open 1", ["one\ntwo", "7", True], ["named", " three"], ["", "7", True], "error 0",
             "open 1", ["again", "7", True], "error 0", "error 2"])
        self.assertEqual(asked, [("text/event-stream", None), ("text/event-stream", "7"), ("text/event-stream", "7")])

    def test_what_is_no_stream_of_events_is_closed(self):
        origin = Origin(lambda request: request.give(fields=[("Content-Type", "text/plain")], body=b"data: a\n\n"))
        self.addCleanup(origin.end)
        self.assertEqual(self.answer("""
          const source = new EventSource(`http://${server}/`);
          return new Promise((done) => { source.onerror = () => done(Response.json(source.readyState)); });""", origin.url[len("http://"):]), 2)


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    unittest.main(verbosity=2)
