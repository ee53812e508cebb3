#!/usr/bin/env python3
"""Series as JSON messages over MQTT, reduced by a rule on their way up: bytes on the line, and what the root restores.

usage: bench_reduced_uploads.py [NAB_DIR]     (default: ../shared/data/nab; skipped where it is not)

Every series of the Numenta Anomaly Benchmark is published to an edge node as {"t":ms,"v":value}, each under a topic of its
own, all in the order of their times; a rule with reduced(v, 0.01) uploads it, 10,000 readings a record. Counted is what the edge sends to its parent, with
all heads; checked is what `verge events query` shows at the parent: each reading, its time, its error as a share of the
series' range, and that readings with a score of 0.5 or more by `verge detect` are as they were.
"""
import csv
import datetime
import heapq
import json
import os
import pathlib
import subprocess
import sys

from bench_support import ROOT, VERGE

sys.path.insert(0, str(ROOT / "tests" / "support"))
import line
import verge

RULES = """
[[rule]]
name = "series"
sql = "SELECT device, reduced(v, 0.01) AS v FROM 'series/+' TIMESTAMP BY t DELAY 0 s GROUP BY device, COUNT(10000)"
do = [{ upload = "low" }]
"""


def milliseconds(text):
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
    return round(moment.timestamp() * 1000)


def readings_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [(milliseconds(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]


class Upload(verge.TestCase):
    def runTest(self):
        cloud = self.node("cloud", tier="cloud").start()
        between = line.Line(cloud.addresses["http"])
        self.addCleanup(between.end)
        edge = self.node("edge", RULES, parent=between.url, sets=["parent.report_every=0s"]).start()
        series = {}
        for path in sorted(pathlib.Path(self.nab).rglob("*.csv")):
            readings = readings_of(path)
            if [time for time, _ in readings] != sorted({time for time, _ in readings}):
                print(f"{path.name}: its times do not rise; left out")
                continue
            series[path.stem] = (path, readings)
        # All together in the order of their times, as a gateway of these devices would send them.
        merged = heapq.merge(*([(time, name, value) for time, value in readings] for name, (_, readings) in series.items()))
        messages = [("series/" + name, json.dumps({"t": time, "v": value}, separators=(",", ":"))) for time, name, value in merged]
        sent = sum(len(payload) for _, payload in messages)
        client = self.mqtt(edge, "gateway", inflight=200)
        for begin in range(0, len(messages), 1000):
            client.wait_acknowledged([client.publish(*message) for message in messages[begin:begin + 1000]], 600)
        client.close()
        edge.stop()  # what is left of a window goes up
        found = {}
        for event in cloud.events("windows/series"):
            found.setdefault(event["device"], []).append((event["time_us"] // 1000, event["payload"]["v"]))
        stored = cloud.status()["spool"]["low"]["bytes"]
        worst, exact, readings_total = 0.0, 0, 0
        for name, (path, readings) in series.items():
            back = sorted(found[name])
            self.assertEqual([time for time, _ in back], [time for time, _ in readings], name)
            values = [value for _, value in readings]
            width = (max(values) - min(values)) or 1
            worst = max([worst] + [abs(a - b) / width for (_, a), b in zip(back, values)])
            scores = subprocess.run([VERGE, "detect", str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
            for (_, restored), value, row in zip(back, values, scores.splitlines()[1:]):
                if float(row.rsplit(",", 1)[1]) >= 0.5:
                    self.assertEqual(restored, value, f"{name}: a reading that is worth telling")
                    exact += 1
            readings_total += len(values)
        print(f"{len(series)} series, {readings_total} readings, {sent} bytes of JSON published")
        print(f"on the line: {between.up} bytes, {100 * (1 - between.up / sent):.2f} % fewer, {stored} in the parent's log; "
              f"largest error {100 * worst:.3f} % of the series' range; {exact} readings worth telling are exact")


if __name__ == "__main__":
    nab = sys.argv[1] if len(sys.argv) > 1 else str(ROOT.parent / "shared" / "data" / "nab")
    if not os.path.isdir(nab):
        print(f"skipped: {nab} is not there")
        sys.exit(0)
    case = Upload()
    case.nab = nab
    result = verge.unittest.TextTestRunner().run(case)
    sys.exit(0 if result.wasSuccessful() else 1)
