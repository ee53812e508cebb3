"""store.engine = "nats": parents that share a JetStream stream, over real nats-servers in a cluster.

Servers, parents and connections are killed and held up; what children were told is stored must be in the stream, once.
VERGE_KILL_ROUNDS / 10 leaders are killed one after the other.
"""

import collections
import itertools
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import nats
import verge

# Far above what NATS needs to elect a leader (4 to 9 s): the machine may be slow.
STALL_MAX = 40
# As in test_sigkill.py, but an election takes its time.
LEADER_KILLS = 1 + int(os.environ.get("VERGE_KILL_ROUNDS", "12")) // 10


def engine(urls, replicas=3, *more):
    return ["store.engine=nats", f"store.urls={urls}", f"store.replicas={replicas}", *more]


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def sized(content):
    return varint(len(content)) + content


def batch(node, incarnation, sequences, topic=b"made/up", floor=0):
    """A body for POST /v1/uplink (docs/formats/uplink.md); its zstd frame has raw blocks."""
    body = b"VUB1" + node + incarnation + bytes([2]) + sized(b"maker") + varint(floor) + varint(len(sequences))
    before = 0
    for sequence in sequences:
        event = b"\0" + struct.pack("<q", 1_700_000_000_000_000 + sequence) + sized(topic) + sized(b"device")
        event += sized(json.dumps({"number": sequence}).encode())
        body += varint(sequence - before) + sized(event)
        before = sequence
    assert len(body) < 128 << 10
    return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(body)) + (1 | len(body) << 3).to_bytes(3, "little") + body


class Proxy:
    """Passes TCP connections on to the first target that can be connected to, beginning with the next in turn.

    hold_answers: nothing goes back to who connected any more.
    """

    def __init__(self, targets, in_turn=True):
        self.targets = targets
        self.in_turn = in_turn
        self.turn = itertools.count()
        self.hold_answers = False
        self.forwarded = 0
        self.host = verge.own_host()
        self.listener = socket.create_server((self.host, 0))
        self.port = self.listener.getsockname()[1]
        self.closing = False
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def serve(self):
        while not self.closing:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        first = next(self.turn) if self.in_turn else 0
        for i in range(len(self.targets)):
            host, _, port = self.targets[(first + i) % len(self.targets)]().rpartition(":")
            try:
                server = socket.create_connection((host, int(port)), 5)
                break
            except OSError:
                continue
        else:
            client.close()
            return
        try:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    content = ready.recv(65536)
                    if not content:
                        return
                    if ready is client:
                        server.sendall(content)
                        self.forwarded += len(content)
                    elif not self.hold_answers:
                        client.sendall(content)
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def close(self):
        self.closing = True
        self.listener.close()


class BrokenWord(Exception):
    """The servers do not have what they acknowledged, in the order in which they did."""


class Load:
    """Posts numbered events to a node until it is stopped; counts what was acknowledged. One that was not acknowledged
    is posted again under the same sequence, so that the node knows it."""

    def __init__(self, node, name, size=0):
        self.node = node
        self.name = name
        self.filler = "x" * size
        self.acknowledged = 0
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            numbers = range(self.acknowledged, self.acknowledged + 20)
            body = [{"topic": f"load/{self.name}", "device": self.name, "sequence": number + 1,
                     "payload": {"number": number, "filler": self.filler}} for number in numbers]
            try:
                answer = self.node.post("/v1/events", body)
            except OSError:
                verge.pause(0.02)
                continue
            if answer.status == 200:
                self.acknowledged = numbers.stop
            verge.pause(0.01)

    def stop(self):
        self.stopping = True
        self.thread.join(verge.PATIENCE)


