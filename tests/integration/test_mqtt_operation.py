"""What who runs a node sees of its MQTT clients, and tells them: $SYS, verge mqtt, users by certificate, and which class of
durability a message reached."""

import json
import os
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from certificates import Authority
from verge import text_field

RULES = """
[[rule]]
name = "keep"
sql = "SELECT * FROM 'kept/#'"
do = [{ upload = "normal" }]
"""
NOT_AUTHORIZED = 0x87


class Operation(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.edge = self.node("edge", RULES, sets=["runtime.loops=3", "mqtt.sys_every=100ms"]).start()

    def verge_mqtt(self, *arguments, expected=0):
        ran = verge.run("mqtt", *arguments, "--admin", self.edge.addresses["admin"])
        self.assertEqual(ran.returncode, expected, ran.stderr)
        return ran

    def rows(self, *arguments):
        return [json.loads(line) for line in self.verge_mqtt(*arguments, "--json").stdout.splitlines()]

    def test_the_node_speaks_of_itself(self):
        reader = self.mqtt(self.edge, "reader")
        everything = self.mqtt(self.edge, "everything")
        everything.subscribe("#", 1)
        everything.subscribe("+/broker/#", 1)
        reader.subscribe("$SYS/broker/#", 1)
        self.mqtt(self.edge, "writer").publish_and_wait("some/topic", "x")

        def said():
            return {message.topic.removeprefix("$SYS/broker/"): message.payload.decode() for message in reader.messages}

        reader.wait(lambda: said().get("publish/messages/received") == "1", lambda: f"the publish is counted: {said()}")
        reader.wait(lambda: said().get("clients/connected") == "3", lambda: f"the clients are counted: {said()}")
        self.assertTrue(said()["version"].startswith("verge "), said())
        self.assertEqual((said()["subscriptions/count"], said()["clients/total"]), ("3", "3"))
        self.assertTrue(said()["uptime"].endswith(" seconds"))
        self.assertEqual([message.topic for message in everything.messages], ["some/topic"])
        self.assertFalse(any(message.retain for message in reader.messages))
        refused = self.mqtt(self.edge, "forger").publish_and_wait("$SYS/broker/version", "mine")
        self.assertEqual(refused, NOT_AUTHORIZED)

    def test_clients_are_shown_and_closed(self):
        self.assertEqual(self.rows("clients"), [])
        away = self.mqtt(self.edge, "press/7 äöü", expiry=1000, clean=False)
        away.subscribe("a/+", 1)
        away.subscribe("b/#", 2)
        away.close()
        there = [self.mqtt(self.edge, f"there-{i}", version=4 + i % 2) for i in range(5)]
        there[0].publish_and_wait("a/x", "waits", retain=True)
        there[0].publish_and_wait("c", "kept", retain=True)
        verge.wait_until(lambda: self.edge.status()["mqtt"]["connections"] == 5, "one is away")
        clients = self.rows("clients")
        self.assertEqual([each["client"] for each in clients], ["press/7 äöü", *(f"there-{i}" for i in range(5))])
        first = clients[0]
        self.assertEqual((first["connected"], first["address"], first["subscriptions"], first["durable"], first["expiry_s"]),
                         (False, "", 2, True, 1000))
        self.assertGreater(first["waiting_bytes"], 0)
        self.assertEqual([each["version"] for each in clients[1:]], ["3.1.1", "5.0", "3.1.1", "5.0", "3.1.1"])
        self.assertEqual(self.rows("clients", "there-3"), [clients[4]])
        self.assertEqual([(each["filter"], each["qos"]) for each in self.rows("subscriptions", "press/7 äöü")],
                         [("a/+", 1), ("b/#", 2)])
        self.assertEqual([each["topic"] for each in self.rows("retained")], ["a/x", "c"])
        self.assertEqual([each["bytes"] for each in self.rows("retained", "a/#")], [5])
        some = self.verge_mqtt("clients", "--limit", "2")
        self.assertEqual((len(some.stdout.splitlines()), some.stderr), (2, "there are more: see --limit\n"))
        self.assertIn("press/7 äöü  away  MQTT 5.0  2 subscriptions", self.verge_mqtt("clients").stdout)

        raw = self.raw(self.edge, connect=False)
        raw.send(verge.connect_packet(5, "raw"))
        raw.receive()
        self.verge_mqtt("kick", "raw")
        self.assertEqual(raw.receive()[1][0], 0x98)
        refused = self.verge_mqtt("kick", "nobody", expected=1).stderr
        self.assertIn("mqtt.unknown-client", refused)
        self.assertIn("--end-session also ends the session", refused)
        self.assertNotIn("/v1/", refused)
        self.assertNotIn("--end-session", self.verge_mqtt("kick", "nobody", "--end-session", expected=1).stderr)
        self.assertIn("mqtt.unknown-client", self.verge_mqtt("kick", "press/7 äöü", expected=1).stderr)
        self.verge_mqtt("kick", "press/7 äöü", "--end-session")
        self.assertEqual(self.rows("clients", "press/7 äöü"), [])
        self.assertFalse(self.mqtt(self.edge, "press/7 äöü", clean=False).session_present)

    def test_what_is_asked_wrongly_is_said(self):
        for path in ("/v1/mqtt/clients?limit=0", "/v1/mqtt/clients?limit=10001", "/v1/mqtt/retained?filter=a/%23/b"):
            self.assertEqual(self.edge.admin(path).json()["error"]["code"], "mqtt.query", path)
        self.assertEqual(self.edge.admin("/v1/mqtt/none").status, 404)
        self.assertEqual(self.edge.admin("/v1/mqtt/clients", method="POST").status, 405)
        self.assertEqual(self.edge.admin("/v1/mqtt/clients/x").status, 405)

    def test_who_asks_is_told_the_class_of_durability(self):
        """The acknowledgement as it goes over the line: identifier, reason, and the property if there is one."""
        keeper = self.mqtt(self.edge, "keeper", expiry=1000, clean=False)
        keeper.subscribe("session/#", 1)
        listener = self.mqtt(self.edge, "listener")
        listener.subscribe("#", 1)
        raw = self.raw(self.edge, connect=False)
        raw.send(verge.connect_packet(5, "raw"))
        raw.receive()
        name = text_field("verge-durability")

        def answer(topic, asks=True, qos=1):
            property_ = b"\x26" + name + text_field("please") if asks else b""
            body = text_field(topic) + b"\x00\x07" + bytes([len(property_)]) + property_ + b"{}"
            raw.send(bytes([0x30 | qos << 1, len(body)]) + body)
            first, got = raw.receive()
            self.assertEqual(first, 0x40 if qos == 1 else 0x50)
            if qos == 2:
                raw.send(b"\x62\x02\x00\x07")
                raw.receive()
            return got

        def told(value):
            property_ = b"\x26" + name + text_field(value)
            return b"\x00\x07\x00" + bytes([len(property_)]) + property_

        for qos in (1, 2):
            self.assertEqual(answer("other", qos=qos), told("none"))
            self.assertEqual(answer("kept/x", qos=qos), told("local"))
            self.assertEqual(answer("session/x", qos=qos), told("local"))
            self.assertEqual(answer("kept/x", asks=False, qos=qos), b"\x00\x07")


class Certificates(verge.TestCase):
    def test_a_certificate_names_its_user(self):
        ca = Authority(self.directory)
        edge = self.node("edge")
        shown = ca.issue(f"IP:{edge.host}")
        edge.write_config(f'[tls]\ncertificate = "{shown.pem}"\nkey = "{shown.key}"\nclient_ca = "{ca.pem}"\n'
                          '[[mqtt.acl]]\ntopics = "user/%u"\n[[mqtt.acl]]\nusers = "spiffe://plant/desk"\ntopics = "#"\n')
        edge.sets += [f"mqtt.tls_listen={edge.host}:0", "mqtt.certificate_users=true", "runtime.loops=3"]
        edge.start()

        def client(client_id, names):
            shows = ca.issue(names, common_name="desk")
            context = ssl.create_default_context(cafile=ca.pem)
            context.load_cert_chain(shows.pem, shows.key)
            return self.mqtt(edge, client_id, listener="mqtt_tls", tls=context, connect=False)

        press = client("press", "IP:10.0.0.1,DNS:press-7.plant,URI:spiffe://plant/other")
        press.client.username_pw_set("desk", "anything")  # what it says of itself does not count
        press.connect()
        desk = client("desk", "URI:spiffe://plant/desk")
        desk.connect()
        self.assertEqual(desk.subscribe("#"), [1])
        self.assertEqual(press.publish_and_wait("user/press-7.plant", "1"), 0)
        self.assertEqual(press.publish_and_wait("user/desk", "1"), NOT_AUTHORIZED)
        self.assertEqual([message.topic for message in desk.wait_messages(1)], ["user/press-7.plant"])
        answers = []
        for client_id, names in (("nobody", "IP:10.0.0.1"), ("press", "URI:spiffe://plant/desk")):
            stranger = client(client_id, names)
            stranger.client.on_connect = lambda _c, _u, _f, reason, _p: answers.append(reason.value)
            host, _, port = edge.addresses["mqtt_tls"].rpartition(":")
            stranger.client.connect(host, int(port))
            while len(answers) < 1 or stranger.client.is_connected():
                stranger.client.loop(0.1)
            self.assertEqual(answers.pop(), NOT_AUTHORIZED, client_id)
        self.assertEqual(press.disconnections, [])


class Import(verge.TestCase):
    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_a_configuration_of_mosquitto_becomes_one_that_runs(self):
        shown = Authority(self.directory).issue("IP:127.0.0.1")
        users = self.write("users", "ann:$7$101$x$y\n")
        rules = self.write("rules", "topic read news/#\nuser ann\ntopic deny all/secret\ntopic all/#\npattern write device/%u/#\n")
        path = self.write("mosquitto.conf",
                          f"listener 0 {self.directory}/m.sock\nlistener 1883 127.0.0.1\nlistener 8883 ::1\ncertfile {shown.pem}\n"
                          f"keyfile {shown.key}\nlistener 8084 127.0.0.1\nprotocol websockets\nallow_anonymous true\n"
                          f"password_file {users}\nacl_file {rules}\nmax_inflight_messages 20\nmax_packet_size 100000\n"
                          "max_keepalive 120\nsys_interval 5\npersistent_client_expiration 14d\npersistence true\n"
                          "connection cloud\naddress cloud.example\ntopic # out\n")
        ran = verge.run("import", path)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("for: ann", ran.stderr)
        self.assertIn('name = "cloud"', ran.stdout)
        passwords = self.write("passwords", "")
        os.chmod(passwords, 0o600)
        node = self.write("node.toml", ran.stdout.replace('"passwords"', f'"{passwords}"'))
        checked = verge.run("check", node)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        bad = verge.run("import", self.write("bad.conf", "listener none\n"))
        self.assertEqual(bad.returncode, 1)
        self.assertIn("bad.conf:1", bad.stderr)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
