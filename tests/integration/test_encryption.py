"""The spool encrypted at rest: real nodes, and what is on their disks, when keys are made, changed, missing or bad."""

import json
import os
import signal
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import line
import verge

RULES = "".join(f"""
[[rule]]
name = "keep-{priority}"
sql = "SELECT * FROM '{priority}/#'"
do = [{{ upload = "{priority}" }}]
""" for priority in ("critical", "high", "normal", "low"))

SECRET = "VERY-SECRET-READING"


class EncryptionTestCase(verge.TestCase):
    def new_key(self, name):
        """Makes a key; its file and its name."""
        path = os.path.join(self.directory, name)
        made = verge.run("spool", "key", "new", "--out", path, "--json")
        self.assertEqual(made.returncode, 0, made.stderr)
        return path, json.loads(made.stdout)["key"]

    def configure(self, node, writing=None, reading=(), rules=RULES):
        spool = "[spool]\nsegment_bytes = \"16KiB\"\n"
        if writing:
            spool += f'encryption_key = {{ file = "{writing}" }}\n'
        spool += "decryption_keys = [" + ", ".join(f'{{ file = "{path}" }}' for path in reading) + "]\n"
        node.write_config(f'[node]\ndata_dir = "{node.data_dir}"\n' + spool + rules)

    def encrypted_node(self, key, name="node", rules=RULES, **options):
        node = self.node(name, **options)
        self.configure(node, key, rules=rules)
        return node

    def publish(self, node, count, topic="normal/x", first=0):
        client = self.mqtt(node, "device")
        client.wait_acknowledged([client.publish(topic, {"number": first + i, "text": SECRET + "x" * 300})
                                  for i in range(count)])
        client.close()

    def numbers(self, node, topic="#"):
        return [event["payload"]["number"] for event in node.events(topic, "--config", node.config_path)]

    def files_with(self, node, text):
        found = []
        for directory, _, names in os.walk(node.data_dir):
            for name in names:
                with open(os.path.join(directory, name), "rb") as file:
                    if text.encode() in file.read():
                        found.append(os.path.join(directory, name))
        return found

    def keys(self, node):
        """What `verge spool key ls` says: name to (files, state)."""
        listed = verge.run("spool", "key", "ls", "--config", node.config_path, "--json")
        self.assertIn(listed.returncode, (0, 1), listed.stderr)
        lines = [json.loads(text) for text in listed.stdout.splitlines()]
        return {each["key"]: (each["files"], each["state"]) for each in lines}

    def spool(self, node, *arguments, status=0):
        done = verge.run("spool", *arguments, "--config", node.config_path, "--json")
        self.assertEqual(done.returncode, status, done.stderr)
        return [json.loads(text) for text in done.stdout.splitlines()]

    def reload(self, node, words):
        """SIGHUP, until the log has the words once more."""
        before = node.log().count(words)
        node.signal(signal.SIGHUP)
        verge.wait_until(lambda: node.log().count(words) > before, lambda: f"'{words}' in the log:\n{node.log()}")