@verge.unittest.skipIf(nats.PROGRAM is None, "nats-server is not here: ./dev deps brings it")
class TestCase(verge.TestCase):
    def cluster(self, size=3, settings="", directory=""):
        cluster = nats.Cluster(os.path.join(self.directory, directory), size, settings)
        self.addCleanup(cluster.discard)
        return cluster

    def parent(self, name, urls, replicas=3, config="", sets=()):
        return self.node(name, config, tier="cloud", sets=[*engine(urls, replicas), *sets])

    def wait_usable(self, *parents):
        for parent in parents:
            verge.wait_until(lambda: parent.admin("/readyz").status == 200,
                             lambda: f"{parent.name} reaches the stream: {parent.log()[-2000:]}", 60)

    def load(self, node, name, **options):
        load = Load(node, name, **options)
        self.addCleanup(load.stop)
        return load

    def proxy(self, targets, **options):
        proxy = Proxy(targets, **options)
        self.addCleanup(proxy.close)
        return proxy

    def client(self, cluster):
        client = cluster.client()
        self.addCleanup(client.close)
        return client

    def check_stream(self, cluster, expected):
        """`expected`: for each device how many numbers, from 0, must be there; each once. What is in the stream is read
        the way another node would: each message's body is a batch that it takes, of records that it does not have.

        A server stores only what expects the right message before it on its subject, and has under a sequence what it showed
        there before. Where one has something else (2.9.10 had, seldom, after its leader was killed: its replicas number
        messages differently then) that is told, and is its own fault: what counts is that each record is there once.
        Where one is not, and only then, that is BrokenWord."""
        messages = self.client(cluster).messages()
        reader = self.node(f"reader-{uuid.uuid4().hex[:6]}").start()
        broken = self.broken_chains(messages)
        for told in broken:
            print("the server broke a chain at", told, file=sys.stderr)
        try:
            self.check_records(messages, reader, expected)
        except AssertionError as wrong:
            if broken:
                raise BrokenWord(str(wrong)) from wrong
            raise
        reader.stop()
        return len(messages)

    def broken_chains(self, messages):
        """Where a message follows another one than it expects, or than its parent was shown there and is nowhere; with what is
        around. (One that names an earlier one of the chain would be the parent's own mistake.)"""
        last, attempts, broken = collections.Counter(), collections.defaultdict(lambda: [None]), []
        for sequence, subject, headers, _ in messages:
            expected, after = int(headers["Nats-Expected-Last-Subject-Sequence"]), headers.get("Verge-After")
            if expected != last[subject] or after not in attempts[subject]:
                around = [(number, at, its["Nats-Expected-Last-Subject-Sequence"], its["Verge-Attempt"], its.get("Verge-After"))
                          for number, at, its, _ in messages if abs(number - sequence) < 4]
                broken.append(f"{sequence}: {around}")
            elif after != attempts[subject][-1]:
                self.fail(f"message {sequence} on {subject} follows {expected} and names {after}, not {attempts[subject][-1]}")
            last[subject] = sequence
            attempts[subject].append(headers["Verge-Attempt"])
        return broken

    def check_records(self, messages, reader, expected):
        for sequence, subject, _, body in messages:
            answer = reader.post("/v1/uplink", body)
            if (answer.status, answer.json()["known"]) != (200, 0):
                self.fail(f"message {sequence} on {subject}: {answer}; {self.told_of(messages, sequence, reader)}")
        found = collections.defaultdict(collections.Counter)
        for event in reader.events("load/#"):
            found[event["device"]][event["payload"]["number"]] += 1
        for device, count in expected.items():
            self.assertEqual([n for n in range(count) if found[device][n] == 0][:10], [], f"{device}: lost")
            twice = [n for n, times in found[device].items() if times > 1]
            self.assertEqual(twice[:10], [], f"{device}: stored twice")

    def told_of(self, messages, sequence, reader):
        """What there is to be known of a message whose records were known before it came: were they stored, or did a floor
        say so?"""
        subject, headers, body = next(rest for number, *rest in messages if number == sequence)
        alone = self.node(f"alone-{sequence}").start()
        alone.post("/v1/uplink", body)
        records = [(event["device"], event["payload"]["number"]) for event in alone.events("load/#")]
        alone.stop()
        stored = {(event["device"], event["payload"]["number"]) for event in reader.events("load/#")}
        chain = [(number, its["Verge-Attempt"], its["Verge-Known"][-200:])
                 for number, at, its, _ in messages if at == subject and number <= sequence][-4:]
        first = self.first_with(messages, records[0]) if stored.intersection(records) else None
        return (f"it has {len(records)} records, {records[:2]} …, of which {len(stored.intersection(records))} were stored before it; "
                f"its headers: {headers['Verge-Attempt']}; the end of the chain, with the ends of what is known: {chain}; "
                f"who had it first: {first}")

    def first_with(self, messages, record):
        """The message that brings the record, with what is around; by halves."""
        low, high = 0, len(messages)
        while high - low > 1:
            middle = (low + high) // 2
            some = self.node(f"half-{uuid.uuid4().hex[:6]}").start()
            for _, _, _, body in messages[:middle]:
                some.post("/v1/uplink", body)
            has_it = any((event["device"], event["payload"]["number"]) == record for event in some.events("load/#"))
            some.stop()
            low, high = (low, middle) if has_it else (middle, high)
        sequence, subject, headers, _ = messages[low]
        after = [(number, its["Nats-Expected-Last-Subject-Sequence"], its["Verge-Attempt"], its["Verge-Known"][-200:])
                 for number, at, its, _ in messages[low + 1:] if at == subject][:2]
        return f"{sequence} on {subject}: {headers}, and behind it {after}"


