"""Debian's Chromium, driven by playwright-core (tests/dashboard/browser.mjs), with a fresh profile."""

import json
import os
import shutil
import subprocess
import tempfile

import verge

PACKAGES = os.path.join(verge.REPOSITORY, "build", "deps", "dashboard", "node_modules")
CHROMIUM = shutil.which("chromium")
NODE = shutil.which("node") or shutil.which("nodejs")


def missing():
    """What is not here for looking at pages; None when all is."""
    if CHROMIUM is None:
        return "chromium is not installed (./dev deps installs it where it is to be had)"
    if NODE is None or not os.path.isdir(os.path.join(PACKAGES, "playwright-core")):
        return "playwright-core is not installed (./dev deps)"
    return None


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="verge-chromium-")
        script = os.path.join(verge.REPOSITORY, "tests", "dashboard", "browser.mjs")
        # A home of its own: what fonts and settings leave there goes with it.
        environment = {**os.environ, "HOME": self.profile, "XDG_CONFIG_HOME": self.profile, "XDG_CACHE_HOME": self.profile}
        self.process = verge.spawn([NODE, script, PACKAGES, CHROMIUM, os.path.join(self.profile, "profile")],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def do(self, action, **options):
        self.process.stdin.write(json.dumps({"do": action, **options}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the browser has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(f"{action} {options}: {answer['error']}")
        return answer["value"]

    def open(self, url, **options):
        self.do("open", url=url, **options)

    def wait(self, script, what=None, ms=20_000):
        """Until the expression is true on the page."""
        try:
            self.do("wait", script=script, ms=ms)
        except AssertionError as problem:
            text = self.do("evaluate", script="document.body.innerText")
            raise AssertionError(f"{what or script}: {problem}; the page says:\n{text[:3000]}") from None

    def text(self, selector):
        """What is read there; None where there is nothing."""
        return self.do("evaluate", script=f"document.querySelector({json.dumps(selector)})?.innerText ?? null")

    def figure(self, name):
        """What a tile or a cell shows for a figure of the API."""
        return self.text(f'[data-id="{name}"]')

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                pass
        verge.end(self.process)
        shutil.rmtree(self.profile, ignore_errors=True)