class OnTheDisk(EncryptionTestCase):
    def test_no_payload_is_on_the_disk(self):
        """Neither of what waits for a parent, nor of dead letters, nor at the parent; before and after a restart."""
        key, name = self.new_key("key")
        cloud_key, _ = self.new_key("cloud-key")
        cloud = self.encrypted_node(cloud_key, "cloud", rules="", tier="cloud").start()
        between = line.Line(cloud.addresses["http"], refusal=lambda _head, body: line.answer("413 Content Too Large")
                            if len(body) > 30_000 else None)
        self.addCleanup(between.end)
        edge = self.encrypted_node(key, "edge", parent=between.url, sets=["parent.attempts.normal=1"]).start()
        self.publish(edge, 50)
        client = self.mqtt(edge, "poison")
        noise = os.urandom(40_000).hex()
        client.publish_and_wait("normal/poison", {"number": -1, "text": SECRET, "noise": noise})
        client.close()
        edge.wait_delivered()
        cloud.stop()
        for priority in ("critical", "high", "normal", "low"):
            self.publish(edge, 200, f"{priority}/x", 1000)
        self.assertEqual(len(edge.events_by_admin("#")), len(edge.events("#", "--config", edge.config_path)))
        self.assertEqual(self.files_with(edge, SECRET), [])
        self.assertEqual(self.files_with(cloud, SECRET), [])
        edge.stop()
        self.assertEqual(self.files_with(edge, SECRET), [], "nor what a clean end writes")
        letters = self.spool(edge, "dlq", "ls")
        self.assertEqual([letter["event"]["payload"]["number"] for letter in letters], [-1])
        self.assertEqual(self.spool(edge, "dlq", "replay"), [{"replayed": 1}])
        self.assertEqual(self.files_with(edge, SECRET), [], "nor what goes back into its stream")
        self.assertGreater(self.keys(edge)[name][0], 0)
        between.refusal = None
        cloud.start()
        edge.start()
        edge.wait_delivered()
        found = self.numbers(cloud)
        self.assertEqual(sorted(found), sorted([*range(50), -1, *list(range(1000, 1200)) * 4]), "each once")
        self.assertEqual(self.files_with(cloud, SECRET), [])
        edge.stop()
        cloud.stop()

    def test_killed_at_any_moment(self):
        key, _ = self.new_key("key")
        node = self.encrypted_node(key).start()
        for round_number in range(3):
            self.publish(node, 100, first=round_number * 100)
            node.kill9()
            self.assertEqual(self.files_with(node, SECRET), [])
            node.start()
        self.assertEqual(self.numbers(node), list(range(300)))
        self.assertEqual(self.spool(node, "fsck")[0]["sound"], True)
        node.stop()

    def test_commands_without_the_node(self):
        key, name = self.new_key("key")
        node = self.encrypted_node(key).start()
        self.publish(node, 20)
        node.stop()
        self.assertEqual(len(self.spool(node, "peek", "--count", "100")), 20)
        self.assertEqual(len(self.spool(node, "dump")), 20)
        self.assertEqual(self.spool(node, "stat")[0]["normal"]["records"], 20)
        self.assertEqual(self.spool(node, "ls")[0]["key"], name)
        by_file = verge.run("spool", "peek", "--data-dir", node.data_dir, "--key-file", key, "--count", "100")
        self.assertEqual(by_file.stdout.count(SECRET), 20, by_file.stderr)
        exported = verge.run("spool", "export", "--config", node.config_path)
        self.assertEqual(exported.stdout.count(SECRET), 20, exported.stderr)
        for command in (["peek"], ["dump"], ["export"], ["fsck"], ["stat"], ["ls"], ["dlq", "replay"]):
            refused = verge.run("spool", *command, "--data-dir", node.data_dir)
            self.assertEqual(refused.returncode, 1, command)
            self.assertIn(name, refused.stderr)
            self.assertIn("[storage.key-missing]", refused.stderr)
            self.assertEqual(refused.stdout.count(SECRET), 0)
        refused = verge.run("events", "query", "--data-dir", node.data_dir)
        self.assertIn("[storage.key-missing]", refused.stderr)
        listed = verge.run("spool", "key", "ls", "--data-dir", node.data_dir, "--json")
        self.assertEqual(listed.returncode, 1)
        self.assertEqual(json.loads(listed.stdout), {"key": name, "files": 2, "state": "not there"},
                         "of the spool and of the sessions")


