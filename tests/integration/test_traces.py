"""Traces: what a strict collector of OTLP is sent of events on their way up and of requests through the cache."""

import http.server
import json
import os
import re
import signal
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge
from origin import Origin

# The fields of each message of opentelemetry-proto 1 (trace/v1, resource/v1, common/v1) that JSON may have, and what is
# to be found there; the protocol's JSON: names in lowerCamelCase, ids in hexadecimal, 64 bits as text.
HEX16, HEX8 = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{16}")


def check(value, message, where="$"):
    if isinstance(message, dict):
        assert isinstance(value, dict), f"{where}: an object, not {value!r}"
        for key in value:
            assert key in message, f"{where}: there is no field {key}"
        for key, inner in message.items():
            if key in value:
                check(value[key], inner, f"{where}.{key}")
    elif isinstance(message, list):
        assert isinstance(value, list), f"{where}: an array"
        for i, each in enumerate(value):
            check(each, message[0], f"{where}[{i}]")
    else:
        assert message(value), f"{where}: {value!r}"


def is_text(value):
    return isinstance(value, str)


def is_int64(value):
    return isinstance(value, str) and re.fullmatch("-?[0-9]+", value) and -(2**63) <= int(value) < 2**63


def is_time(value):
    return isinstance(value, str) and value.isdigit() and 0 < int(value) < 2**64


def is_any_value(value):
    assert len(value) == 1, value
    check(value, {"stringValue": is_text, "intValue": is_int64, "boolValue": lambda v: isinstance(v, bool)})
    return True


ATTRIBUTES = [{"key": lambda v: is_text(v) and v, "value": is_any_value}]
SPAN = {
    "traceId": lambda v: HEX16.fullmatch(v) and int(v, 16), "spanId": lambda v: HEX8.fullmatch(v) and int(v, 16),
    "parentSpanId": lambda v: HEX8.fullmatch(v) and int(v, 16), "name": lambda v: is_text(v) and v,
    "kind": lambda v: isinstance(v, int) and 1 <= v <= 5, "startTimeUnixNano": is_time, "endTimeUnixNano": is_time,
    "attributes": ATTRIBUTES,
    "links": [{"traceId": lambda v: HEX16.fullmatch(v) and int(v, 16), "spanId": lambda v: HEX8.fullmatch(v) and int(v, 16)}],
    "status": {"code": lambda v: v in (1, 2), "message": is_text}}
REQUEST = {"resourceSpans": [{"resource": {"attributes": ATTRIBUTES},
                              "scopeSpans": [{"scope": {"name": is_text, "version": is_text}, "spans": [SPAN]}]}]}


def attributes(of):
    return {each["key"]: next(iter(each["value"].values())) for each in of.get("attributes", [])}


class Collector(http.server.ThreadingHTTPServer):
    """Takes POST /v1/traces, strictly; `statuses` are given first."""

    daemon_threads = True

    def __init__(self):
        self.spans, self.faults, self.statuses, self.fields = [], [], [], []
        self.answer = b"{}"
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """A node that goes away cuts its connection."""

    @property
    def url(self):
        return "http://127.0.0.1:%d/v1/traces" % self.server_address[1]

    def take(self, path, fields, body):
        if self.statuses:
            return self.statuses.pop(0)
        try:
            assert path == "/v1/traces" and fields["Content-Type"] == "application/json", (path, fields)
            request = json.loads(body)
            check(request, REQUEST)
            for resource in request["resourceSpans"]:
                node = attributes(resource["resource"])
                assert node["service.name"] == "verge", node
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]), span
                        self.spans.append({**span, "node": node["verge.node"], "has": attributes(span)})
        except (AssertionError, KeyError, ValueError, TypeError) as problem:
            self.faults.append(f"{problem}")
            return 400
        return 200

    def named(self, name, node=None):
        with self.lock:
            return [span for span in self.spans if span["name"] == name and node in (None, span["node"])]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.fields.append(dict(self.headers))
            status = self.server.take(self.path, self.headers, body)
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_):
        pass


RULE = """
[[rule]]
name = "hot"
sql = "SELECT device, t FROM 'oven/+' WHERE t > 100"
do = [{ publish = "alarm", payload = "${t}" }, { upload = "critical" }]
"""


