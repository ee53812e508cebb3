"""The web platform tests of WebSockets (websockets/), each run by `verge worker run`: as a worker's script, whose connections
are the node's. Besides .any.js and .window.js the pages that are nothing but scripts are run; what a page writes between them
is left out. The servers are wpt_sockets'."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import wpt_sockets  # noqa: E402
from certificates import Authority  # noqa: E402
from wpt_suite import directives, find_script, scripts_of  # noqa: E402

FOLDER = "websockets"
HOST = "localhost"
# Reasons to leave a file out, the first that applies.
LEFT_OUT = [
    ("are parts of other tests", re.compile(r"/(support|resources)/"), None),
    ("are of WebSocketStream, a proposal", re.compile(r"^websockets/stream[/.-]"), None),
    ("need documents", re.compile(r"^websockets/(unload-a-document|multi-globals|cookies)/"), None),
    ("need documents", None,
     re.compile(r"\bdocument\b|createElement|<iframe|window\.open|<link\b|RemoteContextHelper|<meta\s+charset=[\"']?windows")),
    ("need XMLHttpRequest", None, re.compile(r"\bXMLHttpRequest\b")),
    ("need a worker of a page", None, re.compile(r"new (Shared)?Worker\(|importScripts")),
]
H2 = "variants are of WebSockets over HTTP/2 (RFC 8441), which is not offered"


def attribute(tag, name):
    found = re.search(rf"\b{name}\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", tag, re.I)
    return next((value for value in found.groups() if value is not None), "") if found else None


def is_page(path):
    return path.suffix == ".html"


def metadata(path, source):
    """[(name, value)] of a script's META lines, or of a page's <meta> elements."""
    if not is_page(path):
        return directives(source)
    return [(attribute(tag, "name"), attribute(tag, "content")) for tag in re.findall(r"<meta\b[^>]*>", source, re.I)]


def pieces_of(suite, test, source):
    """Paths and texts of a test's scripts, in order, without the harness's."""
    if not is_page(test):
        yield from scripts_of(suite, test, source)
        yield test
        return
    for tag, text in re.findall(r"<script\b([^>]*)>(.*?)</script>", source, re.S | re.I):
        name = attribute(tag, "src")
        if name is None:
            yield text
        elif not name.endswith(("/testharness.js", "/testharnessreport.js")):
            yield find_script(suite, test, name)


def find(suite, skipped):
    """(path, variant) of each test; counts in `skipped` what is left out, by reason."""
    for path in sorted((suite / FOLDER).rglob("*")):
        relative = str(path.relative_to(suite))
        if not relative.endswith((".any.js", ".window.js", ".worker.js", ".html")):
            continue
        source = path.read_text(errors="replace")
        reason = next((f"files {why}" for why, name, text in LEFT_OUT if name and name.search(relative) or text and text.search(source)), None)
        if reason:
            skipped[reason] = skipped.get(reason, 0) + 1
            continue
        for variant in [value for key, value in metadata(path, source) if key == "variant"] or [""]:
            if "wpt_flags=h2" in variant:
                skipped[H2] = skipped.get(H2, 0) + 1
            else:
                yield path, variant


# What nothing catches is the harness's to judge, and does not end the script.
TAKES_ERRORS = 'for (const type of ["error", "unhandledrejection"]) addEventListener(type, (event) => event.preventDefault());'


class Servers:
    """Those that the tests speak to, and how one is run."""

    def __init__(self, suites, verge):
        self.verge = verge
        self.directory = tempfile.TemporaryDirectory(prefix="wpt-")
        authority = Authority(self.directory.name)
        self.environment = {**os.environ, "SSL_CERT_FILE": authority.pem}
        certificate = authority.issue(f"DNS:{HOST},DNS:*.{HOST},IP:127.0.0.1")
        plain, close_plain = wpt_sockets.serve(suites)
        secure, close_secure = wpt_sockets.serve(suites, certificate)
        self.closes = [close_plain, close_secure, self.directory.cleanup]
        self.values = {"host": HOST, "ports[ws][0]": str(plain), "ports[wss][0]": str(secure), "ports[h2][0]": "0",
                       "hosts[alt][www]": f"www.alt.{HOST}"}

    def close(self):
        for close in self.closes:
            close()

    def substitute(self, text):
        """What wptserve does in files whose name has .sub."""
        return re.sub(r"\{\{([^}]+)\}\}", lambda found: self.values.get(found.group(1), found.group(0)), text)

    def start(self, suite, harness, url, test, scratch):
        """The process that runs the test, and how long it may take in seconds; an explanation where the suite lacks a part of it."""
        source = test.read_text(errors="replace")
        texts = [(HERE / "wpt_prelude.js").read_text().replace("%URL%", url), TAKES_ERRORS, harness.read_text(), (HERE / "wpt_report.js").read_text()]
        for piece in pieces_of(suite, test, source):
            if isinstance(piece, pathlib.Path):
                if not piece.is_file():
                    return f"the suite has no {piece.name}", 0
                text = piece.read_text(errors="replace")
                piece = self.substitute(text) if ".sub." in piece.name else text
            texts.append(piece)
        script = pathlib.Path(scratch, "test.js")
        script.write_text("\n;\n".join([*texts, "done();\n"]))
        seconds = 120 if ("timeout", "long") in metadata(test, source) else 40
        return subprocess.Popen([self.verge, "worker", "run", script, "--cpu-ms", "60000", "--wall-ms", str(seconds * 1000), "--subrequests",
                                 "1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                                env=self.environment), seconds
