"""Starting a node, or being told in one clear line why not."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

GOOD_RULE = """
[[rule]]
name = "everything"
sql = "SELECT * FROM 'any/#'"
do = [{ upload = "normal" }]
"""

# What is wrong, the file, the line and column of the report (None: not fixed here), and what it must say.
BAD_FILES = [
    ("an unknown key", '[mqtt]\nlisen = "127.0.0.1:0"\n', (2, 1), ['"lisen"', '"listen"']),
    ("an unknown table", '[mqttt]\nlisten = "127.0.0.1:0"\n', (1, None), ["mqttt", "mqtt"]),
    ("a key of a rule", '[[rule]]\nname = "r"\nsqll = "x"\n', (3, 1), ['"sqll"', '"sql"']),
    ("a key of an action", '[[rule]]\nname = "r"\nsql = "SELECT * FROM \'a\'"\ndo = [{ uplod = "normal" }]\n', (4, None),
     ["uplod", "upload"]),
    ("a wrong type", '[mqtt]\npacket_bytes_max = true\n', (2, None), ["mqtt.packet_bytes_max", "true"]),
    ("a bad size", '[http]\nbody_bytes_max = "8 MB/s"\n', (2, None), ["http.body_bytes_max"]),
    ("out of range", '[mqtt]\ninflight_max = 70000\n', (2, None), ["mqtt.inflight_max", "65535"]),
    ("a bad choice", '[node]\ntier = "edeg"\n', (2, None), ['"edeg"', '"edge"']),
    ("a bad address", '[mqtt]\nlisten = "127.0.0.1:99999"\n', (2, None), ["mqtt.listen"]),
    ("a bad URL", '[parent]\nurl = "ftp://x"\n', (2, None), ["parent.url", "http://"]),
    ("a misspelt keyword", '[[rule]]\nname = "r"\nsql = "SELEC * FROM \'a\'"\n', (3, None), ["SELEC", "SELECT"]),
    ("a misspelt function", '[[rule]]\nname = "r"\nsql = "SELECT rond(a) FROM \'a\'"\n', (3, None), ["rond", "round"]),
    ("SQL that is cut short", '[[rule]]\nname = "r"\nsql = "SELECT a FROM \'a\' WHERE"\n', (3, None), ["expected an expression"]),
    ("a bad filter", '[[rule]]\nname = "r"\nsql = "SELECT * FROM \'a/#/b\'"\n', (3, None), ["a/#/b"]),
    ("a bad priority", '[[rule]]\nname = "r"\nsql = "SELECT * FROM \'a\'"\ndo = [{ upload = "critcal" }]\n', (4, None),
     ["critcal", "critical"]),
    ("a rule without SQL", '[[rule]]\nname = "r"\n', (1, None), ["sql"]),
    ("no TOML", "[node]\nname = \n", (2, None), ["TOML"]),
    ("a key twice", '[node]\nname = "a"\nname = "b"\n', (3, None), ["name"]),
]


class Scheduling(verge.TestCase):
    def test_in_real_time_or_told_why_not(self):
        node = self.node("node", sets=["runtime.scheduling=realtime", "runtime.loops=2"]).start()
        client = self.mqtt(node, "client")
        client.subscribe("a")
        client.publish_and_wait("a", {})
        client.wait_messages(1)
        policies = [os.sched_getscheduler(int(thread)) & ~os.SCHED_RESET_ON_FORK
                    for thread in os.listdir(f"/proc/{node.process.pid}/task")]
        loops = node.status()["node"]["realtime_loops"]
        self.assertEqual(policies.count(os.SCHED_FIFO), loops, "the event loops and nothing else")
        if loops == 0:
            self.assertIn("[runtime.realtime]", node.log())
        else:
            self.assertEqual(loops, 2)


class BadConfiguration(verge.TestCase):
    def write(self, text):
        path = os.path.join(self.directory, "bad.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_place_and_spelling(self):
        data = os.path.join(self.directory, "data")
        for what, text, (line, column), said in BAD_FILES:
            path = self.write(text)
            for command in (["node", "--config", path, "--set", f"node.data_dir={data}"], ["check", path]):
                with self.subTest(f"{what}: verge {command[0]}"):
                    answer = verge.run(*command)
                    self.assertEqual(answer.returncode, 2, answer)
                    self.assertEqual(answer.stdout, "", "problems go to standard error")
                    places = [re.match(re.escape(path) + r":(\d+):(\d+): ", each) for each in answer.stderr.splitlines()]
                    self.assertTrue(all(places), f"{what}: FILE:LINE:COLUMN expected: {answer.stderr}")
                    found = [(int(place[1]), int(place[2]) if column else None) for place in places]
                    self.assertIn((line, column), found, answer.stderr)
                    for words in said:
                        self.assertIn(words, answer.stderr)
        self.assertFalse(os.path.exists(data), "nothing was started")

    def test_all_at_once(self):
        path = self.write('[mqtt]\nlisen = "x"\n[http]\ninjest = true\n[node]\ntier = 5\n')
        answer = verge.run("check", path)
        self.assertEqual([line.split(":")[1] for line in answer.stderr.splitlines()], ["2", "4", "6"], answer.stderr)

    def test_json(self):
        answer = verge.run("check", "--json", self.write('[mqtt]\nlisen = "x"\n'))
        self.assertEqual(answer.returncode, 2)
        said = json.loads(answer.stdout)
        self.assertFalse(said["good"])
        self.assertEqual([problem["code"] for problem in said["problems"]], ["config.unknown-key"])
        answer = verge.run("check", "--json", self.write(GOOD_RULE))
        self.assertEqual((answer.returncode, json.loads(answer.stdout)["good"]), (0, True), answer)

    def test_no_file(self):
        path = os.path.join(self.directory, "missing.toml")
        for command in (["node", "--config", path], ["check", path], ["check", self.directory]):
            answer = verge.run(*command)
            self.assertEqual(answer.returncode, 2, answer)
            self.assertIn(command[-1], answer.stderr)

    def test_set(self):
        base = ["node", "--print-config"]
        answer = verge.run(*base, "--set", "mqtt.listen=127.0.0.1:4711", "--set", "node.name=press-7",
                           "--set", "parent.batch_age_max=2s", "--set", "rule.0.name=r",
                           "--set", "rule.0.sql=SELECT * FROM 'a'", "--set", 'rule.0.do=[{upload="low"}]')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        for line in ('listen = "127.0.0.1:4711"', 'name = "press-7"', 'name = "r"'):
            self.assertIn(line, answer.stdout)
        for wrong, said in (("mqtt.lisen=x", "listen"), ("mqtt.packet_bytes_max=big", "packet_bytes_max"),
                            ("nonsense", "nonsense"), ("rule.5.name=r", "rule"), ("node.tier=edeg", "edge")):
            with self.subTest(wrong):
                answer = verge.run(*base, "--set", wrong)
                self.assertEqual(answer.returncode, 2, answer)
                self.assertIn(said, answer.stderr)

    def test_set_beats_the_file(self):
        path = self.write('[node]\nname = "from-file"\ntier = "fog"\n')
        answer = verge.run("node", "--config", path, "--print-config", "--set", "node.name=from-set")
        self.assertIn('name = "from-set"', answer.stdout)
        self.assertIn('tier = "fog"', answer.stdout)
        self.assertNotIn("from-file", answer.stdout)

    def test_print_config_is_accepted_again(self):
        path = self.write(GOOD_RULE + '[node]\nname = "x"\n[parent]\nurl = "http://127.0.0.1:81"\n')
        first = verge.run("node", "--config", path, "--print-config")
        self.assertEqual(first.returncode, 0, first.stderr)
        again = self.write(first.stdout)
        checked = verge.run("check", again)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertIn("1 rules", checked.stdout)
        self.assertEqual(verge.run("node", "--config", again, "--print-config").stdout, first.stdout,
                         "printing what was printed changes nothing")

    def test_strangers(self):
        for key in ("mqtt", "http", "admin"):
            for address in ("0.0.0.0:0", "[::]:0"):
                sets = []
                for other in ("mqtt", "http", "admin"):
                    sets += ["--set", f"{other}.listen={address if other == key else '127.0.0.1:0'}"]
                answer = verge.run("node", *sets, "--set", f"node.data_dir={self.directory}/data")
                self.assertEqual(answer.returncode, 2, answer)
                self.assertIn("node.allow_anonymous", answer.stderr)
        self.assertEqual(verge.run("check", self.write('[mqtt]\nlisten = "0.0.0.0:1883"\n')).returncode, 2)
        allowed = self.write('[node]\nallow_anonymous = true\n[mqtt]\nlisten = "0.0.0.0:1883"\n')
        self.assertEqual(verge.run("check", allowed).returncode, 0)


    def test_values_listeners_and_rules_at_once(self):
        path = self.write("""[[rule]]
