#include "node/key_value_text.h"

#include <charconv>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"

namespace verge::node {
namespace {

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

std::string listing_json(const kv::Listing& listing) {
  std::string out = R"({"keys":[)";
  for (const kv::ListedKey& key : listing.keys) {
    if (!out.ends_with('[')) out.push_back(',');
    out.append(R"({"name":)");
    append_json_string(out, key.key);
    if (key.expires_s != 0) fmt::format_to(std::back_inserter(out), R"(,"expiration":{})", key.expires_s);
    if (!key.metadata.empty()) out.append(R"(,"metadata":)").append(key.metadata);
    out.push_back('}');
  }
  fmt::format_to(std::back_inserter(out), R"(],"list_complete":{})", listing.complete);
  if (!listing.complete) fmt::format_to(std::back_inserter(out), R"(,"cursor":"{}")", base64(listing.last));
  return out.append("}");
}

std::optional<std::string> read_cursor(std::string_view text) {
  std::optional<std::string> key = from_base64(text);
  if (!key || key->size() > kv::kKeyBytesMax) return std::nullopt;
  return key;
}

Result<size_t> list_limit_of(std::string_view text) {
  if (text.empty()) return kv::kListMax;
  const std::optional<int64_t> limit = whole_number(text);
  if (limit && *limit >= 1 && *limit <= static_cast<int64_t>(kv::kListMax)) return static_cast<size_t>(*limit);
  return fail("kv.value", fmt::format("{} is no limit of a list", printable(text)),
              fmt::format("give a whole number from 1 to {}", kv::kListMax));
}

Result<int64_t> expiry_of(std::string_view ttl, std::string_view expiration, int64_t now_s) {
  constexpr int64_t kSecondsMax = 1'000'000'000'000;
  if (ttl.empty() && expiration.empty()) return 0;
  const std::optional<int64_t> seconds = whole_number(ttl.empty() ? expiration : ttl);
  const int64_t expires_s = !seconds || *seconds > kSecondsMax ? 0 : ttl.empty() ? *seconds : now_s + *seconds;
  if (expires_s > now_s) return expires_s;
  return fail("kv.value",
              fmt::format("what is put would not expire in the future ({})", ttl.empty() ? expiration : ttl),
              "give expirationTtl as seconds from now, or expiration as seconds since 1970");
}

Result<void> check_metadata(std::string_view metadata) {
  if (metadata.empty()) return {};
  simdjson::dom::parser parser;
  const simdjson::padded_string text(metadata);
  // A line of an export holds it, a list is made of it.
  if (parser.parse(text).error() == simdjson::SUCCESS && metadata.find('\n') == std::string_view::npos) return {};
  return fail("kv.value", "the metadata is no JSON on one line", "give a JSON value");
}

Result<void> check_text_key(std::string_view key) {
  if (!is_utf8(key)) return fail("kv.value", "the key is not UTF-8", "give it as text");
  return kv::check_key(key);
}

}  // namespace verge::node
