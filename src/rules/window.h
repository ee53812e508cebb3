// Windows: readings gathered by group over spans of time, or of readings.
//
// One Window holds a rule's groups of one loop. It is given readings in order of time (what comes a little late counts
// as of the time reached) and is told how far time has come. Which span, and when it is emitted:
//
//   TUMBLING, HOPPING  spans that begin at multiples of the step since 1970-01-01T00:00:00Z; when time reaches the end
//   SESSION            from a group's first reading until none came for the gap, or the longest duration; then
//   SLIDING            the size before each reading of the group, it included; with that reading
//   COUNT              the last readings of the group; with every so many of them
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "rules/aggregate.h"
#include "rules/statement.h"
#include "rules/value.h"

namespace verge::rules {

inline constexpr size_t kWindowGroupsMax = 65'536;     // of one rule on one loop, over its open windows
inline constexpr size_t kEmissionsAStep = 512;         // that are appended at a time, where they may wait
inline constexpr size_t kSlidingReadingsMax = 10'000;  // of one group; beyond it the oldest leave early

using Accumulators = std::vector<Accumulator>;

// A group whose window is over.
struct Emission {
  int64_t start_us = 0;
  int64_t end_us = 0;
  std::string key;  // the group's key, encoded
  Accumulators accumulators;
};

// One message's part in a window.
struct WindowReading {
  int64_t time_us = 0;
  std::string_view key;           // encoded
  std::span<const Value> values;  // one for each aggregate
};

// Whether the group of that key belongs to this loop.
using IsMine = std::function<bool(std::string_view key)>;

class Window {
 public:
  virtual ~Window() = default;

  // False when the reading's group would be one too many, or would need room and there is none.
  [[nodiscard]] virtual bool add(const WindowReading& reading, int64_t now_us, bool has_room,
                                 std::vector<Emission>& out) = 0;
  // Time has come so far: appends what is over, oldest first. One that may wait (may_wait()) stops behind the window
  // that makes it kEmissionsAStep or more; what is over is then appended by the next call, next_end_us() says so.
  virtual void advance(int64_t now_us, std::vector<Emission>& out) = 0;
  // Whether readings may be added while windows before theirs are over and not appended yet.
  [[nodiscard]] virtual bool may_wait() const { return false; }
  // Appends what is open, with what came until now, and forgets it: all of it, or of a window that may wait
  // kEmissionsAStep groups or more, until it is empty.
  virtual void drain(std::vector<Emission>& out) = 0;
  // When advance() is next due.
  [[nodiscard]] virtual std::optional<int64_t> next_end_us() const = 0;
  // What it holds, about.
  [[nodiscard]] virtual size_t bytes() const = 0;
  [[nodiscard]] virtual bool is_empty() const = 0;

  virtual void append_to(std::string& out) const = 0;
  // Adds what append_to() of a window of the same kind wrote, but for the groups that are not `mine`; false when it is
  // something else.
  virtual bool read(ByteReader& in, const IsMine& mine) = 0;
};

std::unique_ptr<Window> make_window(const WindowSpec& spec, std::vector<AggregateCall> aggregates);

// What the kinds of windows have in common.
Accumulators make_accumulators(std::span<const AggregateCall> aggregates);
void add_reading(Accumulators& accumulators, std::span<const Value> values, int64_t time_us);
// Of a group: its key, its accumulators and what these hold, about.
size_t bytes_of(std::string_view key, const Accumulators& accumulators);
void append_accumulators(std::string& out, const Accumulators& accumulators);
bool read_accumulators(ByteReader& in, Accumulators& accumulators);

// Of times that were written down: whether sums of it and of sizes are no overflow.
constexpr bool is_sane_time(int64_t time_us) { return time_us >= INT64_MIN / 2 && time_us <= INT64_MAX / 4; }

}  // namespace verge::rules
