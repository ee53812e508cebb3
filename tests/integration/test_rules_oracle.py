"""Random rules over a recorded stream give the rows that SQLite gives for the equivalent batch query.

The rules are SQL of Verge, run by `verge rules test`; the queries are SQL of SQLite over a table with a row a message.
Both are made side by side from the same random pieces. VERGE_SEED repeats a run.
"""

import json
import math
import os
import random
import sqlite3
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

QUERIES = int(os.environ.get("VERGE_ORACLE_QUERIES", "200"))
MESSAGES = 500
FIELDS = ("k", "g", "v", "w", "s", "ets")
COLUMNS = "n, time, device, " + ", ".join(FIELDS)


def messages(chance):
    """In the order of receipt; `ets` is the event's own time, up to 1.5 s before."""
    time = 1_700_000_000_000
    made = []
    for n in range(MESSAGES):
        time += chance.choice((1, 40, 200, 350, 900, 1500))
        payload = {"ets": time - chance.randrange(1500)}
        if chance.random() < 0.9:
            payload["k"] = chance.choice("abcd")
        if chance.random() < 0.9:
            payload["g"] = chance.randrange(4)
        if chance.random() < 0.85:
            payload["v"] = chance.choice((chance.randrange(-20, 21), chance.randrange(-40, 41) / 2))
        if chance.random() < 0.9:
            payload["w"] = chance.randrange(-9, 10)
        if chance.random() < 0.8:
            payload["s"] = chance.choice(("oven", "fridge", "Oven-12", "", "a_b%", "öl"))
        made.append({"n": n, "time": time, "device": chance.choice(("d1", "d2")), "payload": payload})
    return made


class Pieces:
    """Expressions, each as Verge and SQLite write it."""

    def __init__(self, chance, prefix=""):
        self.chance = chance
        self.prefix = prefix

    def column(self, *names):
        return self.prefix + self.chance.choice(names)

    def number(self, depth=2):
        if depth == 0 or self.chance.random() < 0.25:
            return self.chance.choice((self.column("g", "v", "w"), self.column("v", "w"), "2", "-3", "1.5", "NULL"))
        a, b = self.number(depth - 1), self.number(depth - 1)
        kind = self.chance.randrange(9)
        if kind < 3:
            return f"({a} {'+-*'[kind]} {b})"
        if kind == 3:
            return f"({a} * 1.0 / {b})"
        if kind == 4:
            return f"({self.column('g', 'w')} % {self.chance.choice((2, 3, -4, 0))})"
        if kind == 5:
            return f"abs({a})"
        if kind == 6:
            return f"coalesce({a}, {b})"
        if kind == 7:
            return f"nullif({a}, {b})"
        return f"CASE WHEN {self.condition(depth - 1)} THEN {a} ELSE {b} END"

    def text(self):
        s, k = self.prefix + "s", self.prefix + "k"
        return self.chance.choice((s, k, f"lower({s})", f"upper({k})", f"substr({s}, 2, 3)", f"({k} || {s})",
                                   f"coalesce({s}, 'none')", f"replace({s}, 'v', 'w')", f"trim({s})"))

    def condition(self, depth=2):
        if depth == 0 or self.chance.random() < 0.3:
            kind = self.chance.randrange(7)
            number = self.column("g", "v", "w")
            if kind == 0:
                return f"({number} IS {self.chance.choice(('', 'NOT '))}NULL)"
            if kind == 1:
                return f"({number} {self.chance.choice(('', 'NOT '))}BETWEEN -5 AND {self.number(0)})"
            if kind == 2:
                return f"({number} {self.chance.choice(('', 'NOT '))}IN (1, 2.5, {self.chance.choice(('3', 'NULL'))}))"
            if kind == 3:
                return f"({self.text()} = {self.text()})"
            if kind == 4:
                pattern = self.chance.choice(("o%", "%e%", "_v__%", "%-12", "a__%"))
                return f"({self.prefix}s {self.chance.choice(('', 'NOT '))}LIKE '{pattern}')"
            operator = self.chance.choice(("=", "<>", "<", "<=", ">", ">="))
            return f"({self.number(1)} {operator} {self.number(1)})"
        a, b = self.condition(depth - 1), self.condition(depth - 1)
        return self.chance.choice((f"({a} AND {b})", f"({a} OR {b})", f"(NOT {a})"))

    def aggregates(self, count):
        """(Verge, SQLite) pairs; SQLite's may name n, the order of messages."""
        made = []
        for _ in range(count):
            x = self.number(1)
            kind = self.chance.randrange(12)
            if kind < 6:
                name = ("count", "sum", "avg", "min", "max", "count")[kind]
                made.append((f"{name}({x})",) * 2)
            elif kind == 6:
                made.append(("count(*)",) * 2)
            elif kind == 7:
                column = self.column("k", "g", "s")
                made.append((f"count(DISTINCT {column})",) * 2)
            elif kind == 8:
                made.append((f"stddev({x})", f"deviation({x})"))
            elif kind == 9:
                share = self.chance.choice((0.0, 0.25, 0.5, 0.95, 1.0))
                made.append((f"percentile({x}, {share})", f"nearest_rank({x}, {share})"))
            elif kind == 10:
                made.append((f"first({x})", f"earliest({x}, n)"))
            else:
                made.append((f"last({x})", f"latest({x}, n)"))
        return made


