#!/usr/bin/env python3
"""Runs web platform tests in verge-web-shell and prints how many subtests pass, a folder.

    run_web_platform_tests.py --suite DIR [--suite DIR…] [--folder url]… [--file encoding/textdecoder-labels.any.js]… [--failures]

A suite is a checkout of github.com/web-platform-tests/wpt, or the part of it that another runtime keeps: Node.js
(test/fixtures/wpt), undici (test/fixtures/wpt), llrt (tests/unit/web-platform-tests). It is not part of this repository;
without one the run is skipped. Tests in .any.js and .window.js are run; those in .html, which need a document, are not.
Tentative tests (a file's or a subtest's name says so) are counted apart. A server on the loopback address gives the suite's
files and runs its Python handlers, with as much of wptserve as they need. Those of WebSockets are run by `verge worker run`
instead, and their pages of nothing but scripts too (wpt_socket_tests.py).
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
from wpt_server import serve  # noqa: E402
from wpt_suite import directives, scripts_of  # noqa: E402
import wpt_socket_tests  # noqa: E402

FOLDERS = [
    "url", "encoding", "streams", "fetch/api/headers", "fetch/api/request", "fetch/api/response", "fetch/api/body",
    "FileAPI", "dom/abort", "dom/events", "html/webappapis/atob", "html/webappapis/structured-clone",
    "html/webappapis/timers", "html/webappapis/microtask-queuing", "wasm/jsapi", "urlpattern", "compression", "WebCryptoAPI",
    wpt_socket_tests.FOLDER,
]
PASS = 0
# They test a browser's own HTTP cache: two fetches, of which the second must not reach the server. A worker's cache is the
# node's, and behind the host.
NEEDS_BROWSER_CACHE = re.compile(r"^fetch/api/request/request-cache-")
CACHE_REASON = "files test the HTTP cache of a browser"
# A .window.js test that makes documents, frames or elements tests a browser.
NEEDS_DOCUMENT = re.compile(r"\bdocument\.|\bdocument\b\s*[,)]|createElement|iframe|window\.open|new Worker\(|ShadowRealm")


def find_tests(suite, folder, skipped):
    for path in sorted((suite / folder).rglob("*.js")):
        relative = str(path.relative_to(suite))
        if not (relative.endswith(".any.js") or relative.endswith(".window.js")) or "/resources/" in relative:
            continue
        if NEEDS_BROWSER_CACHE.search(relative):
            skipped[CACHE_REASON] = skipped.get(CACHE_REASON, 0) + 1
            continue
        source = path.read_text(errors="replace")
        if relative.endswith(".window.js") and NEEDS_DOCUMENT.search(source):
            continue
        globals_wanted = [value for key, value in directives(source) if key == "global"]
        if relative.endswith("-shadowrealm.window.js") or (globals_wanted and globals_wanted[0].strip() == "shadowrealm"):
            continue
        variants = [value for key, value in directives(source) if key == "variant"] or [""]
        for variant in variants:
            yield path, variant


def as_script(path, scratch):
    """llrt keeps tests as modules, `export default function ({ test, … }) { … }`: the same as a classic script."""
    text = path.read_text(errors="replace")
    if not re.search(r"^export default function", text, re.M):
        return path
    copy = pathlib.Path(scratch) / path.name
    copy.write_text(re.sub(r"^export default function", "globalThis.run_module = function", text, count=1, flags=re.M) +
                    "\n;globalThis.run_module(globalThis);\n")
    return copy


def read_results(process, seconds):
    """The subtests of a process that runs a file: [(name, passed, message)]. The process is ended."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    result, noise = None, []
    reader = threading.Thread(target=lambda: noise.append(process.stderr.read()), daemon=True)
    reader.start()
    for line in process.stdout:
        if line.startswith("WPT-RESULT "):
            result = json.loads(line[len("WPT-RESULT "):])
            process.kill()
            break
    process.wait()
    timer.cancel()
    reader.join(5)
    if result is None or result["status"] != 0 and not result["tests"]:
        why = (result or {}).get("message") or " ".join(noise).strip()[:300] or f"exit {process.returncode}"
        return [("(the whole file)", False, why)]
    rows = [(entry["name"], entry["status"] == PASS, entry["message"] or "") for entry in result["tests"]]
    if result["status"] not in (0, None):
        rows.append(("(the harness)", False, result["message"] or ""))
    return rows


