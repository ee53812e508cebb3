"""Queues of workers: what is sent is delivered or dead-lettered, whatever fails; bounds; `verge queue`."""

import concurrent.futures
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import openapi
import verge
from test_node_workers import WithWorkers
from test_workers import EXAMPLES
from verge import wait_until

SENDER = """
export default {
  async fetch(request, env) {
    const { method, bodies, options } = await request.json();
    try {
      await env.Q[method](bodies, options);
      return Response.json({ sent: true });
    } catch (error) {
      return Response.json({ error: error.message });
    }
  },
};
"""
# Acknowledges what the body does not say is to fail, and only after it has written down what it acknowledges.
CONSUMER = """
export default {
  async queue(batch, env) {
    const good = [];
    for (const message of batch.messages) {
      const { n, fails, throws } = message.body;
      if (throws !== undefined && message.attempts <= throws) throw new Error(`${n} throws`);
      if (message.attempts <= fails) message.retry();
      else good.push(message);
    }
    if (good.length === 0) return;
    const said = good.map((message) => [message.body.n, message.attempts]);
    await env.SEEN.put(crypto.randomUUID(), JSON.stringify(said));
    for (const message of good) message.ack();
  },
};
"""
# What it is told to do with a message is in its body; it says what it was given.
OBEDIENT = """
export default {
  async queue(batch, env) {
    for (const { id, body, attempts, timestamp } of batch.messages) {
      const said = { queue: batch.queue, attempts, age: Date.now() - timestamp, of: batch.messages.length,
                     body: body instanceof ArrayBuffer ? [...new Uint8Array(body)] : body };
      await env.SEEN.put(`${id}-${attempts}`, JSON.stringify(said));
    }
    for (const message of batch.messages) {
      for (const [what, ...all] of message.body.do ?? []) {
        if (what === "spin" && message.attempts === 1) for (;;);
        if (what === "throw") throw new Error("as told");
        (what.endsWith("All") ? batch : message)[what]?.(...all);
      }
    }
  },
};
"""
QUEUES = """
[runtime]
loops = 2
[[queue]]
name = "jobs"
max_batch_size = {batch}
max_batch_timeout = "{timeout}"
max_concurrency = {concurrency}
max_retries = 2
dead_letter_queue = "dead"
bytes_max = "{bytes_max}"
[[queue]]
name = "dead"
"""


class WithQueues(WithWorkers):
    def with_queues(self, batch=10, timeout="0s", bytes_max="64MiB", concurrency=1, consumer=CONSUMER, cpu="5s", **options):
        config = QUEUES.format(batch=batch, timeout=timeout, bytes_max=bytes_max, concurrency=concurrency)
        config += self.worker("sender", SENDER, 'routes = ["send.test/*"]\nqueues = { Q = "jobs" }')
        if consumer:
            config += self.worker("consumer", consumer, 'kv = { SEEN = "seen", CONTROL = "control" }\nconsumes = ["jobs"]').replace('"5s"', f'"{cpu}"')
        return self.node("node", config, **options)

    def send(self, node, bodies, method="sendBatch", options=None):
        asked = json.dumps({"method": method, "bodies": bodies, "options": options})
        answer = self.get(node, "/", "POST", asked, host="send.test")
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def queue(self, node, name):
        return next(queue for queue in node.admin("/v1/queues").json()["queues"] if queue["name"] == name)

    def written(self, node):
        """What the consumer wrote down, as `verge kv` reads it."""
        exported = verge.run("kv", "export", "seen", "--admin", node.addresses["admin"])
        if exported.returncode != 0:
            self.assertIn("kv.unknown", exported.stderr)
            return []
        return [json.loads(json.loads(line)["value"]) for line in exported.stdout.splitlines()]

    def seen(self, node):
        """Attempts by number, of what was acknowledged."""
        found = {}
        for batch in self.written(node):
            for number, attempts in batch:
                found.setdefault(number, []).append(attempts)
        return found

    def peek(self, node, name):
        """The messages of a queue, as `verge queue` reads them."""
        shown = verge.run("queue", "peek", name, "--limit", "1000", "--json", "--admin", node.addresses["admin"])
        self.assertEqual(shown.returncode, 0, shown.stderr)
        return [json.loads(message["body"]) for message in json.loads(shown.stdout)["messages"]]