class Ordered:
    """first() and last(): by the order of messages, without NULL."""

    sign = 1

    def __init__(self):
        self.best = None

    def step(self, value, n):
        if value is not None and (self.best is None or self.sign * n < self.sign * self.best[0]):
            self.best = (n, value)

    def finalize(self):
        return self.best and self.best[1]


class Latest(Ordered):
    sign = -1


class Deviation:
    def __init__(self):
        self.values = []

    def step(self, value):
        if isinstance(value, (int, float)):
            self.values.append(value)

    def finalize(self):
        if len(self.values) < 2:
            return None
        mean = math.fsum(self.values) / len(self.values)
        return math.sqrt(math.fsum((x - mean) ** 2 for x in self.values) / (len(self.values) - 1))


class NearestRank:
    def __init__(self):
        self.values = []
        self.share = 0

    def step(self, value, share):
        self.share = share
        if value is not None:
            self.values.append(value)

    def finalize(self):
        if not self.values:
            return None
        return sorted(self.values)[max(1, math.ceil(self.share * len(self.values))) - 1]


def select(columns):
    return ", ".join(f"{text} AS c{i}" for i, text in enumerate(columns))


def row_query(chance):
    pieces = Pieces(chance)
    columns = [chance.choice((pieces.number, pieces.text, pieces.condition))() for _ in range(chance.randint(1, 4))]
    where = pieces.condition()
    return (f"SELECT {select(columns)} FROM 't/+' WHERE {where}",
            f"SELECT {select(columns)} FROM m WHERE {where}")


def remembering_query(chance):
    pieces = Pieces(chance)
    x, steps = pieces.number(1), chance.randint(1, 3)
    where = chance.choice(("TRUE", pieces.condition(1)))
    verge_sql = f"SELECT {x} AS c0, lag({x}, {steps}) AS c1, lag(w, 1, 0) AS c2 FROM 't/+' WHERE {where} PARTITION BY k"
    over = "OVER (PARTITION BY k ORDER BY n)"
    return verge_sql, (f"SELECT {x} AS c0, lag({x}, {steps}) {over} AS c1, lag(w, 1, 0) {over} AS c2 "
                       f"FROM m WHERE {where}")


def grouped(chance, window, source, event_time="", time="time"):
    """A grouped rule; `source` has a row for each message and window that holds it, with its bounds a and b."""
    pieces = Pieces(chance)
    keys = chance.sample(("k", "g", "s"), chance.randint(0, 2))
    aggregates = pieces.aggregates(chance.randint(1, 4))
    having = ("", "")
    if chance.random() < 0.5:
        compared = pieces.aggregates(1)[0]
        while "stddev" in compared[0]:  # its last digit may differ, and decide
            compared = pieces.aggregates(1)[0]
        having = tuple(f" HAVING {text} {{0}} {{1}}" for text in compared)
        operator, bound = chance.choice((">", "<=", "<>")), chance.randint(-3, 6)
        having = tuple(text.format(operator, bound) for text in having)
    where = pieces.condition(1) if chance.random() < 0.7 else "TRUE"
    ours = keys + ["window_start", "window_end"] + [pair[0] for pair in aggregates]
    theirs = keys + ["a", "b"] + [pair[1] for pair in aggregates]
    verge_sql = (f"SELECT {select(ours)} FROM 't/+' {event_time} WHERE {where} "
                 f"GROUP BY {', '.join(keys + [window])}{having[0]}")
    sqlite_sql = (f"WITH f AS (SELECT *, {time} AS at FROM m WHERE {where}), r AS ({source}) "
                  f"SELECT {select(theirs)} FROM r GROUP BY {', '.join(keys + ['a', 'b'])}{having[1]}")
    return verge_sql, sqlite_sql, keys