class Traces(verge.TestCase):
    def setUp(self):
        super().setUp()
        self.collector = Collector()
        self.addCleanup(self.collector.server_close)
        self.addCleanup(self.collector.shutdown)

    def tearDown(self):
        self.assertEqual(self.collector.faults, [])
        super().tearDown()

    def sets(self, *more):
        return [f"traces.endpoint={self.collector.url}", "traces.one_in=1", *more]

    def wait_for(self, name, count=1, node=None):
        verge.wait_until(lambda: len(self.collector.named(name, node)) >= count,
                         lambda: f"{count} spans {name} of {node}: {self.collector.spans}")
        return self.collector.named(name, node)

    def test_one_trace_follows_an_event_from_the_device_to_the_root(self):
        cloud = self.node("cloud", tier="cloud", sets=self.sets()).start()
        fog = self.node("fog", tier="fog", parent=cloud, sets=self.sets()).start()
        edge = self.node("edge", RULE, parent=fog, sets=self.sets()).start()
        device = self.mqtt(edge, "oven-7")
        device.publish("oven/7", '{"t":170}', qos=1)
        device.publish("oven/7", '{"t":20}', qos=1)
        edge.wait_delivered()
        fog.wait_delivered()
        self.wait_for("event", 2, "cloud")  # the reading, and the report of the command
        self.wait_for("rules", 2, "cloud")
        (event,) = [span for span in self.collector.named("event", "cloud") if span["has"]["verge.topic"] == "oven/7"]
        trace = event["traceId"]
        with self.collector.lock:
            spans = [span for span in self.collector.spans if span["traceId"] == trace]
        by_name = {(span["node"], span["name"]): span for span in spans}
        self.assertEqual(set(by_name), {("edge", "event"), ("edge", "rule hot"), ("edge", "spool"), ("edge", "uplink"),
                                        ("fog", "event"), ("fog", "rules"), ("fog", "uplink"),
                                        ("cloud", "event"), ("cloud", "rules")})
        for child, parent in [(("edge", "rule hot"), ("edge", "event")), (("edge", "spool"), ("edge", "event")),
                              (("edge", "uplink"), ("edge", "event")), (("fog", "event"), ("edge", "uplink")),
                              (("fog", "rules"), ("fog", "event")), (("fog", "uplink"), ("fog", "event")),
                              (("cloud", "event"), ("fog", "uplink")), (("cloud", "rules"), ("cloud", "event"))]:
            self.assertEqual(by_name[child]["parentSpanId"], by_name[parent]["spanId"], (child, parent))
        root = by_name["edge", "event"]
        self.assertNotIn("parentSpanId", root)
        self.assertEqual((root["has"]["verge.topic"], root["has"]["verge.priority"]), ("oven/7", "critical"))
        # What is not kept is traced by itself: here the reading that is not hot.
        passed = [span for span in self.wait_for("event", 3, "edge") if span["traceId"] != trace and span["has"].get("verge.kind") != "action"]
        self.assertEqual([span["has"].get("verge.commands") for span in passed], ["0"])
        self.assertIn("\nverge_spans_dropped_total 0\n", edge.admin("/metrics").body.decode())

    def test_a_request_and_what_it_asks_the_origin_are_one_trace(self):
        asked = []

        def answer(request):
            asked.append(request.headers.get("traceparent"))
            request.give(fields=[("Cache-Control", "max-age=60")], body=b"hello")

        origin = Origin(answer)
        self.addCleanup(origin.end)
        site = f'[[site]]\nhosts = "a.example"\norigins = ["{origin.url}"]\n'
        node = self.node("edge", site, sets=self.sets()).start()
        trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        for _ in range(2):
            got = verge.http_request(node.addresses["http"], "GET", "/x?y=1", None,
                                     {"Host": "a.example", "traceparent": f"00-{trace}-{span}-01"})
            self.assertEqual((got.status, got.body), (200, b"hello"))
        miss, hit = self.wait_for("GET", 2)
        (fetched,) = self.wait_for("origin")
        for each in (miss, hit):
            self.assertEqual((each["traceId"], each["parentSpanId"], each["kind"]), (trace, span, 2))
            self.assertEqual((each["has"]["url.scheme"], each["has"]["url.path"], each["has"]["server.address"]), ("http", "/x", "a.example"))
            self.assertNotIn("y=1", str(each), "a query may be a signature")
            self.assertEqual(each["has"]["http.request.method"], "GET")
            self.assertNotIn("error.type", each["has"])
            self.assertEqual(each["has"]["http.response.status_code"], "200")
        self.assertIn("fwd=uri-miss", miss["has"]["verge.cache"])
        self.assertIn("hit", hit["has"]["verge.cache"])
        self.assertEqual((fetched["traceId"], fetched["parentSpanId"], fetched["kind"]), (trace, miss["spanId"], 3))
        self.assertEqual(asked, [f"00-{trace}-{fetched['spanId']}-01"], "the origin goes on with it")
        its = fetched["has"]
        self.assertEqual((its["http.request.method"], its["url.full"]), ("GET", f"{origin.url}/x"))
        self.assertEqual(f"http://{its['server.address']}:{its['server.port']}", origin.url, "who was asked, not for whom")
        self.assertNotIn("http.request.resend_count", its)
        self.assertNotIn("error.type", its)

    def test_an_origin_that_is_not_there_is_an_error_of_its_span(self):
        site = '[[site]]\nhosts = "a.example"\norigins = ["http://127.0.0.1:1"]\n'
        node = self.node("edge", site, sets=self.sets()).start()
        got = verge.http_request(node.addresses["http"], "GET", "/", None, {"Host": "a.example:8080"})
        self.assertEqual(got.status, 502)
        (asked,) = self.wait_for("origin")
        self.assertEqual((asked["status"]["code"], asked["has"]["error.type"]), (2, "_OTHER"))
        self.assertEqual((asked["has"]["server.address"], asked["has"]["server.port"]), ("127.0.0.1", "1"))
        self.assertEqual(asked["has"]["http.request.method"], "GET")
        (its,) = self.wait_for("GET")
        self.assertEqual((its["status"]["code"], its["has"]["error.type"]), (2, "502"))
        self.assertEqual((its["has"]["server.address"], its["has"]["server.port"]), ("a.example", "8080"))

    def test_the_origin_of_a_span_is_the_one_that_answered(self):
        origin = Origin(lambda request: request.give(body=b"hello"))
        self.addCleanup(origin.end)
        site = f'[[site]]\nhosts = "a.example"\norigins = ["http://127.0.0.1:1", {{ url = "{origin.url}", weight = 0 }}]\n'
        node = self.node("edge", site, sets=self.sets()).start()
        self.assertEqual(verge.http_request(node.addresses["http"], "GET", "/", None, {"Host": "a.example"}).status, 200)
        (asked,) = self.wait_for("origin")
        self.assertEqual((asked["has"]["url.full"], asked["has"]["http.request.resend_count"]), (origin.url + "/", "1"))

    def test_a_method_that_is_made_up_names_no_span(self):
        origin = Origin(lambda request: request.give(body=b"hello"))
        self.addCleanup(origin.end)
        node = self.node("edge", f'[[site]]\nhosts = "a.example"\norigins = ["{origin.url}"]\n', sets=self.sets()).start()
        verge.http_request(node.addresses["http"], "BREW", "/", None, {"Host": "a.example"})
        (its,) = self.wait_for("HTTP")
        self.assertEqual((its["has"]["http.request.method"], its["has"]["http.request.method_original"]), ("_OTHER", "BREW"))

    def test_what_belongs_to_no_valid_trace_does_not_go_on(self):
        asked = []

        def answer(request):
            asked.append((request.headers.get("traceparent"), request.headers.get("tracestate")))
            request.give(body=b"hello")

        origin = Origin(answer)
        self.addCleanup(origin.end)
        node = self.node("edge", f'[[site]]\nhosts = "a.example"\norigins = ["{origin.url}"]\n', sets=self.sets()).start()
        trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        for number, parent in enumerate((f"00-{trace}-{span}-03", f"00-{trace}-{span}-0", f"00-{'0' * 32}-{span}-01")):
            verge.http_request(node.addresses["http"], "GET", f"/{number}", None,
                               {"Host": "a.example", "traceparent": parent, "tracestate": "vendor=1"})
        self.assertEqual([state for _, state in asked], ["vendor=1", None, None])
        self.assertTrue(asked[0][0].startswith(f"00-{trace}-") and asked[0][0].endswith("-03"), asked)
        for parent, _ in asked[1:]:
            self.assertNotIn(trace, parent)

    def test_events_belong_to_the_trace_of_who_sent_them(self):
        trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        node = self.node("edge", RULE, sets=self.sets("traces.follow=true")).start()
        posted = node.post("/v1/events?topic=oven/1", [{"t": 1}, {"t": 200}], {"traceparent": f"00-{trace}-{span}-01"})
        self.assertEqual(posted.status, 200)
        (its,) = self.wait_for("events")
        self.assertEqual((its["traceId"], its["parentSpanId"], its["kind"], its["has"]["verge.events"]), (trace, span, 2, "2"))
        # Two readings, what the rule made of one, and the report of its command, which is of the rule.
        entries = [each for each in self.wait_for("event", 4) if each["has"]["verge.kind"] != "action"]
        self.assertEqual(len(entries), 3)
        self.assertEqual({(link["traceId"], link["spanId"]) for link in its["links"]},
                         {(entry["traceId"], entry["spanId"]) for entry in entries}, "it leads to what it became")
        for entry in entries:
            self.assertEqual([(link["traceId"], link["spanId"]) for link in entry["links"]], [(trace, span)])
            self.assertNotEqual(entry["traceId"], trace)
        # By MQTT, and one whose sender does not trace it.
        raw = self.raw(node)
        for number, flag in enumerate(("01", "00"), 1):
            name = verge.text_field("traceparent") + verge.text_field(f"00-{number:032x}-{span}-{flag}")
            raw.send(verge.publish_packet("oven/2", b'{"t":3}', packet_id=number, properties=b"\x26" + name))
        raw.close()
        its = verge.wait_until(lambda: next((each for each in self.collector.named("event") if each["traceId"] == f"{1:032x}"), None),
                               "the span of the message")
        self.assertEqual((its["parentSpanId"], its["has"]["verge.topic"]), (span, "oven/2"))
        self.assertEqual([each for each in self.collector.spans if each["traceId"] == f"{2:032x}"], [])

    def test_rows_that_rules_remember_enter_where_they_are_made(self):
        cloud = self.node("cloud", tier="cloud", sets=self.sets()).start()
        rule = ('[rules]\ndurable = true\n[[rule]]\nname = "sum"\nsql = "SELECT count(*) AS n FROM \'oven/+\' GROUP BY COUNT(2)"\n'
                'do = [{ upload = "critical" }]\n')
        edge = self.node("edge", rule, parent=cloud, sets=self.sets()).start()
        device = self.mqtt(edge, "d")
        for _ in range(2):
            device.publish_and_wait("oven/1", '{"t":1}')
        edge.wait_delivered()
        (sent,) = self.wait_for("uplink", 1, "edge")
        entries = [each for each in self.wait_for("event", 1, "edge") if each["traceId"] == sent["traceId"]]
        self.assertEqual([each["spanId"] for each in entries], [sent["parentSpanId"]], "its parent is there")

    def test_no_span_hangs_from_one_that_never_was(self):
        """Reports of actions climb too."""
        cloud = self.node("cloud", tier="cloud", sets=self.sets()).start()
        edge = self.node("edge", RULE, parent=cloud, sets=self.sets()).start()
        self.mqtt(edge, "oven-7").publish_and_wait("oven/7", '{"t":170}')
        edge.wait_delivered()
        self.wait_for("event", 2, "cloud")
        self.wait_for("uplink", 2, "edge")
        with self.collector.lock:
            known = {span["spanId"] for span in self.collector.spans}
            orphans = [span for span in self.collector.spans if span.get("parentSpanId", span["spanId"]) not in known]
        self.assertEqual(orphans, [])

    def test_a_target_in_any_form_has_its_path(self):
        origin = Origin(lambda request: request.give(body=b"hello"))
        self.addCleanup(origin.end)
        node = self.node("edge", f'[[site]]\nhosts = "a.example"\norigins = ["{origin.url}"]\n', sets=self.sets()).start()
        verge.http_request(node.addresses["http"], "GET", "http://a.example/x?sig=1", None, {"Host": "a.example"})
        (its,) = self.wait_for("GET")
        (asked,) = self.wait_for("origin")
        self.assertEqual((its["has"]["url.path"], asked["has"]["url.full"]), ("/x", f"{origin.url}/x"))

    def test_of_two_that_say_where_it_belongs_none_is_believed(self):
        node = self.node("edge", RULE, sets=self.sets()).start()
        span = "00f067aa0ba902b7"
        raw = self.raw(node)
        both = b"".join(b"\x26" + verge.text_field("traceparent") + verge.text_field(f"00-{number:032x}-{span}-01") for number in (1, 2))
        raw.send(verge.publish_packet("oven/2", b'{"t":3}', properties=both))
        raw.close()
        (its,) = self.wait_for("event")
        self.assertNotIn("parentSpanId", its)

    def test_what_waits_at_the_end_is_sent(self):
        node = self.node("edge", sets=self.sets()).start()
        device = self.mqtt(node, "d")
        for number in range(600):
            device.publish(f"a/{number}", "1", qos=0)
        device.publish_and_wait("last", "1")
        node.stop()
        topics = {span["has"]["verge.topic"] for span in self.collector.named("event")}
        self.assertEqual(len(topics), 601)

    def test_what_cannot_be_sent_at_the_end_is_counted(self):
        node = self.node("edge", sets=["traces.endpoint=http://127.0.0.1:1/v1/traces", "traces.one_in=1"]).start()
        device = self.mqtt(node, "d")
        for number in range(600):
            device.publish(f"a/{number}", "1", qos=0)
        device.publish_and_wait("last", "1")
        node.stop()
        said = [entry["message"] for entry in node.log_lines() if "spans" in entry["message"]]
        self.assertTrue(any("spans were not sent to 127.0.0.1:1 before the end" in each for each in said), said)

    def test_what_an_origin_refuses_is_an_error_of_who_asked(self):
        origin = Origin(lambda request: request.give(status=404, body=b"none"))
        self.addCleanup(origin.end)
        node = self.node("edge", f'[[site]]\nhosts = "a.example"\norigins = ["{origin.url}"]\n', sets=self.sets()).start()
        self.assertEqual(verge.http_request(node.addresses["http"], "GET", "/", None, {"Host": "a.example"}).status, 404)
        (asked,) = self.wait_for("origin")
        self.assertEqual((asked["status"]["code"], asked["has"]["error.type"]), (2, "404"))
        (its,) = self.wait_for("GET")
        self.assertNotIn("error.type", its["has"])
        self.assertNotEqual(its.get("status", {}).get("code"), 2, "to the client it is an answer")

    def test_what_is_not_traced_is_left_as_it_is(self):
        asked = []

        def answer(request):
            asked.append(request.headers.get("traceparent"))
            request.give(body=b"hello")

        origin = Origin(answer)
        self.addCleanup(origin.end)
        site = f'[[site]]\nhosts = "a.example"\norigins = ["{origin.url}"]\n'
        node = self.node("edge", site, sets=self.sets("traces.one_in=1000000000")).start()
        never = "00-4bf92f3577b34da6ffffffffffffffff-00f067aa0ba902b7-01"
        verge.http_request(node.addresses["http"], "GET", "/", None, {"Host": "a.example", "traceparent": never})
        self.assertEqual(asked, [never])
        # Who follows others' flags does.
        node.write_config(f"{site}[traces]\nfollow = true\n")
        node.process.send_signal(signal.SIGHUP)

        def followed():
            verge.http_request(node.addresses["http"], "GET", "/b", None, {"Host": "a.example", "traceparent": never})
            return self.collector.named("GET")

        verge.wait_until(followed, "the flag is heeded")
        self.assertEqual(self.collector.named("GET")[0]["traceId"], never[3:35])

    def test_a_collector_that_is_busy_is_asked_again_and_one_that_refuses_is_not(self):
        token = os.path.join(self.directory, "token")
        with open(token, "w", encoding="utf-8") as file:
            file.write("secret-of-the-collector\n")
        os.chmod(token, 0o600)
        self.collector.statuses = [503, 429, 400]
        node = self.node("edge", f'[traces]\nendpoint = "{self.collector.url}"\none_in = 1\ntoken = {{ file = "{token}" }}\n').start()
        device = self.mqtt(node, "d")
        device.publish("a", "1", qos=1)
        verge.wait_until(lambda: not self.collector.statuses, "three attempts")
        verge.wait_until(lambda: "\nverge_spans_refused_total 1\n" in node.admin("/metrics").body.decode(), "it is given up")
        device.publish("a", "2", qos=1)
        self.wait_for("event")
        self.assertEqual({fields["Authorization"] for fields in self.collector.fields}, {"Bearer secret-of-the-collector"})

    def test_what_a_collector_did_not_take_of_a_batch_is_counted(self):
        self.collector.answer = b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}'
        node = self.node("edge", f'[traces]\nendpoint = "{self.collector.url}"\none_in = 1\n').start()
        self.mqtt(node, "d").publish("a", "1", qos=1)
        verge.wait_until(lambda: "\nverge_spans_refused_total 1\n" in node.admin("/metrics").body.decode(), "it is counted")
        self.assertIn("\nverge_spans_exported_total 0\n", node.admin("/metrics").body.decode())
        self.assertTrue(any("0 of 1 spans: too old" in entry["message"] for entry in node.log_lines()), node.log())

    def test_a_collector_that_is_away_holds_up_nothing(self):
        node = self.node("edge", RULE, sets=["traces.endpoint=http://127.0.0.1:1/v1/traces", "traces.one_in=1"]).start()
        device = self.mqtt(node, "d")
        listener = self.mqtt(node, "listener")
        listener.subscribe("alarm")
        for number in range(9000):
            device.publish("a", str(number), qos=0)
        device.publish_and_wait("oven/1", '{"t":170}', qos=1)
        listener.wait(lambda: [message.payload for message in listener.messages] == [b"170"], "the command")
        verge.wait_until(lambda: "\nverge_spans_dropped_total 0\n" not in node.admin("/metrics").body.decode(),
                         "what there is no room for is dropped and counted")
        node.stop()


if __name__ == "__main__":
    unittest.main()