class Queues(WithQueues):
    def test_what_is_sent_is_consumed(self):
        node = self.with_queues().start()
        self.assertEqual(self.send(node, {"n": 1, "fails": 0}, "send"), {"sent": True})
        self.assertEqual(self.send(node, [{"body": {"n": n, "fails": n % 2}} for n in range(2, 9)]), {"sent": True})
        wait_until(lambda: len(self.seen(node)) == 8, "all are consumed")
        self.assertEqual(self.seen(node), {1: [1], **{n: [1 + n % 2] for n in range(2, 9)}})
        wait_until(lambda: self.queue(node, "jobs")["acknowledged"] == 8, "all are acknowledged")
        self.assertEqual(self.queue(node, "jobs")["messages"], 0)
        self.assertEqual(self.metric(node, "queue_retried_total", queue="jobs"), 3)

    def test_a_type_that_only_every_object_has_is_none(self):
        node = self.with_queues(consumer=None).start()
        asked = json.dumps({"method": "send", "bodies": {"n": 1}, "options": {"contentType": "constructor"}})
        answer = self.get(node, "/", "POST", asked, host="send.test")
        self.assertIn(b"the contentType is json, text or bytes", answer.body)
        self.assertEqual(self.peek(node, "jobs"), [])

    def test_what_a_consumer_is_given(self):
        node = self.with_queues(consumer=OBEDIENT).start()
        self.send(node, [{"body": {"é": [1, None]}}, {"body": "één", "contentType": "text"}, {"body": 7}])
        wait_until(lambda: len(self.written(node)) == 3, "they are given")
        self.assertEqual([said["body"] for said in self.written(node)], [{"é": [1, None]}, "één", 7])
        for said in self.written(node):
            self.assertEqual((said["queue"], said["attempts"], said["of"]), ("jobs", 1, 3))
            self.assertTrue(0 <= said["age"] < 60_000, said)

    def test_what_is_said_first_of_a_message_holds(self):
        node = self.with_queues(consumer=OBEDIENT).start()
        self.send(node, [{"body": {"do": [["ack"]]}}, {"body": {"do": [["retry"]]}}, {"body": {"do": [["retryAll"]]}}, {"body": {}}])
        # The first is acknowledged before all others are asked for again.
        wait_until(lambda: self.queue(node, "dead")["messages"] == 3, "three are given up")
        self.assertEqual([said["attempts"] for said in self.written(node)], [1, 1, 2, 3, 1, 2, 3, 1, 2, 3])
        self.send(node, [{"body": {"do": [["retry"]]}}, {"body": {"do": [["ackAll"]]}}, {"body": {"do": [["throw"]]}}])
        wait_until(lambda: self.queue(node, "dead")["messages"] == 4, "one is given up; what threw was acknowledged")
        self.assertEqual(self.queue(node, "jobs")["messages"], 0)

    def test_delays(self):
        node = self.with_queues(consumer=OBEDIENT).start()
        self.send(node, {"n": 1}, "send", {"delaySeconds": 2})
        self.send(node, [{"body": {"n": 2}}, {"body": {"n": 3, "do": [["retry", {"delaySeconds": 2}]]}}])
        wait_until(lambda: self.metric(node, "queue_retried_total", queue="jobs") == 1, "one is asked for again")
        self.assertEqual(sorted(said["body"]["n"] for said in self.written(node)), [2, 3])
        wait_until(lambda: self.queue(node, "dead")["messages"] == 1, "it comes twice more")
        ages = {(said["body"]["n"], said["attempts"]): said["age"] for said in self.written(node)}
        self.assertEqual(set(ages), {(1, 1), (2, 1), (3, 1), (3, 2), (3, 3)})
        self.assertGreaterEqual(ages[(1, 1)], 2000)
        self.assertGreaterEqual(ages[(3, 2)], 2000)
        self.assertGreaterEqual(ages[(3, 3)], 4000)

    def test_what_fails_too_often_is_a_dead_letter_and_may_be_tried_again(self):
        node = self.with_queues().start()
        self.send(node, [{"body": {"n": 1, "fails": 9}}, {"body": {"n": 2, "fails": 0, "throws": 9}}])
        wait_until(lambda: self.queue(node, "dead")["messages"] == 2, "both are given up")
        self.assertEqual(sorted(letter["n"] for letter in self.peek(node, "dead")), [1, 2])
        at = ("--admin", node.addresses["admin"])
        listed = verge.run("queue", "list", *at)
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertRegex(listed.stdout, r"(?m)^dead +2 ")
        self.assertEqual([queue["name"] for queue in json.loads(verge.run("queue", "list", "--json", *at).stdout)["queues"]],
                         ["dead", "jobs"])
        self.assertIn('"n":1', verge.run("queue", "peek", "dead", *at).stdout)
        moved = verge.run("queue", "retry", "dead", "--to", "jobs", "--json", *at)
        self.assertEqual(json.loads(moved.stdout), {"moved": 2})
        wait_until(lambda: self.queue(node, "dead")["messages"] == 2, "they fail again")
        self.assertEqual(self.queue(node, "jobs")["dead"], 4)
        unknown = verge.run("queue", "peek", "none", *at)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("queues.unknown", unknown.stderr)

    def test_a_consumer_that_goes_over_its_limit(self):
        node = self.with_queues(consumer=OBEDIENT, cpu="100ms").start()
        self.send(node, [{"body": {"n": 1}}, {"body": {"n": 2, "do": [["spin"]]}}])
        wait_until(lambda: self.queue(node, "jobs")["acknowledged"] == 2, "both are consumed")
        self.assertEqual(sorted((said["body"]["n"], said["attempts"]) for said in self.written(node)),
                         [(1, 1), (1, 2), (2, 1), (2, 2)])
        self.assertEqual(self.metric(node, "worker_limited_total", worker="consumer"), 1)

    def test_a_worker_that_does_not_start_costs_no_message(self):
        node = self.with_queues(consumer="throw new Error('at its start');").start()
        self.send(node, {"n": 1, "fails": 0}, "send")
        wait_until(lambda: self.metric(node, "worker_errors_total", worker="consumer") >= 4, "it was tried more often than a message")
        self.assertEqual((self.queue(node, "jobs")["messages"], self.queue(node, "jobs")["retried"]), (1, 0))
        with open(os.path.join(self.directory, "consumer.js"), "w", encoding="utf-8") as file:
            file.write(CONSUMER)
        node.signal(signal.SIGHUP)
        wait_until(lambda: self.seen(node) == {1: [1]}, "it is consumed")

    def test_a_batch_waits_for_others(self):
        node = self.with_queues(batch=4, timeout="60s").start()
        for n in range(3):
            self.send(node, {"n": n, "fails": 0}, "send")
        self.assertEqual(self.queue(node, "jobs")["messages"], 3)
        self.send(node, {"n": 3, "fails": 0}, "send")
        wait_until(lambda: len(self.seen(node)) == 4, "the batch is full")
        self.assertEqual(len(self.written(node)), 1, "it was one call")

    def test_batches_beside_each_other(self):
        # Each waits until the other is there.
        consumer = """
        let there = 0, all;
        const both = new Promise((resolve) => { all = resolve; });
        export default { async queue(batch) { if (++there === 2) all(); await both; } };
        """
        node = self.with_queues(batch=1, concurrency=2, consumer=consumer).start()
        self.send(node, [{"body": 1}, {"body": 2}])
        wait_until(lambda: self.queue(node, "jobs")["acknowledged"] == 2, "both are consumed")

    def test_a_full_queue_refuses(self):
        node = self.with_queues(bytes_max="64KiB", consumer=None).start()
        sent = 0
        while "error" not in (said := self.send(node, {"n": sent, "filling": "x" * 5000}, "send")):
            sent += 1
        self.assertIn("queues.full", said["error"])
        self.assertIn("queue jobs has its 64KiB", said["error"])
        self.assertEqual(sent, 12)
        self.assertEqual(self.queue(node, "jobs")["messages"], 12)
        self.assertEqual(self.metric(node, "queue_refused_total", queue="jobs"), 1)
        for bodies, method, said in (([{"body": 1, "contentType": "v9"}], "sendBatch", "json, text or bytes"),
                                     ([{"body": "x"}] * 101, "sendBatch", "100 messages"),
                                     ("x" * 140_000, "send", "queues.message"),
                                     ([{"body": "x" * 110_000}] * 10, "sendBatch", "queues.message")):
            self.assertIn(said, self.send(node, bodies, method)["error"])
        self.assertEqual(self.queue(node, "jobs")["messages"], 12, "of a batch all or none is sent")

    def test_a_worker_that_names_no_queue_is_refused(self):
        node = self.with_queues().start()
        path = os.path.join(self.directory, "other.js")
        with open(path, "w", encoding="utf-8") as file:
            file.write(SENDER)
        deploy = ("worker", "deploy", path, "--wall-ms", "30000", "--cpu-ms", "5000", "--admin", node.addresses["admin"])
        refused = verge.run(*deploy, "--queue", "Q=job")
        self.assertIn("queues.unknown", refused.stderr)
        self.assertIn('did you mean "jobs"?', refused.stderr)
        self.assertIn("queues.consumed", verge.run(*deploy, "--consume", "jobs").stderr)
        deployed = verge.run(*deploy, "--queue", "Q=jobs", "--route", "other.test/*")
        self.assertEqual(deployed.returncode, 0, deployed.stderr)
        asked = json.dumps({"method": "send", "bodies": {"n": 1, "fails": 0}})
        self.assertEqual(self.get(node, "/", "POST", asked, host="other.test").json(), {"sent": True})
        wait_until(lambda: len(self.seen(node)) == 1, "it is consumed")

    def test_queues_change_with_the_configuration(self):
        node = self.with_queues(bytes_max="64KiB", consumer=None).start()
        self.send(node, {"n": 1, "fails": 0}, "send")
        self.assertIn("queues.full", self.send(node, [{"body": "x" * 70_000}])["error"])
        text = QUEUES.format(batch=1, timeout="0s", bytes_max="1MiB", concurrency=1)
        text += self.worker("sender", SENDER, 'routes = ["send.test/*"]\nqueues = { Q = "jobs" }')
        text += self.worker("consumer", CONSUMER, 'kv = { SEEN = "seen" }\nconsumes = ["jobs"]')
        node.write_config(text)
        node.signal(signal.SIGHUP)
        wait_until(lambda: self.seen(node) == {1: [1]}, "what was there is consumed")
        self.assertEqual(self.queue(node, "jobs")["bytes_max"], 1 << 20)
        self.assertNotIn("next start", node.log())

    def test_a_peek_shortens_what_is_long(self):
        node = self.with_queues(consumer=None).start()
        self.send(node, "é" * 30_000, "send")
        shown = verge.run("queue", "peek", "jobs", "--admin", node.addresses["admin"]).stdout
        self.assertRegex(shown, '  "é{99}… of 60002 bytes\n$')
        self.assertEqual(self.peek(node, "jobs"), ["é" * 30_000])

    def test_an_example(self):
        with open(os.path.join(EXAMPLES, "order_queue.js"), encoding="utf-8") as file:
            source = file.read()
        config = '[[queue]]\nname = "orders"\nmax_batch_timeout = "0s"\n' + self.worker(
            "orders", source, 'routes = ["orders.test/*"]\nqueues = { ORDERS = "orders" }\nconsumes = ["orders"]\nkv = { STOCK = "stock" }')
        node = self.node("node", config).start()
        self.assertEqual(self.get(node, "/orders", "POST", "[1]", host="orders.test").status, 400)
        for count in (2, 3):
            answer = self.get(node, "/orders", "POST", json.dumps({"article": "tea", "count": count}), host="orders.test")
            self.assertEqual(answer.status, 202, answer)
        wait_until(lambda: self.get(node, "/orders/tea", host="orders.test").json() == {"article": "tea", "ordered": 5}, "it is counted")

    def test_the_example_loses_no_order_where_a_batch_fails_or_comes_twice(self):
        with open(os.path.join(EXAMPLES, "order_queue.js"), encoding="utf-8") as file:
            source = file.read()
        # The third put fails; the fifth is done, and then its batch fails. /puts says how many there were.
        source = source.replace("export default {", "const its = {") + """
let puts = 0;
export default {
  fetch: (request, env) => request.url.endsWith("/puts") ? new Response(String(puts)) : its.fetch(request, env),
  queue(batch, env) {
    const put = async (...all) => {
      if (++puts === 3) throw new Error("no");
      await env.STOCK.put(...all);
      if (puts === 5) throw new Error("done all the same");
    };
    return its.queue(batch, { ...env, STOCK: { get: (...all) => env.STOCK.get(...all), put } });
  },
};
"""
        config = '[runtime]\nloops = 1\n[[queue]]\nname = "orders"\nmax_batch_timeout = "0s"\nmax_batch_size = 10\nretry_delay = "1s"\n' + self.worker(
            "orders", source, 'routes = ["orders.test/*"]\nqueues = { ORDERS = "orders" }\nconsumes = ["orders"]\nkv = { STOCK = "stock" }')
        node = self.node("node", config).start()
        for _ in range(30):
            self.assertEqual(self.get(node, "/orders", "POST", '{"article": "tea", "count": 1}', host="orders.test").status, 202)
        wait_until(lambda: self.queue(node, "orders")["messages"] == 0, "all were consumed")
        self.assertEqual(self.get(node, "/orders/tea", host="orders.test").json(), {"article": "tea", "ordered": 30})
        # Of the 30 one failed before it was written, and none was written twice.
        self.assertEqual(self.get(node, "/puts", host="orders.test").body, b"31")

    def test_who_may_change(self):
        token = os.path.join(self.directory, "token")
        with open(token, "w", encoding="utf-8") as file:
            file.write("0123456789abcdef0123456789abcdef")
        os.chmod(token, 0o600)
        node = self.with_queues(consumer=None)
        with open(node.config_path, "a", encoding="utf-8") as file:
            file.write(f'[workers]\ndeploy_tokens = [{{ file = "{token}" }}]\n')
        node.start()
        self.send(node, {"n": 1}, "send")
        retry = ("queue", "retry", "jobs", "--to", "dead", "--admin", node.addresses["admin"])
        self.assertIn("workers.unauthorized", verge.run(*retry).stderr)
        self.assertEqual(verge.run(*retry, "--token-file", token).stdout, "1 messages went to dead\n")

    def test_what_the_description_says(self):
        node = self.with_queues(consumer=None).start()
        self.send(node, {"n": 1}, "send")
        description = openapi.Description()
        for asked, path, method in (("/v1/queues", "/v1/queues", "get"), ("/v1/queues/jobs", "/v1/queues/{name}", "get")):
            problems = description.problems(node.admin(asked).json(), description.schema_of(path, method))
            self.assertEqual(problems, [])
        moved = node.admin("/v1/queues/jobs/retry?to=dead", "POST").json()
        self.assertEqual(description.problems(moved, description.schema_of("/v1/queues/{name}/retry", "post")), [])
        self.assertEqual(moved, {"moved": 1})
        self.assertEqual(node.admin("/v1/queues/jobs/retry?to=jobs", "POST").status, 404)


