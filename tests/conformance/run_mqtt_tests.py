#!/usr/bin/env python3
"""The public MQTT test suite (https://github.com/eclipse/paho.mqtt.testing, interoperability) against a node.

    tests/conformance/run_mqtt_tests.py [--suite DIR] [--test NAME] [--least OF_311,OF_5]

DIR is a checkout of the suite; without one, in VERGE_MQTT_TESTS or here, it says so and ends with status 0. Runs
client_test.py (MQTT 3.1.1) and client_test5.py (5.0), each in a process of its own against one node with mqtt.toml,
and prints what did not pass and the scores; with --least the exit status is 1 when a score is lower."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))
import verge

# Runs in the suite's folder: the globals that its main programs set, then its tests. The last line is the result.
RUN = """
import json, sys, unittest, logging
logging.getLogger().setLevel(logging.ERROR)
name, host, port, only = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
suite = __import__(name)
suite.host, suite.port, suite.topic_prefix = host, port, "client_test5/"
suite.topics = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
suite.wildtopics = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
suite.nosubscribe_topics = ("test/nosubscribe",)
tests = unittest.defaultTestLoader.loadTestsFromTestCase(suite.Test)
if only:
    tests = unittest.TestSuite(each for each in tests if each.id().endswith("." + only))
result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(tests)
missed = [(each.id(), text.splitlines()[-1]) for each, text in result.failures + result.errors]
print()
print(json.dumps({"ran": result.testsRun, "missed": missed}), flush=True)
"""
SUITES = (("3.1.1", "client_test"), ("5.0", "client_test5"))
SECONDS_MAX = 600


def run(folder, name, node, only):
    host, _, port = node.addresses["mqtt"].rpartition(":")
    ran = subprocess.run([sys.executable, "-c", RUN, name, host, port, only], cwd=folder, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=SECONDS_MAX, check=False,
                         env=os.environ | {"PYTHONPATH": str(folder)})
    if ran.returncode != 0:
        raise SystemExit(f"{name} did not run:\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}")
    if only:
        print(ran.stderr)
    return json.loads(ran.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", default=os.environ.get("VERGE_MQTT_TESTS"))
    parser.add_argument("--test", default="")
    parser.add_argument("--least")
    options = parser.parse_args()
    folder = pathlib.Path(options.suite or "", "interoperability").resolve()
    if not options.suite or not (folder / "client_test5.py").exists():
        print("skipped: no checkout of the MQTT test suite (--suite, VERGE_MQTT_TESTS)")
        return 0
    scores = []
    with tempfile.TemporaryDirectory() as directory:
        node = verge.Node(directory, "mqtt", (HERE / "mqtt.toml").read_text())
        node.start()
        try:
            for version, name in SUITES:
                result = run(folder, name, node, options.test)
                for test, why in result["missed"]:
                    print(f"{test:45} {why}")
                passed = result["ran"] - len(result["missed"])
                scores.append(passed)
                print(f"MQTT {version}: {passed}/{result['ran']}", flush=True)
        finally:
            node.stop()
    if options.least:
        return int(any(score < int(least) for score, least in zip(scores, options.least.split(","))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
