#include "model/topic.h"

#include <algorithm>

#include "base/text.h"

namespace verge {
namespace {

bool is_topic_text(std::string_view text) {
  return !text.empty() && text.size() <= kTopicBytesMax && text.find('\0') == std::string_view::npos &&
         static_cast<size_t>(std::ranges::count(text, '/')) < kTopicLevelsMax && is_utf8(text);
}

}  // namespace

bool is_topic_name(std::string_view topic) {
  return is_topic_text(topic) && topic.find_first_of("+#") == std::string_view::npos;
}

bool is_topic_filter(std::string_view filter) {
  if (!is_topic_text(filter)) return false;
  bool more = true;
  while (more) {
    const std::string_view level = next_level(filter, more);
    if (level.size() > 1 && level.find_first_of("+#") != std::string_view::npos) return false;
    if (level == "#" && more) return false;
  }
  return true;
}

bool topic_matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) return false;
  bool more_filter = true;
  bool more_topic = true;
  while (more_filter) {
    const std::string_view wanted = next_level(filter, more_filter);
    if (wanted == "#") return true;  // "a/#" also matches "a": see the end of the loop
    if (!more_topic) return false;
    const std::string_view level = next_level(topic, more_topic);
    if (wanted != "+" && wanted != level) return false;
    if (!more_topic && more_filter && filter == "#") return true;
  }
  return !more_topic;
}

std::vector<std::string_view> topic_levels(std::string_view topic) {
  std::vector<std::string_view> levels;
  bool more = true;
  while (more) levels.push_back(next_level(topic, more));
  return levels;
}

}  // namespace verge