class NoneIsLost(WithQueues):
    def test_10000_messages_with_failing_consumers_and_sigkill(self):
        rng = random.Random(verge.seed())
        # While it is told to hold, it ends nothing of what it did: that is done for nothing where the node ends.
        holding = CONSUMER.replace("for (const message of good)", """const round = await env.CONTROL.get("hold");
    if (round !== null) await env.CONTROL.put(`held ${round}`, "");
    while (await env.CONTROL.get("hold") !== null) await new Promise((end) => setTimeout(end, 10));
    for (const message of good)""")
        self.assertNotEqual(holding, CONSUMER)
        node = self.with_queues(batch=50, concurrency=4, consumer=holding).start()
        # How often each fails: 3 times is once too often. Some take their batch with them.
        fails = {n: rng.choices((0, 1, 2, 3), (70, 15, 10, 5))[0] for n in range(10_000)}
        throws = set(rng.sample(range(10_000), 20))
        sent, repeated = set(), set()

        def send(some):
            bodies = [{"body": {"n": n, "fails": fails[n], **({"throws": 1} if n in throws else {})}} for n in some]
            until = time.monotonic() + 120
            while True:
                try:
                    self.assertEqual(self.send(node, bodies), {"sent": True})
                    return sent.update(some)
                except (OSError, AssertionError, http.client.HTTPException):
                    if time.monotonic() > until:
                        raise
                    repeated.update(some)  # may be there twice
                    verge.pause(0.05)

        def control(*what):
            ended = verge.run("kv", what[0], "control", *what[1:], "--admin", node.addresses["admin"])
            return ended.stdout if ended.returncode == 0 else None

        def kill(round_, more=()):
            self.assertIsNotNone(control("put", "hold", round_))
            for some in more:
                send(some)
            wait_until(lambda: control("get", f"held {round_}") is not None, "a batch is done, and not ended")
            node.kill9()
            node.start()
            self.assertIsNotNone(control("delete", "hold"))

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            done = [pool.submit(send, range(begin, begin + 100)) for begin in range(0, 9_500, 100)]
            for round_, at in enumerate(sorted(rng.sample(range(500, 8000), 3))):
                wait_until(lambda: len(sent) >= at, "some are sent")
                kill(str(round_))
            for one in done:
                one.result()
        kill("last", [range(begin, begin + 100) for begin in range(9_500, 10_000, 100)])
        wait_until(lambda: self.queue(node, "jobs")["messages"] == 0, lambda: f"all are settled: {self.queue(node, 'jobs')}", 240)
        seen = self.seen(node)
        self.assertTrue(any(len(attempts) > 1 for attempts in seen.values()), "a batch was under way at one of the ends")
        letters = [letter["n"] for letter in self.peek(node, "dead")]
        self.assertEqual(len(letters), self.queue(node, "dead")["messages"], "all were looked at")
        again = sum(len(attempts) - 1 for attempts in seen.values())
        print(f"{len(sent)} sent, {len(repeated)} of them twice at most: {len(seen)} consumed, {again} times again, "
              f"{len(letters)} dead letters")
        lost = sent - set(seen) - set(letters)
        self.assertEqual(lost, set())
        once = [n for n in letters if n not in repeated]
        self.assertEqual(len(set(once)), len(once), "nothing is a dead letter twice that was sent once")
        always = {n for n in fails if fails[n] == 3}
        self.assertLessEqual(always, set(letters), "who fails too often is a dead letter")
        self.assertFalse(always & set(seen))
        # Others are, where others took their batch with them.
        self.assertLess(len(set(letters) - always), 200)


class FullDisk(WithQueues):
    def test_sends_are_refused_and_go_on(self):
        disk = os.path.join(self.directory, "disk")
        os.mkdir(disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", disk],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"mounting a small disk is not permitted here: {mounted.stdout.strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", disk], check=True)
        node = self.with_queues(consumer=None, data_dir=os.path.join(disk, "data")).start()
        filler = os.path.join(disk, "filler")
        with open(filler, "wb") as file:
            left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            file.write(bytes(left - (12 << 20)))
        sent = []
        for number in range(40):
            said = self.send(node, [{"body": {"n": number, "filling": "x" * 100_000}}] * 8)
            if "error" in said:
                break
            sent += [number] * 8
        self.assertIn("storage.full", said["error"])
        os.unlink(filler)
        self.assertEqual(self.send(node, {"n": 99}, "send"), {"sent": True})
        node.kill9()
        node.start()
        found = [letter["n"] for letter in self.peek(node, "jobs")]
        self.assertGreater(len(found), 40)
        self.assertEqual(found, (sent + [99])[:len(found)], "of what is shown, 8 MiB")
        self.assertEqual(self.queue(node, "jobs")["messages"], len(sent) + 1, "the others are there, too")


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    verge.unittest.main(verbosity=2)