name = "a"
sql = "SELECT foo( FROM 'x'"
do = [{ upload = "lo" }]
[[rule]]
name = "b"
sql = 5
do = [{ publish = "$verge/actions/forged" }]
[mqtt]
listen = "0.0.0.0:1"
[http]
listen = 7
""")
        answer = verge.run("check", path)
        self.assertEqual(answer.returncode, 2, answer)
        found = sorted((int(line), code) for line, code in
                       re.findall(r":(\d+):\d+: .*\[([a-z.-]+)\]$", answer.stderr, re.MULTILINE))
        self.assertEqual(found, [(3, "rule.unknown-function"), (4, "config.value"), (7, "config.type"), (8, "rule.topic"),
                                 (10, "config.exposed"), (12, "config.type")], answer.stderr)

    def test_a_clash_with_a_default_has_a_place(self):
        path = self.write('[admin]\n[mqtt]\nlisten = "127.0.0.1:9180"\n')
        answer = verge.run("check", path)
        self.assertEqual(answer.returncode, 2, answer)
        self.assertTrue(answer.stderr.startswith(f"{path}:3:10: "), answer.stderr)
        answer = verge.run("node", "--set", "http.listen=127.0.0.1:1883")
        self.assertTrue(answer.stderr.startswith("--set http.listen: "), answer.stderr)

    def test_a_node_that_is_its_own_parent(self):
        for own, url in (("127.0.0.1:8080", "http://127.0.0.1:8080"), ("127.0.0.1:8080", "http://localhost:8080/"),
                         ("0.0.0.0:8080", "http://127.0.0.1:8080"), ("[::1]:80", "http://[::1]")):
            with self.subTest(f"{own} {url}"):
                path = self.write(f'[node]\nallow_anonymous = true\n[http]\nlisten = "{own}"\n[parent]\nurl = "{url}"\n')
                answer = verge.run("check", path)
                self.assertEqual(answer.returncode, 2, answer)
                self.assertRegex(answer.stderr, r":6:\d+: parent.url = .*http.listen")
        path = self.write('[http]\nlisten = "127.0.0.1:8080"\n[parent]\nurl = "http://127.0.0.1:8081"\n')
        self.assertEqual(verge.run("check", path).returncode, 0)


class Obstacles(verge.TestCase):
    def refused(self, node, *said):
        """The node does not start: status 1 and one line that says all this."""
        answer = subprocess.run(node.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, timeout=verge.PATIENCE)
        self.assertEqual(answer.returncode, 1, answer)
        self.assertEqual(len(answer.stderr.splitlines()), 1, f"one line expected: {answer.stderr}")
        for words in said:
            self.assertIn(words, answer.stderr)

    def test_port_in_use(self):
        first = self.node("first").start()
        for listener in ("mqtt", "http", "admin"):
            second = self.node(f"second-{listener}")
            second.sets = [f"{listener}.listen={first.addresses[listener]}"]
            with self.subTest(listener):
                self.refused(second, first.addresses[listener], "in use")
                self.assertFalse(os.path.exists(second.data_dir), "nothing is left behind")
        self.assertEqual(first.admin("/readyz").status, 200, "the first is not disturbed")

    def test_data_directory_of_another_node(self):
        first = self.node("first").start()
        self.refused(self.node("second", data_dir=first.data_dir), first.data_dir, str(first.pid), "node.data_dir")
        first.kill9()
        self.node("third", data_dir=first.data_dir).start().stop()

    def test_data_directory_that_is_none(self):
        path = os.path.join(self.directory, "a-file")
        with open(path, "w", encoding="utf-8"):
            pass
        self.refused(self.node(data_dir=path), path)
        self.refused(self.node(data_dir=os.path.join(path, "below")), path)

    def test_data_directory_of_the_kernel(self):
        self.refused(self.node(data_dir="/proc/verge"), "/proc", "on a disk", "node.data-dir")

    def test_a_ready_file_of_an_earlier_start_is_removed(self):
        node = self.node("node", sets=["node.data_dir=/proc/x"])
        with open(node.ready_path, "w", encoding="ascii") as file:
            file.write("old\n")
        answer = verge.run(*node.command()[1:])
        self.assertEqual(answer.returncode, 1, answer)
        self.assertFalse(os.path.exists(node.ready_path), "who waits for it would take it for this start's")

    def test_ready_file_that_cannot_be(self):
        """Said before anything is started, with the path that was given."""
        for path in (os.path.join(self.directory, "nowhere", "ready.json"), self.directory):
            node = self.node(path.replace("/", "-"))
            node.ready_path = path
            answer = subprocess.run(node.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, timeout=verge.PATIENCE)
            self.assertEqual(answer.returncode, 2, answer)
            self.assertIn(f"--ready-file {path}: ", answer.stderr)
            self.assertIn("cli.ready-file", answer.stderr)
            self.assertNotIn("is ready", answer.stderr)
            self.assertFalse(os.path.exists(node.data_dir))

    @verge.unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_data_directory_without_permission(self):
        path = os.path.join(self.directory, "closed")
        os.mkdir(path, 0o500)
        self.refused(self.node(data_dir=path), path)

    def test_identity_that_is_damaged(self):
        """A start never fails for it: there is a copy, and where both are damaged the node is a new one, and says so."""
        node = self.node().start()
        node.stop()
        paths = [os.path.join(node.data_dir, "identity", name) for name in ("node-id", "node-id.copy")]

        def damage(path):
            with open(path, "w", encoding="utf-8") as file:
                file.write("nonsense\n")

        def start():
            before = len(node.log_lines())
            node.start()
            identity = node.status()["node"]["id"]
            node.stop()
            return identity, [line["message"] for line in node.log_lines()[before:] if line["level"] == "error"]

        identity, said = start()
        self.assertEqual(said, [])
        for path in paths:
            damage(path)
            same, said = start()
            self.assertEqual(same, identity)
            self.assertEqual(len([line for line in said if "[storage.identity-restored]" in line]), 1, said)
        for path in paths:
            damage(path)
        other, said = start()
        self.assertNotEqual(other, identity)
        self.assertEqual(len([line for line in said if "[storage.identity-lost]" in line]), 1, said)
        self.assertEqual(start(), (other, []))

    def test_ledger_and_incarnation_that_are_damaged(self):
        """They are replaced, and what that means is said: once for each, and counted."""
        node = self.node("damaged", GOOD_RULE).start()
        device = self.mqtt(node, "device")
        for number in range(5):
            device.publish_and_wait("any/1", str(number), sequence=number)
        node.stop()
        for file in ("ledger", "incarnation"):
            path = os.path.join(node.data_dir, "spool", file)
            with open(path, "r+b") as damaged:
                damaged.write(bytes(16))
        before = len(node.log_lines())
        node.start()
        said = [line for line in node.log_lines()[before:] if line["level"] == "error"]
        for code in ("spool.ledger-lost", "spool.incarnation-lost"):
            self.assertEqual(len([line for line in said if f"[{code}]" in line["message"]]), 1, said)
        self.assertIn("\nverge_spool_replaced_files_total 2\n", node.admin("/metrics").body.decode())
        device = self.mqtt(node, "device")
        device.publish_and_wait("any/1", "4", sequence=4)
        self.assertEqual([event["payload"] for event in node.events_by_http()], list(range(5)),
                         "of what is here, repetitions are recognised all the same")
        node.stop()
        before = len(node.log_lines())
        node.start()
        self.assertNotIn("-lost]", "".join(line["message"] for line in node.log_lines()[before:]))
        self.assertIn("\nverge_spool_replaced_files_total 0\n", node.admin("/metrics").body.decode())
        node.stop()

    def test_unreachable_parent(self):
        with socket.socket() as unused:  # bound and not listening: nobody else gets the port
            unused.bind((verge.own_host(), 0))
            parent = "%s:%d" % unused.getsockname()
            node = self.node("lonely", GOOD_RULE, parent=f"http://{parent}").start()
            client = self.mqtt(node, "device")
            self.assertEqual(client.publish_and_wait("any/1", "kept"), 0)
            complaints = verge.wait_until(
                lambda: [line for line in node.log_lines() if line["level"] in ("warning", "error")],
                lambda: f"a word about the parent in the log:\n{node.log()}")
            failures = node.status()["uplink"]["failures"]
            verge.wait_until(lambda: node.status()["uplink"]["failures"] >= failures + 3, "three more attempts")
            complaints = [line for line in node.log_lines() if line["level"] in ("warning", "error")]
            self.assertEqual(len(complaints), 1, f"one line for one outage: {complaints}")
            self.assertIn(parent, complaints[0]["message"])
            self.assertEqual(node.admin("/readyz").status, 200, "without its parent the node works")
            self.assertEqual(node.undelivered(), 1)
            node.stop()


class Ready(verge.TestCase):
    def test_ready_file(self):
        node = self.node()
        begin = time.monotonic()
        node.start()
        took = time.monotonic() - begin
        self.assertLess(took, 2, "ready in time")
        with open(node.ready_path, encoding="utf-8") as file:
            addresses = json.load(file)
        self.assertEqual(sorted(addresses), ["admin", "http", "mqtt"])
        for listener, bound in addresses.items():
            self.assertEqual(len(bound), 1)
            host, _, port = bound[0].rpartition(":")
            self.assertEqual(host, node.host)
            self.assertNotEqual(int(port), 0, f"{listener}: the port that was bound")
            socket.create_connection((host, int(port)), verge.PATIENCE).close()
        node.stop()

    def test_several_addresses_and_none(self):
        node = self.node(sets=[f'mqtt.listen=["127.0.0.1:0", "{verge.own_host()}:0"]', "http.listen="])
        node.start()
        with open(node.ready_path, encoding="utf-8") as file:
            addresses = json.load(file)
        self.assertEqual((len(addresses["mqtt"]), addresses["http"]), (2, []))
        for bound in addresses["mqtt"]:
            node.addresses["mqtt"] = bound
            self.mqtt(node, "c").publish_and_wait("a", "b")

    def test_health_and_metrics(self):
        node = self.node("observed", GOOD_RULE, tier="fog").start()
        client = self.mqtt(node, "device")
        client.subscribe("any/#")
        client.publish_and_wait("any/1", "kept")
        self.assertEqual(node.admin("/healthz").status, 200)
        self.assertEqual(node.admin("/readyz").status, 200)
        self.assertEqual(node.admin("/healthz", "HEAD").body, b"")
        status = node.status()
        self.assertEqual((status["node"]["name"], status["node"]["tier"], status["node"]["pid"], status["node"]["ready"]),
                         ("observed", "fog", node.pid, True))
        self.assertEqual((status["mqtt"]["connections"], status["mqtt"]["received"], status["events"]["uploads"]),
                         (1, 1, 1))
        self.assertIsNone(status["uplink"], "a root has none")
        answer = node.admin("/metrics")
        self.assertIn("version=0.0.4", answer.fields["content-type"])
        text = answer.body.decode()
        for line in ("verge_mqtt_connections 1", "verge_uploads_total 1", "verge_node_ready 1",
                     "verge_mqtt_messages_received_total 1"):
            self.assertIn("\n" + line + "\n", "\n" + text)
        promtool = verge.find_program("promtool", "VERGE_PROMTOOL")
        if promtool is None:
            print("promtool is not here: the format of /metrics is not checked", flush=True)
        else:
            checked = subprocess.run([promtool, "check", "metrics"], input=text, text=True, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, timeout=verge.PATIENCE)
            self.assertEqual((checked.returncode, checked.stdout), (0, ""), "promtool finds nothing to say")

    def test_metrics_with_a_parent(self):
        cloud = self.node("cloud").start()
        node = self.node('edge', GOOD_RULE, parent=cloud).start()
        self.mqtt(node, "device").publish_and_wait("any/1", "kept")
        node.wait_delivered()
        text = node.admin("/metrics").body.decode()
        self.assertIn("\nverge_uplink_connected 1\n", text)
        self.assertIn("\nverge_uplink_records_total 1\n", text)
        promtool = verge.find_program("promtool", "VERGE_PROMTOOL")
        if promtool:
            checked = subprocess.run([promtool, "check", "metrics"], input=text, text=True, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, timeout=verge.PATIENCE)
            self.assertEqual((checked.returncode, checked.stdout), (0, ""), "promtool finds nothing to say")

    def test_log_is_json_for_machines(self):
        node = self.node("logging", GOOD_RULE).start()
        lines = node.log_lines()
        self.assertTrue(lines, "the start is logged")
        for line in lines:
            for key in ("time", "level", "message"):
                self.assertIn(key, line)
        self.assertTrue(any(node.addresses["mqtt"] in line["message"] for line in lines), lines)
        node.stop()

    def test_log_is_text_on_a_terminal(self):
        node = self.node("terminal")
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = verge.spawn(node.command(), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
        self.addCleanup(verge.end, process)
        os.close(theirs)
        shown = b""
        while b"is ready" not in shown:
            readable, _, _ = select.select([ours], [], [], verge.PATIENCE)
            self.assertTrue(readable, f"a line about readiness: {shown!r}")
            shown += os.read(ours, 65536)
        self.assertNotIn(b'{"', shown)
        self.assertIn(b"terminal", shown)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(verge.PATIENCE), 0)

    def test_log_level(self):
        node = self.node("quiet", sets=["log.level=error"]).start()
        node.stop()
        self.assertEqual(node.log(), "")

    def test_what_was_stored_is_there_after_a_restart(self):
        node = self.node("kept", GOOD_RULE).start()
        first = node.status()["node"]["id"]
        self.mqtt(node, "device").publish_and_wait("any/1", "kept")
        node.stop()
        self.assertEqual([event["payload"] for event in node.events()], ["kept"], "readable while nothing runs")
        node.start()
        self.assertEqual(node.status()["node"]["id"], first)
        self.assertEqual([event["payload"] for event in node.events_by_http()], ["kept"])
        node.stop()


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
