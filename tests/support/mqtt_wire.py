"""MQTT 3.1.1 and 5 packets, written and read by the tables of the standards, for tests that look at each byte of them.

Shares no code with the node, and keeps no rule but the formats: what a client must not send can be sent too."""

import struct

import verge
from verge import packet, text_field, variable_integer

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

# By identifier: the type of the value (MQTT 5.0 section 2.2.2.2).
BYTE, TWO, FOUR, VARIABLE, TEXT, BINARY, PAIR = range(7)
PROPERTY_TYPES = {
    0x01: BYTE, 0x02: FOUR, 0x03: TEXT, 0x08: TEXT, 0x09: BINARY, 0x0B: VARIABLE, 0x11: FOUR, 0x12: TEXT, 0x13: TWO,
    0x15: TEXT, 0x16: BINARY, 0x17: BYTE, 0x18: FOUR, 0x19: BYTE, 0x1A: TEXT, 0x1C: TEXT, 0x1F: TEXT, 0x21: TWO,
    0x22: TWO, 0x23: TWO, 0x24: BYTE, 0x25: BYTE, 0x26: PAIR, 0x27: FOUR, 0x28: BYTE, 0x29: BYTE, 0x2A: BYTE}
PAYLOAD_FORMAT, MESSAGE_EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, SUBSCRIPTION = 1, 2, 3, 8, 9, 0x0B
SESSION_EXPIRY, ASSIGNED_ID, SERVER_KEEP_ALIVE, PROBLEM_INFORMATION, WILL_DELAY = 0x11, 0x12, 0x13, 0x17, 0x18
RESPONSE_WANTED, RESPONSE_INFORMATION, REASON_STRING, RECEIVE_MAXIMUM, ALIAS_MAXIMUM = 0x19, 0x1A, 0x1F, 0x21, 0x22
ALIAS, MAXIMUM_QOS, USER, PACKET_MAXIMUM = 0x23, 0x24, 0x26, 0x27


def property_bytes(kind, value):
    form = PROPERTY_TYPES[kind]
    if form == PAIR:
        data = text_field(value[0]) + text_field(value[1])
    elif form in (TEXT, BINARY):
        data = text_field(value)
    elif form == VARIABLE:
        data = variable_integer(value)
    else:
        data = struct.pack({BYTE: "!B", TWO: "!H", FOUR: "!I"}[form], value)
    return bytes([kind]) + data


def properties_bytes(properties):
    """With their length. `properties`: pairs of identifier and value."""
    data = b"".join(property_bytes(kind, value) for kind, value in properties)
    return variable_integer(len(data)) + data


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise AssertionError(f"{self.data} is cut short")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def variable(self):
        value = 0
        for shift in range(0, 28, 7):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                assert shift == 0 or byte != 0, "not in the fewest bytes"
                return value
        raise AssertionError("a number of more than four bytes")

    def binary(self):
        return self.take(self.number(2))

    def text(self):
        return self.binary().decode()

    def properties(self):
        end = self.variable() + self.at
        found = []
        while self.at < end:
            kind = self.variable()
            form = PROPERTY_TYPES[kind]
            if form == PAIR:
                value = (self.text(), self.text())
            elif form == TEXT:
                value = self.text()
            elif form == BINARY:
                value = self.binary()
            elif form == VARIABLE:
                value = self.variable()
            else:
                value = self.number({BYTE: 1, TWO: 2, FOUR: 4}[form])
            found.append((kind, value))
        assert self.at == end
        return found

    def rest(self):
        return self.take(len(self.data) - self.at)


class Packet:
    """What a server sent. Has, as its type has them: id, reason, codes, properties, topic, payload, qos, dup, retain,
    session_present."""

    def __init__(self, first, body, version):
        self.type, self.flags = first >> 4, first & 0xF
        self.properties = []
        self.reason = 0
        reader = Reader(body)
        if self.type == CONNACK:
            flags = reader.number(1)
            assert flags <= 1, f"reserved flags of CONNACK: {flags:#x}"
            self.session_present = bool(flags)
            self.reason = reader.number(1)
            if version == 5:
                self.properties = reader.properties()
        elif self.type == PUBLISH:
            self.dup, self.qos, self.retain = bool(self.flags & 8), self.flags >> 1 & 3, bool(self.flags & 1)
            self.topic = reader.text()
            self.id = reader.number(2) if self.qos else None
            if version == 5:
                self.properties = reader.properties()
            self.payload = reader.rest()
        elif self.type in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            assert self.flags == (2 if self.type == PUBREL else 0)
            self.id = reader.number(2)
            if version == 5 and reader.at < len(body):
                self.reason = reader.number(1)
            if version == 5 and reader.at < len(body):
                self.properties = reader.properties()
        elif self.type in (SUBACK, UNSUBACK):
            self.id = reader.number(2)
            if version == 5:
                self.properties = reader.properties()
            self.codes = list(reader.rest())
        elif self.type in (DISCONNECT, AUTH):
            if body:
                self.reason = reader.number(1)
            if reader.at < len(body):
                self.properties = reader.properties()
        else:
            assert self.type == PINGRESP, f"a server sends no packet of type {self.type}"
        assert self.type == PUBLISH or self.type == PUBREL or self.flags == 0, "reserved flags"
        assert reader.at == len(body), f"bytes behind the end of a packet of type {self.type}: {body}"

    def values(self, kind):
        return [value for each, value in self.properties if each == kind]

    def __repr__(self):
        return f"Packet({vars(self)})"


