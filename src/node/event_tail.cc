#include "node/event_tail.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "model/topic.h"

namespace verge::node {
namespace {

constexpr std::string_view kKinds[] = {"message", "command", "upload", "drop", "trace"};

// Not in the middle of a character.
std::string_view cut(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) --bytes;
  return text.substr(0, bytes);
}

}  // namespace

void EventTail::add(Kind kind, WallTime time, std::string_view topic, std::string_view device, std::string_view payload,
                    std::string_view rule, std::string_view outcome) {
  const std::scoped_lock lock(mutex_);
  std::string line;
  for (auto& [number, watcher] : watchers_) {
    if (!watcher.rule.empty() && watcher.rule != rule) continue;
    if (kind == Kind::kTrace && !watcher.traces) continue;
    if (!topic_matches(watcher.filter, topic)) continue;
    if (watcher.waiting == kWaitingMax || watcher.lines.size() >= kWaitingBytesMax) {
      ++watcher.missing;
      continue;
    }
    if (line.empty()) {
      const std::string_view shown = cut(payload, kPayloadBytesShown);
      line = fmt::format(
          R"({{"time_ms":{},"kind":"{}","topic":{},"device":{},"rule":{},"payload":{},"payload_bytes":{}}})",
          time.microseconds / 1000, kKinds[static_cast<size_t>(kind)], json_string(cut(topic, kNameBytesShown)),
          json_string(cut(device, kNameBytesShown)), json_string(rule), json_string(shown), payload.size());
      if (!outcome.empty()) {
        line.pop_back();
        line.append(",\"outcome\":").append(json_string(outcome)).push_back('}');
      }
      line.push_back('\n');
    }
    watcher.lines += line;
    ++watcher.waiting;
  }
}

std::vector<std::string> EventTail::traced_rules() {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> rules;
  for (const auto& [number, watcher] : watchers_) {
    if (watcher.traces && std::ranges::find(rules, watcher.rule) == rules.end()) rules.push_back(watcher.rule);
  }
  return rules;
}

uint64_t EventTail::watch(std::string filter, std::string rule, bool traces) {
  const std::scoped_lock lock(mutex_);
  watchers_.emplace(next_,
                    Watcher{.filter = std::move(filter), .rule = std::move(rule), .traces = traces, .lines = {}});
  watched_ = true;
  if (traces) traced_ = true;
  return next_++;
}

void EventTail::unwatch(uint64_t watcher) {
  const std::scoped_lock lock(mutex_);
  watchers_.erase(watcher);
  watched_ = !watchers_.empty();
  traced_ = std::ranges::any_of(watchers_, [](const auto& entry) { return entry.second.traces; });
}

EventTail::Taken EventTail::take(uint64_t watcher) {
  const std::scoped_lock lock(mutex_);
  const auto place = watchers_.find(watcher);
  if (place == watchers_.end()) return {};
  place->second.waiting = 0;
  return {.lines = std::exchange(place->second.lines, {}), .missing = std::exchange(place->second.missing, 0)};
}

}  // namespace verge::node