def tumbling_query(chance):
    size = chance.choice((1000, 5000, 60000))
    source = f"SELECT *, at - at % {size} AS a, at - at % {size} + {size} AS b FROM f"
    if chance.random() < 0.4:
        # Ordered by the event's time, so that first() and last() mean that.
        source = source.replace("SELECT *", "SELECT k, g, v, w, s, ets * 1000 + n AS n")
        return grouped(chance, f"TUMBLING({size} ms)", source, "TIMESTAMP BY ets DELAY 2 s", "ets")[:2]
    return grouped(chance, f"TUMBLING({size} ms)", source)[:2]


def hopping_query(chance):
    size, hop = chance.choice(((4000, 2000), (10000, 3000), (6000, 1000)))
    source = (f"SELECT * FROM (SELECT f.*, (at / {hop} - e.i) * {hop} AS a, (at / {hop} - e.i) * {hop} + {size} AS b "
              f"FROM f, e) WHERE a <= at AND at < b")
    return grouped(chance, f"HOPPING({size} ms, {hop} ms)", source)[:2]


def sliding_query(chance):
    pieces = Pieces(chance)
    size = chance.choice((700, 3000))
    aggregates = pieces.aggregates(chance.randint(1, 3))
    where = pieces.condition(1) if chance.random() < 0.5 else "TRUE"
    ours = select(["k"] + [pair[0] for pair in aggregates])
    theirs = select(["min(q.key)"] + [pair[1] for pair in aggregates])
    verge_sql = f"SELECT {ours} FROM 't/+' WHERE {where} GROUP BY k, SLIDING({size} ms)"
    return verge_sql, (f"WITH f AS (SELECT * FROM m WHERE {where}), q AS (SELECT n AS last, k AS key, time AS until FROM f) "
                       f"SELECT {theirs} FROM q JOIN f ON f.k IS q.key AND f.n <= q.last AND f.time > q.until - {size} "
                       f"GROUP BY q.last")


def session_query(chance):
    gap = chance.choice((400, 1000, 2500))
    key = chance.choice(("k", "g"))
    pieces = Pieces(chance)
    aggregates = pieces.aggregates(chance.randint(1, 3))
    where = pieces.condition(1) if chance.random() < 0.5 else "TRUE"
    ours = select([key, "window_start", "window_end"] + [pair[0] for pair in aggregates])
    theirs = select([key, "min(time)", f"max(time) + {gap}"] + [pair[1] for pair in aggregates])
    verge_sql = f"SELECT {ours} FROM 't/+' WHERE {where} GROUP BY {key}, SESSION({gap} ms)"
    return verge_sql, (
        f"WITH f AS (SELECT *, CASE WHEN time - lag(time) OVER (PARTITION BY {key} ORDER BY n) < {gap} THEN 0 ELSE 1 END "
        f"AS begins FROM m WHERE {where}), r AS (SELECT *, sum(begins) OVER (PARTITION BY {key} ORDER BY n) AS number "
        f"FROM f) SELECT {theirs} FROM r GROUP BY {key}, number")


def count_query(chance):
    count = chance.choice((2, 5, 9))
    pieces = Pieces(chance)
    aggregates = pieces.aggregates(chance.randint(1, 3))
    ours = select(["g"] + [pair[0] for pair in aggregates])
    theirs = select(["g"] + [pair[1] for pair in aggregates])
    return (f"SELECT {ours} FROM 't/+' GROUP BY g, COUNT({count})",
            f"WITH r AS (SELECT *, (row_number() OVER (PARTITION BY g ORDER BY n) - 1) / {count} AS number FROM m) "
            f"SELECT {theirs} FROM r GROUP BY g, number")