class Client(verge.RawMqtt):
    """A connection that sends what it is told, and reads packets."""

    def __init__(self, node, version=5):
        super().__init__(node, version, connect=False)
        self.version = version
        self.early = []  # messages that came while something else was awaited

    def properties(self, properties):
        return properties_bytes(properties) if self.version == 5 else b""

    def connect(self, client_id="", clean=True, keepalive=60, will=None, user=None, password=None, properties=(),
                flags=None):
        """will: (topic, payload, qos, retain, properties). The CONNACK, or None where there is none."""
        bits = 0x02 if clean else 0
        rest = b""
        if will:
            topic, payload, qos, retain, its = will
            bits |= 0x04 | qos << 3 | (0x20 if retain else 0)
            rest += self.properties(its) + text_field(topic) + text_field(payload)
        if user is not None:
            bits |= 0x80
            rest += text_field(user)
        if password is not None:
            bits |= 0x40
            rest += text_field(password)
        body = text_field("MQTT") + bytes([self.version, bits if flags is None else flags])
        body += struct.pack("!H", keepalive) + self.properties(properties) + text_field(client_id) + rest
        self.send(packet(0x10, body))
        return self.next()

    def publish(self, topic, payload=b"", qos=0, packet_id=1, retain=False, dup=False, properties=()):
        body = text_field(topic) + (struct.pack("!H", packet_id) if qos else b"") + self.properties(properties)
        self.send(packet(0x30 | int(dup) << 3 | qos << 1 | int(retain), body + payload))

    def published(self, topic, payload=b"", qos=1, **options):
        """Publishes at QoS 1 or 2 and sees it through; the reason of the answer."""
        self.publish(topic, payload, qos, **options)
        answer = self.expect_beside(PUBACK if qos == 1 else PUBREC)
        if qos == 2:
            self.acknowledge(PUBREL, answer.id)
            assert self.expect_beside(PUBCOMP).id == answer.id
        return answer.reason

    def acknowledge(self, kind, packet_id, reason=None):
        body = struct.pack("!H", packet_id) + (b"" if reason is None else bytes([reason]))
        self.send(packet(kind << 4 | (2 if kind == PUBREL else 0), body))

    def subscribe(self, *filters, packet_id=10, properties=()):
        """filters: texts (at QoS 1) or pairs of text and options. The SUBACK."""
        body = struct.pack("!H", packet_id) + self.properties(properties)
        for each in filters:
            text, options = each if isinstance(each, tuple) else (each, 1)
            body += text_field(text) + bytes([options])
        self.send(packet(0x82, body))
        return self.expect_beside(SUBACK)

    def unsubscribe(self, *filters, packet_id=11):
        self.send(packet(0xA2, struct.pack("!H", packet_id) + self.properties(()) + b"".join(map(text_field, filters))))
        return self.expect_beside(UNSUBACK)

    def ping(self):
        self.send(packet(0xC0))

    def disconnect(self, reason=None, properties=None):
        body = b"" if reason is None else bytes([reason])
        if properties is not None:
            body += properties_bytes(properties)
        self.send(packet(0xE0, body))

    def next(self):
        """The next packet; None when the server has closed."""
        return self.early.pop(0) if self.early else self._read()

    def _read(self):
        answer = self.receive()
        return None if answer is None else Packet(*answer, self.version)

    def expect_beside(self, kind):
        """The next packet that is no PUBLISH; those before it come with next()."""
        while (answer := self._read()) is not None and answer.type == PUBLISH:
            self.early.append(answer)
        if answer is None or answer.type != kind:
            raise AssertionError(f"a packet of type {kind} expected, got {answer}")
        return answer

    def expect(self, kind):
        answer = self.next()
        if answer is None or answer.type != kind:
            raise AssertionError(f"a packet of type {kind} expected, got {answer}")
        return answer

    def until_pong(self):
        """All that the server sends before it answers a PINGREQ."""
        self.ping()
        found = []
        while True:
            answer = self.next()
            if answer is None:
                raise AssertionError(f"the server has closed; before, it sent {found}")
            if answer.type == PINGRESP:
                return found
            found.append(answer)

    def rest(self):
        """All packets until the server closes."""
        early, self.early = self.early, []
        return early + [Packet(*each, self.version) for each in self.receive_all()]
