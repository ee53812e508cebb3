"""Bridges to a real mosquitto, and between nodes: topics, QoS, cuts, kills, loops, TLS and passwords.

VERGE_BRIDGE_ROUNDS: how often the node is killed, or its line cut, under load, 3 by default."""

import collections
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import line
import verge
from certificates import Authority

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
ROUNDS = int(os.environ.get("VERGE_BRIDGE_ROUNDS", "3"))


class Mosquitto:
    """A broker on a loopback address of its own, so that its port is free."""

    def __init__(self, directory, name="mosquitto", extra=""):
        self.host = verge.own_host()
        self.addresses = {"mqtt": f"{self.host}:1883"}
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory, exist_ok=True)
        self.path = os.path.join(self.directory, "mosquitto.conf")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f"listener 1883 {self.host}\npersistence true\npersistence_location {self.directory}/\n"
                       f"user root\nmax_queued_messages 0\n{extra or 'allow_anonymous true'}\n")
        self.process = None

    def start(self):
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = verge.spawn([MOSQUITTO, "-c", self.path], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        verge.wait_until(self._listens, "mosquitto listens")
        return self

    def _listens(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.directory, "log"), encoding="utf-8") as log:
                raise AssertionError(f"mosquitto ended: {log.read()}")
        try:
            socket.create_connection((self.host, 1883), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()  # it saves what it has
        self.process.wait()
        verge.end(self.process)
        self.process = None


def bridge(broker, topics, name="up", **settings):
    lines = [f'[[mqtt.bridge]]\nname = "{name}"\naddress = "{broker.addresses["mqtt"]}"\nretry_max = "200ms"\n']
    for key, value in settings.items():
        lines.append(f"{key} = {value}\n")
    for topic in topics:
        lines.append("\n[[mqtt.bridge.topic]]\n" + "".join(
            f"{key} = {json.dumps(value)}\n" for key, value in topic.items()))
    return "".join(lines)


@unittest.skipUnless(os.path.exists(MOSQUITTO), "mosquitto is not installed")
class Bridges(verge.TestCase):
    def broker(self, name="mosquitto", extra=""):
        broker = Mosquitto(self.directory, name, extra)
        self.addCleanup(broker.stop)
        return broker.start()

    def rows(self, node):
        return {row["bridge"]: row for row in node.admin("/v1/mqtt/bridges").json()["bridges"]}

    def wait_connected(self, node, name="up"):
        verge.wait_until(lambda: self.rows(node)[name]["connected"], lambda: f"{name} is connected: {self.rows(node)}")

    def kept(self, node, name):
        # Below mosquitto's receive maximum, which paho 1.6 does not look at: what is beyond it mosquitto loses.
        return self.mqtt(node, name, expiry=3600, clean=False, inflight=15)

    def test_topics_cross_both_ways(self):
        for version in ("5", "3.1.1"):
            with self.subTest(version=version):
                broker = self.broker(f"mosquitto-{version}")
                edge = self.node(f"edge-{version}", bridge(broker, [
                    {"topic": "oven/#", "direction": "out", "qos": 2, "local_prefix": "plant/", "remote_prefix": "site-1/"},
                    {"topic": "+/set", "direction": "in", "qos": 2, "local_prefix": "commands/", "remote_prefix": "site-1/"},
                ], version=f'"{version}"'), sets=["runtime.loops=2"]).start()
                self.wait_connected(edge)
                there, here = self.mqtt(broker, "there"), self.mqtt(edge, "here")
                there.subscribe("#", 2)
                here.subscribe("commands/#", 2)
                for qos in (0, 1, 2):
                    here.client.publish("plant/oven/7", f"out {qos}", qos=qos)
                    there.client.publish("site-1/press/set", f"in {qos}", qos=qos)
                here.client.publish("plant/press", "stays", qos=1)
                there.wait(lambda: len(there.payloads("site-1/oven/7")) == 3, "all that goes out comes")
                here.wait_messages(3)
                self.assertEqual(sorted(there.payloads("site-1/oven/7")), [b"out 0", b"out 1", b"out 2"])
                self.assertEqual(sorted(here.payloads("commands/press/set")), [b"in 0", b"in 1", b"in 2"])
                self.assertEqual([m.topic for m in there.messages if "press" in m.topic and "set" not in m.topic], [])
                row = self.rows(edge)["up"]
                self.assertEqual((row["out"], row["in"], row["dropped"], row["connections"]), (3, 3, 0, 1))

    def test_what_is_retained_crosses(self):
        broker = self.broker()
        self.mqtt(broker, "before").publish_and_wait("there/a", "kept", qos=1, retain=True)
        edge = self.node("edge", bridge(broker, [{"topic": "there/#", "direction": "in"},
                                                 {"topic": "here/#", "direction": "out"}])).start()
        self.wait_connected(edge)
        self.mqtt(edge, "sender").publish_and_wait("here/b", "kept too", qos=1, retain=True)
        verge.wait_until(lambda: edge.status()["mqtt"]["retained"] == 2, "it is retained here")
        late = self.mqtt(broker, "late")
        late.subscribe("here/#", 1)
        self.assertTrue(late.wait_messages(1)[0].retain)

    def test_what_cannot_go_out_is_kept_through_a_kill(self):
        broker = self.broker()
        edge = self.node("edge", bridge(broker, [{"topic": "out/#", "qos": 2}]), sets=["runtime.loops=2"]).start()
        self.wait_connected(edge)
        reader = self.kept(broker, "reader")
        reader.subscribe("out/#", 2)
        broker.stop()
        sender = self.mqtt(edge, "sender")
        for i in range(40):
            sender.publish_and_wait(f"out/{1 + i % 2}", str(i), qos=1 + i % 2)
        verge.wait_until(lambda: not self.rows(edge)["up"]["connected"], "the cut is noticed")
        self.assertGreater(self.rows(edge)["up"]["waiting_bytes"], 0)
        self.assertNotEqual(self.rows(edge)["up"]["problem"], "")
        edge.kill9()
        edge.start()
        for i in range(40, 60):
            self.mqtt(edge, f"sender-{i}").publish_and_wait(f"out/{1 + i % 2}", str(i), qos=1 + i % 2)
        broker.start()
        reader.wait(lambda: len(set(reader.payloads())) == 60, lambda: f"all come: {len(reader.messages)}")
        twos = collections.Counter(reader.payloads("out/2"))
        self.assertEqual([p for p, n in twos.items() if n > 1], [], "at QoS 2 once")
        self.assertEqual(self.rows(edge)["up"]["waiting_bytes"], 0)

    def test_a_bridge_that_never_was_connected_keeps_too(self):
        broker = Mosquitto(self.directory)
        self.addCleanup(broker.stop)
        edge = self.node("edge", bridge(broker, [{"topic": "out/#", "qos": 1}])).start()
        verge.wait_until(lambda: self.rows(edge)["up"]["problem"], "it tries")
        self.mqtt(edge, "sender").publish_and_wait("out/a", "early", qos=1)
        broker.start()
        self.wait_connected(edge)
        verge.wait_until(lambda: self.rows(edge)["up"]["out"] == 1, "it goes out")

    def test_what_comes_while_the_node_is_away_comes_once(self):
        broker = self.broker()
        edge = self.node("edge", bridge(broker, [{"topic": "in/#", "direction": "in", "qos": 2}])).start()
        self.wait_connected(edge)
        reader = self.kept(edge, "reader")
        reader.subscribe("in/#", 2)
        edge.kill9()
        sender = self.mqtt(broker, "sender")
        for i in range(40):
            sender.publish_and_wait(f"in/{1 + i % 2}", str(i), qos=1 + i % 2)
        edge.start()
        reader.wait(lambda: len(set(reader.payloads())) == 40, lambda: f"all come: {len(reader.messages)}")
        twos = collections.Counter(reader.payloads("in/2"))
        self.assertEqual([p for p, n in twos.items() if n > 1], [])

    def test_kills_and_cuts_under_load(self):
        choice = random.Random(verge.seed())
        broker = self.broker()
        between = line.Line(broker.addresses["mqtt"])
        self.addCleanup(between.end)
        over_line = type("Line", (), {"addresses": {"mqtt": between.address}})
        edge = self.node("edge", bridge(over_line, [{"topic": "out/#", "qos": 2},
                                                 {"topic": "in/#", "direction": "in", "qos": 2}]),
                         sets=["runtime.loops=3"]).start()
        self.wait_connected(edge)
        there, here = self.kept(broker, "there"), self.kept(edge, "here")
        there.subscribe("out/#", 2)
        here.subscribe("in/#", 2)
        sent = {"out": 0, "in": 0}
        for round_number in range(ROUNDS):
            out, into = self.kept(edge, "sender-out"), self.kept(broker, "sender-in")
            for _ in range(60):
                out.publish("out/x", str(sent["out"]), qos=2)
                into.publish("in/x", str(sent["in"]), qos=2)
                sent["out"] += 1
                sent["in"] += 1
            verge.pause(choice.uniform(0, 0.2))
            # What paho holds goes on when they are back.
            if choice.random() < 0.5:
                edge.kill9()
                verge.pause(choice.uniform(0, 0.2))
                edge.start()
            else:
                for _ in range(4):
                    between.cut()
                    verge.pause(choice.uniform(0, 0.1))
            out.wait(lambda: out.acknowledgements >= 60, "what goes out was taken", 60)
            into.wait(lambda: into.acknowledgements >= 60, "what comes in was taken", 60)
            out.close()
            into.close()
        for reader, way in ((there, "out"), (here, "in")):
            reader.wait(lambda: len(set(reader.payloads())) == sent[way],
                        lambda: f"{way}: {len(set(reader.payloads()))} of {sent[way]}", 60)
            twice = [p for p, n in collections.Counter(reader.payloads()).items() if n > 1]
            self.assertEqual(twice, [], way)

    def test_nothing_goes_round(self):
        broker = self.broker()
        both = [{"topic": "shared/#", "direction": "both", "qos": 1}]
        edge = self.node("edge", bridge(broker, both)).start()
        self.wait_connected(edge)
        here, there = self.mqtt(edge, "here"), self.mqtt(broker, "there")
        here.subscribe("shared/#")
        there.subscribe("shared/#")
        here.publish_and_wait("shared/a", "from here")
        there.publish_and_wait("shared/a", "from there")
        here.publish_and_wait("shared/end", "end")
        there.wait(lambda: there.payloads("shared/end"), "the end comes")
        here.wait(lambda: len(here.payloads("shared/a")) == 2, "both come")
        self.assertEqual(sorted(here.payloads("shared/a")), [b"from here", b"from there"])
        self.assertEqual(sorted(there.payloads("shared/a")), [b"from here", b"from there"])

    def test_two_nodes_that_bridge_to_each_other(self):
        """Each message ends, though each has a bridge to the other."""
        one, two = self.node("one"), self.node("two")
        two.start()
        both = [{"topic": "shared/#", "direction": "both", "qos": 1}]
        one.write_config(bridge(two, both, "to-two"))
        one.start()
        two.stop()
        two.write_config(bridge(one, both, "to-one"))
        two.start()
        self.wait_connected(one, "to-two")
        self.wait_connected(two, "to-one")
        reader = self.mqtt(two, "reader")
        reader.subscribe("shared/#")
        sender = self.mqtt(one, "sender")
        for i in range(10):
            sender.publish_and_wait("shared/a", str(i))
        reader.wait(lambda: len(set(reader.payloads())) == 10, "all come")

        def quiet():
            before = [r["in"] + r["out"] for n in (one, two) for r in self.rows(n).values()]
            verge.pause(0.3)
            return before == [r["in"] + r["out"] for n in (one, two) for r in self.rows(n).values()]

        verge.wait_until(quiet, "nothing goes round any more")
        self.assertLessEqual(len(reader.messages), 40)

    def test_tls_and_password(self):
        authority = Authority(self.directory)
        host = verge.own_host()
        shown = authority.issue(f"IP:{host}")
        passwords = os.path.join(self.directory, "mosquitto-passwords")
        subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "edge", "right"], check=True)
        secret = os.path.join(self.directory, "secret")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("right\n")
        broker = self.broker(extra=f"allow_anonymous false\npassword_file {passwords}\n"
                                   f"listener 8883 {host}\ncertfile {shown.pem}\nkeyfile {shown.key}\n")
        secure = type("Secure", (), {"addresses": {"mqtt": f"{host}:8883"}})
        login = {"user": '"edge"', "password": f'{{ file = "{secret}" }}'}
        edge = self.node("edge", bridge(secure, [{"topic": "#"}], tls="true", ca=f'"{authority.pem}"', **login)
                         + bridge(broker, [{"topic": "#"}], "wrong", user='"edge"')
                         + bridge(secure, [{"topic": "#"}], "untrusted", tls="true", **login)).start()
        self.wait_connected(edge)
        verge.wait_until(lambda: "refuses the connection" in self.rows(edge)["wrong"]["problem"], "no password, no entry")
        verge.wait_until(lambda: self.rows(edge)["untrusted"]["problem"], "who is not trusted is not spoken to")
        self.assertFalse(self.rows(edge)["untrusted"]["connected"])
        shown_rows = verge.run("mqtt", "bridges", "--json", "--admin", edge.addresses["admin"])
        self.assertEqual({json.loads(line)["bridge"] for line in shown_rows.stdout.splitlines()}, {"up", "wrong", "untrusted"})
        self.assertIn('verge_mqtt_bridge_connected{bridge="up"} 1', edge.admin("/metrics").body.decode())
        self.assertNotIn("right", edge.log())

    def test_a_bridge_that_is_taken_out_leaves_nothing(self):
        broker = self.broker()
        edge = self.node("edge", bridge(broker, [{"topic": "out/#"}])).start()
        self.wait_connected(edge)
        stranger = self.raw(edge, connect=False)
        stranger.send(verge.connect_packet(client_id="$bridge/up"))
        self.assertEqual(stranger.receive()[1][1], 0x85)
        self.assertEqual(edge.status()["mqtt"]["sessions"], 1)
        edge.stop()
        edge.write_config("")
        edge.start()
        self.assertEqual(edge.status()["mqtt"]["sessions"], 0)

    def test_topics_that_are_taken_out_do_not_go_out(self):
        broker = self.broker()
        edge = self.node("edge", bridge(broker, [{"topic": "a/#"}, {"topic": "b/#"}])).start()
        self.wait_connected(edge)
        edge.stop()
        edge.write_config(bridge(broker, [{"topic": "b/#"}]))
        edge.start()
        self.wait_connected(edge)
        verge.wait_until(lambda: edge.status()["mqtt"]["subscriptions"] == 1, "a is unsubscribed from")


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
