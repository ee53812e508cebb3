#!/usr/bin/env python3
"""docs/mqtt-conformance.md, from the list of clauses beside this file and the tests that name them:

    # clauses: 3 1.5.3-1 1.5.3-2; 5 1.5.4-1          (in C++: // clauses: …)

in a test says which it proves. Without arguments the page is written; with --check status 1 says that it is not up to
date, or that a tag names no clause."""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLAUSES = ROOT / "tests/conformance/mqtt_clauses.txt"
PAGE = ROOT / "docs/mqtt-conformance.md"
NAMES = {"3": "MQTT 3.1.1", "5": "MQTT 5.0"}
TAG = re.compile(r"(?:#|//) clauses: (.*)")
TEST = re.compile(r"^\s*def (test_\w+)|^class (\w+)\(|^TEST(?:_F)?\((\w+), (\w+)\)")
HEADER = """# Conformance

Every numbered demand (MUST) of the two standards that touches a server, and the tests that prove it here. Made by
`tests/conformance/mqtt_clauses.py` from the list of clauses and from tags in the tests; a test sees that it is up to date. The wording
is ours and short; the standards decide ([3.1.1](https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html),
[5.0](https://docs.oasis-open.org/mqtt/mqtt/v5.0/os/mqtt-v5.0-os.html)). What a client alone has to do is not here.

"""


def read_clauses():
    """By version and number: what it demands, and whether it can arise."""
    found = {}
    for line in CLAUSES.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        version, number, text = line.split(" ", 2)
        if (version, number) in found:
            sys.exit(f"{CLAUSES.name}: {version} {number} is there twice")
        found[version, number] = (text.removeprefix("! "), not text.startswith("! "))
    return found


def read_tags():
    """By version and number: the tests that name it."""
    found = collections.defaultdict(list)
    paths = [*ROOT.glob("tests/integration/test_*.py"), *ROOT.glob("src/*/*_test.cc")]
    for path in sorted(paths):
        owner = test = None
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := TEST.match(line):
                if match[1]:
                    test = f"{owner}.{match[1]}"
                elif match[2]:
                    owner = match[2]
                else:
                    test = f"{match[3]}.{match[4]}"
            if match := TAG.search(line):
                for group in match[1].split(";"):
                    version, *numbers = group.split()
                    for number in numbers:
                        found[version, number].append((path.relative_to(ROOT), test))
    return found


def make_page(clauses, tags):
    out = [HEADER]
    for version, name in NAMES.items():
        mine = {number: each for (its, number), each in clauses.items() if its == version}
        arising = [number for number, (_, arises) in mine.items() if arises]
        missing = [number for number in arising if not tags.get((version, number))]
        out.append(f"## {name}\n\n{len(arising) - len(missing)} of {len(arising)} have a test")
        out.append(f"; without one: {', '.join(missing)}.\n" if missing else ".\n")
        out.append("\n| Clause | Demands | Proved by |\n|---|---|---|\n")
        for number, (text, arises) in mine.items():
            links = [f"[{test}](../{path})" for path, test in dict.fromkeys(tags.get((version, number), []))]
            proof = ", ".join(links) if links else "**nothing**" if arises else "–"
            out.append(f"| {number} | {text.replace('|', chr(92) + '|')} | {proof} |\n")
        out.append("\n")
    return "".join(out).rstrip("\n") + "\n"


def main():
    clauses, tags = read_clauses(), read_tags()
    unknown = [f"{path}: {test}: {version} {number} is no clause of the list" for (version, number), tests in tags.items()
               if (version, number) not in clauses for path, test in tests]
    if unknown:
        sys.exit("\n".join(unknown))
    page = make_page(clauses, tags)
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
            sys.exit("docs/mqtt-conformance.md is not up to date: run tests/conformance/mqtt_clauses.py")
        return
    PAGE.write_text(page, encoding="utf-8")


main()
