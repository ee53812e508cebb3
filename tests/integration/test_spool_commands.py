"""verge spool: what people do with a spool whose node is stopped, and what they see of it."""

import base64
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

SECRET = "the-secret-of-the-day"
# Bytes that do not survive as JSON, or not as themselves.
PAYLOADS = [b'{"a":1}', b'{ "a": 1.0 }', b'"a string in quotes"', b"plain text", b"", b"1e3", b"\xff\x00\xfe binary",
            b"two\nlines", "\u00e4\u20ac".encode(), b"\x1b[31mred\x1b[0m"]


class Digits(float):
    """A number as it is written."""

    def __new__(cls, text):
        number = super().__new__(cls, text)
        number.text = text
        return number


class SpoolCommands(verge.TestCase):
    def spool(self, node, *arguments, status=0):
        done = verge.run("spool", *arguments, "--data-dir", node.data_dir)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def filled(self):
        """A stopped node whose parent was never there."""
        node = self.node("edge", "", parent="http://127.0.0.1:9").start()
        lines = [json.dumps({"topic": "t", "device": "d", "priority": "normal",
                             "payload_base64": base64.b64encode(payload).decode()}) for payload in PAYLOADS]
        lines.append(json.dumps({"topic": "t/low", "priority": "low", "payload": SECRET}))
        answer = node.post("/v1/events", "\n".join(lines))
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["stored"], len(lines))
        node.stop()
        return node

    def payloads(self, node, stream):
        found = []
        for line in self.spool(node, "export", "--stream", stream).stdout.splitlines():
            event = json.loads(line, parse_float=Digits)
            raw = event.get("payload_base64")
            payload = event.get("payload")
            found.append(base64.b64decode(raw) if raw is not None else
                         payload.encode() if isinstance(payload, str) else payload.text.encode()
                         if isinstance(payload, Digits) else json.dumps(payload, separators=(",", ":")).encode())
        return found

    def test_what_is_exported_can_be_posted(self):
        node = self.filled()
        self.assertEqual(sorted(self.payloads(node, "normal")), sorted(PAYLOADS))
        path = os.path.join(self.directory, "waiting.ndjson")
        exported = self.spool(node, "export", "--output", path)
        self.assertIn(f"{len(PAYLOADS) + 1} records were written", exported.stderr)
        again = self.node("again", "", parent="http://127.0.0.1:9").start()
        with open(path, "rb") as file:
            answer = again.post("/v1/events", file.read())
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["stored"], len(PAYLOADS) + 1)
        again.stop()
        for stream in ("normal", "low"):
            self.assertEqual(self.payloads(again, stream), self.payloads(node, stream))

    def test_what_cannot_be_posted_is_said(self):
        rules = '[[rule]]\nname = "alarm"\nsql = "SELECT * FROM \'t\'"\ndo = [{ publish = "alarm/x", qos = 1 }]\n'
        node = self.node("edge", rules, parent="http://127.0.0.1:9").start()
        self.assertEqual(node.post("/v1/events", {"topic": "t", "payload": 1}).status, 200)
        verge.wait_until(lambda: node.status()["spool"]["stored"] == 2, "the message and the report of the command")
        node.stop()
        exported = self.spool(node, "export")
        self.assertEqual(len(exported.stdout.splitlines()), 1)
        self.assertIn("1 were left out", exported.stderr)
        self.assertIn("[ingest.topic]", exported.stderr)

    def test_what_is_purged_is_gone(self):
        node = self.filled()
        self.spool(node, "purge", "--stream", "low", status=2)
        self.assertIn("1 records are gone", self.spool(node, "purge", "--stream", "low", "--yes").stdout)
        for directory, _, names in os.walk(os.path.join(node.data_dir, "spool")):
            for name in names:
                with open(os.path.join(directory, name), "rb") as file:
                    self.assertNotIn(SECRET.encode(), file.read(), name)
        self.assertEqual(len(self.payloads(node, "normal")), len(PAYLOADS))
        self.spool(node, "fsck")

    def test_a_terminal_is_shown_no_controls(self):
        node = self.filled()
        for command in (["spool", "peek", "--count", "100"], ["events", "query"]):
            done = verge.run(*command, "--data-dir", node.data_dir)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(r"\u{1b}[31mred\u{1b}[0m", done.stdout)
            self.assertIn(r"two\nlines", done.stdout)
            self.assertEqual([c for c in done.stdout if ord(c) < 32 and c != "\n"], [])
            self.assertEqual(len(done.stdout.splitlines()), len(PAYLOADS) + 1)
        for line in self.spool(node, "peek", "--json", "--count", "100").stdout.splitlines():
            json.loads(line)
        node.start()
        by_admin = verge.run("events", "query", "--admin", node.addresses["admin"])
        self.assertIn(r"\u{1b}[31mred\u{1b}[0m", by_admin.stdout)

    def test_a_count_is_a_number_from_one_on(self):
        node = self.filled()
        for count in ("-1", "0", "many", "18446744073709551616"):
            self.assertIn("--count", self.spool(node, "peek", "--count", count, status=2).stderr)

    def test_fsck_reads_the_lives(self):
        node = self.filled()
        self.assertIn("lives: sound, 1", self.spool(node, "fsck").stdout)
        self.assertEqual(json.loads(self.spool(node, "fsck", "--json").stdout)["lives"], 1)
        path = os.path.join(node.data_dir, "spool", "lives")
        with open(path, "r+b") as file:
            file.write(b"x" * os.path.getsize(path))
        self.assertIn("lives: damaged", self.spool(node, "fsck", status=1).stdout)
        self.assertIsNone(json.loads(self.spool(node, "fsck", "--json", status=1).stdout)["lives"])

    def test_fsck_reads_the_ledger(self):
        node = self.filled()
        self.assertIn("ledger: sound", self.spool(node, "fsck").stdout)
        path = os.path.join(node.data_dir, "spool", "ledger")
        with open(path, "r+b") as file:
            file.seek(20)
            file.write(b"\xff\xff")
        self.assertIn("ledger", self.spool(node, "fsck", status=1).stdout)
        found = json.loads(self.spool(node, "fsck", "--json", status=1).stdout)
        self.assertEqual((found["sound"], found["ledger"]), (False, "damaged"))

    def test_what_was_durable_and_cannot_be_read_is_damage(self):
        """The last record, in a clean stop's spool: no crash cut its write off."""
        node = self.filled()
        directory = os.path.join(node.data_dir, "spool", "low")
        path, = (os.path.join(directory, name) for name in os.listdir(directory))
        with open(path, "rb") as file:
            at = file.read().index(SECRET.encode())
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(b"T")
        self.assertIn("records 1 to 1 are lost", self.spool(node, "fsck", status=1).stdout)
        found = json.loads(self.spool(node, "fsck", "--json", status=1).stdout)
        self.assertEqual((found["sound"], len(found["damaged"])), (False, 1))
        self.assertFalse(found["damaged"][0]["may_be_unfinished"])
        # A command that mends it says so.
        self.assertIn("records 1 to 1 are lost", self.spool(node, "purge", "--dead-letters", "--yes").stderr)

    def test_damaged_dead_letters_are_said(self):
        node = self.node("edge", "", parent=self.node("parent", sets=["spool.bytes_max=64KiB"]).start(),
                         sets=["parent.attempts.normal=1"]).start()
        for number in range(2):
            letter = {"topic": "t", "payload": {"number": number, "filling": str(number) * 62_000}}
            self.assertEqual(node.post("/v1/events", letter).status, 200)
            verge.wait_until(lambda: node.status()["spool"]["dead_letters"] == number + 1, "it is a dead letter")
            node.stop()
            node.start()
        node.stop()
        directory = os.path.join(node.data_dir, "spool", "dead-letters")
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                content = file.read()
            if b"0" * 1000 in content:
                with open(path, "r+b") as file:
                    file.seek(content.index(b"0" * 1000) + 500)
                    file.write(b"x")
        self.assertIn("1 stretches are damaged", self.spool(node, "fsck", status=1).stdout)
        replayed = self.spool(node, "dlq", "replay")
        self.assertIn("1 dead letters are in their streams again", replayed.stdout)
        self.assertIn("records 1 to 1 are lost", replayed.stderr)

    def test_files_keep_their_size(self):
        node = self.node("edge", "", parent="http://127.0.0.1:9", sets=["spool.segment_bytes=64KiB"]).start()
        self.assertEqual(node.post("/v1/events", {"topic": "t", "priority": "low", "payload": 1}).status, 200)
        reserve = os.path.join(node.data_dir, "spool", "reserve")
        verge.wait_until(lambda: "held-back" in os.listdir(reserve), "space is held back")
        node.stop()
        for _ in range(2):
            self.assertNotIn("damaged", self.spool(node, "purge", "--stream", "low", "--yes").stderr)
        self.assertEqual([name for name in os.listdir(reserve) if "damaged" in name], [])
        self.assertEqual(os.path.getsize(os.path.join(reserve, "held-back")), 64 << 10)
        # As with another size in the configuration: what is held back is nothing but space.
        again = self.node("edge", "", data_dir=node.data_dir, sets=["spool.segment_bytes=128KiB"]).start()
        self.assertEqual(again.post("/v1/events", {"topic": "t", "priority": "low", "payload": 2}).status, 200)
        verge.wait_until(lambda: "held-back" in os.listdir(reserve)
                         and os.path.getsize(os.path.join(reserve, "held-back")) == 128 << 10, "it is made anew")
        again.stop()
        self.assertEqual([name for name in os.listdir(reserve) if "damaged" in name], [])

    def test_what_cannot_be_printed_is_a_failure(self):
        node = self.filled()
        for command in (["dump"], ["stat"], ["ls", "--json"], ["export"], ["fsck"]):
            with open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run([verge.VERGE, "spool", *command, "--data-dir", node.data_dir], stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=verge.PATIENCE)
            self.assertEqual(done.returncode, 1, command)
            self.assertTrue("[cli.output]" in done.stderr or "[spool.output]" in done.stderr, done.stderr)

    def test_a_small_limit_needs_no_size_of_files(self):
        self.assertEqual(self.node("edge", "", sets=["spool.bytes_max=64KiB"]).start().admin("/readyz").status, 200)

    def test_a_full_spool_that_is_smaller_than_a_batch_goes_up(self):
        """Nobody waits for a batch to fill that cannot."""
        cloud = self.node("cloud", tier="cloud").start()
        edge = self.node("edge", "", parent=cloud, sets=[
            "spool.bytes_max=64KiB", "spool.segment_bytes=4KiB", "parent.batch_bytes_max=1MiB",
            "parent.batch_age_max=1h"]).start()
        sent = 0
        def post():
            answer = edge.post("/v1/events", {"topic": "t", "payload": {"number": sent, "filling": "x" * 4000}})
            self.assertIn(answer.status, (200, 503), answer)
            return answer.status == 200
        while sent < 50:  # three times what it holds
            verge.wait_until(post, lambda: f"there is room for the {sent}th record; {edge.status()['spool']}")
            sent += 1
        self.assertGreater(len(cloud.events()), 25)

    def test_a_start_passes_over_what_is_not_its_own(self):
        node = self.filled()
        spool = os.path.join(node.data_dir, "spool")
        with open(os.path.join(spool, "incarnation"), "w", encoding="ascii") as file:
            file.write("x" * 5000)
        os.makedirs(os.path.join(spool, "normal", "00000000000000999999.log", "inside"))
        os.makedirs(os.path.join(spool, "reserve", "777"))
        elsewhere = os.path.join(self.directory, "elsewhere")
        os.makedirs(elsewhere)
        os.symlink(elsewhere, os.path.join(spool, "high", "00000000000000999999.log"))
        node.start()
        log = node.log()
        for moved in ("incarnation", "normal/00000000000000999999.log", "high/00000000000000999999.log"):
            self.assertIn(f"it was moved to {spool}/{moved}.damaged", log)
        self.assertIn(f"{spool}/reserve/777 is a directory", log)
        self.assertTrue(os.path.isdir(os.path.join(spool, "normal", "00000000000000999999.log.damaged", "inside")))
        node.stop()
        self.assertEqual(len(self.payloads(node, "normal")), len(PAYLOADS))

    def test_a_linked_spool_is_not_followed(self):
        node = self.filled()
        spool = os.path.join(node.data_dir, "spool")
        os.rename(spool, os.path.join(self.directory, "moved"))
        os.symlink(os.path.join(self.directory, "moved"), spool)
        node.launch()
        self.assertEqual(node.wait_end(), 1)
        self.assertIn("[storage.foreign]", node.log())
        os.unlink(spool)
        os.rename(os.path.join(self.directory, "moved"), spool)
        # The data directory itself may be one.
        os.rename(node.data_dir, node.data_dir + "-real")
        os.symlink(node.data_dir + "-real", node.data_dir)
        node.start()
        node.stop()


