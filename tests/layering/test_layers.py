#!/usr/bin/env python3
"""The layers of src/: who may include whom, and that a library stays in the folder that owns it.

Reads every #include below src/ and fails on an edge against the order, on a circle between files, on a third-party
header outside its folder, and on an include that is not a full path from src/.
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"

# What each folder may include, beside itself. A capability never includes another capability.
ALLOWED = {
    "base": set(),
    "compress": {"base"},
    "crypto": {"base"},
    "model": {"base"},
    "geo": {"base"},
    "calls": {"base"},
    "series": {"base", "model"},
    "payloads": {"base"},
    "runtime": {"base", "model"},
    "net": {"base", "model", "runtime"},
    "storage": {"base", "model", "runtime", "crypto"},
    "traces": {"base", "model"},
    "mqtt": {"base", "model", "runtime", "net", "storage"},
    "rules": {"base", "model", "runtime", "net", "storage", "series", "payloads"},
    "spool": {"base", "model", "runtime", "net", "storage", "compress"},
    "esi": {"base", "model", "runtime", "net"},
    "cache": {"base", "model", "runtime", "net", "storage", "compress", "esi", "traces"},
    "jetstream": {"base", "model", "runtime", "net", "storage"},
    "kv": {"base"},
    "queues": {"base", "model", "runtime", "storage"},
    "workers": {"base", "calls", "compress"},
    "isolates": {"base", "calls", "crypto", "model", "runtime", "net", "storage"},
    "planner": {"base", "model"},
    "overview": {"base", "model"},
    "node": {"base", "calls", "geo", "isolates", "kv", "queues", "compress", "crypto", "model", "payloads", "runtime", "net", "storage", "mqtt", "rules", "spool", "cache", "jetstream", "planner", "overview", "traces"},
    "cli": {"base", "compress", "crypto", "model", "runtime", "net", "storage", "mqtt", "rules", "spool", "cache", "esi", "jetstream", "calls", "geo", "isolates", "kv", "node", "planner", "overview", "series"},
}

# Third-party headers and the folders that own them. fmt is everywhere, as the standard library is.
OWNERS = {
    r"spdlog/": {"base"},
    r"xxhash\.h": {"base"},
    r"simdjson\.h": {"mqtt", "rules", "traces", "node", "planner", "overview", "cli"},
    r"zstd\.h": {"compress"},
    r"brotli/": {"compress"},
    r"zlib\.h": {"compress"},
    r"cbor\.h|google/protobuf/": {"payloads"},
    r"nats/": {"jetstream"},
    r"coin/": {"planner"},
    r"rocksdb/": {"kv"},
    r"maxminddb\.h": {"geo"},
    r"nghttp2/": {"net"},
    r"openssl/": {"net", "crypto", "workers"},
    r"openssl/(ssl|bio|pem|err)": {"net"},  # libssl, and what certificates are made of
    r"openssl/x509": {"net", "workers"},  # and public keys that come in their form
    r"toml\+\+/": {"node"},
    r"CLI/": {"cli"},
    r"v8|libplatform/": {"workers"},
    r"boost/": set(),
}

# Included by .cc files only: what a header includes, all who include it compile against.
NEVER_IN_HEADERS = re.compile(r"openssl/|nghttp2/|google/protobuf/|cbor\.h")

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def files():
    return sorted(path for path in SOURCE.rglob("*") if path.suffix in (".h", ".cc"))


def includes(path):
    return INCLUDE.findall(path.read_text())


def folder_of(path):
    return path.relative_to(SOURCE).parts[0]


class Layers(unittest.TestCase):
    def test_there_is_something_to_check(self):
        self.assertGreater(len(files()), 50)
        self.assertEqual({path.name for path in SOURCE.iterdir()}, set(ALLOWED), "a folder without a layer")

    def test_own_headers_follow_the_order(self):
        for path in files():
            for kind, name in includes(path):
                if kind != '"' or name.startswith("tests/"):
                    continue
                with self.subTest(file=str(path.relative_to(ROOT)), include=name):
                    self.assertTrue((SOURCE / name).is_file(), "not a full path from src/")
                    target = name.split("/")[0]
                    if target != folder_of(path):
                        self.assertIn(target, ALLOWED[folder_of(path)], "an edge against the layers")

    def test_the_documents_say_the_same_order(self):
        """A line `base ← … ← cli`: each folder includes only what stands to its left. `workers` is a program of its own."""
        for name in ("ARCHITECTURE.md", "CONTRIBUTING.md"):
            with self.subTest(name):
                [line] = re.findall(r"base ←[^`\n]*", (ROOT / name).read_text())
                seen = set()
                for group in line.split("←"):
                    folders = {folder.strip() for folder in group.split(",")}
                    for folder in folders:
                        self.assertLessEqual(ALLOWED.get(folder, {"no folder of that name"}), seen, folder)
                    seen |= folders
                self.assertEqual(seen, set(ALLOWED) - {"workers"})
        layout = (ROOT / "ARCHITECTURE.md").read_text()
        self.assertEqual(set(re.findall(r"^      (\w+)/ ", layout, re.M)), set(ALLOWED), "the map has every folder")

    def test_the_owners_of_simdjson_are_documented(self):
        row = re.search(r"^\| simdjson \|[^|]*\|([^|]*)\|", (ROOT / "docs/decisions/0002-dependencies.md").read_text(), re.M)
        self.assertEqual({folder.strip() for folder in row[1].split(",")}, OWNERS[r"simdjson\.h"])

    def test_depth_is_two_at_most(self):
        for path in files():
            self.assertEqual(len(path.relative_to(SOURCE).parts), 2, path)

    def test_third_party_headers_stay_in_their_folder(self):
        for path in files():
            for kind, name in includes(path):
                for pattern, owners in OWNERS.items():
                    if kind == "<" and re.match(pattern, name):
                        self.assertIn(folder_of(path), owners, f"{path.relative_to(ROOT)} includes <{name}>")

    def test_quarantined_headers_stay_out_of_headers(self):
        users = set()
        for path in files():
            for kind, name in includes(path):
                if NEVER_IN_HEADERS.match(name):
                    users.add(path.name)
                    self.assertEqual(path.suffix, ".cc", f"{path.relative_to(ROOT)} includes <{name}>")
        self.assertLessEqual({"tls_session.cc", "aes_gcm.cc"}, users, "the test looks at the right includes")

    def test_nobody_includes_in_a_circle(self):
        graph = {str(p.relative_to(SOURCE)): [n for k, n in includes(p) if k == '"'] for p in files() if p.suffix == ".h"}
        done, path = set(), []

        def visit(header):
            if header in path:
                self.fail("circle: " + " -> ".join(path[path.index(header):] + [header]))
            if header in done or header not in graph:
                return
            path.append(header)
            for other in graph[header]:
                visit(other)
            path.pop()
            done.add(header)

        for header in graph:
            visit(header)


class ErrorCodes(unittest.TestCase):
    """docs/errors.md lists exactly the codes of the source."""

    def test_every_code_is_documented_and_exists(self):
        areas = "admin|ask|bench|cache|cli|config|crypto|demo|events|geo|history|http|import|ingest|jetstream|kv|latency|mqtt|net|node|plan|queues|replay|report|rule|rules|runtime|series|spool|storage|twin|uplink|workers"
        keys = {"http.listen", "mqtt.listen", "admin.listen", "admin.tokens"}  # names of settings
        used = set()
        for path in files():
            if path.name.endswith("_test.cc"):
                continue
            for area, word in re.findall(r'"(%s)\.([a-z][a-z-]*)"' % areas, path.read_text()):
                if f"{area}.{word}" not in keys:
                    used.add(f"{area}.{word}")
        documented = set(re.findall(r"^\| `([a-z]+\.[a-z0-9-]+)` \|", (ROOT / "docs/errors.md").read_text(), re.M))
        self.assertGreater(len(used), 30)
        self.assertEqual(used - documented, set(), "used in the source, missing in docs/errors.md")
        self.assertEqual(documented - used, set(), "in docs/errors.md, not used in the source")


class Metrics(unittest.TestCase):
    """docs/http.md has every metric of /metrics, and no other."""

    def test_every_metric_is_documented_and_exists(self):
        source = (SOURCE / "node/status.cc").read_text()
        used = set(re.findall(r'\b(?:counter|gauge|family|histogram)\(\s*"([a-z0-9_]+)"', source))
        self.assertGreater(len(used), 100)
        page = (ROOT / "docs/http.md").read_text().partition("### GET /metrics")[2].partition("\n## ")[0]
        documented = set()
        for row in re.findall(r"^\| (`[^|]*) \|", page, re.M):
            documented |= set(re.findall(r"`([a-z0-9_]+)`", row))
        self.assertEqual(used - documented, set(), "in /metrics, missing in docs/http.md")
        self.assertEqual(documented - used, set(), "in docs/http.md, not in /metrics")


if __name__ == "__main__":
    sys.exit(unittest.main())
