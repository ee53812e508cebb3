"""How fast MQTT clients may send: held by not being read, or closed; alone and all together."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from verge import publish_packet

RATE_TOO_HIGH = 0x96


class Rates(verge.TestCase):
    def edge(self, *sets):
        # One loop, so that the rate of all together is not divided.
        return self.node("edge", sets=["runtime.loops=1", *sets]).start()

    def counted(self, node, name):
        for text in node.admin("/metrics").body.decode().splitlines():
            if text.startswith(name + " "):
                return int(float(text.split()[1]))
        raise AssertionError(f"no {name}")

    def burst(self, clients, count, payload=b"x", version=5):
        """Publishes `count` at QoS 1 from each client and waits for all acknowledgements; how long that took."""
        began = time.monotonic()
        for client in clients:
            client.send(b"".join(publish_packet("a", payload, packet_id=number + 1, version=version)
                                 for number in range(count)))
        for client in clients:
            for number in range(count):
                first, body = client.receive()
                self.assertEqual((first, body[:2]), (0x40, (number + 1).to_bytes(2, "big")))
        return time.monotonic() - began

    def test_a_client_that_is_too_fast_is_read_no_further(self):
        edge = self.edge("mqtt.client_messages_max=100")
        client = self.raw(edge, keepalive=1)
        quiet = self.raw(edge, client_id="quiet")
        self.assertEqual(self.counted(edge, "verge_mqtt_rate_held_total"), 0)
        # A second's worth at once, and the rest at the rate: nothing is lost, and no keep-alive runs out.
        client.send(b"".join(publish_packet("a", b"x", packet_id=number + 1) for number in range(350)))
        began = time.monotonic()
        self.assertLess(self.burst([quiet], 50), 1.5, "the others are as fast as they were")
        for _ in range(350):
            self.assertEqual(client.receive()[0], 0x40)
        self.assertGreater(time.monotonic() - began, 2.4)
        self.assertGreater(self.counted(edge, "verge_mqtt_rate_held_total"), 0)
        self.assertEqual(edge.status()["mqtt"]["received"], 400)

    def test_bytes_count_too(self):
        edge = self.edge("mqtt.client_bytes_max=20KiB")
        client = self.raw(edge)
        self.assertGreater(self.burst([client], 60, b"x" * 1024), 1.9)

    def test_all_together(self):
        edge = self.edge("mqtt.total_messages_max=100")
        clients = [self.raw(edge, client_id=f"client-{number}") for number in range(4)]
        self.assertGreater(self.burst(clients, 80), 2.1)

    def test_or_it_is_closed(self):
        edge = self.edge("mqtt.client_messages_max=10", "mqtt.client_rate_policy=disconnect")
        for version in (4, 5):
            client = self.raw(edge, version=version, client_id=f"fast-{version}")
            client.send(b"".join(publish_packet("a", qos=0, version=version) for _ in range(20)))
            said = client.receive_all()
            self.assertEqual([(first, body[0]) for first, body in said],
                             [(0xE0, RATE_TOO_HIGH)] if version == 5 else [])
        self.assertEqual(self.counted(edge, "verge_mqtt_rate_closed_total"), 2)
        slow = self.raw(edge, client_id="slow")
        self.assertLess(self.burst([slow], 9), 5)

    def test_rates_change_with_sighup(self):
        edge = self.edge()
        client = self.raw(edge)
        self.assertLess(self.burst([client], 200), 2)
        edge.write_config("[mqtt]\nclient_messages_max = 50\n")
        edge.signal(verge.signal.SIGHUP)
        verge.wait_until(lambda: "the configuration was reloaded" in edge.log(), "the reload")
        self.assertGreater(self.burst([client], 150), 1.9)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
