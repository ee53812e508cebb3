"""MQTT.js, by TCP, TLS, WebSocket and WebSocket over TLS, as MQTT 3.1.1 and 5."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from certificates import Authority

PACKAGES = os.path.join(verge.REPOSITORY, "build", "deps", "mqttjs", "node_modules")
SCRIPT = os.path.join(verge.REPOSITORY, "tests", "mqttjs", "client.mjs")
EITHER = ["qualities", "manyInOrder", "large", "retained", "will", "session", "takeover"]
ONLY_5 = ["properties", "sharedSubscriptions"]


@verge.unittest.skipUnless(shutil.which("node") and os.path.isdir(os.path.join(PACKAGES, "mqtt")),
                           "MQTT.js is not there: ./dev deps installs it")
class MqttJs(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.ca = Authority(self.directory)
        self.edge = self.node("edge", sets=["runtime.loops=3"])
        shown = self.ca.issue(f"IP:{self.edge.host}")
        self.edge.write_config(f'[tls]\ncertificate = "{shown.pem}"\nkey = "{shown.key}"\n')
        self.edge.sets += [f"mqtt.{name}={self.edge.host}:0" for name in ("tls_listen", "ws_listen", "ws_tls_listen")]
        self.edge.start()

    def run_all(self, scheme, listener, path=""):
        url = f"{scheme}://{self.edge.addresses[listener]}{path}"
        for version in (4, 5):
            with self.subTest(version=version):
                ran = subprocess.run(["node", SCRIPT, url, str(version), *([self.ca.pem] if "tls" in listener else [])],
                                     env={**os.environ, "MQTTJS": os.path.dirname(PACKAGES)}, capture_output=True,
                                     text=True, timeout=4 * verge.PATIENCE, check=False)
                self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
                self.assertEqual(ran.stdout.split(), EITHER + (ONLY_5 if version == 5 else []))

    def test_by_tcp(self):
        self.run_all("mqtt", "mqtt")

    def test_by_tls(self):
        self.run_all("mqtts", "mqtt_tls")

    def test_by_websocket(self):
        self.run_all("ws", "mqtt_ws", "/mqtt")

    def test_by_websocket_over_tls(self):
        self.run_all("wss", "mqtt_ws_tls", "/mqtt")


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
