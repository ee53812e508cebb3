#!/usr/bin/env python3
"""Anomaly scores and reduction on labelled series, beside zstd and Gorilla.

usage: bench_reduce.py [NAB_DIR]     (default: ../shared/data/nab; skipped where it is not)

Every series of the Numenta Anomaly Benchmark goes through `verge detect`, `verge reduce --max-error 0.01` and `verge
restore`. What is printed was checked on what came back: timestamps, the error as a share of each series' range, and that
readings with a score of 0.5 or more are exact. The peers get the same readings: zstd -19 each series' JSON messages, Gorilla
(Pelkonen et al. 2015) its timestamps and doubles, without loss both.
"""
import csv
import ctypes
import ctypes.util
import datetime
import json
import os
import pathlib
import resource
import struct
import subprocess
import sys
import tempfile

from bench_support import ROOT, VERGE

ALERT = 0.5
SHARE = 0.01


def zstd_bytes(data, level=19):
    library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    library.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    library.ZSTD_compress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    bound = library.ZSTD_compressBound(len(data))
    return library.ZSTD_compress(ctypes.create_string_buffer(bound), bound, data, len(data), level)


def gorilla_bytes(seconds, values):
    """Bits as section 4.1 of the paper counts them: deltas of deltas, then XORs with their window."""
    bits = 64 + 14 + 64
    delta, leading, trailing = seconds[1] - seconds[0] if len(seconds) > 1 else 0, 65, 65
    words = [struct.unpack("<Q", struct.pack("<d", value))[0] for value in values]
    for i in range(1, len(words)):
        change = seconds[i] - seconds[i - 1] - delta
        delta += change
        bits += 1 if change == 0 else 9 if -63 <= change <= 64 else 12 if -255 <= change <= 256 else 16 if -2047 <= change <= 2048 else 36
        xor = words[i] ^ words[i - 1]
        if xor == 0:
            bits += 1
            continue
        zeros_before, zeros_behind = min(31, 64 - xor.bit_length()), (xor & -xor).bit_length() - 1
        if zeros_before >= leading and zeros_behind >= trailing:
            bits += 2 + 64 - leading - trailing
        else:
            leading, trailing = zeros_before, zeros_behind
            bits += 2 + 5 + 6 + 64 - leading - trailing
    return (bits + 7) // 8


def rows_of(text):
    rows = list(csv.reader(text.splitlines()))[1:]
    return [row[0] for row in rows], [float(row[1]) for row in rows]


def verge(*arguments):
    return subprocess.run([VERGE, *arguments], capture_output=True, text=True, check=True).stdout


def main():
    nab = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT.parent / "shared/data/nab")
    if not (nab / "labels/combined_windows.json").exists():
        print(f"skipped: there is no benchmark in {nab}")
        return
    windows = json.loads((nab / "labels/combined_windows.json").read_text())
    total = dict.fromkeys(("readings", "json", "verge", "zstd", "gorilla", "exact"), 0)
    covered = labelled = 0
    worst = detect_seconds = 0.0
    with tempfile.TemporaryDirectory(prefix="verge-bench-") as directory:
        for name, spans in windows.items():
            source, record = nab / "data" / name, os.path.join(directory, "record")
            times, values = rows_of(source.read_text())
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            scores = rows_of(verge("detect", str(source)))[1]
            detect_seconds += resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
            verge("reduce", str(source), "--max-error", str(SHARE), "-o", record)
            times_again, again = rows_of(verge("restore", record))
            span = max(values) - min(values)
            error = max(abs(a - b) for a, b in zip(values, again)) / (span or 1)
            assert times == times_again, f"{name}: timestamps differ"
            assert error <= SHARE, f"{name}: error {error}"
            assert all(a == b for a, b, score in zip(values, again, scores) if score >= ALERT), f"{name}: an anomaly is not exact"
            worst = max(worst, error)
            index = {time[:19]: i for i, time in enumerate(times)}
            for start, end in spans:
                labelled += 1
                covered += any(score >= ALERT for score in scores[index[start[:19]]:index[end[:19]] + 1])
            messages = "".join(json.dumps({"timestamp": t, "value": v}) + "\n" for t, v in zip(times, values)).encode()
            seconds = [int(datetime.datetime.fromisoformat(t).replace(tzinfo=datetime.timezone.utc).timestamp()) for t in times]
            total["readings"] += len(values)
            total["json"] += len(messages)
            total["verge"] += os.path.getsize(record)
            total["zstd"] += zstd_bytes(messages)
            total["gorilla"] += gorilla_bytes(seconds, values)
            total["exact"] += sum(score >= ALERT for score in scores)
    print(f"{len(windows)} series, {total['readings']} readings as JSON messages: {total['json']} bytes\n")
    print("| | bytes | a reading | fewer than JSON |\n|---|---|---|---|")
    for label, key in (("JSON", "json"), ("Gorilla, lossless", "gorilla"), ("zstd -19 of the JSON, lossless", "zstd"),
                       (f"verge reduce --max-error {SHARE}", "verge")):
        print(f"| {label} | {total[key]} | {total[key] / total['readings']:.3f} | {100 - 100 * total[key] / total['json']:.2f} % |")
    print(f"\nlargest error {100 * worst:.4f} % of a series' range; {total['exact']} readings exact (score >= {ALERT}),"
          f"\nwhich lie in {covered} of {labelled} labelled windows ({100 * covered / labelled:.1f} %)")
    print(f"verge detect: {1e6 * detect_seconds / total['readings']:.2f} us CPU a reading, reading and printing included")


main()
