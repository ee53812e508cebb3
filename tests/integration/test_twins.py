"""Twins of devices: by MQTT, by HTTP and from the command line; they survive SIGKILL."""

import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def topic(what, device="press-7"):
    return f"$verge/twin/{device}/{what}"


class Twins(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.edge = self.node("edge", sets=["runtime.loops=3"]).start()

    def patch(self, body, device="press-7"):
        return self.edge.admin(f"/v1/twins/{device}", "PATCH", json.dumps(body))

    def test_a_device_learns_what_is_desired_and_reports(self):
        self.assertEqual(self.patch({"desired": {"speed": 3, "mode": {"eco": True}}}).json()["version"], 1)
        device = self.mqtt(self.edge, "press-7", expiry=3600, clean=False)
        for what in ("delta", "set/accepted", "set/rejected"):
            device.subscribe(topic(what), 1)
        device.wait_messages(1)  # while it was away
        self.assertEqual(json.loads(device.payloads(topic("delta"))[0]),
                         {"version": 1, "delta": {"speed": 3, "mode": {"eco": True}}})
        report = {"reported": {"speed": 3, "mode": {"eco": True}, "firmware": "1.2"}, "version": 1, "token": "r1"}
        self.assertEqual(device.publish_and_wait(topic("set"), report), 0)
        device.wait(lambda: len(device.payloads(topic("set/accepted"))) == 1 and len(device.payloads(topic("delta"))) == 2,
                    "it is accepted, and nothing differs any more")
        accepted = json.loads(device.payloads(topic("set/accepted"))[0])
        self.assertEqual((accepted["version"], accepted["token"], accepted["reported"]["firmware"]), (2, "r1", "1.2"))
        self.assertEqual(device.payloads(topic("delta"))[1], b"")
        # The version is not that any more.
        device.publish_and_wait(topic("set"), report)
        device.wait(lambda: device.payloads(topic("set/rejected")), "it is rejected")
        rejected = json.loads(device.payloads(topic("set/rejected"))[0])
        self.assertEqual((rejected["code"], rejected["status"], rejected["token"]), ("twin.version", 409, "r1"))
        # While the device is away, in a session of its own.
        device.close()
        self.patch({"desired": {"speed": 4}})
        back = self.mqtt(self.edge, "press-7", expiry=3600, clean=False)
        back.wait(lambda: back.payloads(topic("delta")), "the change comes")
        self.assertEqual(json.loads(back.payloads(topic("delta"))[-1]), {"version": 3, "delta": {"speed": 4}})

    def test_get_and_delete_by_mqtt(self):
        client = self.mqtt(self.edge, "app")
        client.subscribe("$verge/twin/#", 1)
        asking = Properties(PacketTypes.PUBLISH)
        asking.CorrelationData = b"17"
        client.client.publish(topic("get"), "", qos=1, properties=asking)
        client.wait(lambda: client.payloads(topic("get/rejected")), "there is none")
        answer = next(m for m in client.messages if m.topic == topic("get/rejected"))
        self.assertEqual((json.loads(answer.payload)["code"], answer.properties.CorrelationData), ("twin.unknown", b"17"))
        client.publish_and_wait(topic("set"), {"desired": {"a": 1}}, qos=2)
        client.publish_and_wait(topic("get"), "", qos=1)
        client.wait(lambda: client.payloads(topic("get/accepted")), "it is answered")
        self.assertEqual(json.loads(client.payloads(topic("get/accepted"))[0])["desired"], {"a": 1})
        client.publish_and_wait(topic("delete"), {"version": 1})
        client.wait(lambda: client.payloads(topic("delete/accepted")), "it is deleted")
        self.assertEqual(self.edge.admin("/v1/twins/press-7").status, 404)
        self.assertEqual(client.payloads(topic("document"))[-1], b"")
        # Nobody writes the documents themselves.
        self.assertEqual(client.publish_and_wait(topic("document"), "{}"), 0x87)

    def test_http(self):
        for body, status, code in (("{", 400, "twin.request"), ('{"desired":{"a":"' + "x" * 40000 + '"}}', 413, "twin.too-large"),
                                   ('{"desired":{},"version":9}', 409, "twin.version")):
            answer = self.edge.admin("/v1/twins/press-7", "PATCH", body)
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (status, code))
        self.assertEqual(self.edge.admin("/v1/twins/a%2Fb").json()["error"]["code"], "twin.device")
        self.assertEqual(self.edge.admin("/v1/twins/press-7", "POST", "{}").status, 405)
        for i in range(10):
            self.patch({"desired": {"n": i}}, f"d{i}")
        page = self.edge.admin("/v1/twins?limit=4").json()
        self.assertEqual(([t["device"] for t in page["twins"]], page["more"]), (["d0", "d1", "d2", "d3"], True))
        page = self.edge.admin("/v1/twins?limit=9&after=d3").json()
        self.assertEqual(([t["device"] for t in page["twins"]], page["more"]), ([f"d{i}" for i in range(4, 10)], False))
        self.assertEqual(self.edge.admin("/v1/twins/d3?version=7", "DELETE").status, 409)
        self.assertEqual(self.edge.admin("/v1/twins/d3?version=1", "DELETE").json(), {"device": "d3"})
        self.assertEqual(self.edge.admin("/v1/twins/d3", "DELETE").status, 404)

    def test_versions_hold_against_each_other(self):
        self.patch({"reported": {"n": 0}})
        lost = []

        def count(name):
            for _ in range(30):
                while True:
                    twin = self.edge.admin("/v1/twins/press-7").json()
                    change = {"reported": {"n": twin["reported"]["n"] + 1, "by": name}, "version": twin["version"]}
                    answer = self.patch(change)
                    if answer.status == 200:
                        break
                    if answer.status != 409:
                        lost.append(answer)
                        return

        threads = [threading.Thread(target=count, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(lost, [])
        twin = self.edge.admin("/v1/twins/press-7").json()
        self.assertEqual((twin["reported"]["n"], twin["version"]), (90, 91))

    def test_what_was_accepted_survives_kills(self):
        client = self.mqtt(self.edge, "app")
        client.subscribe("$verge/twin/+/set/accepted", 1)
        for round_number in range(3):
            for i in range(20):
                self.assertEqual(self.patch({"desired": {f"k{i}": round_number}}, f"d{i}").status, 200)
                client.publish_and_wait(topic("set", f"m{i}"), {"reported": {"round": round_number}})
            self.edge.kill9()
            self.edge.start()
            twins = {t["device"]: t for t in self.edge.admin("/v1/twins").json()["twins"]}
            self.assertEqual(len(twins), 40)
            for i in range(20):
                self.assertEqual((twins[f"d{i}"]["desired"], twins[f"d{i}"]["version"]),
                                 ({f"k{i}": round_number}, round_number + 1))
                self.assertEqual((twins[f"m{i}"]["reported"], twins[f"m{i}"]["version"]),
                                 ({"round": round_number}, round_number + 1))
            reader = self.mqtt(self.edge, "reader")
            reader.subscribe("$verge/twin/+/delta", 1)
            reader.wait_messages(20)
            reader.close()
        for i in range(20):
            self.assertEqual(self.edge.admin(f"/v1/twins/d{i}", "DELETE").status, 200)
        self.edge.kill9()
        self.edge.start()
        self.assertEqual(len(self.edge.admin("/v1/twins").json()["twins"]), 20)

    def test_bounds(self):
        few = self.node("few", sets=["runtime.loops=1", "mqtt.twins_max=2", "mqtt.twin_bytes_max=256"]).start()
        answers = [few.admin(f"/v1/twins/d{i}", "PATCH", '{"desired":{}}').status for i in range(5)]
        self.assertEqual((answers[0], answers[-1]), (200, 507))
        few.kill9()
        few.start()
        self.assertEqual(few.admin("/v1/twins/more", "PATCH", '{"desired":{}}').status, 507, "those of before count")
        self.assertEqual(few.admin("/v1/twins/d0", "PATCH", json.dumps({"desired": {"a": "x" * 256}})).status, 413)
        self.assertEqual(few.admin("/v1/twins/d0", "DELETE").status, 200)

    def test_rules_of_access_say_who_may(self):
        acl = """
[[mqtt.acl]]
topics = "$verge/twin/%c/#"
"""
        guarded = self.node("guarded", acl).start()
        device = self.mqtt(guarded, "press-7")
        self.assertEqual(device.publish_and_wait(topic("set"), {"reported": {"a": 1}}), 0)
        self.assertEqual(device.publish_and_wait(topic("set", "press-8"), {"reported": {"a": 1}}), 0x87)
        self.assertEqual(device.subscribe(topic("delta")), [1])
        self.assertEqual(device.subscribe(topic("delta", "press-8")), [0x87])

    def test_a_rule_sets_a_twin(self):
        rules = """
[[rule]]
name = "too hot"
sql = "SELECT device, temperature FROM 'plant/+/oven' WHERE temperature > 100"
do = [{ publish = "$verge/twin/${device}/set", payload = '{"desired":{"power":"off"}}' }]
"""
        edge = self.node("ruled", rules, sets=["runtime.loops=3"]).start()
        for i in range(4):
            self.mqtt(edge, f"d{i}").publish_and_wait(f"plant/d{i}/oven", {"device": f"d{i}", "temperature": 120})
        verge.wait_until(lambda: len(edge.admin("/v1/twins").json()["twins"]) == 4, "the twins are set")
        self.assertEqual(edge.admin("/v1/twins/d2").json()["desired"], {"power": "off"})

    def test_from_the_command_line(self):
        admin = ["--admin", self.edge.addresses["admin"]]
        made = verge.run("twin", "set", "press-7", "--desired", '{"speed":3}', "--json", *admin)
        self.assertEqual((made.returncode, json.loads(made.stdout)["version"]), (0, 1), made.stderr)
        wrong = verge.run("twin", "set", "press-7", "--desired", '{"speed":4}', "--version", "7", *admin)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("twin.version", wrong.stderr)
        self.assertEqual(verge.run("twin", "set", "press-7", *admin).returncode, 2)
        shown = verge.run("twin", "get", "press-7", *admin)
        self.assertEqual((shown.returncode, shown.stdout.splitlines()[0]), (0, "press-7  version 1"))
        listed = verge.run("twin", "list", "--json", *admin)
        self.assertEqual([json.loads(line)["device"] for line in listed.stdout.splitlines()], ["press-7"])
        watched = verge.run("twin", "watch", "press-7", "--json", "--count", "2", "--target", self.edge.addresses["mqtt"])
        self.assertEqual({json.loads(line)["topic"] for line in watched.stdout.splitlines()},
                         {topic("document"), topic("delta")}, watched.stderr)
        gone = verge.run("twin", "delete", "press-7", *admin)
        self.assertEqual(gone.returncode, 0, gone.stderr)
        self.assertEqual(verge.run("twin", "get", "press-7", *admin).returncode, 1)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
