#include "cache/validators.h"

#include <algorithm>

#include "net/http_date.h"

namespace verge::cache {
namespace {

bool is_weak(std::string_view tag) { return tag.starts_with("W/"); }
std::string_view opaque(std::string_view tag) { return is_weak(tag) ? tag.substr(2) : tag; }

}  // namespace

bool weakly_equal(std::string_view a, std::string_view b) { return !a.empty() && opaque(a) == opaque(b); }
bool strongly_equal(std::string_view a, std::string_view b) { return !a.empty() && !is_weak(a) && a == b; }

bool any_weakly_equal(std::string_view list, std::string_view tag) {
  if (net::trim_blanks(list) == "*") return true;
  while (!list.empty()) {
    // A comma may stand in a tag.
    size_t end = 0;
    for (bool quoted = false; end < list.size() && (quoted || list[end] != ','); ++end) {
      if (list[end] == '"') quoted = !quoted;
    }
    if (weakly_equal(net::trim_blanks(list.substr(0, end)), tag)) return true;
    list.remove_prefix(std::min(list.size(), end + 1));
  }
  return false;
}

Precondition evaluate_preconditions(std::span<const net::HttpField> request_fields,
                                    std::span<const net::HttpField> stored_fields, Seconds now) {
  bool has_tags = false, matches = false;
  const std::string_view tag = net::find_field(stored_fields, "etag").value_or("");
  for (const net::HttpField& field : request_fields) {
    if (!net::equals_ignoring_case(field.name, "if-none-match")) continue;
    has_tags = true;
    matches = matches || any_weakly_equal(field.value, tag);
  }
  if (has_tags) return matches ? Precondition::kNotModified : Precondition::kModified;
  const std::optional<std::string_view> since_text = net::find_field(request_fields, "if-modified-since");
  if (!since_text) return Precondition::kNone;
  const std::optional<Seconds> since = net::parse_http_date(*since_text, now);
  if (!since) return Precondition::kNone;
  // Of an answer without Last-Modified, Date says when it was made (RFC 9111 section 4.3.2).
  std::optional<std::string_view> made = net::find_field(stored_fields, "last-modified");
  if (!made) made = net::find_field(stored_fields, "date");
  const std::optional<Seconds> modified = made ? net::parse_http_date(*made, now) : std::nullopt;
  if (!modified) return Precondition::kNone;
  return *modified <= *since ? Precondition::kNotModified : Precondition::kModified;
}

bool range_applies(std::span<const net::HttpField> request_fields, std::span<const net::HttpField> stored_fields,
                   Seconds now) {
  const std::optional<std::string_view> condition = net::find_field(request_fields, "if-range");
  if (!condition) return true;
  const std::optional<Seconds> named = net::parse_http_date(*condition, now);
  if (!named) return strongly_equal(*condition, net::find_field(stored_fields, "etag").value_or(""));
  const std::optional<std::string_view> modified = net::find_field(stored_fields, "last-modified");
  const std::optional<std::string_view> date = net::find_field(stored_fields, "date");
  if (!modified || !date || *modified != *condition) return false;
  const std::optional<Seconds> made = net::parse_http_date(*date, now);
  return made && *made > *named;
}

bool can_be_combined(std::span<const net::HttpField> a, std::span<const net::HttpField> b) {
  const std::optional<std::string_view> tag = net::find_field(a, "etag"), other = net::find_field(b, "etag");
  return tag && other && strongly_equal(*tag, *other);
}

}  // namespace verge::cache
