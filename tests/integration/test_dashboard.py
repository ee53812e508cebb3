"""The dashboard in a browser, against a real tree: what it shows is what the API says, and it says what is wrong."""

import gzip
import os
import signal
import sys
import time
import unittest

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [os.path.join(TESTS, "support"), os.path.join(TESTS, "dashboard")]
import browser
import tree as trees
import verge

OFFLINE_S = 5
PAGES = {"tree": "#/", "events": "#/events", "requests": "#/requests", "insights": "#/insights", "goals": "#/goals"}


class Served(verge.TestCase):
    """What needs no browser."""

    def test_the_page_is_served_with_a_strict_policy(self):
        node = self.node("edge").start()

        def get(path, method="GET", **fields):
            return verge.http_request(node.addresses["admin"], method, path,
                                      fields={name.replace("_", "-"): value for name, value in fields.items()})

        page = get("/", accept_encoding="gzip, br")
        self.assertEqual((page.status, page.fields["content-type"]), (200, "text/html; charset=utf-8"))
        policy = page.fields["content-security-policy"]
        self.assertTrue(policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'"), policy)
        self.assertNotIn("unsafe", policy)
        self.assertEqual(page.fields["content-encoding"], "gzip")
        self.assertEqual(page.fields["vary"], "Accept-Encoding")
        again = get("/", accept_encoding="gzip", if_none_match=page.fields["etag"])
        self.assertEqual((again.status, again.body), (304, b""))
        for taken in ("identity", "gzip;q=0", "br"):
            plain = get("/", accept_encoding=taken)
            self.assertNotIn("content-encoding", plain.fields, taken)
            self.assertEqual(plain.body, gzip.decompress(page.body), taken)
            self.assertEqual(plain.fields["vary"], "Accept-Encoding", taken)
            self.assertNotEqual(plain.fields["etag"], page.fields["etag"], "other bytes have another strong tag")
        self.assertEqual(node.admin("/assets/none.js").status, 404)
        licences = get("/licences.txt").body.decode()
        for package in ("preact", "uplot", "d3-geo", "world-atlas"):
            self.assertIn(f"--- {package} ", licences, "those whose work the page is made of are named")
        self.assertEqual(node.admin("/", method="POST").status, 405)


class WithBrowser(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.browser = browser.Browser()
        self.addCleanup(self.browser.close)

    def look(self, node, fragment="#/", **options):
        self.browser.open(f"http://{node.addresses['admin']}/{fragment}", **options)
        self.browser.wait("document.querySelector('.link.live') && document.querySelector('footer span')",
                          "the page is connected")

    def nothing_went_wrong(self):
        self.assertEqual(self.browser.do("errors"), [], "the console is empty, and nothing was asked elsewhere")


@unittest.skipIf(browser.missing(), browser.missing())
@unittest.skipIf(os.environ.get("VERGE_SANITIZE"), "a sanitizer needs what the sandbox of isolates takes away")
class Workers(WithBrowser):
    def test_workers_are_shown_with_what_they_cost(self):
        script = os.path.join(self.directory, "hello.js")
        with open(script, "w", encoding="utf-8") as file:
            file.write('export default { fetch(request) { if (request.url.endsWith("/bad")) throw new Error("no"); '
                       'return new Response("hello"); } };\n')
        node = self.node("edge", f'[[worker]]\nname = "hello"\nfile = "{script}"\nroutes = ["w.test/*"]\n'
                                 '[[worker]]\nname = "idle"\nfile = "{script}"\nroutes = ["i.test/*"]\n'.replace("{script}", script)).start()
        for path in ["/"] * 9 + ["/bad"]:
            verge.http_request(node.addresses["http"], "GET", path, fields={"Host": "w.test"})
        its = node.admin("/v1/workers").json()["workers"]
        self.assertEqual({each["name"]: (each["calls"], each["errors"]) for each in its}, {"hello": (10, 1), "idle": (0, 0)})
        self.look(node, "#/requests")
        cells = "[...document.querySelectorAll('[data-worker={}] td')].map(cell => cell.innerText)"
        self.browser.wait(cells.format("hello") + "[0] == '10'", "its calls")
        shown = self.browser.do("evaluate", script=cells.format("hello"))
        self.assertEqual(shown[:3], ["10", "1", "0"])
        self.assertTrue(shown[3].endswith("s") and shown[4].endswith("B") and shown[6].endswith("s"), shown)
        self.assertEqual(self.browser.do("evaluate", script=cells.format("idle"))[:4], ["0", "0", "0", "–"])
        self.nothing_went_wrong()


@unittest.skipIf(browser.missing(), browser.missing())
class Reported(WithBrowser):
    """Nodes below, by reports that are made up here."""

    def report(self, node, *nodes):
        body = {"every_ms": 2000, "sent_us": int(time.time() * 1e6), "nodes": list(nodes)}
        self.assertEqual(node.post("/v1/report", body).status, 200)

    def test_the_last_word_grows_older(self):
        node = self.node("cloud", tier="cloud").start()
        self.report(node, {"id": "1" * 32, "name": "late", "tier": "edge"})
        self.look(node, "#/node/" + "1" * 32)
        age = ("(() => { const row = [...document.querySelectorAll('tr')].find(r => r.innerText.startsWith('Last word'));"
               "const found = /(\\d+)\\ss ago/.exec(row?.innerText ?? ''); return found ? Number(found[1]) : 0; })()")
        self.browser.wait("[...document.querySelectorAll('.state')].some(s => s.innerText.includes('offline'))", "it is offline")
        # Nothing of it changes from now on, and nothing of it is sent.
        first = self.browser.do("evaluate", script=age)
        self.assertGreaterEqual(first, 3)
        self.browser.wait(f"{age} >= {first} + 3", "it is counted on")
        self.nothing_went_wrong()

    @unittest.skipIf(verge.own_address() is None, "this machine has no address but loopback")
    def test_a_token_is_asked_for(self):
        token = os.path.join(self.directory, "token")
        with open(token, "w", encoding="utf-8") as file:
            file.write("token-of-admin\n")
        os.chmod(token, 0o600)
        node = self.node("edge", f'[admin]\ntokens = [{{ file = "{token}" }}]\n',
                         sets=["node.allow_anonymous=true", f"admin.listen={verge.own_address()}:0"]).start()
        self.browser.open(f"http://{node.addresses['admin']}/")
        said = "document.querySelector('[role=alert]')?.innerText"
        self.browser.wait(f"{said}?.startsWith('a token is needed')", "it asks")
        for wrong, then in (("token\u2026admin", "document.querySelector('input:invalid')"),
                            ("token-of-nobody", f"{said}?.startsWith('this token is not known')")):
            self.browser.do("fill", what="input[type=password]", text=wrong)
            self.browser.do("click", what="form button")
            self.browser.wait(then, wrong)
        self.browser.do("fill", what="input[type=password]", text="token-of-admin")
        self.browser.do("click", what="form button")
        self.browser.wait("document.querySelector('.link.live')", "it is admitted")
        self.assertTrue(all("401" in each for each in self.browser.do("errors")))

    def test_what_an_offline_node_reported_is_marked(self):
        node = self.node("cloud", tier="cloud").start()
        self.report(node, {"id": "1" * 32, "name": "late", "tier": "edge"})
        self.look(node, "#/node/" + "1" * 32)
        self.browser.wait("document.querySelector('.tiles.old') && document.querySelector('.lead').innerText == 'It is offline. What it reported last.'",
                          "its tiles")
        self.look(node)
        self.browser.wait("[...document.querySelectorAll('tr.old')].some(r => r.innerText.startsWith('late'))", "its row")
        self.assertEqual(self.browser.do("evaluate", script="document.querySelectorAll('tr.old').length"), 1)
        self.nothing_went_wrong()

    def test_a_long_name_fits_a_narrow_window(self):
        name = "n" * 63
        node = self.node(name, tier="cloud").start()
        below = "m" * 63
        self.report(node, {"id": "1" * 32, "name": below, "tier": "edge"})
        for fragment in [*PAGES.values(), "#/node/" + node.status()["node"]["id"], "#/node/" + "1" * 32]:
            self.look(node, fragment, width=360)
            self.browser.wait(f"document.body.innerText.includes('{name}')", "its name")
            wide = self.browser.do("evaluate", script="document.documentElement.scrollWidth")
            self.assertLessEqual(wide, 360, fragment)
        self.look(node, width=360)
        states = ("[...document.querySelectorAll('tbody .state')].map(s => s.getBoundingClientRect())"
                  ".map(r => r.left >= 0 && r.right <= 360)")
        self.browser.wait("document.querySelectorAll('tbody .state').length == 2")
        self.assertEqual(self.browser.do("evaluate", script=states), [True, True], "how nodes are is seen beside their names")
        self.nothing_went_wrong()

    def test_no_child_is_left_out(self):
        node = self.node("cloud", tier="cloud").start()
        parent = "f" * 32
        self.report(node, {"id": parent, "name": "fog", "tier": "fog"},
                    *({"id": f"{number:032x}", "parent": parent, "name": f"edge-{number}", "tier": "edge", "latitude": 50,
                       "longitude": number / 10} for number in range(1, 61)))
        self.look(node, "#/node/" + parent)
        rows = "[...document.querySelectorAll('main section')].find(s => s.innerText.startsWith('Children'))?.querySelectorAll('tbody tr').length"
        self.browser.wait(f"{rows} == 50", "the first")
        self.browser.do("click", what="button.more")
        self.browser.wait(f"{rows} == 60", "all of them")
        self.look(node, "#/insights")
        self.browser.do("fill", what="form input", text="Paris")
        self.browser.do("click", what="form button")
        self.browser.wait("document.querySelectorAll('tbody tr').length == 10", "the nearest")
        self.browser.do("click", what="button.more")
        self.browser.wait("document.querySelectorAll('tbody tr').length == 60", "all of them")
        self.look(node)
        self.browser.wait("[...document.querySelectorAll('tbody th')].some(th => th.textContent.replace(/\\s+/g, ' ') == 'edge-7, below fog')",
                          "whose child it is stands there for those who do not see the indentation")
        self.nothing_went_wrong()

    def test_what_cannot_be_read_is_said(self):
        node = self.node("edge", '[[site]]\nhosts = ["shop.example"]\norigins = ["http://127.0.0.1:1"]\n').start()
        text = "document.querySelector('main').innerText"
        for path in ("**/v1/workers", "**/v1/requests", "**/v1/history*", "**/land-110m*"):
            self.browser.do("block", path=path)
        self.look(node, "#/requests")
        self.browser.wait(f"{text}.split('This could not be read: the node does not answer').length == 4", "lists")
        self.browser.wait(f"{text}.includes('No last hour to show: the node does not answer')", "charts")
        self.assertNotIn("No worker runs", self.browser.do("evaluate", script=text))
        self.browser.do("unblock", path="**/v1/workers")
        self.browser.do("unblock", path="**/v1/history*")
        self.browser.wait(f"{text}.includes('No worker runs at this node')", "it is asked again")
        self.browser.wait(f"!{text}.includes('No last hour')", "and so is the last hour")
        self.look(node, "#/")
        self.browser.wait(f"{text}.includes('without them')", "coasts")
        self.assertTrue(all("ERR_FAILED" in each for each in self.browser.do("errors")))

    def test_a_tail_that_ends_says_so(self):
        node = self.node("edge").start()
        self.look(node, "#/events")
        self.browser.do("click", what="form button[type=submit]")
        status = "document.querySelector('form [role=status]').innerText"
        self.browser.wait(f"{status} == 'watching'", "it watches")
        node.stop()
        self.browser.wait(f"/^not watching any more: the node (ended it|does not answer)$/.test({status})", "it does not, and why")
        self.browser.do("errors")

    def test_a_node_that_stands_still_is_lost(self):
        """Its connections stay, and nothing comes over them any more: the tail is given up as well."""
        node = self.node("edge").start()
        self.look(node, "#/events")
        self.browser.do("click", what="form button[type=submit]")
        status = "document.querySelector('form [role=status]').innerText"
        self.browser.wait(f"{status} == 'watching'", "it watches")
        node.signal(signal.SIGSTOP)
        self.addCleanup(lambda: node.process and node.signal(signal.SIGCONT))
        self.browser.wait("document.querySelector('.link.lost')", "the page says that the node is lost")
        self.browser.wait(f"{status} == 'not watching any more: the node does not answer'", "so does the tail", ms=60_000)
        node.signal(signal.SIGCONT)
        self.browser.wait("document.querySelector('.link.live')", "it is found again")
        self.browser.do("click", what="form button[type=submit]")
        self.browser.wait(f"{status} == 'watching'", "and watched again")
        self.browser.do("errors")

    def test_nodes_whose_parents_are_a_circle_are_shown(self):
        node = self.node("cloud", tier="cloud", sets=['node.children=["ghost"]']).start()
        ids = {name: str(number) * 32 for number, name in enumerate(("fog", "first", "second"), 1)}
        self.report(node, {"id": ids["fog"], "name": "fog", "tier": "fog"},
                    {"id": ids["first"], "parent": ids["second"], "name": "first", "tier": "edge"},
                    {"id": ids["second"], "parent": ids["first"], "name": "second", "tier": "edge"})
        self.assertEqual(len(node.admin("/v1/tree").json()["nodes"]), 3)
        self.look(node)
        self.browser.wait("document.querySelector('[data-id=nodes]')?.innerText == '5'", "all are counted")
        names = "[...document.querySelectorAll('tbody th a')].map(a => a.innerText)"
        self.assertEqual(sorted(self.browser.do("evaluate", script=names)), ["cloud", "first", "fog", "second"])
        self.browser.do("evaluate", script="(() => { const s = document.querySelector('main select'); s.value = 'never_seen';"
                                           "s.dispatchEvent(new Event('change', { bubbles: true })); })()")
        self.browser.wait(f"{names}.length == 0 && document.querySelector('main').innerText.includes('ghost')",
                          "only the one that was never seen")
        self.nothing_went_wrong()


@unittest.skipIf(browser.missing(), browser.missing())
class Dashboard(WithBrowser):
    def setUp(self):
        super().setUp()
        self.tree = trees.DashboardTree(self.directory)
        self.addCleanup(self.tree.end)
        self.tree.start()

    def row(self, name):
        """The state that the table of nodes shows for one of them."""
        return (f"[...document.querySelectorAll('tbody tr')].find(r => r.querySelector('th').innerText.startsWith('{name}'))"
                "?.querySelector('.state')?.innerText")

    def test_numbers_are_those_of_the_api(self):
        """Stopped for a moment, so that both can be compared: totals, tree, goals."""
        self.look(self.tree.edge, "#/events")
        self.browser.wait("Number(document.querySelector('[data-id=events]').innerText.replace(/\\D/g,'')) > 50")
        self.tree.over.set()  # nobody sends or asks any more
        for thread in self.tree.threads:
            thread.join()
        now = verge.wait_until(self.settled, "the figures stand still")
        totals = now["totals"]
        self.assertGreater(totals["events"], 50)

        def digits(name):
            return int("".join(c for c in self.browser.figure(name) or "" if c.isdigit()) or -1)

        verge.wait_until(lambda: digits("events") == totals["events"],
                         lambda: f"events: {self.browser.figure('events')} is not {totals['events']}")
        self.assertEqual(digits("dead_letters"), now["figures"]["dead_letters"])
        status = self.tree.edge.status()
        self.assertEqual(digits("events"), status["events"]["http"] + status["mqtt"]["received"])
        self.look(self.tree.edge, "#/requests")
        verge.wait_until(lambda: digits("requests") == totals["requests"], "requests are those of the API")
        self.assertEqual(digits("requests"), status["cache"]["requests"])
        popular = self.tree.edge.admin("/v1/requests").json()
        self.browser.wait(f"document.body.innerText.includes({popular['urls'][0]['key']!r})", "the first of the URLs")
        self.browser.wait("document.body.innerText.includes('products')", "the first of the tags")
        self.look(self.tree.cloud)
        verge.wait_until(lambda: self.browser.figure("live") == "3", "three nodes are live")
        self.assertEqual(self.browser.figure("never"), "1")
        for name in ("cloud", "fog", "edge"):
            self.assertEqual(self.browser.do("evaluate", script=self.row(name)).split()[-1], "live")
        sites = self.browser.do("evaluate", script="document.querySelector('main').innerText")
        for site in ("London, Acton", "Paris", "Frankfurt"):
            self.assertIn(site, sites)
        self.look(self.tree.edge, "#/goals")
        self.browser.wait("document.querySelectorAll('tbody tr').length == 8")
        goals = {each["id"]: each for each in self.tree.edge.admin("/v1/goals").json()["goals"]}
        shown = self.browser.figure("goal-availability")
        self.assertEqual(shown, "100\u202f%")
        self.assertEqual(goals["availability"]["measured"], 1)
        self.nothing_went_wrong()

    def settled(self):
        before = self.tree.edge.admin("/v1/now").json()
        verge.pause(2.1)
        after = self.tree.edge.admin("/v1/now").json()
        return after if before["totals"]["requests"] == after["totals"]["requests"] and (
            before["totals"]["events"] == after["totals"]["events"]) else None

    def test_a_parent_that_is_cut_off_is_shown_and_comes_back(self):
        self.look(self.tree.edge)
        self.browser.wait(f"{self.row('fog')}?.endsWith('live')", "the parent is live")
        self.tree.fog.kill9()
        began = time.monotonic()
        self.browser.wait(f"{self.row('fog')}?.endsWith('offline')", "the parent is offline", ms=15_000)
        seen = time.monotonic() - began
        print(f"shown offline after {seen:.1f} s", flush=True)
        self.assertLess(seen, OFFLINE_S)
        self.tree.fog.start()
        self.browser.wait(f"{self.row('fog')}?.endsWith('live')", "the parent is back")
        self.nothing_went_wrong()

    def test_a_purge_by_hand_takes_effect(self):
        self.tree.over.set()
        for thread in self.tree.threads:
            thread.join()
        self.tree.get("/products/1")
        asked = len(self.tree.origin.requests)
        self.tree.get("/products/1")
        self.assertEqual(len(self.tree.origin.requests), asked, "it is cached")
        self.look(self.tree.edge, "#/requests")
        self.browser.do("choose", what="form select", value="tags")
        self.browser.do("fill", what="form input[required]", text="products")
        self.browser.do("click", what="form button")
        self.browser.wait("document.querySelector('.outcome')?.innerText.startsWith('Done')", "the purge is done")
        self.tree.get("/products/1")
        self.assertEqual(len(self.tree.origin.requests), asked + 1, "it was fetched anew")
        self.browser.do("choose", what="form select", value="urls")
        self.browser.do("fill", what="form input[required]", text="no URL")
        self.browser.do("click", what="form button")
        self.browser.wait("document.querySelector('.outcome.failed')", "what is no purge is refused in words")
        errors = self.browser.do("errors")
        self.assertTrue(all("400" in each for each in errors), errors)

    def test_the_tail_shows_events(self):
        self.look(self.tree.edge, "#/events")
        self.browser.do("fill", what="form input", text="plant/press-3/telemetry")
        self.browser.do("click", what="form button[type=submit]")
        self.browser.wait("document.querySelectorAll('.tail li').length >= 3")
        topics = self.browser.do("evaluate", script="[...document.querySelectorAll('.tail li b')].map(b => b.innerText)")
        self.assertEqual(set(topics), {"plant/press-3/telemetry"})
        self.browser.do("click", what="form button[type=button]")
        self.nothing_went_wrong()

    def test_the_tail_goes_on_after_separators_of_lines(self):
        self.look(self.tree.edge, "#/events")
        self.browser.do("fill", what="form input", text="odd/#")
        self.browser.do("click", what="form button[type=submit]")
        shown = "[...document.querySelectorAll('.tail li')].map(li => li.innerText).join('')"
        self.browser.wait("document.querySelector('form [role=status]').innerText == 'watching'", "it watches")
        for text in ("first\u2028", "second\u2029\u0085"):
            self.tree.edge.post("/v1/events", {"topic": "odd/x", "device": "x\u2028", "payload": text})
            self.browser.wait(f"{shown}.includes('{text[:5]}')", text[:5])
        self.nothing_went_wrong()

    def test_it_says_plainly_when_it_lost_the_node(self):
        self.look(self.tree.edge)
        self.tree.edge.kill9()
        began = time.monotonic()
        self.browser.wait("document.querySelector('[role=alert]')?.innerText.includes('Lost the node')", ms=15_000)
        self.assertLess(time.monotonic() - began, OFFLINE_S)
        self.browser.do("errors")
        self.tree.edge.start()
        self.browser.wait("document.querySelector('.link.live') && !document.querySelector('[role=alert]')", "it is back")

    def test_pages_can_be_used_by_everybody(self):
        """axe-core finds nothing serious; nothing is wider than the window; the keyboard gets everywhere."""
        own = "#/node/" + self.tree.edge.status()["node"]["id"]
        for name, fragment in {**PAGES, "node": own}.items():
            for width, scheme in ((1280, "light"), (360, "dark")):
                with self.subTest(page=name, width=width, scheme=scheme):
                    self.look(self.tree.edge, fragment, width=width, scheme=scheme)
                    self.browser.wait("document.querySelector('main h1') && document.querySelector('main').innerText.length > 60")
                    self.assertEqual(self.browser.do("axe"), [])
                    wide = self.browser.do("evaluate", script="document.documentElement.scrollWidth")
                    self.assertLessEqual(wide, width, "it is wider than the window")
        self.look(self.tree.edge)
        self.browser.do("press", key="Tab")
        self.assertEqual(self.browser.do("evaluate", script="document.activeElement.className"), "skip")
        for _ in range(3):  # the name, Tree, Events
            self.browser.do("press", key="Tab")
        self.browser.do("press", key="Enter")
        self.browser.wait("document.querySelector('h1').innerText == 'Events' && document.activeElement == document.querySelector('h1')",
                          "the page that a key opened has the focus")
        self.nothing_went_wrong()


if __name__ == "__main__":
    unittest.main(verbosity=2)
