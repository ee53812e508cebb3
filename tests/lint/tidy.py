#!/usr/bin/env python3
"""Runs clang-tidy over every source of a build's compile commands, two at a time.

A file that was clean is not looked at again until its text after preprocessing, its flags, the checks or clang-tidy
itself change: the digests of clean files are kept in BUILD/tidy. Findings go to stdout, progress to stderr; the exit
status is 1 if there was a finding.

    tests/lint/tidy.py build/lint
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIDY = "clang-tidy-19"
# Positions in the preprocessed text name the file and line they come from: only the text counts.
LINE_MARKER = re.compile(rb"^# \d+ .*\n", re.MULTILINE)


def sources(build):
    commands = json.loads((build / "compile_commands.json").read_text())
    ours = re.compile(re.escape(str(ROOT)) + r"/(src|tests|fuzz)/.*\.cc$")
    return {c["file"]: c for c in commands if ours.match(c["file"])}.values()


def digest_of(command, common):
    """SHA-256 of all that clang-tidy's verdict on this file depends on, or None if it does not preprocess."""
    words = shlex.split(command["command"])
    compiler = next(i for i, word in enumerate(words) if "clang++" in os.path.basename(word))
    words = words[compiler:]
    at = words.index("-o")
    del words[at:at + 2]
    words[words.index("-c")] = "-E"
    run = subprocess.run(words, cwd=command["directory"], capture_output=True, check=False)
    if run.returncode != 0:
        return None
    return hashlib.sha256(common + shlex.join(words).encode() + LINE_MARKER.sub(b"", run.stdout)).hexdigest()


def look_at(command, build, clean, common):
    """Returns what is wrong with the file, an empty text if nothing."""
    digest = digest_of(command, common)
    if digest is not None and (clean / digest).exists():
        return ""
    run = subprocess.run([TIDY, "--quiet", "-p", str(build), command["file"]], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return run.stdout or run.stderr
    if digest is not None:
        (clean / digest).touch()
    return ""


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    clean = build / "tidy"
    clean.mkdir(exist_ok=True)
    version = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes() + (ROOT / "cmake/precompiled.h").read_bytes()
    files = sorted(sources(build), key=lambda command: command["file"])
    found = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = {pool.submit(look_at, command, build, clean, common): command for command in files}
        for number, look in enumerate(concurrent.futures.as_completed(looks), 1):
            name = os.path.relpath(looks[look]["file"], ROOT)
            print(f"[{number}/{len(files)}] {name}", file=sys.stderr)
            if look.result():
                found += 1
                print(look.result(), flush=True)
    print(f"{len(files)} files, {found} with findings", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
