"""What rules remember survives: SIGKILL, SIGTERM and another number of event loops change no row.

VERGE_KILL_ROUNDS is how many times the node is killed, VERGE_SEED repeats the choice of moments.
"""

import json
import os
import random
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

ROUNDS = int(os.environ.get("VERGE_KILL_ROUNDS", "3"))
DEVICES = 5
RULES = """
[rules]
durable = true
[[rule]]
name = "tumbling"
sql = '''SELECT device, sum(v) AS s, count(*) AS n, first(v) AS f, last(v) AS l, stddev(v) AS d, window_start AS a
FROM 'm/+' TIMESTAMP BY ts DELAY 3 s GROUP BY device, TUMBLING(20 s)'''
do = [{ upload = "normal" }]
[[rule]]
name = "hopping"
sql = "SELECT device, max(v) AS m, percentile(v, 0.5) AS p, window_start AS a FROM 'm/+' TIMESTAMP BY ts GROUP BY device, HOPPING(30 s, 10 s)"
do = [{ upload = "high" }]
[[rule]]
name = "session"
sql = "SELECT device, count(*) AS n, window_start AS a FROM 'm/+' TIMESTAMP BY ts WHERE v > 3 GROUP BY device, SESSION(4 s)"
do = [{ upload = "normal" }]
[[rule]]
name = "counted"
sql = "SELECT device, sum(v) AS s, last(n) AS n FROM 'm/+' GROUP BY device, COUNT(7)"
do = [{ upload = "normal" }]
[[rule]]
name = "steps"
sql = "SELECT device, n, v, lag(v) AS before, zscore(v) AS z FROM 'm/+' WHERE changed(v, 4)"
do = [{ upload = "low", topic = "windows/steps" }]
[[rule]]
name = "lasting"
sql = "SELECT device, n, v FROM 'm/+' TIMESTAMP BY ts WHERE v > 2 FOR 2 s"
do = [{ upload = "normal", topic = "windows/lasting" }]
[[rule]]
name = "joined"
sql = '''SELECT a.device AS device, a.n AS x, b.n AS y FROM 'm/+' AS a JOIN 'm/+' AS b ON a.device = b.device AND a.v = b.v WITHIN 3 s
TIMESTAMP BY ts WHERE a.n < b.n'''
do = [{ upload = "normal", topic = "windows/joined" }]
"""


class State(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.chance = random.Random(verge.seed())
        self.sent = []
        self.probes = 0  # messages of no rule
        self.time = int(time.time() * 1000) - 12 * 3600 * 1000
        self.node_ = self.node("edge", RULES, sets=["spool.segment_bytes=256KiB", "runtime.loops=2"]).start()
        self.client = self.mqtt(self.node_, "sender", inflight=50)

    def send(self, count):
        for _ in range(count):
            self.time += self.chance.choice((100, 300, 700, 1500))
            payload = {"n": len(self.sent), "v": self.chance.randrange(10), "ts": self.time}
            topic = f"m/d{self.chance.randrange(DEVICES)}"
            self.sent.append((topic, payload))
            self.client.publish(topic, payload, sequence=len(self.sent))

    def acknowledged(self):
        return len(self.client.acknowledged) - self.probes

    def wait_acknowledged(self, count):
        self.client.wait(lambda: self.acknowledged() >= count,
                         lambda: f"{count} are acknowledged; {self.acknowledged()} are; the log:\n"
                                 f"{self.node_.log()[-3000:]}", 60)

    def start_again(self):
        """Starts the node; returns when the client is connected and all that was sent is acknowledged. What a client
        publishes while it connects overtakes what it has to send again, and rules that remember see another order."""
        self.node_.start()
        self.probes += 1
        self.client.publish("probe", {})
        self.wait_acknowledged(len(self.sent))

    def flush(self):
        """A reading of each device far enough ahead to end what is open."""
        self.time += 1000 * 1000
        for device in range(DEVICES):
            payload = {"n": len(self.sent), "v": 50, "ts": self.time}
            self.sent.append((f"m/d{device}", payload))
            self.client.publish(f"m/d{device}", payload, sequence=len(self.sent))
        self.wait_acknowledged(len(self.sent))

    def rows(self):
        return sorted((event["topic"], json.dumps(event["payload"])) for event in self.node_.events("windows/#"))

    def expected(self):
        """The rows of an uninterrupted run."""
        path = os.path.join(self.directory, "sent.ndjson")
        with open(path, "w", encoding="utf-8") as out:
            for topic, payload in self.sent:
                line = {"topic": topic, "payload": payload, "time": int(time.time() * 1000)}
                out.write(json.dumps(line) + "\n")
        answer = verge.run("rules", "test", self.node_.config_path, "--with", path, "--keep-open", timeout=120)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        done = [json.loads(line) for line in answer.stdout.splitlines()]
        return sorted((each["topic"], json.dumps(each["payload"])) for each in done)

    def check(self):
        self.flush()
        wanted = self.expected()
        verge.wait_until(lambda: len(self.rows()) >= len(wanted),
                         lambda: f"{len(wanted)} rows are stored; {len(self.rows())} are")
        self.assertEqual(self.rows(), wanted)
        print(f"{len(self.sent)} readings, {len(wanted)} rows")

    def test_sigkill(self):
        for _ in range(ROUNDS):
            before = self.acknowledged()
            self.send(self.chance.randrange(50, 300))
            self.wait_acknowledged(before + self.chance.randrange(1, 50))
            verge.pause(self.chance.uniform(0, 0.05))
            self.node_.kill9()
            if self.chance.random() < 0.3:
                self.node_.launch()
                verge.pause(self.chance.uniform(0, 0.2))
                self.node_.kill9()
            self.start_again()
        self.check()

    def test_stop_and_another_number_of_loops(self):
        for loops in (2, 1, 3):
            self.send(200)
            self.wait_acknowledged(len(self.sent))
            self.node_.stop()
            self.node_.sets[-1] = f"runtime.loops={loops}"
            self.start_again()
        self.check()

    def test_a_reload_keeps_what_did_not_change(self):
        self.send(100)
        self.wait_acknowledged(len(self.sent))
        self.node_.write_config(RULES + "\n[[rule]]\nname = 'other'\nsql = \"SELECT * FROM 'o'\"\ndo = [{drop = true}]\n")

        self.node_.signal(signal.SIGHUP)
        verge.wait_until(lambda: "was reloaded: 8 rules" in self.node_.log(), "the configuration is reloaded")
        self.send(100)
        self.check()


if __name__ == "__main__":
    unittest.main()
