"""Writes files in MaxMind's format (version 2.0), for tests: a search tree of 32-bit records over IPv6 addresses, in which
IPv4 addresses stand at ::/96, and the values as they are given.

    write("locations.mmdb", {"192.0.2.0/24": {"country": {"iso_code": "DE"}}})

A Python int becomes a uint32, a float a double.
"""

import ipaddress
import struct


def header(kind, size):
    first = bytes([size if size < 29 else 29])
    rest = b""
    if size >= 29 + 256:
        first, rest = bytes([30]), struct.pack(">H", size - 285)
    elif size >= 29:
        rest = bytes([size - 29])
    if kind < 8:
        return bytes([kind << 5 | first[0]]) + rest
    return first + bytes([kind - 7]) + rest


def encoded(value):
    if isinstance(value, bool):
        return header(14, int(value))
    if isinstance(value, str):
        text = value.encode()
        return header(2, len(text)) + text
    if isinstance(value, bytes):  # a text that need not be UTF-8
        return header(2, len(value)) + value
    if isinstance(value, float):
        return header(3, 8) + struct.pack(">d", value)
    if isinstance(value, int):
        digits = value.to_bytes(4, "big").lstrip(b"\0")
        return header(6, len(digits)) + digits
    if isinstance(value, list):
        return header(11, len(value)) + b"".join(map(encoded, value))
    return header(7, len(value)) + b"".join(encoded(name) + encoded(its) for name, its in value.items())


def short(value):
    digits = value.to_bytes(2, "big").lstrip(b"\0")
    return header(5, len(digits)) + digits


def bits_of(network):
    network = ipaddress.ip_network(network)
    bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[:network.prefixlen]
    return ("0" * 96 if network.version == 4 else "") + bits


def write(path, networks):
    nodes = [[None, None]]  # a record is a node's number, the data of a network, or nothing
    for network, value in networks.items():
        bits = bits_of(network)
        at = 0
        for bit in map(int, bits[:-1]):
            if nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit]
        nodes[at][int(bits[-1])] = encoded(value)
    data = b""
    tree = b""
    for node in nodes:
        for record in node:
            number = len(nodes) if record is None else record
            if isinstance(record, bytes):
                number = len(nodes) + 16 + len(data)
                data += record
            tree += struct.pack(">I", number)
    metadata = header(7, 9) + b"".join(encoded(name) + value for name, value in {
        "binary_format_major_version": short(2),
        "binary_format_minor_version": short(0),
        "build_epoch": header(9, 4) + struct.pack(">I", 1_767_225_600),  # 2026-01-01; the library wants one
        "database_type": encoded("Tests"),
        "description": encoded({"en": "made by a test"}),
        "ip_version": short(6),
        "languages": encoded(["en"]),
        "node_count": encoded(len(nodes)),
        "record_size": short(32),
    }.items())
    with open(path, "wb") as file:
        file.write(tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + metadata)
