"""The command line: help that helps, guesses at what was meant, exit statuses, and reading what a node holds."""

import http.server
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

RULES = """
[[rule]]
name = "all"
sql = "SELECT * FROM 'n/#'"
do = [{ upload = "normal" }]

[[rule]]
name = "urgent"
sql = "SELECT * FROM 'u/#'"
do = [{ upload = "critical" }, { publish = "out", payload = "x" }]
"""


def commands_of(help_text):
    """The commands that a help lists: indented names in the groups after its options."""
    found = []
    for group in re.split(r"\n(?=\S)", help_text.split("\nExamples:")[0]):
        title = group.splitlines()[0] if group.splitlines() else ""
        if title.endswith(":") and title not in ("Options:", "Positionals:", "Examples:", "Environment:"):
            found += re.findall(r"^  ([a-z][a-z-]*) {2,}\S", group, re.MULTILINE)
    return found


class Tokens(verge.TestCase):
    """Asking a node on another machine; here one that takes all for strangers."""

    def setUp(self):
        super().setUp()

        class Strict(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                known = self.headers.get("Authorization") == "Bearer known-there"
                body = b'{"clients":[]}' if known else b'{"error":{"code":"admin.unauthorized","what":"","fix":""}}'
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strict)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def ask(self, token=None):
        environment = dict(os.environ)
        if token is not None:
            environment["VERGE_ADMIN_TOKEN_FILE"] = os.path.join(self.directory, "token")
            with open(environment["VERGE_ADMIN_TOKEN_FILE"], "w", encoding="utf-8") as file:
                file.write(token + "\n")
        return verge.run("mqtt", "clients", "--json", "--admin", "127.0.0.1:%d" % self.server.server_address[1],
                         env=environment)

    def test_the_token_is_in_the_file_that_the_environment_names(self):
        self.assertEqual(self.ask("known-there").returncode, 0, self.ask("known-there").stderr)
        for answer, why in ((self.ask(), "wants a token"), (self.ask("another"), "does not know this token")):
            self.assertEqual(answer.returncode, 1)
            self.assertIn(why, answer.stderr)
            self.assertIn("VERGE_ADMIN_TOKEN_FILE", answer.stderr)
            self.assertIn("[admin.unauthorized]", answer.stderr)
        bad = self.ask("two words")
        self.assertIn("[config.secret]", bad.stderr)


