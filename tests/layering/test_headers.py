#!/usr/bin/env python3
"""Every header compiles on its own: it includes what it needs. (The precompiled header would hide what is missing.)

The compiler and its flags come from the build's compile_commands.json, given as the first argument; those of the headers
that include V8 from a file that does.
"""
import concurrent.futures
import json
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def flags(build, source):
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if not entry["file"].endswith(source):
            continue
        words = shlex.split(entry["command"])
        words = words[next(i for i, word in enumerate(words) if "clang++" in word):]
        kept, skip = [], 0
        for word in words:
            if skip:
                skip -= 1
            elif word == "-Xclang":
                skip = 1
            elif word in ("-o", "-c", "-MT", "-MF", "-MD"):
                skip = 0 if word == "-MD" else 1
            elif not word.startswith(("-fsanitize", "-Winvalid-pch")):
                kept.append(word)
        return kept
    sys.exit(f"{source} is not in compile_commands.json")


def main():
    build = pathlib.Path(sys.argv[1])
    ordinary, with_v8 = flags(build, "src/cli/main.cc"), flags(build, "src/workers/realm.cc")
    headers = sorted((ROOT / "src").rglob("*.h")) + sorted((ROOT / "tests").rglob("*.h"))

    def check(header):
        compiler = with_v8 if header.name.startswith("realm") else ordinary
        command = compiler + ["-fsyntax-only", "-O0", f"-I{ROOT}", "-Wno-pragma-once-outside-header", "-x", "c++", str(header)]
        done = subprocess.run(command, capture_output=True, text=True)
        return header, done.returncode, done.stderr

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for header, code, errors in pool.map(check, headers):
            if code != 0:
                failed += 1
                print(f"{header.relative_to(ROOT)} does not compile on its own:\n{errors[:1500]}")
    print(f"{len(headers)} headers, {failed} failed")
    sys.exit(1 if failed or not headers else 0)


main()
