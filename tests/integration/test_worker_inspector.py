"""The inspector: DevTools find a worker, break in it, step, evaluate, take a snapshot of its heap and a profile; and who may not."""

import json
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from test_workers import Served
from verge import wait_until
from websocket import Refused, WebSocket, frame

WORKER = """let count = 0;
export default {
  async fetch(request) {
    const path = new URL(request.url).pathname;
    const doubled = twice(++count);
    return new Response(`${path} ${doubled}`);
  },
};
function twice(number) {
  const result = number * 2;
  return result;
}
"""
LINE_OF_DOUBLED = 4  # from 0


class DevTools:
    """Speaks the Chrome DevTools Protocol."""

    def __init__(self, test, address, target):
        url = target["webSocketDebuggerUrl"]
        test.assertTrue(url.startswith(f"ws://{address}/"), url)
        self.socket = WebSocket(address, path=url[len(f"ws://{address}"):], host=address)
        test.addCleanup(self.socket.end)
        self.last = 0
        self.events = []

    def take(self):
        return json.loads(self.socket.message())

    def begin(self, method, **parameters):
        self.last += 1
        self.socket.send(json.dumps({"id": self.last, "method": method, "params": parameters}))
        return self.last

    def call(self, method, **parameters):
        number = self.begin(method, **parameters)
        while (message := self.take()).get("id") != number:
            self.events.append(message)
        if "error" in message:
            raise AssertionError(f"{method}: {message['error']}")
        return message["result"]

    def event(self, method):
        while True:
            for index, message in enumerate(self.events):
                if message.get("method") == method:
                    return self.events.pop(index)["params"]
            self.events.append(self.take())