class Help(verge.TestCase):
    def every_command(self, path=()):
        answer = verge.run(*path, "--help")
        yield path, answer
        for name in commands_of(answer.stdout):
            yield from self.every_command((*path, name))

    def test_help_of_every_command(self):
        seen = []
        for path, answer in self.every_command():
            seen.append(" ".join(path))
            with self.subTest("verge " + " ".join(path)):
                self.assertEqual(answer.returncode, 0, answer)
                self.assertEqual(answer.stderr, "")
                self.assertIn("Usage:", answer.stdout)
                self.assertIn("Example", answer.stdout, "an example says more than a list of options")
                if len(path) > 1 or (path and not commands_of(answer.stdout)):
                    examples = answer.stdout.split("Examples:")[-1]
                    self.assertIn("verge " + " ".join(path), examples, "an example of this very command")
        for expected in ("node", "check", "events query", "events tail", "bench decide", "bench ingest", "completion"):
            self.assertIn(expected, seen)

    def test_commands_in_the_help_exist(self):
        for path, answer in self.every_command():
            for example in re.findall(r"^  verge ([a-z]+)", answer.stdout, re.MULTILINE):
                with self.subTest(f"verge {' '.join(path)} --help: verge {example}"):
                    self.assertTrue(f"\nUsage: verge {example} " in verge.run(example, "--help").stdout,
                                    f"there is no command '{example}'")

    def test_version(self):
        answer = verge.run("--version")
        self.assertEqual(answer.returncode, 0)
        self.assertRegex(answer.stdout, r"^verge \d+\.\d+\.\d+")
        self.assertEqual(verge.run("version").returncode, 0)

    def test_wrong_words(self):
        for words, said in ((["noed"], "'node'"), (["evnts"], "'events'"), (["events", "tial"], "'tail'"),
                            (["node", "--confg", "x"], "--config"), (["events", "query", "--tpoic", "x"], "--topic"),
                            (["xyzzy"], "--help"), ([], "node"), (["events"], "query"), (["check"], "file"),
                            (["events", "query", "--limit", "many"], "limit"),
                            (["events", "query", "--limit", "0"], "from 1"), (["events", "query", "--limit", "-1"], "-1"),
                            (["events", "query", "--kind", "mesage"], "'message'"),
                            (["events", "query", "--stream", "hihg"], "'high'"),
                            (["events", "tail", "--stream", "hihg"], "'high'"),
                            (["events", "tail", "--limit", "-1"], "from 0"),
                            (["events", "query", "--topic", "a/#/b"], "a/#/b"),
                            (["events", "query", "--after", "foo"], "normal:17"),
                            (["events", "query", "--admin", "127.0.0.1:9", "--kind", "mesage"], "'message'"),
                            (["events", "query", "--admin", "foo"], "HOST:PORT"), (["top", "--admin", "foo"], "HOST:PORT"),
                            (["kv", "list", "--admin", "foo"], "HOST:PORT"),
                            (["mqtt", "clients", "--admin", "foo:99999"], "no valid port"),
                            (["cache", "stat", "--admin", ":1"], "HOST:PORT"),
                            (["worker", "list", "--admin", "foo:"], "HOST:PORT"),
                            (["bench", "decide", "--target", "foo"], "HOST:PORT"),
                            (["bench", "ingest", "--target", "1883"], "HOST:PORT"),
                            (["demo", "--replay", "nosuch.csv"], "nosuch.csv")):
            with self.subTest(" ".join(words)):
                answer = verge.run(*words)
                self.assertEqual(answer.returncode, 2, answer)
                self.assertEqual(answer.stdout, "", "complaints go to standard error")
                self.assertIn(said, answer.stderr)
                self.assertLess(len(answer.stderr.splitlines()), 4, "one clear line, not a page")

    def test_what_may_be_given_again_takes_one_value_at_a_time(self):
        """What follows the value is the command's own argument."""
        script = os.path.join(self.directory, "hello.js")
        with open(script, "w", encoding="utf-8") as file:
            file.write("export default { fetch() { return new Response('hello'); } };\n")
        nobody = ("--admin", "127.0.0.1:1")
        for words in (["worker", "deploy", "--route", "z.example/*", script], ["worker", "tail", "--status", "ok", "esc"],
                      ["request", "-H", "Accept: text/html", "http://shop.test/"],
                      ["request", "-H", "A: 1", "-H", "B: 2", "http://shop.test/"],
                      ["cache", "purge", "--tag", "one", "--tag", "two"]):
            answer = verge.run(*words, *nobody)
            self.assertEqual(answer.returncode, 1, f"{words}: {answer}")
            self.assertIn("127.0.0.1:1", answer.stderr, words)
        several = verge.run("cache", "purge", "--tag", "one", "two", *nobody)
        self.assertEqual(several.returncode, 2, several)

    def test_a_body_comes_from_a_file(self):
        missing = verge.run("request", "http://shop.test/", "-d", "@" + os.path.join(self.directory, "none"))
        self.assertEqual(missing.returncode, 1)
        self.assertIn("none", missing.stderr)
        path = os.path.join(self.directory, "body")
        with open(path, "wb") as file:
            file.write(b"\xff\xfe")
        self.assertIn("[cli.body]", verge.run("request", "http://shop.test/", "-d", "@" + path).stderr)

    def test_completion(self):
        for shell in ("bash", "zsh", "fish"):
            answer = verge.run("completion", shell)
            self.assertEqual(answer.returncode, 0, answer)
            for word in ("node", "events", "--config"):
                self.assertIn(word.lstrip("-"), answer.stdout, f"{shell}: {word}")
            program = shutil.which(shell)
            if program is None:
                print(f"{shell} is not here: its script is not read by it", flush=True)
                continue
            checked = subprocess.run([program, "-n"], input=answer.stdout, text=True, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, timeout=verge.PATIENCE)
            self.assertEqual((checked.returncode, checked.stdout), (0, ""), f"{shell} -n")
        self.assertEqual(verge.run("completion", "tcsh").returncode, 2)

    @verge.unittest.skipIf(shutil.which("zsh") is None, "zsh is not here")
    def test_zsh_completes_at_the_first_tab(self):
        """As a package installs it: the file is loaded when it is needed first."""
        with open(os.path.join(self.directory, "_verge"), "w", encoding="utf-8") as file:
            file.write(verge.run("completion", "zsh").stdout)
        os.symlink(verge.VERGE, os.path.join(self.directory, "verge"))
        script = """
zmodload zsh/zpty || exit 3
zpty shell zsh -f -i
zpty -w shell 'PS1=; PATH=$DIRECTORY:$PATH; fpath=($DIRECTORY $fpath); autoload -Uz compinit; compinit -D -u; print loa""ded'
zpty -r shell out '*loaded*' || exit 4
zpty -w -n shell $'verge compl\t; print do""ne\n'
zpty -r shell out '*done*' || exit 5
print -r -- $out
"""
        answer = subprocess.run(["zsh", "-f", "-c", script], env={**os.environ, "DIRECTORY": self.directory, "TERM": "dumb"},
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=verge.PATIENCE)
        self.assertEqual(answer.returncode, 0, answer)
        self.assertIn("completion", answer.stdout)

    @verge.unittest.skipIf(shutil.which("fish") is None, "fish is not here")
    def test_fish_completes_a_command_by_its_whole_path(self):
        """A word that another command has too is not that command."""
        script = os.path.join(self.directory, "verge.fish")
        with open(script, "w", encoding="utf-8") as file:
            file.write(verge.run("completion", "fish").stdout)
        with open(os.path.join(self.directory, "some.toml"), "w", encoding="utf-8"):
            pass

        def offered(line):
            answer = subprocess.run(["fish", "--no-config", "-c", f'source {script}; complete -C "{line}"'], cwd=self.directory,
                                    env={**os.environ, "HOME": self.directory}, capture_output=True, text=True, timeout=verge.PATIENCE)
            self.assertEqual(answer.returncode, 0, answer)
            return {each.split("\t")[0] for each in answer.stdout.splitlines()}

        self.assertIn("admin.host", offered("verge explain "))
        self.assertIn("some.toml", offered("verge rules explain "))
        self.assertNotIn("admin.host", offered("verge rules explain "))
        self.assertIn("decide", offered("verge bench "))
        self.assertNotIn("decide", offered("verge rules bench "))
        self.assertEqual(offered("verge version "), set())

    @verge.unittest.skipIf(shutil.which("bash") is None, "bash is not here")
    def test_completion_completes(self):
        script = verge.run("completion", "bash").stdout
        for line, expected, other in (("verge no", "node", "events"), ("verge events t", "tail", "query"),
                                      ("verge node --con", "--config", "--set"), ("verge completion ", "bash", "node"),
                                      ("verge doctor --only ", "disk-speed", "--json"),
                                      ("verge doctor --only = d", "disk-speed", "clock"),  # --only=d, as bash splits it
                                      ("verge doctor --only =", "disk-speed", "--json"),
                                      ("verge doctor --only=disk-speed --on", "--only", "disk-speed"),
                                      ("verge explain spool.", "spool.full", "config.syntax")):
            words = line.split(" ")
            asked = script + f"""
COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE='{line}'; COMP_POINT={len(line)}
function_name=$(complete -p verge | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$function_name verge "${{COMP_WORDS[$COMP_CWORD]}}" "${{COMP_WORDS[$COMP_CWORD-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
            answer = subprocess.run(["bash", "--norc"], input=asked, text=True, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, timeout=verge.PATIENCE)
            found = answer.stdout.split()
            self.assertIn(expected, found, f"{line}: {answer}")
            self.assertNotIn(other, found, f"{line}: {answer}")


class Import(verge.TestCase):
    def import_of(self, text, *options):
        path = os.path.join(self.directory, "mosquitto.conf")
        with open(path, "w") as file:
            file.write(text)
        return subprocess.run([verge.VERGE, "import", path, *options], capture_output=True, text=True, timeout=20)

    def test_what_is_carried_over_opens_to_nobody_without_users(self):
        for name, text in (("acl", "user ann\ntopic read t/#\n"), ("users", "ann:$7$101$x$y\n")):
            with open(os.path.join(self.directory, name), "w") as file:
                file.write(text)
        done = self.import_of(f"listener 1883 127.0.0.1\nconnection b\naddress h:1883\ntopic a/# out\n"
                              f"password_file {self.directory}/users\nacl_file {self.directory}/acl\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('password_file = "passwords"', done.stdout)
        self.assertIn('users = ["ann"]', done.stdout)
        self.assertIn("for: ann", done.stderr)

    def test_a_loss_of_security_is_refused(self):
        text = "autosave_interval 3\nlistener 1883 127.0.0.1\nplugin /usr/lib/who.so\n"
        refused = self.import_of(text)
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(refused.stdout, "")
        lines = refused.stderr.splitlines()
        self.assertEqual(lines[0], "This concerns security and cannot be carried over:")
        self.assertIn("mosquitto.conf:3: plugin is not carried over", lines[1])
        self.assertIn("[import.security]", lines[2])
        taken = self.import_of(text, "--incomplete")
        self.assertEqual(taken.returncode, 0)
        self.assertIn("# NOT CARRIED OVER: ", taken.stdout.splitlines()[1])

    def test_no_port(self):
        refused = self.import_of("listener 70000\n")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("[import.syntax]", refused.stderr)


class Query(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.node_ = self.node("edge", RULES).start()
        self.client = self.mqtt(self.node_, "device")
        for number in range(25):
            self.client.publish_and_wait("n/a" if number % 2 else "n/b", {"number": number})
        self.client.publish_and_wait("u/x", {"number": 100})
        verge.wait_until(lambda: self.node_.events("$verge/#"), "the report of the action")

    def query(self, *options):
        return verge.run("events", "query", "--data-dir", self.node_.data_dir, *options)

    def numbers(self, answer):
        self.assertEqual(answer.returncode, 0, answer)
        return [json.loads(line)["payload"].get("number") for line in answer.stdout.splitlines()]

    def test_selection(self):
        self.assertEqual(self.numbers(self.query("--json", "--topic", "n/a")), list(range(1, 25, 2)))
        self.assertEqual(self.numbers(self.query("--json", "--stream", "critical")), [100])
        self.assertEqual(self.numbers(self.query("--json", "--kind", "action")), [None])
        self.assertEqual(len(self.numbers(self.query("--json", "--device", "device", "--topic", "n/+"))), 25)
        self.assertEqual(self.numbers(self.query("--json", "--device", "nobody")), [])
        everything = self.numbers(self.query("--json"))
        self.assertEqual(everything[0], 100, "the critical stream comes first")
        self.assertEqual(len(everything), 27)

    def test_paging(self):
        found, after = [], []
        while True:
            answer = self.query("--json", "--topic", "n/#", "--limit", "10", *after)
            page = self.numbers(answer)
            found += page
            if not answer.stderr:
                break
            self.assertEqual(len(page), 10)
            after = ["--after", re.search(r"--after (\S+)", answer.stderr)[1]]
        self.assertEqual(found, list(range(25)))

    def test_paging_by_admin(self):
        """A page that is cut off says so, whoever is asked."""
        answer = verge.run("events", "query", "--admin", self.node_.addresses["admin"], "--topic", "n/#", "--limit", "10")
        self.assertEqual(answer.returncode, 0, answer)
        self.assertEqual(len(answer.stdout.splitlines()), 10)
        self.assertIn("--after", answer.stderr, "there is more, and the caller is told how to go on")

    def test_for_people(self):
        answer = self.query("--topic", "n/#", "--limit", "3")
        lines = answer.stdout.splitlines()
        self.assertEqual(len(lines), 3)
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT.*normal.*n/[ab]  \{")

    def test_for_people_by_admin(self):
        """Without --json both ways print for people."""
        answer = verge.run("events", "query", "--admin", self.node_.addresses["admin"], "--topic", "n/#", "--limit", "3")
        self.assertEqual(answer.stdout, self.query("--topic", "n/#", "--limit", "3").stdout)

    def test_both_ways_give_the_same(self):
        by_admin = verge.run("events", "query", "--admin", self.node_.addresses["admin"], "--json").stdout
        self.assertEqual(by_admin, self.query("--json").stdout)
        self.assertIn('"name":"edge"', by_admin)

    def test_wrong_values(self):
        for options in (["--topic", "a/#/b"], ["--stream", "urgent"], ["--kind", "x"], ["--after", "x"],
                        ["--data-dir", os.path.join(self.directory, "nothing")]):
            answer = self.query(*options)
            self.assertIn(answer.returncode, (1, 2), answer)
            self.assertEqual(answer.stdout, "")
            self.assertEqual(len(answer.stderr.splitlines()), 1, answer.stderr)
        answer = verge.run("events", "query", "--admin", f"{verge.own_host()}:9")
        self.assertEqual(answer.returncode, 1, answer)
        self.assertEqual(len(answer.stderr.splitlines()), 1, answer.stderr)

    def test_query_into_a_closed_pipe(self):
        reader, writer = os.pipe()
        os.close(reader)
        process = verge.spawn([verge.VERGE, "events", "query", "--data-dir", self.node_.data_dir], stdout=writer,
                              stderr=subprocess.PIPE)
        os.close(writer)
        process.wait(verge.PATIENCE)
        self.addCleanup(verge.end, process)
        self.assertNotIn(process.returncode, (-signal.SIGSEGV, -signal.SIGABRT))

    def tail(self, *options, form=("--json",)):
        process = verge.spawn([verge.VERGE, "events", "tail", "--data-dir", self.node_.data_dir, *form, *options],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.addCleanup(verge.end, process)
        return process

    def read_lines(self, process, count):
        return [json.loads(line) for line in self.read_text(process, count)]

    def read_text(self, process, count):
        """Blocks on the pipe until so many lines have come; as they are."""
        data = b""
        deadline = time.monotonic() + verge.PATIENCE
        while data.count(b"\n") < count:
            readable, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
            self.assertTrue(readable, f"{count} lines expected, got {data!r}")
            more = os.read(process.stdout.fileno(), 65536)
            if not more:
                self.fail(f"tail has ended with {process.wait(verge.PATIENCE)}: {process.stderr.read()!r}")
            data += more
        return data.decode().splitlines()

    def test_tail_for_people(self):
        process = self.tail("--topic", "n/#", "--limit", "2", form=())
        lines = self.read_text(process, 2)
        self.client.publish_and_wait("n/new", {"number": 1000})
        for line in lines + self.read_text(process, 1):
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT.*normal.*n/\w+  \{", "without --json each line is for people")

    def test_tail(self):
        process = self.tail("--topic", "n/#", "--limit", "3")
        self.assertEqual([event["payload"]["number"] for event in self.read_lines(process, 3)], [22, 23, 24])
        for number in (1000, 1001):
            self.client.publish_and_wait("n/new", {"number": number})
            new, = self.read_lines(process, 1)
            self.assertEqual((new["topic"], new["payload"]["number"]), ("n/new", number), "new events as they come")
        self.assertIsNone(process.poll(), "tail goes on")
        process.send_signal(signal.SIGINT)
        self.assertIn(process.wait(verge.PATIENCE), (0, -signal.SIGINT, 128 + signal.SIGINT))

    def test_tail_of_several_streams(self):
        """The limit is of all together, and they come in the order of their times."""
        for number, priority in enumerate(("low", "critical", "normal", "high", "low", "critical")):
            answer = self.node_.post("/v1/events", {"topic": "s/x", "priority": priority, "payload": {"number": number}})
            self.assertEqual(answer.status, 200, answer)
        process = self.tail("--topic", "s/#", "--limit", "4")
        self.assertEqual([event["payload"]["number"] for event in self.read_lines(process, 4)], [2, 3, 4, 5])
        self.client.publish_and_wait("n/other", {})
        self.node_.post("/v1/events", {"topic": "s/x", "payload": {"number": 6}})
        self.assertEqual([event["payload"]["number"] for event in self.read_lines(process, 1)], [6])

    def test_tail_ends_with_its_reader(self):
        process = self.tail("--topic", "n/#", "--limit", "1")
        self.read_lines(process, 1)
        process.stdout.close()
        self.client.publish_and_wait("n/new", {"number": 1})
        status = process.wait(verge.PATIENCE)
        self.assertIn(status, (0, 1, -signal.SIGPIPE), "it ends when nobody reads")

    def test_tail_goes_on_over_a_restart(self):
        process = self.tail("--topic", "n/#", "--limit", "1")
        self.read_lines(process, 1)
        self.node_.kill9()
        self.node_.start()
        again = self.mqtt(self.node_, "again")
        again.publish_and_wait("n/new", {"number": 7})
        self.assertEqual([event["payload"]["number"] for event in self.read_lines(process, 1)], [7])

    def test_tail_where_there_is_no_node(self):
        answer = verge.run("events", "tail", "--data-dir", os.path.join(self.directory, "nothing"), timeout=10)
        self.assertEqual(answer.returncode, 1, "as query says it")


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
