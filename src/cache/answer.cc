#include "cache/answer.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cache/accept_encoding.h"
#include "net/http_response.h"

namespace verge::cache {
namespace {

constexpr std::array<std::string_view, 9> kHopFields = {
    "connection",        "keep-alive",          "proxy-connection", "proxy-authenticate",       "te",
    "transfer-encoding", "proxy-authorization", "upgrade",          "proxy-authentication-info"};
constexpr std::array<std::string_view, 3> kMadeAnew = {"content-length", "age", "trailer"};

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::any_of(names, [&](std::string_view one) { return net::equals_ignoring_case(one, name); });
}

}  // namespace

Answer::Answer(AnswerParts parts) : parts_(std::move(parts)) {
  marks_.tags = std::move(parts_.tags);
  marks_.url = std::move(parts_.url);
  marks_.fetched_at = parts_.fetched_at;
  const std::span<const net::HttpField> kept = fields();
  content_language_ = net::find_field(kept, "content-language").value_or("");
  fmt::format_to(std::back_inserter(head_), "HTTP/1.1 {} {}\r\n", status(),
                 parts_.reason.empty() ? net::reason_phrase(status()) : std::string_view(parts_.reason));
  for (const net::HttpField& field : kept) {
    head_.append(field.name).append(": ").append(field.value).append("\r\n");
    const bool is_strong_tag = field.value.size() >= 2 && field.value.front() == '"' && field.value.back() == '"';
    if (is_strong_tag && net::equals_ignoring_case(field.name, "etag")) tag_end_ = head_.size() - 3;
  }
  is_compressible_ = cache::is_compressible(status(), kept);
  is_html_template_ = is_esi_template(status(), kept, Esi::kHtml);
  is_announced_template_ = is_esi_template(status(), kept, Esi::kAnnounced);
  varies_on_encoding_ = net::list_has(kept, "vary", "accept-encoding");
}

size_t Answer::overhead_bytes() const {
  size_t bytes = sizeof(Answer) + parts_.fields.bytes() + head_.capacity() + marks_.url.capacity() +
                 marks_.tags.capacity() * sizeof(uint64_t);
  for (const Selector& selector : parts_.selectors) bytes += sizeof(Selector) + selector.value.size();
  return bytes;
}

bool is_esi_template(int status, std::span<const net::HttpField> fields, Esi esi) {
  if (esi == Esi::kOff || status != 200 || net::find_field(fields, "content-encoding")) return false;
  for (const net::HttpField& field : fields) {
    if (net::equals_ignoring_case(field.name, "content-type")) {
      const std::string_view type = net::trim_blanks(field.value.substr(0, field.value.find(';')));
      if (esi == Esi::kHtml && net::equals_ignoring_case(type, "text/html")) return true;
    }
    if (!net::equals_ignoring_case(field.name, "surrogate-control")) continue;
    constexpr std::string_view kContent = "content=\"";
    const size_t from = field.value.find(kContent);
    if (from == std::string_view::npos) continue;
    std::string_view content = field.value.substr(from + kContent.size());
    content = content.substr(0, content.find('"'));
    while (!content.empty()) {
      const size_t end = std::min(content.find(' '), content.size());
      if (content.substr(0, end) == "ESI/1.0") return true;
      content.remove_prefix(std::min(content.size(), end + 1));
    }
  }
  return false;
}

std::string partial_url(std::string_view url) { return std::string(url) + " partial"; }

std::string origin_url(std::string_view url) { return std::string(url) + "#origin"; }

std::string code_cache_url(std::string_view url, std::string_view owner, std::string_view cache) {
  // The length tells where the one name ends and the other begins.
  return fmt::format("{}#cache {} {}{}", plain_part(url), owner.size(), owner, cache);
}

std::string_view plain_part(std::string_view url) { return url.substr(0, url.find('#')); }

bool is_hop_by_hop(std::span<const net::HttpField> fields, std::string_view name) {
  return is_one_of(kHopFields, name) || net::list_has(fields, "connection", name);
}

std::vector<net::HttpField> stored_fields(std::span<const net::HttpField> fields, const CacheControl& control) {
  std::vector<net::HttpField> kept;
  kept.reserve(fields.size());
  for (const net::HttpField& field : fields) {
    if (is_one_of(kMadeAnew, field.name) || is_hop_by_hop(fields, field.name)) continue;
    const bool is_hidden = std::ranges::any_of(
        control.hidden_fields, [&](const std::string& name) { return net::equals_ignoring_case(name, field.name); });
    if (!is_hidden) kept.push_back(field);
  }
  return kept;
}

OwnedFields updated_fields(std::span<const net::HttpField> stored, std::span<const net::HttpField> newer) {
  std::vector<net::HttpField> fields;
  fields.reserve(stored.size() + newer.size());
  for (const net::HttpField& field : stored) {
    if (!net::find_field(newer, field.name)) fields.push_back(field);
  }
  fields.insert(fields.end(), newer.begin(), newer.end());
  return OwnedFields(fields);
}

}  // namespace verge::cache
