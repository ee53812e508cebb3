"""examples/workers in a node: those that need its cache, or its rules."""

import json
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from test_node_workers import WithWorkers
from test_workers import EXAMPLES
from verge import wait_until


def example(name):
    with open(os.path.join(EXAMPLES, name + ".js"), encoding="utf-8") as file:
        return file.read()


class Examples(WithWorkers):
    # --- GraphQL

    def graphql(self):
        """A node with the proxy, and what its origin was asked for; of each field of Query the origin counts its answers."""
        self.asked = []
        counts = {}

        def serve(request):
            document = json.loads(request.body)
            self.asked.append(document)
            query = document["query"]
            body = query[query.index("{") + 1:query.rindex("}")]
            data = {}
            for key, name, arguments in re.findall(r"(?:(\w+)\s*:\s*)?\b(product|top|me|broken)\b\s*(\([^)]*\))?\s*(?:\{[^}]*\})?", body):
                counts[name] = counts.get(name, 0) + 1
                data[key or name] = {"n": counts[name], "arguments": arguments, "variables": document.get("variables", {})}
            answer = {"data": data}
            if "broken" in data:
                answer["errors"] = [{"message": "it is broken"}]
            request.give(fields=[("Content-Type", "application/json")], body=json.dumps(answer).encode())

        origin = self.origin(serve)
        return self.served(("graphql", example("graphql_proxy"),
                            'routes = ["api.test/*"]\nprivate_addresses = true\n'
                            f'env = {{ ORIGIN = "{origin.url}", TTL = \'{{"product":60,"top":60,"broken":60}}\' }}'))

    def ask(self, node, query, variables=None, path="/graphql", **fields):
        body = json.dumps({"query": query, **({} if variables is None else {"variables": variables})})
        answer = self.get(node, path, "POST", body.encode(), host="api.test", Content_Type="application/json", **fields)
        self.assertEqual(answer.status, 200, answer.body)
        return json.loads(answer.body), answer.fields.get("x-fields-cached")

    def test_graphql_fields_are_cached_by_themselves(self):
        node = self.graphql()
        first, cached = self.ask(node, "{ product(id: 1) { name } me { name } }")
        self.assertEqual(cached, "0 of 2")
        self.assertEqual([first["data"][key]["n"] for key in ("product", "me")], [1, 1])
        # `me` has no time to live; of the other the server is not asked again, however it is written.
        second, cached = self.ask(node, "query Q {\n  me { name }\n  mine: product(id: 1)   { name }\n}")
        self.assertEqual(cached, "1 of 2")
        self.assertEqual(list(second["data"]), ["me", "mine"])
        self.assertEqual((second["data"]["mine"]["n"], second["data"]["me"]["n"]), (1, 2))
        self.assertEqual(self.asked[-1]["query"].replace(" ", ""), "query{me{name}}")
        # Other arguments are another field.
        third, cached = self.ask(node, '{ product(id: 2, name: "a } b") { name } top }')
        self.assertEqual((third["data"]["product"]["n"], cached), (2, "0 of 2"))
        fourth, cached = self.ask(node, '{ top product(id: 2, name: "a } b") { name } }')
        self.assertEqual((fourth["data"]["product"]["n"], cached), (2, "2 of 2"))
        self.assertEqual(len(self.asked), 3)

    def test_graphql_variables_tell_fields_apart(self):
        node = self.graphql()
        query = "query ($id: Int!, $size: Int) { product(id: $id) { name } me(size: $size) }"
        self.ask(node, query, {"id": 1, "size": 2})
        _, cached = self.ask(node, query, {"id": 1, "size": 3})
        self.assertEqual(cached, "1 of 2")
        self.assertEqual(self.asked[-1], {"query": "query ($size: Int) { me(size: $size) }", "variables": {"size": 3}})
        _, cached = self.ask(node, query, {"id": 2, "size": 3})
        self.assertEqual(cached, "0 of 2")

    def test_graphql_strings_and_servers_tell_fields_apart(self):
        node = self.graphql()
        self.ask(node, '{ product(q: "a  b") }')
        for query in ('{ product(q: "a b") }', '{ product(q: "a\\\"  b") }', '{ product(q: "a\\\" b") }'):
            self.assertEqual(self.ask(node, query)[1], "0 of 1", query)
        self.assertEqual(self.ask(node, '{ product( q:  "a  b") }')[1], "0 of 1")  # written otherwise: asked once more at most
        self.assertEqual(self.ask(node, '{\n  product(q:\n "a  b") }')[1], "1 of 1")
        self.assertEqual(self.ask(node, '{ product(q: "a  b") }', path="/other")[1], "0 of 1")
        # A name in a string is no variable's.
        self.ask(node, 'query ($id: Int) { product(q: "$id") me(id: $id) }', {"id": 1})
        _, cached = self.ask(node, 'query ($id: Int) { product(q: "$id") me(id: $id) }', {"id": 2})
        self.assertEqual(cached, "1 of 2")
        self.assertEqual(self.ask(node, "{ constructor }")[1], "0 of 1")

    def test_graphql_queries_with_defaults_are_passed_on(self):
        node = self.graphql()
        for query in ("query ($n: Int = 5) { top(n: $n) }", "query($n:Int=10){ top(n:$n) }", "query($ids:[Int]=[1,2]){ top(ids:$ids) }"):
            for _ in range(2):
                _, cached = self.ask(node, query)
                self.assertIsNone(cached, query)
                self.assertEqual(self.asked[-1]["query"], query)

    def test_graphql_what_is_not_for_others_is_passed_on(self):
        node = self.graphql()
        for query in ("mutation { product }", "{ product } query B { top }", "{ ...F } fragment F on Query { product }", "{ product @skip(if: true) }"):
            answer, cached = self.ask(node, query)
            self.assertIsNone(cached, query)
            self.assertEqual(self.asked[-1]["query"], query)
        for _ in range(2):
            _, cached = self.ask(node, "{ product }", Authorization="Bearer x")
            self.assertIsNone(cached)
        # Errors are handed on and not kept.
        for n in (1, 2):
            answer, cached = self.ask(node, "{ broken }")
            self.assertEqual((answer["errors"], answer["data"]["broken"]["n"], cached), ([{"message": "it is broken"}], n, "0 of 1"))

    # --- A function of a rule

    def test_a_rule_has_a_function_that_sql_has_not(self):
        sink = self.origin()
        node = self.served(("dew_point", example("dew_point"),
                            f'private_addresses = true\nenv = {{ SINK = "{sink.url}/dew" }}'), rules="""
[[rule]]
name = "dew point"
sql = "SELECT room, temperature, humidity FROM 'rooms/+'"
do = [{ worker = "dew_point" }]
""")
        client = self.mqtt(node, "sensor")
        for temperature, humidity in ((25, 50), (20, 0), (0, 100)):
            client.publish("rooms/cellar", json.dumps({"room": "cellar", "temperature": temperature, "humidity": humidity}))
        wait_until(lambda: sum(len(json.loads(request[3])) for request in sink.requests) == 2, "two dew points are told")
        told = [one for request in sink.requests for one in json.loads(request[3])]
        self.assertEqual([(one["room"], one["dew_point"]) for one in told], [("cellar", 13.9), ("cellar", 0)])
        self.assertRegex(told[0]["at"], r"^20\d\d-\d\d-\d\dT.*Z$")


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    unittest.main(verbosity=2)
