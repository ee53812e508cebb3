"""verge doctor, explain and manual: a node that explains itself."""

import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import certificates
import verge


def findings(answer):
    return [json.loads(line) for line in answer.stdout.splitlines()]


class Doctor(verge.TestCase):
    def secret(self, name, mode=0o600):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"the-token-of-{name}\n")
        os.chmod(path, mode)
        return path

    def test_a_node_that_is_well(self):
        node = self.node("well").start()
        answer = verge.run("doctor", "--set", f"node.data_dir={node.data_dir}", "--admin", node.addresses["admin"], "--json")
        found = findings(answer)
        self.assertEqual(answer.returncode, 0, answer)
        by_id = {each["id"]: each for each in found}
        listed = [json.loads(line)["id"] for line in verge.run("doctor", "--list", "--json").stdout.splitlines()]
        self.assertEqual([*by_id], listed, "each check says something, in the order of the list")
        self.assertEqual(by_id["ports"]["health"], "good")
        self.assertIn(node.addresses["admin"], by_id["ports"]["what"])
        self.assertEqual(by_id["delivery"]["health"], "good")
        for each in found:
            self.assertIn(each["health"], ("good", "warning", "skipped"), each)
            self.assertTrue(each["fix"] or each["health"] != "warning", each)

    def test_a_parent_out_of_reach(self):
        answer = verge.run("doctor", "--set", "parent.url=http://127.0.0.1:1", "--set", f"node.data_dir={self.directory}",
                           "--only", "parent", "--json")
        self.assertEqual(answer.returncode, 1)
        [found] = findings(answer)
        self.assertEqual((found["id"], found["health"]), ("parent", "failure"))
        self.assertIn("refused", found["what"])

    def test_a_parent_that_refuses_the_node(self):
        """It takes connections, and nothing else; or it cannot be reached the way that is configured."""
        token, other = self.secret("token"), self.secret("other")
        parent = self.node("parent", f'[http]\nuplink_tokens = [{{ file = "{token}" }}]\n', tier="cloud").start()
        node = self.node("child", f'[parent]\nurl = "{parent.http_url}"\ntoken = {{ file = "{other}" }}\n').start()
        look = ["doctor", "--config", node.config_path, "--set", f"node.data_dir={node.data_dir}", "--admin", node.addresses["admin"],
                "--only", "parent", "--only", "delivery", "--json"]

        def refused():
            takes, delivers = findings(verge.run(*look))
            self.assertEqual(takes["health"], "good", takes)
            return delivers if delivers["health"] == "failure" else None

        found = verge.wait_until(refused, "nothing is delivered though nothing waits")
        self.assertIn("parent.token", found["fix"])
        node.stop()
        with open(node.config_path, "a", encoding="utf-8") as file:
            file.write('[[parent.paths]]\nbind = "nosuchif0"\n')
        answer = verge.run("doctor", "--config", node.config_path, "--only", "parent", "--json")
        [found] = findings(answer)
        self.assertEqual((answer.returncode, found["health"]), (1, "failure"))
        self.assertIn("from nosuchif0 cannot be reached", found["what"])

    def test_servers_of_the_store(self):
        look = ["doctor", "--set", "store.engine=nats", "--set", f"node.data_dir={self.directory}", "--only", "store", "--only", "dns", "--json"]
        names, server, store = findings(verge.run(*look, "--set", "store.urls=[\"nats://nosuch.invalid:4222\"]"))
        self.assertEqual((names["health"], server["health"], store["health"]), ("failure", "warning", "failure"))
        self.assertIn("nosuch.invalid", names["what"])
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        at = f"nats://127.0.0.1:{listening.getsockname()[1]}"
        answer = verge.run(*look, "--set", f"store.urls=[\"{at}\",\"nats://127.0.0.1:1\"]")
        self.assertEqual([(each["id"], each["health"]) for each in findings(answer)],
                         [("dns", "good"), ("store", "good"), ("store", "warning")])
        self.assertEqual(answer.returncode, 0)
        [found] = findings(verge.run("doctor", "--set", f"node.data_dir={self.directory}", "--only", "store", "--json"))
        self.assertEqual(found["health"], "good")

    def test_a_node_that_cannot_be_asked(self):
        """Without an admin listener, or without the token: it is not told that its own ports are taken."""
        node = self.node("silent", "[admin]\nlisten = []\n").start()
        look = ["doctor", "--config", node.config_path, "--set", f"node.data_dir={node.data_dir}", "--set", f"mqtt.listen={node.addresses['mqtt']}",
                "--only", "ports", "--only", "data-dir", "--only", "delivery", "--json"]
        answer = verge.run(*look, "--set", "admin.listen=[]")
        self.assertEqual([(each["id"], each["health"]) for each in findings(answer)],
                         [("data-dir", "warning"), ("ports", "skipped"), ("delivery", "skipped")])
        self.assertEqual(answer.returncode, 0)
        node.stop()
        other = self.node("other").start()
        answer = verge.run("doctor", "--set", f"node.data_dir={other.data_dir}", "--admin", other.addresses["admin"], "--only", "data-dir",
                           "--only", "ports", "--json", env={**os.environ, "VERGE_ADMIN_TOKEN_FILE": "/nonexistent"})
        directory, ports = findings(answer)
        self.assertEqual((directory["health"], ports["health"], answer.returncode), ("warning", "skipped", 0))
        self.assertIn("/nonexistent", directory["what"])

    def test_a_listener_by_name(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        look = ["doctor", "--set", f"node.data_dir={self.directory}/none", "--set", "admin.listen=[]", "--set", "http.listen=[]", "--only", "ports", "--json"]
        for name, said in ((f"localhost:{taken.getsockname()[1]}", "in use"), ("nosuch.invalid:1883", "nosuch.invalid")):
            answer = verge.run(*look, "--set", f"mqtt.listen={name}")
            [found] = findings(answer)
            self.assertEqual((found["health"], answer.returncode), ("failure", 1))
            self.assertIn(said, found["what"])

    def test_a_place_that_keeps_no_files(self):
        [found] = findings(verge.run("doctor", "--set", "node.data_dir=/proc", "--only", "data-dir", "--json"))
        self.assertEqual(found["health"], "failure")
        self.assertIn("belongs to the kernel", found["what"])

    def test_connections_by_any_way_take_descriptors(self):
        [found] = findings(verge.run("doctor", "--set", "mqtt.listen=[]", "--set", "http.listen=[]", "--set", "mqtt.ws_listen=127.0.0.1:8083",
                                     "--set", "mqtt.connections_max=2000000000", "--only", "descriptors", "--json"))
        self.assertEqual(found["health"], "warning")

    def test_a_port_in_use(self):
        node = self.node("first").start()
        taken = node.addresses["mqtt"]
        answer = verge.run("doctor", "--set", f"mqtt.listen={taken}", "--set", "admin.listen=127.0.0.1:1",
                           "--only", "ports", "--json")
        found = [each for each in findings(answer) if taken in each["what"]]
        self.assertEqual(answer.returncode, 1)
        self.assertEqual(len(found), 1, answer)

    def test_another_node_answers(self):
        other = self.node("other").start()
        sets = [f"--set=node.data_dir={self.directory}/none", f"--set=mqtt.listen={other.addresses['mqtt']}",
                f"--set=admin.listen={other.addresses['admin']}", "--set=node.name=this"]
        answer = verge.run("doctor", *sets, "--only", "ports", "--only", "delivery", "--json")
        self.assertEqual(answer.returncode, 1, answer)
        found = findings(answer)
        who = f"another node, other, answers at {other.addresses['admin']}"
        self.assertEqual([each["id"] for each in found], ["ports", "ports", "delivery"])
        self.assertIn(other.addresses["mqtt"], found[0]["what"])
        self.assertIn(who, found[1]["what"])
        self.assertEqual((found[2]["health"], found[2]["what"]), ("skipped", who))

    def test_something_else_answers(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        server.RequestHandlerClass.log_message = lambda *_: None
        server.RequestHandlerClass.do_GET = lambda handler: (handler.send_response(200), handler.end_headers())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        address = f"127.0.0.1:{server.server_port}"
        answer = verge.run("doctor", "--set", f"admin.listen={address}", "--set", f"node.data_dir={self.directory}",
                           "--only", "delivery", "--json")
        [found] = findings(answer)
        self.assertEqual((found["health"], found["what"]),
                         ("skipped", f"something that is no node answers at {address}"))

    def test_a_directory_that_is_held(self):
        node = self.node("holder").start()
        here = ["doctor", "--set", f"node.data_dir={node.data_dir}", "--only", "data-dir", "--json"]
        [found] = findings(verge.run(*here, "--admin", node.addresses["admin"]))
        self.assertEqual(found["health"], "good")
        self.assertIn(f"process {node.pid} ", found["what"])
        answer = verge.run(*here, "--admin", "127.0.0.1:1")
        self.assertEqual(answer.returncode, 1, answer)
        [found] = findings(answer)
        self.assertEqual(found["health"], "failure")
        self.assertIn(f"process {node.pid} ", found["what"])
        node.stop()
        self.assertEqual(verge.run(*here, "--admin", "127.0.0.1:1").returncode, 0, "its lock file is left behind")

    @unittest.skipIf(os.geteuid() != 0, "only root can give files away")
    def test_a_node_that_ran_once_as_root(self):
        node = self.node("once").start()
        node.stop()
        os.chown(node.data_dir, 12345, 54321)
        [found] = findings(verge.run("doctor", "--set", f"node.data_dir={node.data_dir}", "--only", "data-dir", "--json"))
        self.assertIn(f"cannot be reached by 12345, whom the node runs as: {self.directory} ", found["what"])
        os.chmod(self.directory, 0o755)
        answer = verge.run("doctor", "--set", f"node.data_dir={node.data_dir}", "--only", "data-dir", "--json")
        self.assertEqual(answer.returncode, 1, answer)
        [found] = findings(answer)
        self.assertIn(os.path.join(node.data_dir, "lock") + " belongs to root", found["what"])
        self.assertEqual(found["fix"], f"chown -R 12345:54321 {os.path.realpath(node.data_dir)}")
        subprocess.run(found["fix"].split(), check=True)
        [found] = findings(verge.run("doctor", "--set", f"node.data_dir={node.data_dir}", "--only", "data-dir", "--json"))
        self.assertEqual(found["health"], "good", found)

    def test_certificates_that_end_soon(self):
        authority = certificates.Authority(self.directory)
        now = time.time()
        later = authority.issue("DNS:later", begin=time.strftime("%Y%m%d%H%M%SZ", time.gmtime(now + 3 * 3600 + 1800)))
        answer = verge.run("doctor", "--set", f"tls.certificate={later.pem}", "--set", f"tls.key={later.key}", "--only", "certificates", "--json")
        [found] = findings(answer)
        self.assertEqual((answer.returncode, found["health"]), (1, "failure"))
        self.assertTrue(found["what"].endswith("is not good yet: it begins in 3 hours"), found)
        for name, seconds, said in (("soon", 3 * 3600 + 1800, "ends in 3 hours"), ("late", -3 * 3600 - 60, "ended 3 hours ago")):
            end = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(now + seconds))
            identity = authority.issue(f"DNS:{name}", end=end)
            answer = verge.run("doctor", "--set", f"tls.certificate={identity.pem}", "--set", f"tls.key={identity.key}",
                               "--only", "certificates", "--json")
            [found] = findings(answer)
            self.assertTrue(found["what"].endswith(said), found)

    @unittest.skipIf(os.geteuid() != 0, "only root can give files away")
    def test_what_root_may_and_the_node_may_not(self):
        """Its unit's user has to read the secrets, and to listen."""
        data, token = os.path.join(self.directory, "data"), self.secret("token")
        os.chmod(self.directory, 0o755)
        os.mkdir(data, 0o750)
        config = os.path.join(self.directory, "node.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'[node]\ndata_dir = "{data}"\n[admin]\nlisten = []\ntokens = [{{ file = "{token}" }}]\n[mqtt]\nlisten = []\n'
                       '[http]\nlisten = "127.0.0.1:79"\n')
        look = ["doctor", "--config", config, "--only", "ports", "--only", "secrets", "--json"]
        self.assertEqual([(each["id"], each["health"]) for each in findings(verge.run(*look))], [("secrets", "good"), ("ports", "good")])
        os.chown(data, 12345, 54321)
        secret, port = findings(verge.run(*look))
        self.assertEqual((secret["id"], secret["health"], secret["fix"]), ("secrets", "failure", f"chown 12345 {token}"))
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
            first = int(file.read())
        self.assertEqual((port["id"], port["health"]), ("ports", "warning" if first > 79 else "good"))
        if first > 79:
            self.assertIn(f"http.listen = 127.0.0.1:79: 12345, whom the node runs as, may not listen below port {first}", port["what"])
            self.assertIn("CAP_NET_BIND_SERVICE", port["fix"])
        subprocess.run(secret["fix"].split(), check=True)
        self.assertEqual(findings(verge.run(*look))[0]["health"], "good")
        os.chmod(self.directory, 0o700)
        self.assertIn("cannot be reached by 12345", findings(verge.run(*look))[0]["what"])
        os.chmod(self.directory, 0o755)
        os.chown(token, 0, 0)
        if shutil.which("setfacl") and subprocess.run(["setfacl", "-m", "u:12345:r", token], check=False).returncode == 0:
            self.assertEqual(findings(verge.run(*look))[0]["health"], "good", "an access list lets it")

    @unittest.skipIf(os.geteuid() != 0, "only root can be somebody else")
    def test_who_is_neither_root_nor_the_node(self):
        """What they may not see is not called wrong, and nobody is told to take it from the node."""
        token = self.secret("token")
        data = os.path.join(self.directory, "data")
        os.mkdir(data, 0o700)
        for path in (token, data):
            os.chown(path, 12345, 54321)
        os.chmod(self.directory, 0o755)
        config = os.path.join(self.directory, "node.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'[node]\ndata_dir = "{data}"\n[admin]\ntokens = [{{ file = "{token}" }}]\n')
        try:
            answer = verge.run("doctor", "--config", config, "--only", "secrets", "--only", "data-dir", "--json", user=23456, group=23456)
        except PermissionError:
            self.skipTest("others may not run it here")
        for found in findings(answer):
            self.assertEqual((found["health"], found["fix"]), ("skipped", "run this as 12345, or as root"), found)

    def test_mends_what_is_safe(self):
        secret = self.secret("token", 0o644)
        config = os.path.join(self.directory, "node.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'[node]\ndata_dir = "{self.directory}"\n[parent]\nurl = "http://127.0.0.1:1"\ntoken = {{ file = "{secret}" }}\n')
        if os.geteuid() == 0:
            # Whoever reads it by everybody's rights alone keeps them.
            os.chown(self.directory, 12345, 54321)
            kept = verge.run("doctor", "--config", config, "--only", "secrets", "--fix")
            self.assertEqual((kept.returncode, os.stat(secret).st_mode & 0o777), (1, 0o644))
            self.assertIn("chown 12345 ", kept.stdout)
            os.chown(secret, 12345, 54321)
        looked = verge.run("doctor", "--config", config, "--only", "secrets")
        self.assertEqual(looked.returncode, 1)
        self.assertIn("chmod", looked.stdout)
        self.assertEqual(os.stat(secret).st_mode & 0o777, 0o644, "nothing is changed unasked")
        mended = verge.run("doctor", "--config", config, "--only", "secrets", "--fix")
        self.assertEqual(mended.returncode, 0, mended)
        self.assertIn("mended", mended.stdout)
        self.assertEqual(os.stat(secret).st_mode & 0o777, 0o640)

    def test_a_configuration_at_fault(self):
        config = os.path.join(self.directory, "node.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write('[mqtt]\nlisen = "127.0.0.1:0"\n')
        answer = verge.run("doctor", "--config", config, "--only", "config", "--json")
        self.assertEqual(answer.returncode, 1)
        [found] = findings(answer)
        self.assertIn(f"{config}:2:1", found["what"])
        self.assertIn("listen", found["what"] + found["fix"])

    def test_a_configuration_that_cannot_be_read(self):
        broken = os.path.join(self.directory, "broken.toml")
        with open(broken, "w", encoding="utf-8") as file:
            file.write("[mqtt\n")
        for config in (broken, os.path.join(self.directory, "none.toml")):
            answer = verge.run("doctor", "--config", config, "--json")
            self.assertEqual(answer.returncode, 1)
            by_id = {each["id"]: each for each in findings(answer)}
            self.assertEqual(by_id["config"]["health"], "failure")
            for check in ("data-dir", "disk-space", "disk-speed", "ports", "memory", "parent", "delivery"):
                self.assertEqual((by_id[check]["health"], by_id[check]["what"]),
                                 ("skipped", "the configuration could not be read"), check)
            self.assertNotEqual(by_id["kernel"]["what"], "the configuration could not be read")

    def test_wrong_words(self):
        answer = verge.run("doctor", "--only", "clok")
        self.assertEqual(answer.returncode, 2)
        self.assertIn("clock", answer.stderr)


class Explain(verge.TestCase):
    def test_a_code(self):
        answer = verge.run("explain", "config.unknown-key", "--json")
        self.assertEqual(answer.returncode, 0, answer)
        explained = json.loads(answer.stdout)
        self.assertEqual(explained["code"], "config.unknown-key")
        self.assertTrue(explained["when"] and explained["fix"])

    def test_as_it_stands_in_a_log(self):
        self.assertIn("config.unknown-key", verge.run("explain", "[config.unknown-key]").stdout)

    def test_as_it_was_copied(self):
        for words in ("[spool.full],", "SPOOL.FULL", "(spool.full)", "spool.full.", "\"spool.full\";"):
            answer = verge.run("explain", words, "--json")
            self.assertEqual([json.loads(line)["code"] for line in answer.stdout.splitlines()], ["spool.full"], words)
        family = verge.run("explain", "spool", "--json").stdout
        self.assertEqual(verge.run("explain", "spool.", "--json").stdout, family)
        answer = verge.run("explain", "...")
        self.assertEqual((answer.returncode, answer.stdout), (2, ""))

    def test_an_area(self):
        codes = [json.loads(line)["code"] for line in verge.run("explain", "spool", "--json").stdout.splitlines()]
        self.assertGreater(len(codes), 3)
        self.assertTrue(all(code.startswith("spool.") for code in codes), codes)

    def test_a_slip(self):
        answer = verge.run("explain", "config.unknwn-key")
        self.assertEqual(answer.returncode, 2)
        self.assertIn("'config.unknown-key'", answer.stderr)


class Manual(verge.TestCase):
    def test_pages_are_sound(self):
        directory = os.path.join(self.directory, "man1")
        answer = verge.run("manual", "--directory", directory)
        self.assertEqual(answer.returncode, 0, answer)
        pages = sorted(os.listdir(directory))
        self.assertIn("verge.1", pages)
        self.assertIn("verge-spool-stat.1", pages)
        if not shutil.which("groff"):
            self.skipTest("groff is not here")
        for page in pages:
            with self.subTest(page):
                shown = subprocess.run(["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-z", os.path.join(directory, page)],
                                       capture_output=True, text=True, check=False)
                self.assertEqual((shown.returncode, shown.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
