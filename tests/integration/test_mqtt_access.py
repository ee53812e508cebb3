"""Who may connect by MQTT, and do what: passwords that `verge passwd` sets, and [[mqtt.acl]]."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from verge import connect_packet, text_field

RULES = """
[[mqtt.acl]]
topics = "news/secret"
actions = "subscribe"
allow = false

[[mqtt.acl]]
topics = ["device/%c/#", "user/%u"]

[[mqtt.acl]]
users = ["boss"]
topics = ["#"]

[[mqtt.acl]]
topics = "news/#"
actions = "subscribe"
"""
SUCCESS, BAD_PASSWORD, NOT_AUTHORIZED = 0, 0x86, 0x87


class Numbers(verge.TestCase):
    def test_who_posts_cannot_use_up_the_numbers_of_an_mqtt_client(self):
        node = self.node("edge", '[[rule]]\nname = "all"\nsql = "SELECT * FROM \'n/#\'"\ndo = [{ upload = "normal" }]\n').start()
        for number in range(3):
            node.post("/v1/events", {"topic": "n/posted", "device": "press-9", "sequence": number, "payload": {"n": number}})
        client = self.mqtt(node, "press-9")
        client.wait_acknowledged([client.publish("n/said", {"n": number}, sequence=number) for number in (0, 1, 2, 2)])
        found = sorted((event["topic"], event["payload"]["n"]) for event in node.events("n/#"))
        self.assertEqual(found, [(topic, n) for topic in ("n/posted", "n/said") for n in range(3)])


class Access(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.passwords = os.path.join(self.directory, "passwords")
        for user in ("ann", "boss"):
            self.passwd(user, user + "'s secret")
        self.edge = self.node("edge", RULES, sets=["runtime.loops=3", f"mqtt.password_file={self.passwords}"]).start()

    def passwd(self, user, password=None, expected=0):
        ran = subprocess.run([verge.VERGE, "passwd", self.passwords, user, *([] if password else ["--delete"])],
                             input=(password or "") + "\n", text=True, capture_output=True, timeout=verge.PATIENCE)
        self.assertEqual(ran.returncode, expected, ran.stderr)
        return ran.stderr

    def connect(self, user=None, password=None, client_id="client", version=5):
        """The reason code of CONNACK."""
        flags = 0x02 | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
        rest = b"".join(text_field(text) for text in (user, password) if text is not None)
        client = self.raw(self.edge, connect=False)
        client.send(connect_packet(version, client_id, flags=flags, rest=rest))
        first, body = client.receive()
        self.assertEqual(first, 0x20)
        return body[1]

    def paho(self, user, client_id):
        client = self.mqtt(self.edge, client_id, connect=False)
        client.client.username_pw_set(user, user + "'s secret")
        client.connect()
        return client

    def test_only_who_has_the_password_is_let_in(self):
        # clauses: 5 3.1.4-2
        for version in (4, 5):
            wrong, none = (BAD_PASSWORD, NOT_AUTHORIZED) if version == 5 else (4, 5)
            self.assertEqual(self.connect("ann", "ann's secret", version=version), SUCCESS)
            self.assertEqual(self.connect("ann", "ann's secret", version=version), SUCCESS, "as it is remembered")
            self.assertEqual(self.connect("ann", "boss's secret", version=version), wrong)
            self.assertEqual(self.connect("nobody", "ann's secret", version=version), wrong)
            self.assertEqual(self.connect("", "ann's secret", version=version), none)
            self.assertEqual(self.connect(version=version), none)
        self.assertEqual(self.connect("ann", version=5), BAD_PASSWORD)
        self.assertEqual(oct(os.stat(self.passwords).st_mode & 0o777), "0o600")
        with open(self.passwords, encoding="utf-8") as file:
            self.assertNotIn("secret", file.read())

    def test_verge_pub_and_sub_say_why_they_are_refused(self):
        secret = os.path.join(self.directory, "secret")
        with open(secret, "w") as file:
            file.write("ann's secret\n")
        target = ["--target", self.edge.addresses["mqtt"]]
        as_ann = ["--user", "ann", "--password-file", secret, *target]

        def refused(*arguments):
            done = verge.run(*arguments)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("[cli.broker-refused]", done.stderr)
            return done.stderr

        for command in (["pub", "user/ann", "x"], ["sub", "user/ann"]):
            self.assertIn("refused the connection: not authorized (0x87); give --user and --password-file",
                          refused(*command, *target))
            self.assertIn("refused the connection: bad user name or password (0x86); correct --user",
                          refused(*command, "--user", "boss", "--password-file", secret, *target))
        self.assertIn("refused the message: not authorized (0x87); let this user", refused("pub", "user/boss", "x", *as_ann))
        self.assertIn("refused news/secret: not authorized (0x87)", refused("sub", "news/secret", *as_ann))
        self.assertIn("refused a/#/b: topic filter invalid (0x8f); '+' stands alone", refused("sub", "a/#/b", *as_ann))
        self.assertEqual(verge.run("pub", "user/ann", "x", *as_ann).returncode, 0)

    def test_passwords_change_with_sighup(self):
        self.passwd("ann", "another")
        self.passwd("boss")
        self.assertIn("has no user", self.passwd("boss", expected=1))
        self.assertEqual(self.connect("ann", "ann's secret"), SUCCESS, "not yet")
        self.edge.signal(verge.signal.SIGHUP)
        verge.wait_until(lambda: "the configuration was reloaded" in self.edge.log(), "the reload")
        self.assertEqual(self.connect("ann", "ann's secret"), BAD_PASSWORD)
        self.assertEqual(self.connect("ann", "another"), SUCCESS)
        self.assertEqual(self.connect("boss", "boss's secret"), BAD_PASSWORD)

    def test_a_session_is_its_users(self):
        ann = self.paho("ann", "shared")
        self.assertEqual(self.connect("boss", "boss's secret", client_id="shared"), NOT_AUTHORIZED)
        self.assertEqual(ann.disconnections, [])

    def test_each_may_do_what_the_rules_say(self):
        # clauses: 3 3.3.5-2
        ann = self.paho("ann", "press-7")
        boss = self.paho("boss", "desk")
        self.assertEqual(ann.subscribe("news/#"), [1])
        self.assertEqual(ann.subscribe("news/secret"), [NOT_AUTHORIZED])
        self.assertEqual(ann.subscribe("device/press-7/#"), [1])
        self.assertEqual(ann.subscribe("device/+/#"), [NOT_AUTHORIZED])
        self.assertEqual(boss.subscribe("#"), [1])
        for topic, reason in (("device/press-7/oven", SUCCESS), ("device/press-8/oven", NOT_AUTHORIZED),
                              ("user/ann", SUCCESS), ("user/boss", NOT_AUTHORIZED), ("news/x", NOT_AUTHORIZED)):
            self.assertEqual(ann.publish_and_wait(topic, topic), reason, topic)
        for topic in ("news/secret", "news/open"):
            self.assertEqual(boss.publish_and_wait(topic, topic), SUCCESS)
        ann.wait_messages(2)
        self.assertEqual(ann.payloads(), [b"device/press-7/oven", b"news/open"])
        boss.wait_messages(3)
        self.assertEqual(boss.payloads(), [b"device/press-7/oven", b"user/ann", b"news/open"])
        self.assertEqual(self.edge.status()["mqtt"]["forbidden"], 3)

    def test_clients_of_this_machine_may_be_anonymous_where_it_is_said(self):
        other = self.node("other", sets=[f"mqtt.password_file={self.passwords}", "mqtt.anonymous=true"]).start()
        self.edge = other
        self.assertEqual(self.connect(), SUCCESS)
        self.assertEqual(self.connect("ann", "wrong"), BAD_PASSWORD)

    def test_a_file_that_is_wrong_is_said_with_what_to_do(self):
        for text, mode, said in (("ann:secret\n", 0o600, "passwords:1"), ("", 0o644, "chmod 0640")):
            with open(self.passwords, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(self.passwords, mode)
            ran = verge.run("check", self.edge.config_path, "--set", f"mqtt.password_file={self.passwords}")
            self.assertNotEqual(ran.returncode, 0)
            self.assertIn("config.password-file", ran.stderr + ran.stdout)
            self.assertIn(said, ran.stderr + ran.stdout)
            self.assertNotIn("secret", ran.stderr + ran.stdout)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
