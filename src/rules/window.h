// Tumbling windows: readings gathered by group over spans of the wall clock that follow each other without gap.
//
// Windows begin at multiples of their size since 1970-01-01T00:00:00Z and go by the time of receipt. One
// TumblingWindow holds a rule's groups of one loop; WindowInput carries a reading to the loop that owns its group.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "rules/functions.h"
#include "rules/value.h"

namespace verge::rules {

inline constexpr size_t kWindowGroupsMax = 65'536;  // of one rule on one loop, over its open windows
inline constexpr size_t kGroupKeyBytesMax = 1024;   // encoded; a message with a longer key is refused
inline constexpr size_t kReadingBytesMax = 4096;    // encoded; a longer reading counts as NULL

// One message's part in a window. Owns what it holds and may cross threads.
struct WindowInput {
  uint64_t rule = 0;  // Rule::identity
  // Equal for equal groups of a rule; the loop that it is mapped to owns the group.
  uint64_t key_hash = 0;
  WallTime received;
  uint32_t key_size = 0;
  std::string bytes;  // the encoded key, then one encoded value for each aggregate

  [[nodiscard]] std::string_view key() const { return std::string_view(bytes).substr(0, key_size); }
  [[nodiscard]] std::string_view readings() const { return std::string_view(bytes).substr(key_size); }
};

// What one aggregate has seen. NULL never counts, nor does what the aggregate cannot take (a text in sum).
class Accumulator {
 public:
  void add(Aggregate aggregate, const Value& value);
  // NULL when nothing counted, but 0 for count. Texts point into the accumulator.
  [[nodiscard]] Value result(Aggregate aggregate) const;

 private:
  void keep(const Value& value);
  [[nodiscard]] Value kept() const;

  int64_t count_ = 0;
  int64_t integer_sum_ = 0;
  double sum_ = 0;
  bool is_integer_ = true;  // all summed so far were integers, and their sum is
  Value kept_;              // of min, max, first, last; its text lies in text_
  std::string text_;
};

class TumblingWindow {
 public:
  struct Group {
    std::string key;
    std::vector<Accumulator> accumulators;
  };
  struct Closed {
    int64_t start_us = 0;
    std::deque<Group> groups;  // in the order of their first readings
  };

  // One value is expected for each of `aggregates` in each input.
  TumblingWindow(int64_t size_us, std::vector<Aggregate> aggregates)
      : size_us_(size_us), aggregates_(std::move(aggregates)) {}

  // Gathers the reading into the window of its time of receipt; where that has been taken, into the one open at `now`.
  // False when its group would be one too many.
  [[nodiscard]] bool add(const WindowInput& input, WallTime now);

  // The windows that are over at `now`, oldest first. Those more than a window ahead of `now` count as over: the wall
  // clock was set back, and they would wait for it to come round.
  std::vector<Closed> take_closed(WallTime now);
  std::vector<Closed> take_all();

  // When the first open window ends.
  [[nodiscard]] std::optional<WallTime> next_close() const;

 private:
  struct Open {
    std::deque<Group> groups;
    std::unordered_map<std::string_view, Group*, StringHash, std::equal_to<>> by_key;  // into groups
  };

  [[nodiscard]] int64_t start_of(WallTime time) const;
  Group* group_of(Open& window, std::string_view key);

  int64_t size_us_;
  std::vector<Aggregate> aggregates_;
  std::map<int64_t, Open> open_;  // by start
  size_t groups_ = 0;
  int64_t taken_through_us_ = INT64_MIN;  // where the latest window taken ends
};

}  // namespace verge::rules
