"""verge detect, reduce and restore, as people run them."""

import csv
import json
import math
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

NAB = os.path.join(verge.REPOSITORY, "..", "shared", "data", "nab")
SCORER = os.path.join(verge.REPOSITORY, "..", "shared", "tools", "nab_score.py")


def wave(count, seed=1):
    chance = random.Random(seed)
    rows = ["timestamp,value"]
    for i in range(count):
        day, minute = divmod(i * 5, 24 * 60)
        value = 50 + 20 * math.sin(i / 288 * 6.283) + chance.gauss(0, 1)
        rows.append(f"2014-04-{1 + day:02} {minute // 60:02}:{minute % 60:02}:00,{value:.4f}")
    return rows


class Series(verge.TestCase):
    def file(self, name, rows):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join(rows) + "\n")
        return path

    def series(self, text):
        rows = list(csv.reader(text.splitlines()))
        return [row[0] for row in rows[1:]], [float(row[1]) if row[1] else math.nan for row in rows[1:]]

    def fails(self, arguments, *words):
        answer = verge.run(*arguments)
        self.assertEqual(answer.returncode, 2, answer)
        self.assertEqual(len(answer.stderr.splitlines()), 1, answer.stderr)
        for word in words:
            self.assertIn(word, answer.stderr)


class Detect(Series):
    def test_a_row_for_each_row_and_the_spike_stands_out(self):
        rows = wave(3000)
        rows[2500] = rows[2500].rsplit(",", 1)[0] + ",150"
        answer = verge.run("detect", self.file("a.csv", rows))
        self.assertEqual(answer.returncode, 0, answer)
        self.assertEqual(answer.stdout.splitlines()[0], "timestamp,anomaly_score")
        times, scores = self.series(answer.stdout)
        self.assertEqual(times, [row.split(",")[0] for row in rows[1:]])
        self.assertTrue(all(0 <= score <= 1 for score in scores))
        self.assertEqual(max(range(len(scores)), key=scores.__getitem__), 2499)
        self.assertGreater(scores[2499], 0.9)

    def test_a_score_depends_on_earlier_rows_only(self):
        rows = wave(2000)
        whole = verge.run("detect", self.file("whole.csv", rows)).stdout.splitlines()
        part = verge.run("detect", self.file("part.csv", rows[:1200])).stdout.splitlines()
        self.assertEqual(whole[:1200], part)

    def test_standard_input_is_answered_row_by_row(self):
        process = subprocess.Popen([verge.VERGE, "detect", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        process.stdin.write("timestamp,value\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "timestamp,anomaly_score\n")
        for i in range(20):
            process.stdin.write(f"{i},{i % 3}\n")
            process.stdin.flush()
            self.assertTrue(process.stdout.readline().startswith(f"{i},"))
        process.stdin.close()
        self.assertEqual(process.wait(verge.PATIENCE), 0)

    def test_one_joint_score_for_several_columns(self):
        chance = random.Random(5)
        rows = ["time,flow,note,power"]
        for i in range(2000):
            load = chance.gauss(50, 15)
            rows.append(f"{i * 60},{load:.3f},,{(100 - load if i == 1500 else load) + chance.gauss(0, 0.05):.3f}")
        answer = verge.run("detect", self.file("a.csv", rows), "--columns", "flow,power")
        self.assertEqual(answer.returncode, 0, answer)
        _, scores = self.series(answer.stdout)
        self.assertEqual(len(scores), 2000)
        self.assertGreater(scores[1500], 0.5)

    def test_missing_values_score_nothing(self):
        rows = ["t,v"] + [f"{i},{'' if i % 7 == 0 else 'NaN' if i % 7 == 1 else i % 5}" for i in range(300)]
        _, scores = self.series(verge.run("detect", self.file("a.csv", rows)).stdout)
        self.assertEqual(len(scores), 300)
        self.assertTrue(all(score == 0 for i, score in enumerate(scores) if i % 7 < 2))

    def test_errors_name_the_place(self):
        self.fails(["detect", self.file("a.csv", ["timestamp,value", "1,2", "2,high"])], "a.csv:3:3", "high", "[series.csv-number]")
        self.fails(["detect", self.file("a.csv", ["timestamp,value", "1,2,3"])], "a.csv:2:1", "[series.csv-row]")
        self.fails(["detect", self.file("a.csv", ["timestamp,value,speed"]), "--columns", "sped"], "speed", "[series.column]")
        self.fails(["detect", os.path.join(self.directory, "none.csv")], "none.csv", "[cli.input]")
        self.fails(["detect", self.file("a.csv", [""])], "a.csv:1", "[series.csv-header]")


class Reduce(Series):
    def reduced(self, rows, *options):
        source, target = self.file("a.csv", rows), os.path.join(self.directory, "a.bin")
        answer = verge.run("reduce", source, *options, "-o", target, "--json")
        self.assertEqual(answer.returncode, 0, answer)
        restored = verge.run("restore", target)
        self.assertEqual(restored.returncode, 0, restored)
        return json.loads(answer.stdout), restored.stdout, target

    def test_what_is_restored_is_within_the_error(self):
        rows = wave(3000)
        rows[2000] = rows[2000].rsplit(",", 1)[0] + ",500.123456789"
        said, restored, target = self.reduced(rows, "--max-error", "0.01")
        times, values = self.series("\n".join(rows))
        times_again, values_again = self.series(restored)
        self.assertEqual(restored.splitlines()[0], rows[0])
        self.assertEqual(times, times_again)
        span = max(values) - min(values)
        self.assertLessEqual(max(abs(a - b) for a, b in zip(values, values_again)), 0.01 * span)
        self.assertEqual(values_again[1999], 500.123456789, "an anomaly is kept as it was")
        self.assertEqual(said["size"], os.path.getsize(target))
        self.assertGreater(said["compression_ratio"], 20)
        self.assertGreaterEqual(said["exact_readings"], 1)

    def test_without_error_it_is_lossless(self):
        rows = ["time,value"] + [f"{1_700_000_000 + i * i},{chance}" for i, chance in enumerate([0.1, -3e300, 17, 2.5e-9, 42] * 50)]
        _, restored, _ = self.reduced(rows, "--max-error", "0")
        self.assertEqual(self.series("\n".join(rows)), self.series(restored))

    def test_missing_values_and_odd_timestamps_come_back(self):
        rows = ["when,what"] + [f"\"day {i}, noon\",{'' if i % 3 == 0 else i}" for i in range(100)]
        _, restored, _ = self.reduced(rows, "--max-error", "0.05")
        times, values = self.series(restored)
        self.assertEqual(times, [f"day {i}, noon" for i in range(100)])
        self.assertTrue(all(math.isnan(value) == (i % 3 == 0) for i, value in enumerate(values)))

    def test_a_line_and_a_deadline(self):
        source = self.file("a.csv", wave(3000))
        sizes = []
        for bandwidth in (10_000_000, 100_000, 20_000, 4_000):
            answer = verge.run("reduce", source, "--bandwidth-bps", str(bandwidth), "--deadline-ms", "1000", "--json")
            said = json.loads(answer.stdout)
            self.assertTrue(said["arrives"], said)
            self.assertLessEqual(said["size"], bandwidth / 8)
            sizes.append((said["quality"], said["size"]))
        self.assertEqual(json.loads(verge.run("reduce", source, "--bandwidth-bps", "10000000", "--deadline-ms", "1000",
                                              "--json").stdout)["method"], "raw")
        self.assertEqual(sizes, sorted(sizes, reverse=True))

    def test_it_says_when_nothing_arrives_in_time(self):
        answer = verge.run("reduce", self.file("a.csv", wave(3000)), "--bandwidth-bps", "8", "--deadline-ms", "1000", "--json")
        said = json.loads(answer.stdout)
        self.assertFalse(said["arrives"])
        self.assertLess(said["size"], 1000)
        self.assertIn("nothing arrives in time", answer.stderr)

    def test_a_range_that_no_number_holds(self):
        rows = ["t,v", "1,1e308", "2,-1e308", "3,0.5"]
        for goal in (["--max-error", "0.01"], ["--max-error", "0"], ["--bandwidth-bps", "9600", "--deadline-ms", "500"]):
            answer = verge.run("reduce", self.file("a.csv", rows), *goal, "-o", os.path.join(self.directory, "a.bin"), "--json")
            self.assertEqual(answer.returncode, 0, answer)

            def refuse(word):
                raise AssertionError(f"{word} is no JSON")

            self.assertIsNone(json.loads(answer.stdout, parse_constant=refuse)["range"])
            restored = verge.run("restore", os.path.join(self.directory, "a.bin")).stdout.splitlines()
            self.assertEqual([float(row.split(",")[1]) for row in restored[1:]], [1e308, -1e308, 0.5])

    def test_bad_input_is_one_clear_error(self):
        source = self.file("a.csv", wave(10))
        self.fails(["reduce", source], "--max-error", "[series.reduce-goal]")
        self.fails(["reduce", source, "--max-error", "1.5"], "[series.reduce-goal]")
        for share in ("-1", "nan"):
            self.fails(["reduce", source, "--max-error", share], f"--max-error {share} is no share", "[series.reduce-goal]")
        self.fails(["reduce", source, "--bandwidth-bps", "9600"], "--deadline-ms", "[series.reduce-goal]")
        self.fails(["reduce", source, "--max-error", "0.1", "--bandwidth-bps", "9600", "--deadline-ms", "5"],
                   "--max-error stands beside", "[series.reduce-goal]")
        self.fails(["reduce", self.file("b.csv", ["t,v"]), "--max-error", "0.1"], "[series.empty]")
        self.fails(["restore", source], "[series.record-unknown]")
        _, _, target = self.reduced(wave(500), "--max-error", "0.01")
        with open(target, "rb") as file:
            record = bytearray(file.read())
        record[len(record) // 2] ^= 1
        with open(target, "wb") as file:
            file.write(record)
        self.fails(["restore", target], "a.bin", "[series.record-damaged]")


class Benchmark(Series):
    def test_the_anomaly_benchmark(self):
        if not os.path.exists(SCORER):
            self.skipTest("the benchmark's data is not there")
        with open(os.path.join(NAB, "labels", "combined_windows.json"), encoding="utf-8") as file:
            names = list(json.load(file))
        for name in names:
            os.makedirs(os.path.dirname(os.path.join(self.directory, name)), exist_ok=True)
            answer = verge.run("detect", os.path.join(NAB, "data", name))
            with open(os.path.join(self.directory, name), "w", encoding="utf-8") as out:
                out.write(answer.stdout)
        answer = subprocess.run([sys.executable, SCORER, NAB, self.directory], capture_output=True, text=True, check=True)
        self.assertGreaterEqual(json.loads(answer.stdout)["standard"]["score"], 62)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
