#include "cache/accept_encoding.h"

#include <algorithm>
#include <array>

#include "cache/cache_control.h"

namespace verge::cache {
namespace {

using net::equals_ignoring_case;

constexpr std::array<std::string_view, 26> kTextTypes = {"application/javascript",
                                                         "application/json",
                                                         "application/x-javascript",
                                                         "application/xml",
                                                         "application/manifest+json",
                                                         "application/wasm",
                                                         "application/graphql",
                                                         "application/ld+json",
                                                         "application/rtf",
                                                         "application/sql",
                                                         "application/toml",
                                                         "application/yaml",
                                                         "application/x-ndjson",
                                                         "application/x-sh",
                                                         "application/x-tar",
                                                         "application/vnd.ms-fontobject",
                                                         "application/vnd.apple.mpegurl",
                                                         "application/dash+xml",
                                                         "application/opentype",
                                                         "font/collection",
                                                         "font/otf",
                                                         "font/ttf",
                                                         "image/bmp",
                                                         "image/svg+xml",
                                                         "image/x-icon",
                                                         "image/vnd.microsoft.icon"};

constexpr std::array<std::string_view, 7> kOfTheBytes = {
    "content-encoding", "content-range", "content-md5", "digest", "repr-digest", "content-digest", "signature-input"};

// Thousandths (section 12.4.2); 0 for what is not one, so that a client does not get what it may not be able to read.
int weight_of(std::string_view text) {
  if (text.empty() || (text.front() != '0' && text.front() != '1')) return 0;
  int weight = (text.front() - '0') * 1000;
  text.remove_prefix(1);
  if (text.empty()) return weight;
  if (text.front() != '.' || text.size() > 4) return 0;
  int unit = 100;
  for (const char digit : text.substr(1)) {
    if (digit < '0' || digit > '9') return 0;
    weight += (digit - '0') * unit;
    unit /= 10;
  }
  return std::min(weight, 1000);
}

struct Liking {
  std::string_view coding;
  int weight = 1000;
};

Liking liking_of(std::string_view member) {
  Liking liking{.coding = net::trim_blanks(member.substr(0, member.find(';')))};
  const size_t semicolon = member.find(';');
  if (semicolon == std::string_view::npos) return liking;
  const std::string_view parameter = net::trim_blanks(member.substr(semicolon + 1));
  const bool is_weight = parameter.size() >= 2 && (parameter[0] == 'q' || parameter[0] == 'Q') && parameter[1] == '=';
  liking.weight = is_weight ? weight_of(parameter.substr(2)) : 0;
  return liking;
}

}  // namespace

std::optional<compress::ContentCoding> preferred_coding(std::span<const net::HttpField> request_fields,
                                                        std::span<const compress::ContentCoding> offered) {
  constexpr int kNotNamed = -1;
  std::array<int, compress::kContentCodings> weights;
  weights.fill(kNotNamed);
  int identity = kNotNamed, any = kNotNamed;
  for (const net::HttpField& field : request_fields) {
    if (field.name.size() != 15 || !equals_ignoring_case(field.name, "accept-encoding")) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      const size_t comma = std::min(rest.find(','), rest.size());
      const Liking liking = liking_of(rest.substr(0, comma));
      rest.remove_prefix(std::min(rest.size(), comma + 1));
      if (liking.coding == "*") {
        any = liking.weight;
      } else if (equals_ignoring_case(liking.coding, "identity")) {
        identity = liking.weight;
      } else {
        for (const compress::ContentCoding coding : offered) {
          const bool is_it =
              equals_ignoring_case(liking.coding, compress::name_of(coding)) ||
              (coding == compress::ContentCoding::kGzip && equals_ignoring_case(liking.coding, "x-gzip"));
          if (is_it) weights[static_cast<size_t>(coding)] = liking.weight;
        }
      }
    }
  }
  std::optional<compress::ContentCoding> best;
  int best_weight = 0;
  for (const compress::ContentCoding coding : offered) {
    const int named = weights[static_cast<size_t>(coding)];
    const int weight = named == kNotNamed ? any : named;
    if (weight <= best_weight) continue;
    best = coding;
    best_weight = weight;
  }
  // Not named, identity is taken when there is nothing better.
  if (best && identity > best_weight) return std::nullopt;
  return best;
}

bool is_compressible(int status, std::span<const net::HttpField> fields) {
  if (status < 200 || status == 204 || status == 206 || status == 304) return false;
  bool is_text = false;
  for (const net::HttpField& field : fields) {
    if (std::ranges::any_of(kOfTheBytes,
                            [&](std::string_view name) { return equals_ignoring_case(field.name, name); })) {
      return false;
    }
    if (field.name.size() != 12 || !equals_ignoring_case(field.name, "content-type")) continue;
    const std::string_view type = net::trim_blanks(field.value.substr(0, field.value.find(';')));
    const auto ends_with = [&](std::string_view end) {
      return type.size() > end.size() && equals_ignoring_case(type.substr(type.size() - end.size()), end);
    };
    is_text = (type.size() > 5 && equals_ignoring_case(type.substr(0, 5), "text/")) || ends_with("+json") ||
              ends_with("+xml") || ends_with("+yaml") ||
              std::ranges::any_of(kTextTypes, [&](std::string_view text) { return equals_ignoring_case(type, text); });
  }
  return is_text && !net::list_has(fields, "cache-control", "no-transform");
}

std::string coded_tag(std::string_view tag, compress::ContentCoding coding) {
  std::string coded(tag);
  if (tag.size() < 2 || tag.front() != '"' || tag.back() != '"') return coded;
  coded.insert(coded.size() - 1, compress::name_of(coding));
  coded.insert(coded.size() - 1 - compress::name_of(coding).size(), "-");
  return coded;
}

std::vector<net::HttpField> coded_fields(std::span<const net::HttpField> fields, compress::ContentCoding coding,
                                         std::string& tag) {
  std::vector<net::HttpField> coded(fields.begin(), fields.end());
  for (net::HttpField& field : coded) {
    if (!net::equals_ignoring_case(field.name, "etag")) continue;
    tag = coded_tag(field.value, coding);
    field.value = tag;
    break;
  }
  return coded;
}

}  // namespace verge::cache
