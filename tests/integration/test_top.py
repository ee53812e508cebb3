"""verge top: what it prints, and how it behaves as a program of a terminal."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import sys
import termios
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import origin
import verge

# A node that hangs is given up after 3 s: who is gone in less did not wait for that.
AT_ONCE_S = 1.5
ENTER = b"\x1b[?1049h"
LEAVE = b"\x1b[?1049l"


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, arguments, columns=80, lines=24, terminal="xterm", is_read=True):
        self.master, self.inner = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.inner)
        self.process = verge.spawn(arguments, stdin=self.inner, stdout=self.inner, stderr=self.inner,
                                   start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                   env={**os.environ, "NO_COLOR": "1", "TERM": terminal})
        self.output = b""
        self.reader = threading.Thread(target=self._read, daemon=True)
        if is_read:
            self.reader.start()

    def _read(self):
        while True:
            try:
                read = os.read(self.master, 65536)
            except OSError:
                return
            if not read:
                return
            self.output += read

    def resize(self, columns, lines):
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def frame(self):
        """The lines drawn last, as far as they are drawn."""
        drawn = self.output.rsplit(b"\x1b[H", 1)[-1].split(LEAVE)[0].decode(errors="replace")
        return re.sub(r"\x1b\[\??[0-9;]*[A-Za-z]", "", drawn).replace("\r", "").split("\n")

    def shows(self, text):
        return any(text in line for line in self.frame())

    def is_as_before(self):
        return termios.tcgetattr(self.inner) == self.before

    def is_echoing(self):
        return bool(termios.tcgetattr(self.inner)[3] & termios.ECHO)

    def end(self):
        verge.end(self.process)
        os.close(self.inner)
        if self.reader.ident is not None:
            self.reader.join(verge.PATIENCE)
        os.close(self.master)


class Top(verge.TestCase):
    def terminal(self, *arguments, **options):
        terminal = Terminal(list(arguments), **options)
        self.addCleanup(terminal.end)
        return terminal

    def top(self, admin, **options):
        return self.terminal(verge.VERGE, "top", "--admin", admin, "--every", "100ms", **options)

    def server(self, status, body):
        """What answers everything so."""
        server = origin.Origin(lambda request: request.give(status, body=body))
        self.addCleanup(server.end)
        return f"127.0.0.1:{server.port}"

    def hanging(self):
        """What takes connections and says nothing."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        return f"127.0.0.1:{listener.getsockname()[1]}"

    def test_prints_one_object(self):
        node = self.node("edge").start()
        answer = verge.run("top", "--json", "--admin", node.addresses["admin"])
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        self.assertEqual(set(json.loads(answer.stdout)), {"now", "tree", "insights", "goals", "requests", "workers"})
        self.assertIn("events", verge.run("top", "--once", "--admin", node.addresses["admin"]).stdout)

    def test_a_terminal_that_knows_no_screens_is_given_none(self):
        node = self.node("edge").start()
        terminal = self.top(node.addresses["admin"], terminal="dumb")
        self.assertEqual(terminal.process.wait(verge.PATIENCE), 0, "it prints once")
        verge.wait_until(lambda: b"edge" in terminal.output, lambda: terminal.output)
        self.assertNotIn(b"\x1b", terminal.output)

    def test_what_is_no_node_is_said(self):
        for body in (b"<html></html>", b"{}", b"[1]"):
            admin = self.server(200, body)
            for how in ("--json", "--once"):
                answer = verge.run("top", how, "--admin", admin)
                self.assertEqual((answer.returncode, answer.stdout), (1, ""), (how, body))
                self.assertIn("[http.bad-answer]", answer.stderr)

    def test_a_refusal_is_in_the_words_of_the_node(self):
        error = {"code": "admin.host", "what": "box is a name", "fix": "ask 127.0.0.1 or localhost"}
        admin = self.server(403, json.dumps({"error": error}).encode())
        for how in ("--json", "--once"):
            answer = verge.run("top", how, "--admin", admin)
            self.assertEqual((answer.returncode, answer.stdout), (1, ""))
            self.assertEqual(answer.stderr, "verge top: box is a name; ask 127.0.0.1 or localhost [admin.host]\n")
        terminal = self.top(admin)
        verge.wait_until(lambda: terminal.shows("[admin.host]"), terminal.frame)

    def test_ends_at_once_and_gives_the_terminal_back(self):
        admin = self.hanging()
        ends = {"Ctrl-C": lambda each: each.type(b"\x03"), "Ctrl-\\": lambda each: each.type(b"\x1c"),
                "q": lambda each: each.type(b"q")}
        for number in (signal.SIGTERM, signal.SIGHUP):
            ends[number.name] = lambda each, number=number: each.process.send_signal(number)
        for name, end in ends.items():
            with self.subTest(name):
                terminal = self.top(admin)
                verge.wait_until(lambda: terminal.shows("asking the node"), terminal.frame)
                self.assertFalse(terminal.is_echoing())
                begun = time.monotonic()
                end(terminal)
                self.assertEqual(terminal.process.wait(verge.PATIENCE), 0)
                self.assertLess(time.monotonic() - begun, AT_ONCE_S)
                verge.wait_until(lambda: terminal.output.endswith(LEAVE), lambda: terminal.output)
                self.assertIn(b"\x1b[?25h", terminal.output)
                self.assertNotIn(b"q", terminal.output.rsplit(b"asking", 1)[-1])
                self.assertTrue(terminal.is_as_before())

    def test_a_lost_node_leaves_its_figures(self):
        node = self.node("edge").start()
        terminal = self.top(node.addresses["admin"], columns=40)
        verge.wait_until(lambda: terminal.shows("machine"), terminal.frame)
        node.kill9()
        verge.wait_until(lambda: terminal.shows("OLD") and terminal.shows("machine"), terminal.frame)
        for line in terminal.frame():
            self.assertLessEqual(len(line), 40, line)
        node.start()
        verge.wait_until(lambda: not terminal.shows("OLD") and terminal.shows("machine"), terminal.frame)

    def test_follows_the_size_of_the_window(self):
        node = self.node("edge").start()
        terminal = self.top(node.addresses["admin"], lines=1)
        verge.wait_until(lambda: terminal.shows("edge"), terminal.frame)
        self.assertEqual(len(terminal.frame()), 1, "a row is a row")
        self.assertNotIn(b"\n", terminal.output)
        terminal.resize(100, 40)
        verge.wait_until(lambda: terminal.shows("NODE"), terminal.frame)
        self.assertLessEqual(len(terminal.frame()), 40)

    @unittest.skipIf(shutil.which("bash") is None, "bash is not here")
    def test_may_be_stopped_and_go_on(self):
        node = self.node("edge").start()
        script = 'set -m; "$0" top --admin "$1" --every 100ms; echo STOPPED; read -r line; fg >/dev/null; echo "ENDED $?"'
        terminal = self.terminal(shutil.which("bash"), "-c", script, verge.VERGE, node.addresses["admin"])
        verge.wait_until(lambda: terminal.shows("machine"), terminal.frame)
        terminal.type(b"\x1a")
        verge.wait_until(lambda: b"STOPPED" in terminal.output, lambda: terminal.output)
        left = terminal.output.index(b"STOPPED")
        self.assertIn(LEAVE, terminal.output[:left])
        self.assertIn(b"\x1b[?25h", terminal.output[:left], "the cursor is back")
        self.assertTrue(terminal.is_echoing())
        terminal.type(b"\n")
        verge.wait_until(lambda: ENTER in terminal.output[left:] and terminal.shows("machine"), lambda: terminal.output[left:])
        self.assertFalse(terminal.is_echoing())
        terminal.type(b"q")
        verge.wait_until(lambda: b"ENDED 0" in terminal.output, lambda: terminal.output[left:])
        self.assertTrue(terminal.is_echoing())

    def test_in_the_background_it_ends_as_others_do(self):
        """A shell sends a stopped job the signal, and lets it go on."""
        node = self.node("edge").start()
        for how in ('"$0" top --admin "$1" --every 100ms; echo STOPPED', '"$0" top --admin "$1" --every 100ms & echo STOPPED'):
            script = f'set -m; {how}; read -r line; kill %1; while [ -n "$(jobs -r; jobs -s)" ]; do read -r -t 0.1; done; echo ENDED'
            terminal = self.terminal(shutil.which("bash"), "-c", script, verge.VERGE, node.addresses["admin"])
            if "&" not in how:
                verge.wait_until(lambda: terminal.shows("machine"), terminal.frame)
                terminal.type(b"\x1a")
            verge.wait_until(lambda: b"STOPPED" in terminal.output, lambda: terminal.output)
            terminal.type(b"\n")
            verge.wait_until(lambda: b"ENDED" in terminal.output, lambda: terminal.output[-300:])
            self.assertTrue(terminal.is_echoing())

    def test_a_terminal_that_takes_nothing_does_not_hold_it(self):
        node = self.node("edge").start()
        terminal = self.top(node.addresses["admin"], is_read=False)

        def is_full():
            # The kernel's buffer of the terminal takes no more.
            with open(f"/proc/{terminal.process.pid}/wchan", encoding="ascii") as file:
                waits = file.read()
            return "poll" in waits and not select.select([], [terminal.inner], [], 0)[1]

        verge.wait_until(is_full, "nothing is taken any more")
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.process.wait(verge.PATIENCE), 0)

    def test_a_node_that_answers_slowly_is_shown(self):
        """Each answer has its own time."""
        node = self.node("edge").start()

        def answer(request):
            verge.pause(1)
            request.give(200, body=node.admin(request.path).body)

        server = origin.Origin(answer)
        self.addCleanup(server.end)
        shown = verge.run("top", "--once", "--admin", f"127.0.0.1:{server.port}")
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        self.assertIn("edge", shown.stdout)

    def test_a_hostile_answer_ends_in_words(self):
        node = self.node("edge").start()
        tree = node.admin("/v1/tree").json()
        own = tree["self"]
        tree["nodes"] = [{"state": "live", "figures": {}, "id": f"{number:032x}", "parent": f"{number - 1:032x}" if number else own["id"], "name": f"n\u009b{number}"}
                         for number in range(100_000)]
        tree["left_out"] = -1e300
        chain = json.dumps(tree, ensure_ascii=False).encode()

        def answer(request):
            if request.path == "/v1/goals" and is_huge:
                try:
                    return request.give(200, body=b" " * (65 << 20))
                except ConnectionError:
                    return None  # it was not taken
            return request.give(200, body=chain if request.path == "/v1/tree" else node.admin(request.path).body)

        is_huge = False
        server = origin.Origin(answer)
        self.addCleanup(server.end)
        admin = f"127.0.0.1:{server.port}"
        shown = verge.run("top", "--once", "--admin", admin)
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        as_json = verge.run("top", "--json", "--admin", admin)
        self.assertEqual(json.loads(as_json.stdout)["tree"]["nodes"][7]["name"], "n\u009b7")
        self.assertNotIn("\u009b", as_json.stdout, "no terminal takes it for a command")
        is_huge = True
        refused = verge.run("top", "--once", "--admin", admin)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))

    def test_is_drawn_anew_whoever_let_it_go_on(self):
        """Where it was stopped without being asked, the terminal is as others left it meanwhile."""
        node = self.node("edge").start()
        terminal = self.top(node.addresses["admin"])
        verge.wait_until(lambda: terminal.shows("machine"), terminal.frame)
        terminal.process.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status))
        termios.tcsetattr(terminal.inner, termios.TCSANOW, terminal.before)
        before = len(terminal.output)
        terminal.process.send_signal(signal.SIGCONT)
        verge.wait_until(lambda: ENTER in terminal.output[before:], lambda: terminal.output[before:])
        verge.wait_until(lambda: not terminal.is_echoing(), "no key is echoed")
        terminal.type(b"q")
        self.assertEqual(terminal.process.wait(verge.PATIENCE), 0)
        self.assertTrue(terminal.is_as_before())


if __name__ == "__main__":
    unittest.main(verbosity=2)
