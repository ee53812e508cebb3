"""The action webhook: what arrives, what is tried again, and that a slow server holds up nothing else."""

import http.server
import json
import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

RULES = """
[[rule]]
name = "hot"
sql = "SELECT device, t FROM 'oven/+'"
do = [{ webhook = "http://%s/hook?a=b", attempts = 4, timeout = "1min" }, { publish = "seen/${device}" }]
"""


class Hooks(http.server.ThreadingHTTPServer):
    """Answers with the statuses given, then 204; keeps what came."""

    daemon_threads = True

    def __init__(self, address=("127.0.0.1", 0)):
        self.calls = []
        self.statuses = []
        self.open = threading.Event()
        self.open.set()
        super().__init__(address, Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """A node that goes away cuts its connection."""

    @property
    def name(self):
        return "%s:%d" % self.server_address


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, dict(self.headers), body))
        self.server.open.wait()
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Webhooks(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.hooks = Hooks()
        self.addCleanup(lambda: (self.hooks.shutdown(), self.hooks.server_close()))
        self.node_ = self.node("edge", RULES % self.hooks.name).start()
        self.client = self.mqtt(self.node_)
        self.client.subscribe("seen/#")

    def metric(self, name):
        lines = self.node_.admin("/metrics").body.decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"verge_{name} ")))

    def wait_metric(self, name, value):
        verge.wait_until(lambda: self.metric(name) == value, lambda: f"{name} is {value}, not {self.metric(name)}")

    def bodies(self):
        return [json.loads(body) for _, _, body in self.hooks.calls]

    def test_calls_arrive_in_order_and_are_tried_again(self):
        self.hooks.statuses = [503, 429]
        for t in range(3):
            self.client.publish("oven/d1", {"t": t})
        self.wait_metric("webhooks_delivered_total", 3)
        self.assertEqual([each["t"] for each in self.bodies()], [0, 0, 0, 1, 2])
        path, headers, body = self.hooks.calls[0]
        self.assertEqual((path, json.loads(body)), ("/hook?a=b", {"device": "d1", "t": 0}))
        self.assertEqual((headers["Content-Type"], headers["Verge-Rule"]), ("application/json", "hot"))
        deliveries = [headers["Verge-Delivery"] for _, headers, _ in self.hooks.calls]
        self.assertEqual(len(set(deliveries)), 3)
        self.assertEqual(len(set(deliveries[:3])), 1)
        self.assertEqual(self.metric("webhooks_repeated_total"), 2)
        self.assertEqual(self.metric("webhooks_waiting"), 0)

    def test_what_is_refused_is_not_tried_again(self):
        self.hooks.statuses = [404]
        self.client.publish("oven/d1", {"t": 1})
        self.client.publish("oven/d1", {"t": 2})
        self.wait_metric("webhooks_delivered_total", 1)
        self.assertEqual([each["t"] for each in self.bodies()], [1, 2])
        self.assertEqual(self.metric("webhooks_failed_total"), 1)
        self.assertIn("it answered 404", self.node_.log())

    def test_a_server_that_is_away_gets_them_when_it_is_back(self):
        address = self.hooks.server_address
        self.hooks.shutdown()
        self.hooks.server_close()
        self.client.publish("oven/d1", {"t": 1})
        self.client.wait_messages(1)
        self.wait_metric("webhooks_waiting", 1)
        self.hooks = Hooks(address)
        self.wait_metric("webhooks_delivered_total", 1)
        self.assertEqual(self.bodies(), [{"device": "d1", "t": 1}])

    def test_a_slow_server_holds_up_nothing_and_its_queue_is_bounded(self):
        self.hooks.open.clear()
        self.addCleanup(self.hooks.open.set)
        begin = time.monotonic()
        for t in range(1500):
            self.client.publish("oven/d1", {"t": t})
        self.client.wait_messages(1500)
        self.assertLess(time.monotonic() - begin, verge.PATIENCE)
        self.wait_metric("webhooks_dropped_total", 1500 - 1024)
        self.assertEqual(len(self.hooks.calls), 1)

    def test_a_url_that_cannot_be_is_refused(self):
        self.node_.write_config(RULES % "user:secret@host")
        answer = verge.run("check", self.node_.config_path)
        self.assertNotEqual(answer.returncode, 0)
        self.assertIn("config.url", answer.stdout + answer.stderr)
        self.assertNotIn("secret", answer.stdout + answer.stderr)


if __name__ == "__main__":
    unittest.main()
