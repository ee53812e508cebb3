#include "cache/vary.h"

#include <algorithm>

#include "base/text.h"
#include "cache/cache_control.h"

namespace verge::cache {
namespace {

constexpr std::string_view kAcceptLanguage = "accept-language";

Selector selector_of(std::string name, std::span<const net::HttpField> request_fields) {
  Selector selector{.name = std::move(name), .value = {}, .is_present = false};
  std::vector<std::string> members;
  selector.is_present = net::find_field(request_fields, selector.name).has_value();
  const bool is_set = selector.name == kAcceptLanguage;
  for_each_member(request_fields, selector.name,
                  [&](std::string_view member) { members.push_back(is_set ? lower(member) : std::string(member)); });
  if (is_set) std::ranges::sort(members);
  for (const std::string& member : members) {
    if (!selector.value.empty()) selector.value.push_back(',');
    selector.value.append(member);
  }
  return selector;
}

// The weight of a member such as "de;q=0.8", in thousandths (RFC 9110 section 12.4.2).
int weight_of(std::string_view member) {
  const size_t place = lower(member).find("q=");
  if (place == std::string_view::npos || member.find(';') > place) return 1000;
  int weight = 0, unit = 1000;
  for (const char c : member.substr(place + 2)) {
    if (c == '.') continue;
    if (c < '0' || c > '9' || unit == 0) break;
    weight += (c - '0') * unit;
    unit /= 10;
  }
  return weight;
}

// Whether the request likes this language more than all others.
bool likes_best(std::span<const net::HttpField> request_fields, std::string_view language) {
  int best_of_others = 0, its_own = 0;
  for_each_member(request_fields, kAcceptLanguage, [&](std::string_view member) {
    const std::string_view range = net::trim_blanks(member.substr(0, member.find(';')));
    int& weight = net::equals_ignoring_case(range, language) ? its_own : best_of_others;
    weight = std::max(weight, weight_of(member));
  });
  return its_own > best_of_others;
}

}  // namespace

std::vector<Selector> selectors_of(std::span<const net::HttpField> response_fields,
                                   std::span<const net::HttpField> request_fields) {
  std::vector<std::string> names;
  for_each_member(response_fields, "vary", [&](std::string_view member) { names.push_back(lower(member)); });
  std::ranges::sort(names);
  const auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
  std::vector<Selector> selectors;
  selectors.reserve(names.size());
  for (std::string& name : names) selectors.push_back(selector_of(std::move(name), request_fields));
  return selectors;
}

bool selects(std::span<const Selector> selectors, std::span<const net::HttpField> request_fields,
             std::string_view content_language) {
  return std::ranges::all_of(selectors, [&](const Selector& stored) {
    if (selector_of(stored.name, request_fields) == stored) return true;
    return stored.name == kAcceptLanguage && !content_language.empty() && likes_best(request_fields, content_language);
  });
}

}  // namespace verge::cache