class Words(verge.TestCase):
    def test_parameters_of_the_admin_listener(self):
        node = self.node().start()
        for path, word in (("/v1/events?topik=x", "topic"), ("/v1/events?limits=1", "limit"),
                           ("/v1/status?x=1", "it has none"), ("/v1/events?zzzzzzzz=1", "since_us")):
            answer = node.admin(path)
            self.assertEqual(answer.status, 400, path)
            self.assertEqual(answer.json()["error"]["code"], "http.unknown-parameter")
            self.assertIn(word, answer.json()["error"]["fix"])
        self.assertEqual(node.admin("/v1/events?topic=x&limit=1").status, 200)
        self.assertEqual(node.admin("/metrics?anything=1").status, 200, "probes and scrapers bring their own")

    def test_a_reserve_that_is_more_than_all(self):
        path = os.path.join(self.directory, "node.toml")
        with open(path, "w", encoding="ascii") as file:
            file.write('[spool]\nbytes_max = "1MiB"\ncritical_reserve = "2MiB"\nsegment_bytes = "64KiB"\n')
        done = verge.run("check", path)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("critical_reserve", done.stderr)

    def test_a_demonstration_that_is_too_short(self):
        done = verge.run("demo", "--seconds", "5")
        self.assertEqual(done.returncode, 2)
        self.assertIn("'5' is no time from 12 to 86400 s", done.stderr)
        self.assertIn("12 at least", verge.run("demo", "--help").stdout)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
