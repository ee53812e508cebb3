#include "cache/cache_control.h"

#include <algorithm>

#include "base/text.h"
#include "cache/structured_field.h"

namespace verge::cache {
namespace {

// Without the quotes and escapes of a quoted string.
std::string unquoted(std::string_view value) {
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return std::string(value);
  std::string text;
  for (size_t i = 1; i + 1 < value.size(); ++i) {
    if (value[i] == '\\' && i + 2 < value.size()) ++i;
    text.push_back(value[i]);
  }
  return text;
}

void keep_smaller(std::optional<Seconds>& kept, Seconds value) { kept = std::min(kept.value_or(value), value); }

void hide_fields(CacheControl& control, std::string_view names) {
  while (!names.empty()) {
    const size_t comma = std::min(names.find(','), names.size());
    const std::string_view name = net::trim_blanks(names.substr(0, comma));
    if (!name.empty()) control.hidden_fields.push_back(lower(name));
    names.remove_prefix(std::min(names.size(), comma + 1));
  }
}

bool* flag_of(CacheControl& control, std::string_view name) {
  struct Flag {
    std::string_view name;
    bool CacheControl::* flag;
  };
  static constexpr Flag kFlags[] = {{"no-store", &CacheControl::no_store},
                                    {"public", &CacheControl::is_public},
                                    {"must-revalidate", &CacheControl::must_revalidate},
                                    {"proxy-revalidate", &CacheControl::proxy_revalidate},
                                    {"must-understand", &CacheControl::must_understand},
                                    {"no-transform", &CacheControl::no_transform},
                                    {"only-if-cached", &CacheControl::only_if_cached},
                                    {"immutable", &CacheControl::immutable}};
  for (const Flag& flag : kFlags) {
    if (net::equals_ignoring_case(flag.name, name)) return &(control.*flag.flag);
  }
  return nullptr;
}

std::optional<Seconds>* age_of(CacheControl& control, std::string_view name) {
  struct Age {
    std::string_view name;
    std::optional<Seconds> CacheControl::* age;
  };
  static constexpr Age kAges[] = {{"max-age", &CacheControl::max_age},
                                  {"s-maxage", &CacheControl::s_maxage},
                                  {"min-fresh", &CacheControl::min_fresh},
                                  {"stale-while-revalidate", &CacheControl::stale_while_revalidate},
                                  {"stale-if-error", &CacheControl::stale_if_error}};
  for (const Age& age : kAges) {
    if (net::equals_ignoring_case(age.name, name)) return &(control.*age.age);
  }
  return nullptr;
}

void take_directive(CacheControl& control, std::string_view member) {
  const size_t equals = member.find('=');
  const std::string_view name = member.substr(0, equals);
  const std::optional<std::string> value =
      equals == std::string_view::npos ? std::nullopt : std::optional(unquoted(member.substr(equals + 1)));
  if (bool* flag = flag_of(control, name)) {
    *flag = true;
  } else if (std::optional<Seconds>* age = age_of(control, name)) {
    keep_smaller(*age, parse_delta_seconds(value.value_or("")).value_or(0));
  } else if (net::equals_ignoring_case(name, "max-stale")) {
    if (value) {
      keep_smaller(control.max_stale, parse_delta_seconds(*value).value_or(0));
    } else {
      control.max_stale_any = true;
    }
  } else if (net::equals_ignoring_case(name, "no-cache") || net::equals_ignoring_case(name, "private")) {
    if (value) {
      hide_fields(control, *value);
    } else {
      (name.size() == 7 ? control.is_private : control.no_cache) = true;
    }
  }
}

}  // namespace

std::optional<Seconds> parse_delta_seconds(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  Seconds seconds = 0;
  for (const char c : text) seconds = std::min(kSecondsMax, seconds * 10 + (c - '0'));
  return seconds;
}

CacheControl parse_cache_control(std::span<const net::HttpField> fields) {
  CacheControl control;
  for_each_member(fields, "cache-control", [&](std::string_view member) { take_directive(control, member); });
  return control;
}

std::optional<CacheControl> parse_targeted_cache_control(std::span<const net::HttpField> fields) {
  const std::optional<std::string> text = combined_field(fields, "cdn-cache-control");
  if (!text) return std::nullopt;
  const std::optional<SfDictionary> members = parse_sf_dictionary(*text);
  if (!members || members->empty()) return std::nullopt;
  CacheControl control;
  for (const auto& [key, value] : *members) {
    if (bool* flag = flag_of(control, key)) {
      *flag = value != SfItem(false);
    } else if (std::optional<Seconds>* age = age_of(control, key)) {
      // A value of another type is no delta-seconds: the directive is not there.
      if (const auto* seconds = std::get_if<int64_t>(&value); seconds && *seconds >= 0) {
        *age = std::min(*seconds, kSecondsMax);
      }
    } else if (key == "no-cache" || key == "private") {
      if (const auto* names = std::get_if<std::string>(&value)) {
        hide_fields(control, *names);
      } else {
        (key == "private" ? control.is_private : control.no_cache) = value != SfItem(false);
      }
    }
  }
  return control;
}

std::optional<std::string> combined_field(std::span<const net::HttpField> fields, std::string_view name) {
  std::optional<std::string> text;
  for (const net::HttpField& field : fields) {
    if (!net::equals_ignoring_case(field.name, name)) continue;
    if (text) {
      text->append(", ").append(field.value);
    } else {
      text = field.value;
    }
  }
  return text;
}

}  // namespace verge::cache
