// Topic names and topic filters (MQTT 5.0 section 4.7): levels divided by '/', '+' stands for one level, '#' for the
// rest. Rules, subscriptions and queries speak of events by them.
#pragma once

#include <string_view>
#include <vector>

namespace verge {

inline constexpr size_t kTopicBytesMax = 65535;
// Bound of our own: a filter or topic with more levels is refused, so that no tree is deeper.
inline constexpr size_t kTopicLevelsMax = 128;

// 1..65535 bytes of UTF-8 without U+0000, '+' and '#', at most kTopicLevelsMax levels.
bool is_topic_name(std::string_view topic);
// The same with '+' alone in a level, and '#' alone in the last.
bool is_topic_filter(std::string_view filter);

// The node's own topics, $SYS/… and $verge/…: clients do not publish to them (MQTT 5.0 section 4.7.2).
inline bool is_reserved_topic(std::string_view topic) {
  return topic.starts_with("$SYS/") || topic.starts_with("$verge/");
}

// Both valid. A filter that begins with a wildcard does not match a topic that begins with '$' [MQTT-4.7.2-1].
bool topic_matches(std::string_view filter, std::string_view topic);

// Views into `topic`.
std::vector<std::string_view> topic_levels(std::string_view topic);

// Takes the first level off the front: returns it and leaves what follows its '/' in `rest`; `more` says whether there
// was a '/' ("a/" has two levels, the last empty).
inline std::string_view next_level(std::string_view& rest, bool& more) {
  const size_t slash = rest.find('/');
  const std::string_view level = rest.substr(0, slash);
  more = slash != std::string_view::npos;
  rest = more ? rest.substr(slash + 1) : std::string_view{};
  return level;
}

}  // namespace verge