class Rotation(EncryptionTestCase):
    def test_by_sighup(self):
        """The new key writes at once; the old one falls out of use when what it encrypted is delivered."""
        old, old_name = self.new_key("old")
        new, new_name = self.new_key("new")
        cloud = self.node("cloud", tier="cloud").start()
        cloud.stop()
        edge = self.encrypted_node(old, "edge", parent=cloud).start()
        self.publish(edge, 100)
        self.publish(edge, 1, "high/x", 5000)
        self.configure(edge, new)
        self.reload(edge, "[storage.key-missing]")
        self.assertIn("not reloaded", edge.log())
        self.publish(edge, 1, first=100)
        self.assertEqual(self.keys(edge)[new_name][0], 0, "nothing was taken over")
        self.configure(edge, new, [old])
        self.reload(edge, f"new files are encrypted with the key {new_name} from now on")
        self.publish(edge, 99, first=101)
        before = self.keys(edge)
        self.assertEqual((before[old_name][1], before[new_name][1]), ("reads", "writes"))
        self.assertGreater(before[new_name][0], 0)
        self.assertEqual(sorted(self.numbers(edge)), [*range(200), 5000])
        cloud.start()
        edge.wait_delivered()
        verge.wait_until(lambda: old_name not in self.keys(edge), lambda: f"the old key is unused: {self.keys(edge)}")
        self.configure(edge, new)
        self.reload(edge, "the configuration was reloaded")
        os.unlink(old)
        self.publish(edge, 10, first=200)
        edge.wait_delivered()
        edge.stop()
        edge.start()
        edge.stop()
        self.assertEqual(sorted(event["payload"]["number"] for event in cloud.events()), [*range(210), 5000])
        cloud.stop()

    def test_turned_on_and_off_while_running(self):
        key, name = self.new_key("key")
        node = self.node("node")
        self.configure(node)
        node.start()
        self.publish(node, 20)
        self.assertNotEqual(self.files_with(node, SECRET), [])
        plain = len(self.files_with(node, SECRET))
        self.configure(node, key)
        self.reload(node, f"new files are encrypted with the key {name} from now on")
        self.publish(node, 100, first=20)
        self.assertEqual(len(self.files_with(node, SECRET)), plain, "nothing new is in clear")
        self.configure(node, None, [key])
        self.reload(node, "new files are not encrypted from now on")
        self.publish(node, 20, first=120)
        self.assertEqual(self.numbers(node), list(range(140)))
        node.stop()
        node.start()
        self.assertEqual(self.numbers(node), list(range(140)), "all kinds together")
        node.stop()


