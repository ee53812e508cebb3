#!/usr/bin/env python3
"""verge plan: every command answers in JSON, as a table and as a picture; bad input is named with its line; the solver is
loaded by --mode exact only."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import verge  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples/plan"
CITY = EXAMPLES / "city.toml"


def shared_data():
    for up in (ROOT, *ROOT.parents):
        if (up / "shared/data/gap").is_dir():
            return up / "shared/data"
    return None


DATA = shared_data()


def plan(*words, status=0, timeout=120):
    done = subprocess.run([verge.VERGE, "plan", *map(str, words)], capture_output=True, text=True, timeout=timeout)
    if done.returncode != status:
        raise AssertionError(f"{words}: {done.returncode}\n{done.stdout[:500]}\n{done.stderr[:500]}")
    return done


def answer(*words, **more):
    return json.loads(plan(*words, "--json", **more).stdout, parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))


COMMANDS = [
    ("latency", "--from", "London", "--to", "us-east-1"),
    ("select", CITY),
    ("replicate", CITY),
    ("replicate", CITY, "--sharding", "hash", "--keys", "1000"),
    ("replicate", CITY, "--sharding", "geo"),
    ("place", CITY, "--seconds", "0.5"),
    ("place", CITY, "--mode", "greedy"),
    ("protocol", "--matrix", EXAMPLES / "round-trips.csv", "--protocol", "epaxos", "--operations", "2000"),
    ("protocol", "--matrix", EXAMPLES / "round-trips.csv", "--leader", "CA", "--operations", "9000", "--fail", "CA@1-4",
     "--part", "JP,EU@5-8"),
    ("roi", CITY),
    ("advise", CITY),
]


class EveryCommand(unittest.TestCase):
    def test_answers_in_json_as_a_table_and_as_a_picture(self):
        for words in COMMANDS:
            with self.subTest(words=words), tempfile.TemporaryDirectory() as directory:
                self.assertIsInstance(answer(*words), dict)
                table = plan(*words).stdout
                explained = plan(*words, "--explain").stdout
                self.assertGreater(len(explained), len(table))
                self.assertNotIn("nan", re.split(r"\W+", explained.lower()))
                picture = pathlib.Path(directory, "answer.svg")
                plan(*words, "--svg", picture)
                self.assertEqual(xml.dom.minidom.parse(str(picture)).documentElement.tagName, "svg")

    def test_all_formats_are_read(self):
        self.assertEqual(len(answer("select", EXAMPLES / "stores.csv")["users"]), 3)
        self.assertEqual(answer("select", EXAMPLES / "sensors.geojson")["users"][0]["primary"]["node"], "basel-edge")
        self.assertGreater(len(answer("select", "--nodes", "aws", "--users", "cities")["users"]), 100)


    def test_names_do_nothing_in_a_terminal_or_a_picture(self):
        with tempfile.TemporaryDirectory() as directory:
            path, picture = pathlib.Path(directory, "plan.csv"), pathlib.Path(directory, "a.svg")
            path.write_bytes(b'kind,name,lat,lon\nnode,"\x1b[31m<red>\xff",50,8\nuser,"a\nb",50,9\nworkload,"\x1b]0;x\x07",,\n')
            for command in ("select", "replicate", "place", "protocol"):
                said = plan(command, path, "--explain", "--svg", picture).stdout
                self.assertNotRegex(said, "[\x00-\x09\x0b-\x1f]")
                self.assertIn("u{1b}[31m", said)
                self.assertEqual(xml.dom.minidom.parse(str(picture)).documentElement.tagName, "svg")
                answer(command, path)


class Answers(unittest.TestCase):
    def test_the_placement_keeps_to_the_plan(self):
        for mode in ("greedy", "anytime", "exact"):
            found = answer("place", CITY, "--mode", mode, "--seconds", "1")
            where = {}
            for entry in found["placements"]:
                where.setdefault(entry["workload"], []).append(entry["node"])
                self.assertGreater(entry["estimated_latency"], 0)
            self.assertEqual(len(set(where["crane-control"])), 2)
            self.assertFalse(set(where["crane-control"]) & set(where["tram-vision"]))
            self.assertLessEqual(found["bound"], found["value"] * (1 + 1e-9))
            if mode == "exact":
                self.assertTrue(found["optimal"])

    def test_options_go_over_the_file(self):
        self.assertEqual(answer("roi", CITY)["investment"], 120000)
        self.assertEqual(answer("roi", CITY, "--nodes", "5")["investment"], 200000)

    def test_measurements_keep_cape_town_from_sao_paulo(self):
        nodes = '[[node]]\nname="sa-east-1"\n[[node]]\nname="eu-west-2"\n[[user]]\nname="Cape Town"\n'
        measured = '[[measured]]\nfrom="Cape Town"\nto="sa-east-1"\nms=329\n[[measured]]\nfrom="Cape Town"\nto="eu-west-2"\nms=142.5\n'
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "plan.toml")
            path.write_text(nodes)
            self.assertEqual(answer("select", path)["users"][0]["primary"]["node"], "sa-east-1")
            path.write_text(nodes + measured)
            self.assertEqual(answer("select", path)["users"][0]["primary"]["node"], "eu-west-2")

    def test_saturated_is_null_and_said(self):
        found = answer("latency", "--distance", "1000", "--arrivals", "10", "--services", "5")
        self.assertIsNone(found["cloud"]["total_ms"])
        self.assertTrue(found["cloud"]["saturated"])
        self.assertIn("infinite", plan("latency", "--distance", "1000", "--arrivals", "10", "--services", "5").stdout)


    def test_that_all_are_saturated_is_said(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "plan.toml")
            path.write_text('[[node]]\nname="a"\nlat=50\nlon=8\nload=1\n[[node]]\nname="b"\nlat=51\nlon=8\nload=2\n'
                            '[[user]]\nname="u"\nlat=50\nlon=9\n')
            found = answer("select", path)
            self.assertEqual(found["unserved"], 1)
            self.assertIsNone(found["users"][0]["primary"])
            self.assertIn("all 2 nodes are saturated", found["users"][0]["reason"])
            self.assertIn("all 2 nodes are saturated (load 1 or more): 1 user(s) have no node", plan("select", path).stdout)
            self.assertIn("infinite", plan("select", path, "--explain").stdout)
            self.assertIn("cells have no node", plan("select", path, "--table", "100").stdout)
            self.assertEqual(answer("select", CITY)["unserved"], 0)

    def test_of_two_that_never_answer_neither_is_faster(self):
        words = ("latency", "--distance", "1000", "--arrivals", "10", "--services", "5", "--edge-services", "5")
        found = answer(*words)
        self.assertIsNone(found["advantage_ms"])
        self.assertEqual(found["faster"], "neither")
        self.assertIn("neither ever answers", plan(*words).stdout)
        words = (*words[:-1], "20")
        self.assertEqual(answer(*words)["faster"], "edge")
        self.assertIn("only the edge answers", plan(*words).stdout)

    def test_a_measured_pair_is_answered_by_its_measurement(self):
        with tempfile.TemporaryDirectory() as directory:
            folder = pathlib.Path(directory, "rtt")
            folder.mkdir()
            (folder / "London.dat").write_text("79/80/90/1:us-east-1\n240/250/260/1:Sydney\n19/20/21/1:Sydney\n")
            (folder / "us-east-1.dat").write_text("81/82/90/1:London\n200/210/220/1:Sydney\n")
            found = answer("latency", "--rtt", folder, "--from", "London", "--to", "VA", "--bytes", "0")
            self.assertTrue(found["cloud"]["measured"])
            self.assertEqual(found["cloud"]["propagation_ms"], 81)
            self.assertEqual(answer("latency", "--rtt", folder, "--from", "london", "--to", "sydney")["cloud"]["total_ms"], 250)
            self.assertFalse(answer("latency", "--rtt", folder, "--from", "London", "--to", "Tokyo")["cloud"]["measured"])
            whole = answer("latency", "--rtt", folder)
            self.assertEqual((whole["pairs"], whole["below_floor"]), (3, 1))
            self.assertEqual((whole["refused"][0]["line"], whole["refused"][0]["file"]), (3, str(folder / "London.dat")))
            (folder / "us-east-1.dat").write_text("1/1/1/1:London\n")
            self.assertIn("us-east-1.dat:1: every sample", plan("latency", "--rtt", folder, status=2).stderr)
            (folder / "us-east-1.dat").write_text("")
            self.assertIn("us-east-1.dat:1: there is no measurement", plan("latency", "--rtt", folder, status=2).stderr)


class BadInput(unittest.TestCase):
    def refused(self, text, *expected, command="place", name="plan.toml"):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, name)
            path.write_text(text)
            done = plan(command, path, status=2)
            self.assertEqual(done.stdout, "")
            for word in expected:
                self.assertIn(word, done.stderr)

    def test_is_named_with_its_line_and_a_fix(self):
        node = '[[node]]\nname = "n"\nlat = 50\nlon = 8\n'
        self.refused('[[node]]\nname = "n"\nlat = 95\nlon = 8\n', "plan.toml:3:", "-90 to 90", "plan.coordinates")
        self.refused('[[node]]\nname = "n"\nlat = nan\nlon = 8\n', "plan.toml:3:", "plan.coordinates")
        self.refused(node + "cpu = -1\n", "plan.toml:5:", "plan.value")
        self.refused(node + "cpuu = 1\n", "plan.toml:5:", "did you mean 'cpu'?", "plan.unknown-key")
        workload = node + '[[user]]\nname = "u"\nlat = 50\nlon = 8\n[[workload]]\nname = "w"\n'
        self.refused(workload + 'data = ["m"]\n', "plan.toml:11:", "plan.unknown-node")
        self.refused(workload + 'cpu = 1\ncurrent = ["m"]\n', "plan.toml:12:", "plan.unknown-node")
        self.refused(workload + 'users = ["v"]\n', "plan.toml:11:", "plan.unknown-user", "did you mean 'u'?")
        self.refused(workload + 'apart_from = ["x"]\n', "plan.toml:11:", "plan.unknown-workload")
        self.refused(workload + 'apart_from = ["w"]\n', "plan.toml:11:", "cannot be apart from itself", "plan.value")
        self.refused(workload + 'replicas = 1.5\n', "plan.toml:11:", "plan.value")
        self.refused(workload + '[[measured]]\nfrom = "u"\nto = "x"\nms = 3\n', "plan.toml:13:", "plan.unknown-node")
        self.refused('[[node]]\nname = "London"\nlat = 50\n', "plan.toml:1:", "no 'lon'", "plan.coordinates")
        self.refused("[[node]\n", "plan.toml:1:", "plan.toml]")
        self.refused("kind,name,lat,lon\nnode,n,1,2\nnode,m,1,200\n", "plan.csv:3:", "plan.coordinates", name="plan.csv")

    def test_what_is_missing_is_named_with_its_file(self):
        node = '[[node]]\nname = "n"\nlat = 50\nlon = 8\n'
        user = '[[user]]\nname = "u"\nlat = 50\nlon = 8\n'
        self.refused(node + user, "plan.toml:1: there is no workload", "--workloads", "plan.missing")
        self.refused(node, "plan.toml:1: there is no user", "plan.missing")
        for command in ("place", "select", "replicate", "protocol"):
            self.refused(user, "plan.toml:1: there is no node", "plan.missing", command=command)
            self.assertIn("no plan was given", plan(command, status=2).stderr)
        self.assertIn("built-in table", plan("select", "--nodes", "awss", status=2).stderr)

    def test_a_kind_of_computing_that_is_none(self):
        self.refused('[advise]\ncomputing = "quantum"\n', "plan.toml:2:", "realtime", "plan.value", command="advise")
        self.assertIn("quantum", plan("advise", "--computing", "quantum", status=2).stderr)

    def test_a_matrix_is_square_and_possible(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "m.csv")
            for text, line, words in (("a,b\n0,nan\n5,0\n", 2, "no number"), ("a,b,c\n0,5,7\n5,0\n7,8,0\n", 3, "2 cells for 3 sites"),
                                      ("a,b\n0,5\n5,3\n", 3, "to itself is 3 ms"), ("VA,EU\n0,20\n90,0\n", 2, "faster than light"),
                                      ("VA,EU\n0,90\n20,0\n", 3, "faster than light")):
                path.write_text(text)
                said = plan("protocol", "--matrix", path, status=2).stderr
                self.assertIn(f"m.csv:{line}:", said)
                self.assertIn(words, said)

    def test_a_small_conflicting_set_is_named(self):
        text = ('[[node]]\nname = "near"\nlat = 50\nlon = 8\ncpu = 1\n[[node]]\nname = "far"\nlat = -33\nlon = 151\n'
                '[[user]]\nname = "u"\nlat = 50\nlon = 8.1\n[[workload]]\nname = "w"\ncpu = 4\nlatency_max_ms = 20\n')
        self.refused(text, "plan.toml:14:", "cpu and the latency limit", "plan.infeasible")

    def test_workloads_that_conflict_are_named_with_their_lines(self):
        text = ('[[node]]\nname = "n"\nlat = 50\nlon = 8\ncpu = 4\n[[user]]\nname = "u"\nlat = 50\nlon = 8.1\n'
                '[[workload]]\nname = "a"\ncpu = 3\n[[workload]]\nname = "b"\ncpu = 2\n')
        self.refused(text, "plan.toml:10:", "plan.toml:13) together want 5 of cpu", "plan.infeasible")

    def test_no_option_takes_nan(self):
        tried = 0
        for command in ("latency", "select", "replicate", "place", "protocol", "roi", "advise"):
            for option in re.findall(r"(--[a-z-]+) FLOAT", plan(command, "--help").stdout):
                with self.subTest(f"{command} {option}"):
                    said = plan(command, option, "nan", status=2).stderr
                    self.assertIn(option, said)
                    self.assertIn("'nan'", said)
                    tried += 1
        self.assertGreater(tried, 20)

    def test_an_instance_that_is_none(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "g")
            path.write_text("2 2\n1 2 3 4\n1 2 3 x\n5 5\n")
            self.assertIn("g:3:", plan("place", "--gap", path, status=2).stderr)

    def test_an_instance_that_no_assignment_fits_is_named_so_with_a_set(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "g")
            for mode in ("anytime", "exact"):
                path.write_text("1 2\n1 1\n5 5\n7\n")
                said = plan("place", "--gap", path, "--mode", mode, status=2).stderr
                self.assertIn("g:4: no assignment is possible: the 2 job(s) 0, 1 together want 10", said)
                self.assertIn("give these agents 3 more", said)
                path.write_text("1 2\n1 1\n5 9\n7\n")
                self.assertIn("job 1 weighs more", plan("place", "--gap", path, "--mode", mode, status=2).stderr)
                # Counting does not show it: three jobs of 6 on two agents of 10.
                path.write_text("2 4\n1 1 1 1 1 1 1 1\n6 6 1 6 6 6 1 6\n10 10\n")
                said = plan("place", "--gap", path, "--mode", mode, "--seconds", "2", status=2).stderr
                self.assertIn("the 3 job(s) 0, 1, 3 do not fit together into the 2 agent(s)", said)
                self.assertNotIn("more --seconds", said)


class Solver(unittest.TestCase):
    def test_is_not_loaded_before_it_is_used(self):
        linked = subprocess.run(["ldd", verge.VERGE], capture_output=True, text=True).stdout
        self.assertNotIn("Cbc", linked)


@unittest.skipIf(DATA is None, "there is no ../shared/data")
class Published(unittest.TestCase):
    def test_instances_are_solved_to_near_their_best_known_values(self):
        for name, best, within in (("c05100", 1931, 0.002), ("e05100", 12681, 0.005), ("c20100", 1243, 0.005)):
            found = answer("place", "--gap", DATA / "gap" / name, "--seconds", "3")
            self.assertEqual(len(found["assignment"]), 100)
            self.assertLessEqual(found["bound"], best)
            self.assertGreaterEqual(found["value"], best)
            self.assertLessEqual(found["value"], best * (1 + within), name)

    def test_calibration_is_cross_validated(self):
        for cloud, pairs in (("aws", 171), ("gcp", 190)):
            found = answer("latency", "--rtt", DATA / "rtt" / cloud)
            self.assertEqual(found["pairs"], pairs)
            self.assertEqual(found["below_floor"], 0)
            self.assertLessEqual(found["median_error"], 0.15)


if __name__ == "__main__":
    unittest.main()
