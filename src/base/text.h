// Text that people write and read: spelling hints, sizes, durations, JSON strings.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace verge {

// The number of single-character insertions, deletions, substitutions and swaps of neighbours (optimal string
// alignment) that turn `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, or empty when none is near enough to be a slip of the finger.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

// "150ms", "10s", "5 min", "1h", "7d", "20us": a number and a unit. Nothing when it is not that.
std::optional<Duration> parse_duration(std::string_view text);
std::string format_duration(Duration duration);

// "512", "64 KiB", "1MiB", "2GiB", "10 MB": bytes. Nothing when it is not that.
std::optional<uint64_t> parse_size(std::string_view text);
std::string format_size(uint64_t bytes);

// 2026-01-31T12:00:00.123456Z
std::string format_utc(WallTime time);

// Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. Control characters are
// escaped, those that only terminals know (U+007F to U+009F) too.
void append_json_string(std::string& out, std::string_view text);
std::string json_string(std::string_view text);

// {"error":{"code":…,"what":…,"fix":…}}: how errors look over HTTP.
std::string error_json(const Error& error);

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

std::string base64(std::string_view bytes);
// What base64() wrote. Nothing when it is not that: other characters, a length that is no multiple of 4, wrong padding.
std::optional<std::string> from_base64(std::string_view text);

// For people to read in a terminal: what would be done there instead of shown (control characters, changes of the
// direction of writing, line separators) is written as \n, \t, \u{1b}. Bytes that are not UTF-8: \xff.
std::string printable(std::string_view text);

std::string lower(std::string_view text);
std::string_view trim(std::string_view text);

}  // namespace verge