class Missing(EncryptionTestCase):
    def refused_start(self, node, status=1):
        before = len(node.log()) if os.path.exists(node.log_path) else 0
        node.launch()
        self.assertEqual(node.wait_end(), status)
        return node.log()[before:]

    def test_a_missing_or_wrong_key_refuses_the_start(self):
        key, name = self.new_key("key")
        other, other_name = self.new_key("other")
        node = self.encrypted_node(key).start()
        self.publish(node, 30)
        node.stop()
        for writing in (None, other):
            self.configure(node, writing)
            said = self.refused_start(node)
            self.assertEqual(said.count("[storage.key-missing]"), 1, said)
            self.assertIn(name, said)
            self.assertIn("spool.decryption_keys", said)
        self.configure(node, other, [key])
        node.start()
        self.publish(node, 10, first=30)
        self.assertEqual(self.numbers(node), list(range(40)), "nothing was lost by that")
        self.assertEqual({each: state for each, (_, state) in self.keys(node).items()},
                         {name: "reads", other_name: "writes"})
        node.stop()

    def test_a_key_that_is_gone_is_given_up(self):
        key, name = self.new_key("key")
        other, _ = self.new_key("other")
        node = self.encrypted_node(key).start()
        self.publish(node, 30)
        node.stop()
        self.configure(node, other, [key])
        node.start()
        self.publish(node, 10, first=30)
        running = verge.run("spool", "purge", "--key", name, "--yes", "--config", node.config_path)
        self.assertIn("[storage.locked]", running.stderr)
        node.stop()
        os.unlink(key)
        self.configure(node, other)
        self.refused_start(node)
        unsure = verge.run("spool", "purge", "--key", name, "--config", node.config_path)
        self.assertEqual(unsure.returncode, 2)
        gone = self.spool(node, "purge", "--key", name, "--yes")
        self.assertEqual([each for each in gone if "forgotten" in each], [], "sessions were written anew with the other key")
        self.assertEqual({each["log"] for each in gone}, {"normal"})
        lost = [n for each in gone for n in range(each["first_sequence"], each["end_sequence"])]
        self.assertEqual(lost, list(range(1, 31)), "exactly what the key encrypted")
        self.assertEqual(sum(each["undelivered"] for each in gone), 30)
        node.start()
        self.assertEqual(self.numbers(node), list(range(30, 40)))
        node.stop()

    def test_sessions_whose_key_is_gone_are_forgotten(self):
        key, name = self.new_key("key")
        other, other_name = self.new_key("other")
        node = self.encrypted_node(key).start()
        self.publish(node, 3)
        node.stop()
        self.configure(node, other)
        gone = self.spool(node, "purge", "--key", name, "--yes")
        self.assertIn({"log": "sessions", "forgotten": True}, gone)
        node.start()
        self.assertEqual(list(self.keys(node)), [other_name])
        node.stop()

    def test_bad_key_files(self):
        key, _ = self.new_key("key")
        bad = os.path.join(self.directory, "bad")
        with open(key, encoding="ascii") as file:
            good = file.read().strip()
        node = self.encrypted_node(bad)
        cases = [(None, 0o600, "No such file"), (good, 0o644, "is open to others (mode 0644); chmod 600 "),
                 (good, 0o620, "chmod 600"), (good[:-2], 0o600, "62 characters, and a key is 64 hexadecimal digits"),
                 (good[:-1] + "x", 0o600, "64 hexadecimal digits"), ("", 0o600, "is empty")]
        for content, mode, words in cases:
            with self.subTest(words=words, content=content is not None):
                if content is not None:
                    with open(bad, "w", encoding="ascii") as file:
                        file.write(content + "\n")
                    os.chmod(bad, mode)
                checked = verge.run("check", node.config_path)
                self.assertEqual(checked.returncode, 2)
                self.assertIn(words, checked.stderr)
                self.assertIn("spool.encryption_key: ", checked.stderr)
                self.assertIn("node.toml:5:", checked.stderr, "and where")
                self.assertEqual(checked.stderr.count("[config.secret]"), 1)
                self.assertNotIn(good[:32], checked.stderr)
                self.assertIn(words, self.refused_start(node, status=2))
        # For a group that the node's user is in, it may be open.
        with open(bad, "w", encoding="ascii") as file:
            file.write(good + "\n")
        os.chmod(bad, 0o640)
        self.assertEqual(verge.run("check", node.config_path).returncode, 0)
        shown = verge.run("node", "--config", node.config_path, "--print-config")
        self.assertNotIn(good, shown.stdout)
        refused = verge.run("node", "--set", f"spool.encryption_key={good}")
        self.assertIn("[config.override]", refused.stderr)

    def test_a_key_from_the_environment(self):
        key, name = self.new_key("key")
        with open(key, encoding="ascii") as file:
            text = file.read().strip()
        node = self.node("node", f'[spool]\nencryption_key = {{ env = "VERGE_TEST_SPOOL_KEY" }}\n{RULES}',
                         prefix=["env", f"VERGE_TEST_SPOOL_KEY={text}"]).start()
        self.publish(node, 10)
        self.assertEqual(self.files_with(node, SECRET), [])
        listed = verge.run("spool", "key", "ls", "--data-dir", node.data_dir, "--key-file", key, "--json")
        self.assertEqual(json.loads(listed.stdout)["key"], name, listed.stderr)
        node.stop()


class NewKey(EncryptionTestCase):
    def test_new_key(self):
        path, name = self.new_key("key")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path, encoding="ascii") as file:
            text = file.read()
        self.assertRegex(text, r"^[0-9a-f]{64}\n$")
        self.assertRegex(name, r"^[0-9a-f]{16}$")
        again = verge.run("spool", "key", "new", "--out", path)
        self.assertEqual(again.returncode, 1)
        self.assertIn("[spool.key-file]", again.stderr)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), text, "a key is never overwritten")
        said = verge.run("spool", "key", "new", "--out", path + "2")
        with open(path + "2", encoding="ascii") as file:
            self.assertNotIn(file.read().strip(), said.stdout + said.stderr)
        asked = verge.run("spool", "key", "new", "--out", "-")
        self.assertRegex(asked.stdout, r"^[0-9a-f]{64}\n$")
        self.assertNotEqual(asked.stdout, text)
        self.assertEqual(verge.run("spool", "key", "new").returncode, 2)
        nowhere = verge.run("spool", "key", "new", "--out", "/nowhere/key")
        self.assertIn("[spool.key-file]", nowhere.stderr)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
