#!/usr/bin/env python3
"""./dev: a step that fails ends it, and the next call does the step again.

The script runs in an empty tree; whatever it calls is a stub that notes the call, and fails where the test says so.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# $FAIL: an extended regular expression of the calls that fail. $MISSING: Debian packages that are not installed.
STUB = """#!/bin/bash
call="${0##*/} $*"
echo "$call" >>"$CALLS"
if [ -n "$FAIL" ] && [[ "$call" =~ $FAIL ]]; then exit 7; fi
case "$call" in
  dpkg-query*) [[ " $MISSING " = *" ${!#} "* ]] || echo installed ;;
  'apt-cache depends libnode-dev'*) printf 'libnode-dev\\n  Depends: libnode108\\n' ;;
  'apt-get download '*) for name in "${@:2}"; do case $name in -*) ;; *) touch "${name}_1_all.deb" ;; esac; done ;;
  'sudo '*) exec "$@" ;;
esac
"""
STUBS = ("apt-get apt-cache dpkg dpkg-query dpkg-deb sudo npm cmake ninja ctest chromium promtool nats-server "
         "qemu-aarch64 patchelf systemctl").split()


class Dev(unittest.TestCase):
    def setUp(self):
        self.tree = pathlib.Path(tempfile.mkdtemp(prefix="verge-dev-"))
        self.addCleanup(shutil.rmtree, self.tree)
        shutil.copy(ROOT / "dev", self.tree)
        for folder in ("src/workers/web", "web", "tests/mqttjs"):
            (self.tree / folder).mkdir(parents=True)
            for name in ("package.json", "package-lock.json"):
                (self.tree / folder / name).write_text(folder)
        stubs = self.tree / "stubs"
        stubs.mkdir()
        for name in STUBS:
            (stubs / name).write_text(STUB)
            (stubs / name).chmod(0o755)
        # What an earlier build left.
        (self.tree / "build").mkdir()
        shutil.copy(stubs / "cmake", self.tree / "build" / "verge")
        self.calls = self.tree / "calls"

    def dev(self, *arguments, fail="", missing=""):
        """Exit status, and the calls in their order without those that only ask."""
        self.calls.write_text("")
        environment = {"PATH": f"{self.tree}/stubs:/usr/bin:/bin", "HOME": str(self.tree), "CALLS": str(self.calls),
                       "FAIL": fail, "MISSING": missing}
        result = subprocess.run([self.tree / "dev", *arguments], env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        calls = [line for line in self.calls.read_text().splitlines() if not line.startswith("dpkg-query")]
        return result.returncode, calls, result.stdout

    def fails_and_is_done_again(self, step, *arguments, missing="", never="verge|ctest|cmake --build"):
        """The step fails: so does ./dev, and nothing of `never` follows. Then it does not: it is done, and so is the rest."""
        status, calls, said = self.dev(*arguments, fail=step, missing=missing)
        self.assertNotEqual(status, 0, said)
        self.assertRegex("\n".join(calls), step, "the step was tried")
        self.assertNotRegex("\n".join(calls), f"(?m)^({never})", "nothing follows it")
        status, calls, said = self.dev(*arguments, missing=missing)
        self.assertEqual(status, 0, said)
        self.assertRegex("\n".join(calls), step, "the step is done again")

    def test_all_is_well(self):
        status, calls, said = self.dev("demo", "--seconds", "5")
        self.assertEqual(status, 0, said)
        self.assertEqual(calls[-3:], ["cmake --preset release", "cmake --build --preset release --target verge",
                                      "verge demo --seconds 5"])

    def test_configuring(self):
        for command in ("demo", "build"):
            with self.subTest(command=command):
                self.fails_and_is_done_again("cmake --preset release", command)

    def test_building(self):
        self.fails_and_is_done_again("cmake --build", "demo", never="verge|ctest")

    def test_the_program_itself(self):
        status, _, _ = self.dev("demo", fail="^verge demo")
        self.assertEqual(status, 7, "its exit status is that of ./dev")

    def test_packages_of_debian(self):
        for step in ("apt-get update", "apt-get install"):
            for command in ("demo", "build", "deps"):
                with self.subTest(step=step, command=command):
                    self.fails_and_is_done_again(step, command, missing="ninja-build", never="npm|cmake|verge")

    def test_libnode(self):
        for step in ("apt-get download", "dpkg-deb -f", "dpkg -x"):
            with self.subTest(step=step):
                shutil.rmtree(self.tree / "build/deps", ignore_errors=True)
                self.fails_and_is_done_again(step, "demo", missing="libnode-dev", never="npm|cmake|verge")

    def test_packages_of_npm(self):
        for step in ("npm ci --prefix build/deps/web", "npm ci --prefix build/deps/dashboard"):
            with self.subTest(step=step):
                shutil.rmtree(self.tree / "build/deps", ignore_errors=True)
                self.fails_and_is_done_again(step, "demo", never="cmake|verge")
        _, calls, _ = self.dev("demo")
        self.assertNotRegex("\n".join(calls), "npm", "what is installed is not installed again")

    def test_another_architecture(self):
        status, calls, said = self.dev("build", "--arch", "foo")
        self.assertEqual(status, 2, said)
        self.assertIn("'foo' is no architecture", said)
        self.assertNotRegex("\n".join(calls), "(?m)^cmake")
        for command in ("build", "test", "package"):
            with self.subTest(command=command):
                status, calls, said = self.dev(command, "--arch", "arm64", fail="apt-get .*--download-only")
                self.assertNotEqual(status, 0, said)
                self.assertNotRegex("\n".join(calls), "(?m)^(cmake|ctest)")
        status, calls, said = self.dev("demo", "--arch", "arm64")
        self.assertEqual((status, calls), (2, []), said)

    def test_tests(self):
        for step in ("cmake --preset release", "cmake --build"):
            with self.subTest(step=step):
                self.fails_and_is_done_again(step, "test", never="ctest")
        status, _, _ = self.dev("test", fail="^ctest")
        self.assertNotEqual(status, 0)
        status, calls, said = self.dev("test", fail="npm ci --prefix build/deps/mqttjs")
        self.assertEqual(status, 0, "it was installed before: " + said)
        shutil.rmtree(self.tree / "build/deps/mqttjs")
        self.fails_and_is_done_again("npm ci --prefix build/deps/mqttjs", "test", never="ctest")


if __name__ == "__main__":
    unittest.main()
