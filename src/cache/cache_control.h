// Cache-Control (RFC 9111 section 5.2) and its targeted form CDN-Cache-Control (RFC 9213), as one set of directives.
//
// Where a message contradicts itself, what is fresh for the shorter time counts: of a directive that comes twice the
// smaller value, of a value that cannot be read 0 (section 4.2.1: "either … or consider the response stale"). A value
// in quotes is read as the same value without them (section 5.2: recipients accept both).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_message.h"

namespace verge::cache {

// Larger numbers of seconds are read as this (RFC 9111 section 1.2.2).
using Seconds = int64_t;

inline constexpr Seconds kSecondsMax = 2'147'483'648;

struct CacheControl {
  bool no_store = false;
  bool no_cache = false;    // without field names
  bool is_private = false;  // without field names
  bool is_public = false;
  bool must_revalidate = false;
  bool proxy_revalidate = false;
  bool must_understand = false;
  bool no_transform = false;
  bool only_if_cached = false;
  bool immutable = false;
  bool max_stale_any = false;              // max-stale without a value
  std::vector<std::string> hidden_fields;  // no-cache="…" and private="…": not to be stored for others; lower case
  std::optional<Seconds> max_age;
  std::optional<Seconds> s_maxage;
  std::optional<Seconds> min_fresh;
  std::optional<Seconds> max_stale;
  std::optional<Seconds> stale_while_revalidate;
  std::optional<Seconds> stale_if_error;

  bool operator==(const CacheControl&) const = default;
};

// Of all lines of Cache-Control among the fields. Members that are no directives are passed over.
CacheControl parse_cache_control(std::span<const net::HttpField> fields);

// Of CDN-Cache-Control. Nothing when there is none, or when it is not a structured field as a whole or says nothing
// (RFC 9213 section 2.1): then Cache-Control counts.
std::optional<CacheControl> parse_targeted_cache_control(std::span<const net::HttpField> fields);

// Digits only, none other around them; above kSecondsMax that (RFC 9111 section 1.2.2).
std::optional<Seconds> parse_delta_seconds(std::string_view text);

// All lines of the field joined by ", ", and whether there is one.
std::optional<std::string> combined_field(std::span<const net::HttpField> fields, std::string_view name);

// Calls `take` with each member of the comma-separated list in all lines of the field; empty members are left out,
// commas in quoted strings do not separate (RFC 9110 section 5.6.1).
template <class Take>
void for_each_member(std::span<const net::HttpField> fields, std::string_view name, Take&& take) {
  for (const net::HttpField& field : fields) {
    if (!net::equals_ignoring_case(field.name, name)) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      size_t end = 0;
      for (bool quoted = false; end < rest.size() && (quoted || rest[end] != ','); ++end) {
        if (rest[end] == '"') quoted = !quoted;
        if (quoted && rest[end] == '\\' && end + 1 < rest.size()) ++end;
      }
      const std::string_view member = net::trim_blanks(rest.substr(0, end));
      if (!member.empty()) take(member);
      rest.remove_prefix(std::min(rest.size(), end + 1));
    }
  }
}

}  // namespace verge::cache
