#!/usr/bin/env python3
"""The examples are good as they stand, and every rule that the README and the examples show is accepted."""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import verge  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Examples(unittest.TestCase):
    def check(self, path):
        return subprocess.run([verge.VERGE, "check", str(path)], capture_output=True, text=True, timeout=30)

    def test_every_example_is_good(self):
        files = sorted((ROOT / "examples").glob("*.toml"))
        self.assertGreaterEqual(len(files), 3)
        for path in files:
            with self.subTest(path=path.name):
                done = self.check(path)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_rule_in_the_readme_is_the_one_of_the_example(self):
        text = (ROOT / "README.md").read_text()
        shown = re.search(r"((?:    .*\n)*    \[\[rule\]\]\n(?:    .+\n)+)", text).group(1)
        rule = "\n".join(line[4:] for line in shown.splitlines())
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "readme.toml")
            path.write_text(rule)
            done = self.check(path)
        self.assertEqual(done.returncode, 0, done.stderr)
        example = (ROOT / "examples/oven.toml").read_text()
        sql = re.search(r'"SELECT .*"', rule).group(0)
        self.assertIn(sql, example)


if __name__ == "__main__":
    unittest.main()
