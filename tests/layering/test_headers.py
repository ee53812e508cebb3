#!/usr/bin/env python3
"""Every header compiles on its own: it includes what it needs. (The precompiled header would hide what is missing.)

The compiler and its flags come from the build's compile_commands.json, given as the first argument; those of the headers
that include V8 from a file that does.

Most of the time would go to headers that are read again and again. So some sets of them are precompiled, and a header is checked
with the largest of these sets that is part of what it includes by itself or by way of others: it sees no more than without.
A set holds headers of the standard library and of other libraries, and own ones with all that these include.
"""
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SETS = 40
# What they cost, about, as parts of the cheapest ones' cost; others cost 1.
OWN_COST = 0.5
COST = {"CLI/CLI.hpp": 50, "toml++/toml.h": 25, "simdjson.h": 40, "fmt/format.h": 12, "fmt/ranges.h": 6, "gtest/gtest.h": 30, "openssl/ssl.h": 6,
        "openssl/evp.h": 3, "nghttp2/nghttp2.h": 3, "zstd.h": 1,
        "string": 4, "memory": 4, "functional": 6, "chrono": 6, "thread": 5, "mutex": 4, "condition_variable": 5, "map": 2,
        "unordered_map": 3, "expected": 2, "atomic": 2, "variant": 2, "deque": 2, "filesystem": 8, "cmath": 2, "algorithm": 6}


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


def closures(headers):
    """For each header all that it includes, also by way of others: names as in <...>, own headers as paths; itself, too."""
    found = {}

    def of(header):
        if header not in found:
            found[header] = {header}  # a circle adds nothing
            for mark, name in INCLUDE.findall(header.read_text()):
                own = next((place / name for place in (ROOT / "src", ROOT, header.parent) if (place / name).exists()), None)
                if mark == '"' and own:
                    found[header] |= of(own.resolve())
                elif mark == "<" and (name in COST or not re.search(r"[./]", name)):
                    found[header].add(name)
        return found[header]

    return {header: frozenset(of(header)) for header in headers}


def cost(names):
    return sum(OWN_COST if isinstance(name, pathlib.Path) else COST.get(name, 1) for name in names)


def chosen_sets(included):
    """Sets that, each header using the largest that is part of what it includes, save the most."""
    # What a set may be: all of a header's, or what two of them share of the libraries'.
    candidates = {whole - {header} for header, whole in included.items()} | set(included.values())
    libraries = {frozenset(name for name in whole if isinstance(name, str)) for whole in included.values()}
    candidates |= {one & other for one in libraries for other in libraries}
    worth = {names: cost(names) for names in candidates}
    users = {names: [header for header, whole in included.items() if names <= whole and header not in names] for names in candidates}
    candidates = {names for names in candidates if len(users[names]) > 1}
    chosen = {frozenset()}
    saved = dict.fromkeys(included, 0)
    for _ in range(SETS):
        def gain(candidate):
            return sum(max(0, worth[candidate] - saved[header]) for header in users[candidate]) - worth[candidate]

        best = max(candidates, key=gain)
        if gain(best) <= 0:
            break
        chosen.add(best)
        for header in users[best]:
            saved[header] = max(saved[header], worth[best])
    return chosen


def main():
    # Beside tests of workers, whose processes have the idle priority: they would get nothing.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    build = pathlib.Path(sys.argv[1])
    check_only = ["-fsyntax-only", "-O0", f"-I{ROOT}", "-Wno-pragma-once-outside-header"]
    ordinary, with_v8 = (flags(build, source) + check_only for source in ("src/cli/main.cc", "src/workers/realm.cc"))
    headers = sorted((ROOT / "src").rglob("*.h")) + sorted((ROOT / "tests").rglob("*.h"))
    included = closures(headers)
    with tempfile.TemporaryDirectory() as directory, concurrent.futures.ThreadPoolExecutor(2) as pool:
        def precompile(item):
            number, names = item
            source = pathlib.Path(directory) / f"{number}.h"
            source.write_text("#pragma once\n" + "".join(f"#include <{name}>\n" for name in sorted(names, key=str)))
            target = source.with_suffix(".pch")
            command = [word for word in ordinary if word != "-fsyntax-only"]
            # What does not compile is no help; whose fault it is shows when each header is checked.
            done = subprocess.run([*command, "-x", "c++-header", str(source), "-o", str(target)], capture_output=True)
            return names, target if done.returncode == 0 else None

        precompiled = {names: target for names, target in pool.map(precompile, enumerate(chosen_sets(included))) if target}

        def check(header):
            if header.name.startswith("realm"):
                command = with_v8
            else:
                base = max((names for names in precompiled if names < included[header]), key=cost)
                command = ordinary + ["-include-pch", str(precompiled[base])]
            done = subprocess.run([*command, "-x", "c++", str(header)], capture_output=True, text=True)
            return header, done.returncode, done.stderr

        failed = 0
        for header, code, errors in pool.map(check, headers):
            if code != 0:
                failed += 1
                print(f"{header.relative_to(ROOT)} does not compile on its own:\n{errors[:1500]}")
    print(f"{len(headers)} headers, {failed} failed")
    sys.exit(1 if failed or not headers else 0)


main()
