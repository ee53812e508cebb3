// EventTail: what happens on the event path, as it happens, for who watches it.
//
// While nobody does, it costs one load. Each watcher has a filter and a buffer of its own; what happens while that is
// full is counted and left out, so that who watches slowly holds up nobody.
//
// Threading: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace verge::node {

class EventTail {
 public:
  static constexpr size_t kWaitingMax = 200;              // lines of one watcher
  static constexpr size_t kWaitingBytesMax = 256U << 10;  // of them, about
  static constexpr size_t kPayloadBytesShown = 256;       // of each
  static constexpr size_t kNameBytesShown = 512;          // of its topic, and of its device

  enum class Kind : uint8_t { kMessage, kCommand, kUpload, kDrop, kTrace };

  struct Taken {
    std::string lines;     // JSON objects, each ended by a line feed
    uint64_t missing = 0;  // left out since the last take()
  };

  [[nodiscard]] bool is_watched() const { return watched_.load(std::memory_order_relaxed); }
  // Somebody wants to know what becomes of each message in a rule.
  [[nodiscard]] bool is_traced() const { return traced_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::vector<std::string> traced_rules();
  // `rule`: who did it, empty for a message.
  void add(Kind kind, WallTime time, std::string_view topic, std::string_view device, std::string_view payload,
           std::string_view rule, std::string_view outcome = {});

  // `filter`: a valid topic filter. `rule`: of that rule only; empty: all.
  // `traces`: what becomes of each message in that rule too.
  uint64_t watch(std::string filter, std::string rule, bool traces = false);
  void unwatch(uint64_t watcher);
  // What came since.
  Taken take(uint64_t watcher);

 private:
  struct Watcher {
    std::string filter;
    std::string rule;
    bool traces = false;
    std::string lines;
    size_t waiting = 0;
    uint64_t missing = 0;
  };

  std::atomic<bool> watched_{false};
  std::atomic<bool> traced_{false};
  std::mutex mutex_;  // guards what follows
  std::map<uint64_t, Watcher> watchers_;
  uint64_t next_ = 1;
};

}  // namespace verge::node
