#include "cache/field_edits.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace verge::cache {
namespace {

// RFC 9110 section 7.6.1, RFC 9112 section 6, RFC 9113 section 8.2.2.
constexpr std::array<std::string_view, 10> kOfTheConnection = {
    "connection",          "content-length",   "keep-alive", "proxy-authenticate",
    "proxy-authorization", "proxy-connection", "te",         "trailer",
    "transfer-encoding",   "upgrade"};
// The cache decides by these what it asks for, and says who it is.
constexpr std::array<std::string_view, 10> kOfRequests = {
    "host", "expect",  "range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
    "via",  "cdn-loop"};
constexpr std::array<std::string_view, 5> kOfAnswers = {"age", "cache-status", "content-range", "date", "via"};

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::any_of(names, [&](std::string_view one) { return net::equals_ignoring_case(one, name); });
}

void take_out(std::vector<net::HttpField>& fields, std::string_view name) {
  std::erase_if(fields, [&](const net::HttpField& field) { return net::equals_ignoring_case(field.name, name); });
}

}  // namespace

Result<void> check_edited_name(std::string_view name, EditedMessage message) {
  if (!net::is_token(name)) return fail("config.value", fmt::format("the name of a field, not '{}'", name));
  if (is_one_of(kOfTheConnection, name)) {
    return fail("config.value",
                fmt::format("a field that may be edited, and {} frames messages or belongs to one connection", name),
                "leave it out");
  }
  const bool is_request = message == EditedMessage::kRequest;
  if (is_request ? is_one_of(kOfRequests, name) : is_one_of(kOfAnswers, name)) {
    return fail("config.value",
                fmt::format("a field that may be edited, and {} is the cache's own in {}", name,
                            is_request ? "requests" : "answers"),
                "leave it out");
  }
  return {};
}

Result<void> check_edited_value(std::string_view value) {
  if (net::is_field_value(value) && net::trim_blanks(value) == value) return {};
  return fail("config.value", "the value of a field: no control characters, no blanks around it");
}

void apply(const FieldEdits& edits, std::vector<net::HttpField>& fields) {
  for (const std::string& name : edits.remove) take_out(fields, name);
  for (const FieldEdit& edit : edits.set) take_out(fields, edit.name);
  for (const FieldEdit& edit : edits.set) fields.push_back({edit.name, edit.value});
  for (const FieldEdit& edit : edits.add) fields.push_back({edit.name, edit.value});
}

}  // namespace verge::cache