class ThreeServers(TestCase):
    def leaders(self, cluster):
        """The servers' names that lead the stream and its overflow; None where nobody does."""
        client = cluster.client()
        try:
            return tuple(client.stream(name).get("cluster", {}).get("leader") for name in ("VERGE", "VERGE_OVERFLOW"))
        finally:
            client.close()

    def wait_settled(self, cluster):
        """All servers have everything, the leaders are on two of them, and the overflow is empty."""

        def settled():
            client = cluster.client()
            try:
                infos = [client.stream(name) for name in ("VERGE", "VERGE_OVERFLOW")]
            finally:
                client.close()
            leaders = {info.get("cluster", {}).get("leader") for info in infos}
            replicas = [info.get("cluster", {}).get("replicas", []) for info in infos]
            return (None not in leaders and len(leaders) == 2 and infos[1].get("state", {}).get("messages") == 0
                    and all(len(r) == 2 and all(peer.get("current") for peer in r) for r in replicas))

        verge.wait_until(settled, lambda: f"leaders {self.leaders(cluster)}, all current, overflow empty", 90)

    def test_a_server_is_killed_under_load(self):
        """Where the servers themselves lose or double what they acknowledged, nothing is shown of Verge: with others,
        then, at most three times."""
        for attempt in "abc":
            try:
                return self.kill_servers_under_load(attempt)
            except BrokenWord as wrong:
                print(f"the servers broke their word: {wrong}", file=sys.stderr)
        self.fail("three times the servers broke their word")

    def kill_servers_under_load(self, attempt):
        cluster = self.cluster(directory=attempt).start()
        parents = [self.parent(f"parent-{attempt}{i}", cluster.urls).start() for i in range(2)]
        self.wait_usable(*parents)
        children = [self.node(f"child-{attempt}{i}", parent=parents[i]).start() for i in range(2)]
        loads = [self.load(child, child.name) for child in children]

        def acknowledged():
            return sum(child.status()["uplink"]["records"] for child in children)

        def stall(victim, end):
            """Ends the victim; the longest time in which nothing was acknowledged, until the stream flows again."""
            start = acknowledged()
            verge.wait_until(lambda: acknowledged() > 500 + start, "the load flows")
            begin = last_growth = time.monotonic()
            end(victim)
            longest, seen, flowing, elected = 0, acknowledged(), 0, None
            witness = next(server for server in cluster.servers if server is not victim)
            while flowing < 100 or elected is None:
                verge.pause(0.01)
                count, now = acknowledged(), time.monotonic()
                if elected is None and witness.leader_of() not in (None, victim.name):
                    elected = now - begin
                self.assertLess(now - last_growth, STALL_MAX, "it flows again")
                self.assertLess(now - begin, 4 * STALL_MAX, "a leader is elected")
                if count > seen:
                    longest = max(longest, now - last_growth)
                    seen, last_growth = count, now
                    flowing = flowing + 1 if now - begin > 2 else 0
            return longest, elected or 0

        def pause_it(server):
            server.process.send_signal(signal.SIGSTOP)

        stalls = []
        ends = [("a follower", "killed", nats.Server.kill9), ("the overflow's leader", "killed", nats.Server.kill9),
                *[("the leader", "killed", nats.Server.kill9)] * LEADER_KILLS,
                ("the leader", "halted", pause_it), ("the leader", "stopped", nats.Server.stop)]
        for who, what, end in ends:
            self.wait_settled(cluster)
            leader, second = self.leaders(cluster)
            names = {"the leader": leader, "the overflow's leader": second}
            name = names.get(who) or next(s.name for s in cluster.servers if s.name not in names.values())
            victim = cluster.by_name(name)
            stalls.append((f"{who} {what}", *stall(victim, end)))
            if victim.process is not None:
                victim.process.send_signal(signal.SIGCONT)
            else:
                victim.start()
            victim.wait_healthy()
        self.wait_settled(cluster)
        for load in loads:
            load.stop()
        for child in children:
            child.wait_delivered(60)
        self.wait_settled(cluster)
        overflowed = sum(parent.status()["stream"]["overflow"]["records"] for parent in parents)
        self.assertGreater(overflowed, 0, "the overflow was used")
        counts = {load.name: load.acknowledged for load in loads}
        for node in [*children, *parents]:
            node.stop()
        try:
            messages = self.check_stream(cluster, counts)
        finally:
            cluster.discard()
        print("; ".join(f"{what}: stall {seconds:.2f} s, a leader after {elected:.2f} s"
                        for what, seconds, elected in stalls)
              + f"; {sum(counts.values())} events in {messages} messages, {overflowed} by way of the overflow, "
              "none lost, none twice", flush=True)

    def test_what_a_dead_parent_put_in_the_overflow_is_moved_and_rules_run_once(self):
        cluster = self.cluster().start()
        config = """
[[rule]]
name = "alarm"
sql = "SELECT number FROM 'load/#'"
do = [{ publish = "alarm", payload = "${number}" }]
"""
        parents = [self.parent(f"parent-{i}", cluster.urls, config=config).start() for i in range(2)]
        self.wait_usable(*parents)
        self.wait_settled(cluster)
        listener = self.mqtt(parents[1], "listener")
        listener.subscribe("alarm")
        child = self.node("child", parent=parents[0]).start()

        def post(number):
            child.post("/v1/events", {"topic": "load/a", "payload": {"number": number}, "device": "a"})
            child.wait_delivered()

        def is_in_overflow(number):
            """Whether the parent still has it there, and nowhere else, once the stream's leader was killed."""
            leader, _ = self.leaders(cluster)
            before = parents[0].status()["stream"]["overflow"]["records"]
            cluster.by_name(leader).kill9()
            post(number)
            overflow = parents[0].status()["stream"]["overflow"]
            metrics = parents[0].admin("/metrics").body.decode()
            if not overflow["used"] or "\nverge_stream_overflow_used 1\n" not in metrics:  # another was elected already
                cluster.by_name(leader).start().wait_healthy()
                self.wait_settled(cluster)
                return False
            self.assertEqual(overflow["records"] - before, 1, overflow)
            return True

        post(0)
        last = next(number for number in range(1, 10) if is_in_overflow(number))
        parents[0].kill9()
        client = self.client(cluster)
        verge.wait_until(lambda: client.stream().get("state", {}).get("messages") == last + 1, "the other parent moves it", 90)
        verge.wait_until(lambda: client.stream("VERGE_OVERFLOW").get("state", {}).get("messages") == 0, "it is removed")
        listener.wait(lambda: len(listener.messages) == 1, "its rules run")
        self.assertEqual([message.payload for message in listener.messages], [str(last).encode()])
        self.assertEqual(parents[1].status()["stream"]["overflow"]["moved"], 1)
        self.check_stream(cluster, {"a": last + 1})

    def test_an_overflow_is_made_for_a_stream_that_has_none(self):
        cluster = self.cluster().start()
        parent = self.parent("parent", cluster.urls, sets=["store.overflow_bytes_max=0"]).start()
        self.wait_usable(parent)
        self.assertIsNone(parent.status()["stream"]["overflow"])
        client = self.client(cluster)
        self.assertIn("error", client.stream("VERGE_OVERFLOW"))
        parent.stop()
        later = self.parent("later", cluster.urls, sets=["store.overflow_bytes_max=16MiB"]).start()
        self.wait_usable(later)
        self.wait_settled(cluster)
        made = client.stream("VERGE_OVERFLOW")["config"]
        self.assertEqual((made["num_replicas"], made["max_bytes"], made["discard"]), (3, 16 << 20, "new"))
        verge.wait_until(lambda: later.status()["stream"]["overflow"]["ready"], "it knows that the leaders are apart")

    def test_parents_are_killed_under_load(self):
        cluster = self.cluster().start()
        parents = [self.parent(f"parent-{i}", cluster.urls).start() for i in range(2)]
        self.wait_usable(*parents)
        balancer = self.proxy([lambda parent=parent: parent.addresses["http"] for parent in parents])
        children = [self.node(f"child-{i}", parent=f"http://{balancer.address}").start() for i in range(2)]
        loads = [self.load(child, child.name) for child in children]
        known = 0
        for number in range(8):
            before = [load.acknowledged for load in loads]
            verge.wait_until(lambda: all(load.acknowledged > b + 200 for load, b in zip(loads, before)), "load")
            victim = parents[number % 2]
            known += victim.status()["stream"]["known"]
            victim.kill9()
            verge.pause(0.1)
            victim.start()
            self.wait_usable(victim)
        for load in loads:
            load.stop()
        for child in children:
            child.wait_delivered(60)
        known += sum(parent.status()["stream"]["known"] for parent in parents)
        counts = {load.name: load.acknowledged for load in loads}
        messages = self.check_stream(cluster, counts)
        print(f"8 parents killed: {sum(counts.values())} events in {messages} messages, none lost, none twice; "
              f"at least {known} repetitions recognised", flush=True)

    def test_the_same_batch_to_both_parents_at_once(self):
        cluster = self.cluster().start()
        # Where one waits longer than half a second for the stream, it stores the batch in the overflow: both say then that
        # they stored it. Here there is none.
        parents = [self.parent(f"parent-{i}", cluster.urls, sets=["store.overflow_bytes_max=0"]).start() for i in range(2)]
        self.wait_usable(*parents)
        node, incarnation = uuid.uuid4().bytes, uuid.uuid4().bytes
        rounds, size = 150, 4
        for number in range(rounds):
            body = batch(node, incarnation, range(1 + number * size, 1 + (number + 1) * size))
            answers = [None, None]
            gate = threading.Barrier(2)

            def send(i):
                gate.wait()
                answers[i] = parents[i].post("/v1/uplink", body)

            threads = [threading.Thread(target=send, args=(i,)) for i in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(verge.PATIENCE)
            self.assertEqual([answer.status for answer in answers], [200, 200], answers)
            found = [answer.json() for answer in answers]
            self.assertEqual(sum(answer["stored"] for answer in found), size, f"round {number}: {found}")
            self.assertEqual(sum(answer["known"] for answer in found), size, f"round {number}: {found}")
        messages = self.client(cluster).messages()
        self.assertEqual(len(messages), rounds)
        by = collections.Counter(headers["Verge-Attempt"].split(".")[0] for _, _, headers, _ in messages)
        print(f"{rounds} batches to both parents at once, each stored once; {sorted(by.values())} by each", flush=True)
        self.assertEqual(messages[-1][2]["Verge-Known"], f"1-{rounds * size}")


class OneServer(TestCase):
    def test_a_parent_is_killed_between_append_and_answer(self):
        cluster = self.cluster(1).start()
        between = self.proxy([lambda: f"{cluster.servers[0].host}:4222"])
        first = self.parent("first", f"nats://{between.address}", 1).start()
        second = self.parent("second", cluster.urls, 1).start()
        self.wait_usable(first, second)
        balancer = self.proxy([lambda: first.addresses["http"], lambda: second.addresses["http"]], in_turn=False)
        child = self.node("child", parent=f"http://{balancer.address}").start()
        client = self.client(cluster)
        self.assertEqual(child.post("/v1/events", {"topic": "load/a", "payload": {"number": 0}, "device": "a"}).status, 200)
        child.wait_delivered()
        self.assertEqual(client.stream().get("state", {}).get("messages"), 1)
        between.hold_answers = True
        self.assertEqual(child.post("/v1/events", {"topic": "load/a", "payload": {"number": 1}, "device": "a"}).status, 200)
        verge.wait_until(lambda: client.stream().get("state", {}).get("messages") == 2, "the first parent has appended")
        self.assertEqual(child.undelivered(), 1, "it has not answered")
        first.kill9()
        child.wait_delivered()
        self.assertEqual(second.status()["stream"]["known"], 1, "the second found it in the stream")
        self.assertEqual(self.check_stream(cluster, {"a": 2}), 2)

    def test_a_lost_acknowledgement_is_found_again(self):
        """As above, but the parent lives: it must recognise its own message, and run its rules once."""
        cluster = self.cluster(1).start()
        between = self.proxy([lambda: f"{cluster.servers[0].host}:4222"])
        parent = self.parent("parent", f"nats://{between.address}", 1).start()
        self.wait_usable(parent)
        listener = self.mqtt(parent, "listener")
        listener.subscribe("load/#")
        child = self.node("child", parent=parent).start()
        client = self.client(cluster)

        def post(number):
            child.post("/v1/events", {"topic": "load/a", "payload": {"number": number}, "device": "a"})

        post(0)
        child.wait_delivered()
        between.hold_answers = True
        post(1)
        verge.wait_until(lambda: client.stream().get("state", {}).get("messages") == 2, "the parent has appended")
        between.hold_answers = False
        child.wait_delivered()
        stream = parent.status()["stream"]
        self.assertEqual((stream["records"], stream["known"]), (2, 0), stream)
        post(2)
        listener.wait(lambda: len(listener.messages) >= 3, "what was stored is published at the parent")
        self.assertEqual([json.loads(message.payload)["number"] for message in listener.messages], [0, 1, 2])
        self.check_stream(cluster, {"a": 3})

    def test_out_of_reach(self):
        cluster = self.cluster(1)
        parent = self.parent("parent", cluster.urls, 1, config="""
[[rule]]
name = "alarm"
sql = "SELECT number FROM 'load/#'"
do = [{ publish = "alarm", payload = "${number}" }]
""").start()
        listener = self.mqtt(parent, "listener")
        listener.subscribe("alarm")
        self.assertEqual(parent.admin("/readyz").status, 503)
        answer = parent.post("/v1/uplink", batch(b"n" * 16, b"i" * 16, [1]))
        self.assertEqual((answer.status, answer.fields["retry-after"], answer.json()["error"]["code"]),
                         (503, "1", "jetstream.unreachable"))
        child = self.node("child", parent=parent).start()
        child.post("/v1/events", {"topic": "load/a", "payload": {"number": 0}, "device": "a"})
        verge.wait_until(lambda: child.status()["uplink"]["failures"] > 0, "the child was told")
        self.assertEqual(child.undelivered(), 1)
        server = cluster.start().servers[0]
        child.wait_delivered()
        self.assertEqual(parent.admin("/readyz").status, 200)
        server.kill9()
        verge.wait_until(lambda: parent.admin("/readyz").status == 503, "the parent has noticed")
        child.post("/v1/events", {"topic": "load/a", "payload": {"number": 1}, "device": "a"})
        begin = time.monotonic()
        answer = parent.post("/v1/uplink", batch(b"n" * 16, b"i" * 16, [1]))
        self.assertEqual(answer.status, 503)
        self.assertLess(time.monotonic() - begin, 5, "at once")
        server.start().wait_healthy()
        child.wait_delivered()
        self.check_stream(cluster, {"a": 2})
        listener.wait(lambda: len(listener.messages) == 2, "rules run over what was stored")
        answer = parent.admin("/v1/events")
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (501, "events.in-stream"))
        queried = verge.run("events", "query", "--admin", parent.addresses["admin"])
        self.assertNotEqual(queried.returncode, 0)
        self.assertIn("nats stream view VERGE", queried.stderr)
        metrics = parent.admin("/metrics").body.decode()
        self.assertIn("\nverge_stream_records_total 2\n", metrics)
        # SIGTERM while the stream is away ends the node as ever.
        server.kill9()
        parent.stop()

    def test_large_batches_become_several_messages(self):
        cluster = self.cluster(1, "max_payload: 64KB").start()
        parent = self.parent("parent", cluster.urls, 1).start()
        self.wait_usable(parent)
        child = self.node("child", parent=parent, sets=["parent.attempts.normal=2"]).start()
        events = [{"topic": "load/a", "device": "a", "payload": {"number": n, "filler": os.urandom(5000).hex()}}
                  for n in range(60)]
        self.assertEqual(child.post("/v1/events", events).status, 200)
        child.wait_delivered()
        self.assertGreater(self.check_stream(cluster, {"a": 60}), 3)
        # One that fits no message is set aside, and what was stored with it goes on.
        child.post("/v1/events", [{"topic": "load/b", "payload": os.urandom(80000).hex()},
                                  {"topic": "load/a", "device": "a", "payload": {"number": 60}}])
        verge.wait_until(lambda: child.status()["spool"]["dead_letters"] == 1,
                         lambda: f"the record is a dead letter:\n{child.log()}")
        self.assertIn("jetstream.too-large", child.log())
        child.wait_delivered()
        self.check_stream(cluster, {"a": 61})

    def test_a_stream_that_does_not_fit(self):
        cluster = self.cluster(1).start()
        client = self.client(cluster)
        client.ask("STREAM.CREATE.EVENTS", {"name": "EVENTS", "subjects": ["EVENTS.>"], "storage": "memory", "num_replicas": 1})
        memory = self.node("memory", sets=engine(cluster.urls, 1, "store.stream=EVENTS")).start()
        verge.wait_until(lambda: "its storage is not file" in memory.log(), lambda: memory.log())
        self.assertEqual(memory.admin("/readyz").status, 503)
        replicas = self.parent("replicas", cluster.urls, 3).start()
        verge.wait_until(lambda: "3 replicas" in replicas.log(), lambda: replicas.log())
        self.assertIn("jetstream.stream", replicas.log())

    def test_servers_that_do_not_let_it_in(self):
        cluster = self.cluster(1, 'authorization { token: "other" }').start()
        parent = self.parent("parent", cluster.urls, 1).start()
        verge.wait_until(lambda: "uthorization" in parent.log(), lambda: f"the log says why: {parent.log()}")
        self.assertEqual(parent.admin("/readyz").status, 503)
        with open(os.path.join(self.directory, "token"), "w", encoding="utf-8") as file:
            file.write("other\n")
        known = self.parent("known", cluster.urls, 1, config=f"""
[store]
token = {{ file = "{self.directory}/token" }}
""").start()
        self.wait_usable(known)
        # Let in at last, without a new start.
        server = cluster.servers[0]
        server.kill9()
        server.settings = ""
        server.start().wait_healthy()
        self.wait_usable(parent)

    def test_a_full_stream_refuses(self):
        cluster = self.cluster(1).start()
        client = self.client(cluster)
        client.ask("STREAM.CREATE.VERGE", {"name": "VERGE", "subjects": ["VERGE.>"], "storage": "file",
                                           "num_replicas": 1, "max_msgs": 1, "discard": "new"})
        parent = self.parent("parent", cluster.urls, 1).start()
        self.wait_usable(parent)
        self.assertEqual(parent.post("/v1/uplink", batch(b"n" * 16, b"i" * 16, [1])).status, 200)
        answer = parent.post("/v1/uplink", batch(b"n" * 16, b"i" * 16, [1, 2]))
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (503, "jetstream.full"))

    def test_libnats_is_mapped_only_where_it_is_used(self):
        cluster = self.cluster(1).start()
        idle = self.node("idle").start()
        used = self.parent("used", cluster.urls, 1).start()
        self.wait_usable(used)

        def mapped(node):
            with open(f"/proc/{node.pid}/maps", encoding="utf-8") as file:
                return [line for line in file if "libnats" in line]

        self.assertEqual(mapped(idle), [])
        self.assertNotEqual(mapped(used), [])


class Configuration(verge.TestCase):
    def test_errors(self):
        for sets, code, word in ((["store.engine=kafka"], "config.value", "nats"),
                                 (["store.urls=http://127.0.0.1:4222"], "config.url", "nats://"),
                                 (["store.urls=nats://me:secret@127.0.0.1:4222"], "config.url", "store.credentials"),
                                 (["store.urls=[]"], "config.range", "at least one"),
                                 (["store.stream=a.b"], "config.range", "letters"),
                                 (["store.replicas=0"], "config.range", "1..5"),
                                 (["store.engine=nats", "parent.url=http://127.0.0.1:1"], "config.value", "parent.url")):
            with self.subTest(sets):
                node = self.node("wrong", sets=sets)
                node.launch()
                self.assertNotEqual(node.wait_end(), 0)
                self.assertIn(code, node.log())
                self.assertIn(word, node.log())
                self.assertNotIn("secret", node.log())
                os.unlink(node.log_path)


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