def run_socket_test(servers, suite, harness, base, test, variant):
    relative = test.relative_to(suite)
    url = f"{base}/{relative}".replace(".any.js", ".any.html") + variant
    with tempfile.TemporaryDirectory() as scratch:
        process, seconds = servers.start(suite, harness, url, test, scratch)
        if isinstance(process, str):
            return [("(the whole file)", False, process)]
        return read_results(process, seconds)


def run_test(shell, suite, harness, base, test, variant):
    """The subtests of one file: [(name, passed, message)]."""
    source = test.read_text(errors="replace")
    absent = [path.name for path in scripts_of(suite, test, source) if not path.is_file()]
    if absent:
        return [("(the whole file)", False, f"the suite has no {absent[0]}")]
    relative = test.relative_to(suite)
    url = f"{base}/{relative}".replace(".any.js", ".any.html") + variant
    with tempfile.TemporaryDirectory() as scratch:
        prelude = pathlib.Path(scratch) / "prelude.js"
        prelude.write_text((HERE / "wpt_prelude.js").read_text().replace("%URL%", url))
        end = pathlib.Path(scratch) / "end.js"
        end.write_text("done();")
        files = [prelude, harness, HERE / "wpt_report.js", *(as_script(path, scratch) for path in (*scripts_of(suite, test, source), test)), end]
        long = any(key == "timeout" and value == "long" for key, value in directives(source))
        process = subprocess.Popen([shell, "script", *map(str, files)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, errors="replace")
        return read_results(process, 120 if long else 40)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=pathlib.Path, action="append", default=[])
    parser.add_argument("--folder", action="append")
    parser.add_argument("--file", action="append", help="only this file")
    parser.add_argument("--shell", default=str(ROOT / "build/release/verge-web-shell"))
    parser.add_argument("--verge", default=str(ROOT / "build/verge"))
    parser.add_argument("--failures", action="store_true", help="print each subtest that fails")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    suites = [suite.resolve() for suite in options.suite if suite.is_dir()]
    if not suites:
        print("skipped: no suite of web platform tests is here (--suite)", file=sys.stderr)
        return 0
    totals, skipped = {}, {}
    for suite in suites:
        # llrt's own is a module: another suite's serves.
        harness = next((other / "resources/testharness.js" for other in [suite, *suites]
                        if (other / "resources/testharness.js").is_file()
                        and "export default" not in (other / "resources/testharness.js").read_text()), None)
        if harness is None:
            print(f"skipped: {suite} has no resources/testharness.js, and no other --suite has one", file=sys.stderr)
            continue
        base, close = serve([suite, *suites])
        with contextlib.ExitStack() as cleanup, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            cleanup.callback(close)
            for folder in options.folder or FOLDERS:
                if not (suite / folder).is_dir():
                    continue
                left_out = skipped.setdefault(folder, {})
                if folder == wpt_socket_tests.FOLDER:
                    servers = wpt_socket_tests.Servers([suite, *suites], options.verge)
                    cleanup.callback(servers.close)
                    found, run, program = wpt_socket_tests.find(suite, left_out), run_socket_test, servers
                else:
                    found, run, program = find_tests(suite, folder, left_out), run_test, options.shell
                tests = [(test, variant) for test, variant in found
                         if not options.file or str(test.relative_to(suite)) in options.file]
                running = [pool.submit(run, program, suite, harness, base, *test) for test in tests]
                for (test, variant), future in zip(tests, running):
                    name = f"{test.relative_to(suite)}{variant}"
                    for subtest, passed, message in future.result():
                        kind = "tentative" if "tentative" in name or "tentative" in subtest.lower() else "standard"
                        count = totals.setdefault(folder, {"standard": [0, 0], "tentative": [0, 0]})[kind]
                        count[0] += passed
                        count[1] += 1
                        if options.failures and not passed:
                            print(f"FAIL {name}: {subtest}: {message[:200]}", flush=True)
    if options.json:
        print(json.dumps(totals))
        return 0
    for folder, kinds in totals.items():
        passed, all_tests = kinds["standard"]
        tentative = f", tentative {kinds['tentative'][0]} of {kinds['tentative'][1]}" if kinds["tentative"][1] else ""
        print(f"{folder}: {passed} of {all_tests} subtests, {100 * passed / max(all_tests, 1):.1f} %{tentative}")
    for folder in options.folder or FOLDERS:
        if not any((suite / folder).is_dir() for suite in suites):
            print(f"{folder}: skipped: no suite has it")
    for folder, reasons in skipped.items():
        for reason, count in reasons.items():
            print(f"{folder}: not run: {count} {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