def join_query(chance):
    within = chance.choice((300, 1200))
    left, right = Pieces(chance, "a."), Pieces(chance, "b.")
    columns = [left.number(1), right.number(1), left.text(), right.text()][:chance.randint(1, 4)]
    where = f"{left.number(1)} {chance.choice(('<', '>=', '<>'))} {right.number(1)} OR {right.condition(1)}"
    on = chance.choice(("a.k = b.k", "a.g = b.g AND a.device = b.device"))
    verge_sql = (f"SELECT {select(columns)} FROM 't/d1' AS a JOIN 't/d2' AS b ON {on} WITHIN {within} ms "
                 f"WHERE {where}")
    if "device" in on:
        verge_sql = verge_sql.replace("'t/d1'", "'t/+'").replace("'t/d2'", "'t/+'")
        streams = "TRUE"
    else:
        streams = "a.device = 'd1' AND b.device = 'd2'"
    return verge_sql, (f"SELECT {select(columns)} FROM m AS a JOIN m AS b ON {on} AND abs(a.time - b.time) <= {within} "
                       f"AND {streams} WHERE {where}")


KINDS = (row_query, remembering_query, tumbling_query, tumbling_query, hopping_query, sliding_query, session_query,
         count_query, join_query, row_query)


def normal(value):
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        # What two orders of adding leave of a sum that is nothing is not the same.
        return 0.0 if abs(value) < 1e-12 else float(f"{value:.9g}") + 0.0
    return value


def in_order(rows):
    return sorted((tuple(normal(value) for value in row) for row in rows), key=lambda row: [
        (value is not None, isinstance(value, str), value if value is not None else 0) for value in row])


class Oracle(verge.TestCase):
    def database(self, recorded):
        database = sqlite3.connect(":memory:")
        database.execute("PRAGMA case_sensitive_like = ON")
        database.create_aggregate("earliest", 2, Ordered)
        database.create_aggregate("latest", 2, Latest)
        database.create_aggregate("deviation", 1, Deviation)
        database.create_aggregate("nearest_rank", 2, NearestRank)
        database.execute(f"CREATE TABLE m ({COLUMNS})")
        for each in recorded:
            database.execute(f"INSERT INTO m VALUES ({', '.join('?' * (3 + len(FIELDS)))})",
                             [each["n"], each["time"], each["device"], *(each["payload"].get(f) for f in FIELDS)])
        database.execute("CREATE TABLE e AS WITH RECURSIVE e(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM e WHERE i < 9) "
                         "SELECT i FROM e")
        return database

    def test_rows_are_those_of_sqlite(self):
        chance = random.Random(verge.seed())
        recorded = messages(chance)
        queries = [KINDS[i % len(KINDS)](chance) for i in range(QUERIES)]
        config = os.path.join(self.directory, "rules.toml")
        with open(config, "w", encoding="utf-8") as out:
            for i, (sql, _) in enumerate(queries):
                out.write(f'[[rule]]\nname = "q{i}"\nsql = {json.dumps(sql)}\ndo = [{{ publish = "out" }}]\n')
        stream = os.path.join(self.directory, "stream.ndjson")
        with open(stream, "w", encoding="utf-8") as out:
            for each in recorded:
                line = {"topic": f"t/{each['device']}", "time": each["time"], "payload": each["payload"]}
                out.write(json.dumps(line) + "\n")
        answer = verge.run("rules", "test", config, "--with", stream, timeout=300)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        ours = [[] for _ in queries]
        for line in answer.stdout.splitlines():
            done = json.loads(line)
            ours[int(done["rule"][1:])].append(tuple(done["payload"].values()))

        database = self.database(recorded)
        compared = 0
        for i, (sql, batch) in enumerate(queries):
            theirs = database.execute(batch).fetchall()
            # A COUNT window that is not full at the end is emitted as it is, as GROUP BY has it.
            with self.subTest(rule=sql, sqlite=batch):
                self.assertEqual(in_order(ours[i]), in_order(theirs))
            compared += len(theirs)
        print(f"{len(queries)} queries, {compared} rows compared")
        self.assertGreater(compared, 10 * len(queries))


if __name__ == "__main__":
    unittest.main()
