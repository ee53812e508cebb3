// Functions that remember: what they give of a message depends on those before it, by partition.
//
// Each is one Remembered a partition of a rule. They are evaluated for every message that reaches the rule (those in
// WHERE) or that WHERE lets pass (those in SELECT), in order of time, never skipped by AND, OR or CASE.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "rules/arena.h"
#include "rules/value.h"

namespace verge::rules {

enum class StateFunction : uint8_t {
  kLag,         // lag(x [, n [, otherwise]])
  kChanged,     // changed(x [, by])
  kDelta,       // delta(x)
  kHysteresis,  // hysteresis(x, on_above, off_below)
  kFor,         // condition FOR duration
  kAnomaly,
  kZscore,
  kEwma,
  kCusum,
  kForest,
  kSeasonal,
  kInformation,  // of the last 1,024 readings
  kFuse,         // fuse(x, least, largest, noise, …)
  kRecent,       // recent(x): the last readings, as [[ms, x], …]
  kSummary,      // summary(x): statistics of them
  kAftermath,    // aftermath(significance, x): the readings after a significant one, once they are there
  kPredict,      // predict(x): the next reading, and how far to trust it
};

struct StateSignature {
  std::string_view name;
  StateFunction function;
  uint8_t arguments_min;
  uint8_t arguments_max;
};

inline constexpr int64_t kLagMax = 1000;
inline constexpr size_t kFusedMax = 8;
inline constexpr size_t kRecentMax = 64;  // readings
inline constexpr uint64_t kAftermathReadings = 16;

// By name in lower case; null when there is none. FOR is no name.
const StateSignature* find_state_function(std::string_view name);
std::string_view name_of(StateFunction function);
const std::vector<std::string>& state_function_names();
// Whether it scores how anomalous a reading is.
bool is_detector(StateFunction function);

// What one call has seen in one partition.
class Remembered {
 public:
  virtual ~Remembered() = default;
  // What the call gives for a message of that time. Texts live in `arena` or in this.
  virtual Value next(std::span<const Value> arguments, int64_t time_us, Arena& arena) = 0;
  // When next() with the same arguments gives something else because of the time.
  [[nodiscard]] virtual std::optional<int64_t> due_us() const { return std::nullopt; }
  [[nodiscard]] virtual size_t bytes() const = 0;
  virtual void append_to(std::string& out) const = 0;
  // Reads what append_to() of the same function wrote; false when it is something else.
  virtual bool read(ByteReader& in) = 0;
};

// `duration_us` is that of FOR.
std::unique_ptr<Remembered> make_remembered(StateFunction function, int64_t duration_us);

}  // namespace verge::rules
