#!/usr/bin/env python3
"""The public cache test suite (https://github.com/http-tests/cache-tests) against a node.

    tests/conformance/run_cache_tests.py [--suite DIR] [--test ID] [--least REQUIRED,OPTIMAL,CHECK]

DIR is a checkout of the suite; without one, in VERGE_CACHE_TESTS or here, it says so and ends with status 0. What the
suite needs of npm is installed beside a copy of it. Prints the score, and what did not pass; with --least the exit
status is 1 when the score is lower."""
import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))
import verge

# Judges results by the suite's own rules: a test counts when it and all that it depends on passed.
JUDGE = """
import tests from %(suite)s
import { determineTestResult, resultTypes } from %(results)s
import fs from 'fs'
const results = JSON.parse(fs.readFileSync(process.argv[2]))
const score = { required: [0, 0], optimal: [0, 0], check: [0, 0] }
const missed = []
for (const suite of tests) for (const test of suite.tests) {
  if (test.browser_only === true) continue
  const kind = test.kind || 'required'
  const result = determineTestResult(tests, test.id, results)
  const passed = result === resultTypes.pass || result === resultTypes.yes
  score[kind][0] += passed ? 1 : 0
  score[kind][1] += 1
  if (!passed) {
    const verdict = Object.keys(resultTypes).find(name => resultTypes[name] === result)
    missed.push([kind, test.id, verdict, Array.isArray(results[test.id]) ? results[test.id][1] : ''])
  }
}
console.log(JSON.stringify({ score, missed }))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def install(suite, directory):
    copy = pathlib.Path(directory, "suite")
    shutil.copytree(suite, copy, ignore=shutil.ignore_patterns(".git"))
    if not (copy / "node_modules/undici").exists():
        subprocess.run(["npm", "install", "--omit=dev", "--no-audit", "--no-fund", "--silent", "--no-save", "undici@7"],
                       cwd=copy, check=True, stdout=sys.stderr)
    return copy


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", default=os.environ.get("VERGE_CACHE_TESTS"))
    parser.add_argument("--test", default="")
    parser.add_argument("--least")
    options = parser.parse_args()
    if not options.suite or not os.path.isdir(options.suite) or shutil.which("node") is None:
        print("skipped: no checkout of the cache test suite (--suite, VERGE_CACHE_TESTS), or no Node.js")
        return 0
    with tempfile.TemporaryDirectory() as directory:
        suite = install(options.suite, directory)
        port = free_port()
        environment = os.environ | {"npm_config_port": str(port), "npm_config_protocol": "http", "npm_package_config_id": options.test,
                                    "npm_config_pidfile": f"{directory}/pid"}
        origin = subprocess.Popen(["node", "test-engine/server/server.mjs"], cwd=suite, env=environment,
                                  stdout=subprocess.PIPE, text=True)
        node = verge.Node(directory, "cache", (HERE / "cache.toml").read_text(),
                          sets=[f'site.0.origins=["http://127.0.0.1:{port}"]'])
        try:
            origin.stdout.readline()  # it listens
            node.start()
            environment["npm_config_base"] = node.http_url
            ran = subprocess.run(["node", "--no-warnings", "test-engine/cli.mjs"], cwd=suite, env=environment,
                                 capture_output=not options.test, text=True)
            if options.test:
                return ran.returncode
            if ran.returncode != 0:
                print(ran.stderr, file=sys.stderr)
                return ran.returncode
        finally:
            node.stop()
            origin.terminate()
            origin.wait()
        results = pathlib.Path(directory, "results.json")
        results.write_text(ran.stdout[ran.stdout.index("{"):])
        judge = suite / "judge.mjs"
        judge.write_text(JUDGE % {"suite": json.dumps(str(suite / "tests/index.mjs")),
                                  "results": json.dumps(str(suite / "test-engine/lib/results.mjs"))})
        verdict = json.loads(subprocess.run(["node", str(judge), str(results)], capture_output=True, text=True,
                                            check=True).stdout)
    for kind, test, result, why in sorted(verdict["missed"]):
        print(f"{kind:9} {test:45} {result:16} {why}")
    score = verdict["score"]
    print(", ".join(f"{kind} {passed}/{total}" for kind, (passed, total) in score.items()))
    if options.least:
        least = [int(number) for number in options.least.split(",")]
        return int(any(score[kind][0] < number for kind, number in zip(("required", "optimal", "check"), least)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
