#include "mqtt/access_rules.h"

#include <algorithm>

#include "model/topic.h"

namespace verge::mqtt {
namespace {

bool speaks_of(const AccessRule& rule, const Identity& who) {
  return rule.users.empty() || std::ranges::find(rule.users, who.user) != rule.users.end();
}

// Calls `look` with what each pattern of the rule means for the client, until one says true.
template <class Look>
bool any_pattern(const AccessRule& rule, const Identity& who, Look&& look) {
  return std::ranges::any_of(rule.topics, [&](const std::string& pattern) {
    if (pattern.find('%') == std::string::npos) return look(std::string_view(pattern));
    const std::optional<std::string> meant = expand_pattern(pattern, who);
    return meant && is_topic_filter(*meant) && look(std::string_view(*meant));
  });
}

// Wildcards at the beginning do not stand for a level that begins with '$' [MQTT-4.7.2-1].
bool is_own(std::string_view level, bool first) { return first && level.starts_with('$'); }

}  // namespace

std::optional<std::string> expand_pattern(std::string_view pattern, const Identity& who) {
  std::string meant;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view token = pattern.substr(i, 2);
    if (token != "%c" && token != "%u") {
      meant.push_back(pattern[i]);
      continue;
    }
    const std::string_view value = token == "%c" ? who.client_id : who.user;
    if (value.empty() || value.find_first_of("/+#") != std::string_view::npos) return std::nullopt;
    meant.append(value);
    ++i;
  }
  return meant;
}

bool is_access_pattern(std::string_view pattern) {
  const std::optional<std::string> meant = expand_pattern(pattern, {.user = "u", .client_id = "c"});
  return meant && is_topic_filter(*meant);
}

bool covers(std::string_view pattern, std::string_view filter) {
  if (filter == "#" && pattern == "+/#") return true;  // every topic has a first level
  bool first = true;
  for (bool pattern_more = true, filter_more = true; pattern_more; first = false) {
    const std::string_view level = next_level(pattern, pattern_more);
    if (!filter_more) return level == "#";  // "a/#" is of "a" too
    const std::string_view wanted = next_level(filter, filter_more);
    if (level == "#") return !is_own(wanted, first);
    if (level == "+" ? wanted == "#" || is_own(wanted, first) : wanted != level) return false;
    if (!pattern_more) return !filter_more;
  }
  return false;
}

bool overlaps(std::string_view pattern, std::string_view filter) {
  bool first = true;
  for (bool pattern_more = true, filter_more = true; pattern_more && filter_more; first = false) {
    const std::string_view level = next_level(pattern, pattern_more);
    const std::string_view wanted = next_level(filter, filter_more);
    const bool own = is_own(level, first) != is_own(wanted, first);
    if (level == "#" || wanted == "#") return !own;
    const bool wild = level == "+" || wanted == "+";
    if (wild ? own : level != wanted) return false;
    if (!pattern_more && !filter_more) return true;
    if (!pattern_more) return filter == "#";
    if (!filter_more) return pattern == "#";
  }
  return false;
}

bool AccessRules::allows(const Identity& who, std::string_view topic, bool AccessRule::* action) const {
  for (const AccessRule& rule : rules_) {
    if (!(rule.*action) || !speaks_of(rule, who)) continue;
    if (any_pattern(rule, who, [&](std::string_view pattern) { return topic_matches(pattern, topic); })) {
      return rule.allow;
    }
  }
  return false;
}

AccessRules::Grant AccessRules::may_subscribe(const Identity& who, std::string_view filter) const {
  if (rules_.empty()) return Grant::kWhole;
  bool in_part = false;
  for (const AccessRule& rule : rules_) {
    if (!rule.subscribe || !speaks_of(rule, who)) continue;
    if (any_pattern(rule, who, [&](std::string_view pattern) { return covers(pattern, filter); })) {
      if (!rule.allow) return rule.says_why ? Grant::kNone : Grant::kNoneUnsaid;
      return in_part ? Grant::kInPart : Grant::kWhole;
    }
    if (!rule.allow && any_pattern(rule, who, [&](std::string_view pattern) { return overlaps(pattern, filter); })) {
      in_part = true;
    }
  }
  return Grant::kNone;
}

}  // namespace verge::mqtt
