"""The main job as `verge demo` runs it: cut and killed on the way, nothing acknowledged is lost or there twice, what was
decided is known at the top, and little of what came in went up."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge


class Demo(verge.TestCase):
    def test_the_main_job(self):
        directory = os.path.join(self.directory, "demo")
        done = verge.run("demo", "--seconds", "12", "--json", "--dir", directory, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        board = json.loads(done.stdout)
        self.assertTrue(board["passed"])
        self.assertEqual((board["lost"], board["duplicated"]), (0, 0))
        self.assertGreater(board["acknowledged"], 100)
        self.assertEqual(board["machines_with_values"], board["machines"])
        self.assertLessEqual(board["percent_sent"], 1.0)
        cloud = os.path.join(directory, "cloud")
        found = verge.run("events", "query", "--data-dir", cloud, "--kind", "action", "--json", "--limit", "100000")
        self.assertEqual(found.returncode, 0, found.stderr)
        reports = [json.loads(line)["payload"] for line in found.stdout.splitlines()]
        self.assertGreater(len(reports), 0, "what was done is known at the top")
        self.assertEqual({report["rule"] for report in reports} - {"overheat", "vibration"}, set())


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