class Inspector(verge.TestCase):
    def serve(self, text=WORKER, arguments=("--cpu-ms", "50", "--wall-ms", "300"), command="serve"):
        served = Served(self, {"worker": text}, [*arguments, "--inspect=127.0.0.1:0"], command)
        with open(served.ready, encoding="utf-8") as file:
            served.inspector = json.load(file)["inspector"]
        return served

    def ask(self, served, path, **fields):
        return verge.http_request(served.inspector, "GET", path, None, fields)

    def tools(self, served):
        targets = json.loads(self.ask(served, "/json/list").body)
        self.assertEqual([target["title"] for target in targets], ["worker"])
        return DevTools(self, served.inspector, targets[0])

    def request(self, served, path="/a"):
        """A request in a thread of its own; .join() and .answer."""
        thread = threading.Thread(target=lambda: setattr(thread, "answer", served.get(path)), daemon=True)
        thread.start()
        return thread

    def answer(self, thread):
        thread.join(verge.PATIENCE)
        return thread.answer.status, thread.answer.body

    def test_a_breakpoint_is_hit_read_and_left(self):
        served = self.serve()
        tools = self.tools(served)
        tools.call("Runtime.enable")
        tools.call("Debugger.enable")
        while (script := tools.event("Debugger.scriptParsed"))["url"] != "worker.js":
            pass
        self.assertEqual(tools.call("Debugger.getScriptSource", scriptId=script["scriptId"])["scriptSource"], WORKER)
        found = tools.call("Debugger.setBreakpointByUrl", url="worker.js", lineNumber=LINE_OF_DOUBLED)
        self.assertEqual(len(found["locations"]), 1)
        request = self.request(served, "/first")
        paused = tools.event("Debugger.paused")
        self.assertEqual(paused["hitBreakpoints"], [found["breakpointId"]])
        top = paused["callFrames"][0]
        self.assertEqual((top["functionName"], top["location"]["lineNumber"]), ("fetch", LINE_OF_DOUBLED))

        def value(expression, frame=top):
            return tools.call("Debugger.evaluateOnCallFrame", callFrameId=frame["callFrameId"], expression=expression)["result"]["value"]

        self.assertEqual((value("path"), value("count")), ("/first", 0))
        scope = tools.call("Runtime.getProperties", objectId=top["scopeChain"][0]["object"]["objectId"])["result"]
        self.assertIn("path", [variable["name"] for variable in scope])
        # Longer than any limit of time; other requests wait meanwhile.
        other = self.request(served, "/second")
        threading.Event().wait(0.6)
        # Into the function, over its first line, and out.
        tools.call("Debugger.stepInto")
        paused = tools.event("Debugger.paused")
        self.assertEqual(paused["callFrames"][0]["functionName"], "twice")
        tools.call("Debugger.stepOver")
        paused = tools.event("Debugger.paused")
        self.assertEqual(value("result", paused["callFrames"][0]), 2)
        tools.call("Debugger.stepOut")
        tools.event("Debugger.paused")
        tools.call("Debugger.removeBreakpoint", breakpointId=found["breakpointId"])
        tools.call("Debugger.resume")
        self.assertEqual(self.answer(request), (200, b"/first 2"))
        self.assertEqual(self.answer(other), (200, b"/second 4"))

    def test_expressions_snapshots_and_profiles(self):
        served = self.serve(WORKER.replace("let count = 0;", "let count = 0; globalThis.kept = { name: 'to be found' };"))
        served.get()
        tools = self.tools(served)
        self.assertEqual(tools.call("Runtime.evaluate", expression="kept.name + ' \u4e2d'")["result"]["value"], "to be found \u4e2d")
        result = tools.call("Runtime.evaluate", expression="Promise.resolve(6 * 7)", awaitPromise=True)
        self.assertEqual(result["result"]["value"], 42)
        number = tools.begin("HeapProfiler.takeHeapSnapshot")
        chunks = []
        while (message := tools.take()).get("id") != number:
            if message["method"] == "HeapProfiler.addHeapSnapshotChunk":
                chunks.append(message["params"]["chunk"])
        snapshot = json.loads("".join(chunks))
        self.assertIn("to be found", snapshot["strings"])
        tools.call("Profiler.enable")
        tools.call("Profiler.setSamplingInterval", interval=100)
        tools.call("Profiler.start")
        tools.call("Runtime.evaluate", expression="(function burn() { const end = Date.now() + 100; let n = 0; while (Date.now() < end) ++n; return n; })()")
        profile = tools.call("Profiler.stop")["profile"]
        self.assertIn("burn", [node["callFrame"]["functionName"] for node in profile["nodes"]])
        self.assertEqual(served.get("/b").body, b"/b 4")

    def test_limits_hold_again_when_nobody_looks(self):
        served = self.serve("export default { fetch() { let n = 0; for (let i = 0; i < 4e8; ++i) n ^= i; return new Response(`done ${n}`); } };",
                            ("--cpu-ms", "50", "--wall-ms", "30000"))
        self.assertEqual(served.get().fields.get("verge-worker-error"), 'workers.cpu; worker="worker"')
        tools = self.tools(served)
        tools.call("Runtime.enable")
        self.assertEqual(served.get().body, b"done 0")
        tools.socket.close()
        self.assertEqual(tools.socket.message()[0], 1000)
        self.assertEqual(served.get().fields.get("verge-worker-error"), 'workers.cpu; worker="worker"')

    def test_an_evaluation_ends_when_its_time_is_over(self):
        served = self.serve()
        tools = self.tools(served)
        with self.assertRaisesRegex(AssertionError, "Execution was terminated"):
            tools.call("Runtime.evaluate", expression="for (;;) {}", timeout=50)
        self.assertEqual(tools.call("Runtime.evaluate", expression="1 + 1", timeout=1e300)["result"]["value"], 2)
        self.assertEqual(served.get().body, b"/ 2")

    def test_who_leaves_at_a_breakpoint_lets_it_go(self):
        served = self.serve("export default { fetch() { debugger; return new Response('on'); } };")
        for leave in (lambda socket: socket.close(), lambda socket: socket.end()):
            tools = self.tools(served)
            tools.call("Debugger.enable")
            request = self.request(served)
            tools.event("Debugger.paused")
            leave(tools.socket)
            self.assertEqual(self.answer(request), (200, b"on"))
        self.assertEqual(served.get().body, b"on")

    def test_one_session_a_worker(self):
        served = self.serve()
        tools = self.tools(served)
        with self.assertRaises(Refused) as refused:
            self.tools(served)
        self.assertEqual(refused.exception.status, 409)
        self.assertEqual(tools.call("Runtime.evaluate", expression="1 + 1")["result"]["value"], 2)

    def test_what_is_saved_is_another_worker(self):
        served = self.serve(command="dev", arguments=("--cpu-ms", "500", "--wall-ms", "3000"))
        before = json.loads(self.ask(served, "/json").body)[0]["id"]
        with open(served.paths[0], "w", encoding="utf-8") as file:
            file.write(WORKER.replace("${path}", "changed"))
        wait_until(lambda: served.get("/a").body.startswith(b"changed"), "it is reloaded")
        self.assertNotEqual(json.loads(self.ask(served, "/json").body)[0]["id"], before)
        self.assertEqual(self.tools(served).call("Runtime.evaluate", expression="2 + 2")["result"]["value"], 4)

    def test_who_may_ask(self):
        served = self.serve()
        port = served.inspector.rpartition(":")[2]
        self.assertEqual(json.loads(self.ask(served, "/json/version").body)["Protocol-Version"], "1.3")
        for host in ("localhost", f"localhost:{port}", "127.0.0.1", f"[::1]:{port}", f"127.0.0.1:{port}"):
            self.assertEqual(self.ask(served, "/json/list", Host=host).status, 200, host)
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "192.0.2.1", "localhost.evil.example"):
            self.assertEqual(self.ask(served, "/json/list", Host=host).status, 403, host)
        self.assertEqual(self.ask(served, "/json/list", Origin="https://evil.example").status, 403)
        self.assertEqual(self.ask(served, "/0123456789abcdef0123456789abcdef").status, 404)
        target = json.loads(self.ask(served, "/json/list").body)[0]
        self.assertEqual(self.ask(served, "/" + target["id"]).status, 426)
        with self.assertRaises(Refused) as refused:
            WebSocket(served.inspector, path="/" + target["id"], host=f"localhost:{port}", fields={"Origin": "http://localhost:1"})
        self.assertEqual(refused.exception.status, 403)
        path = os.path.join(self.directory, "worker.js")
        done = verge.run("worker", "serve", path, "--listen", "127.0.0.1:0", "--inspect=0.0.0.0:0")
        self.assertIn("cli.inspect", done.stderr)

    def test_nonsense_is_answered_or_ends_the_session_and_not_the_server(self):
        served = self.serve()
        tools = self.tools(served)
        for text in ("", "{", "[]", '{"id":1000}', '{"id":1000,"method":"No.such"}', "\u4e2d"):
            tools.socket.send(text)
        self.assertEqual(tools.call("Runtime.evaluate", expression="'there'")["result"]["value"], "there")
        tools.socket.connection.sendall(frame(1, b"\xff"))
        while not isinstance(message := tools.socket.message(), tuple):
            pass
        self.assertEqual(message[0], 1007)
        self.assertEqual(self.tools(served).call("Runtime.evaluate", expression="1")["result"]["value"], 1)


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    unittest.main(verbosity=2)
