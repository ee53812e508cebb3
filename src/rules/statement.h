// Statement: a rule's SQL as the parser read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rules/expression.h"

namespace verge::rules {

// One column of a SELECT.
struct SelectItem {
  ExpressionPointer expression;  // null: '*'
  std::string name;              // the alias, else the field's last name, else the text of the expression
  size_t offset = 0;
};

// The messages that FROM or JOIN names.
struct StreamSource {
  std::string filter;
  size_t offset = 0;
  std::string alias;  // empty: none
};

// [LEFT] JOIN 'filter' AS b ON … WITHIN 5 s
struct StreamJoin {
  StreamSource stream;
  ExpressionPointer condition;
  int64_t within_us = 0;
  bool keeps_unmatched = false;  // LEFT
};

// [LEFT] JOIN TABLE name AS t ON t.column = expression
struct TableJoin {
  std::string table;
  std::string alias;
  size_t offset = 0;
  ExpressionPointer condition;
  bool keeps_unmatched = false;  // LEFT
};

enum class WindowKind : uint8_t { kTumbling, kHopping, kSliding, kSession, kCount };

struct WindowSpec {
  WindowKind kind = WindowKind::kTumbling;
  int64_t size_us = 0;  // of a session: the gap that ends it
  int64_t hop_us = 0;   // from the start of one to the start of the next; of a session: its longest duration
  uint64_t count = 0;   // of a COUNT window
  uint64_t every = 0;   // readings from one COUNT window to the next
  bool operator==(const WindowSpec&) const = default;
};

enum class LatePolicy : uint8_t {
  kDrop,     // a reading whose time has passed is left out, and counted
  kCurrent,  // it counts as if it were of the time that has been reached
};

// A reading whose time is that far ahead of its receipt is refused, unless the rule says otherwise: one clock that is
// ahead would make all other readings late.
inline constexpr int64_t kAheadMicroseconds = 600LL * 1'000'000;
inline constexpr int64_t kAheadMicrosecondsMax = 7LL * 24 * 3600 * 1'000'000;

struct EventTime {
  ExpressionPointer timestamp;
  int64_t delay_us = 0;
  int64_t ahead_us = kAheadMicroseconds;
  LatePolicy late = LatePolicy::kDrop;
};

struct Statement {
  std::vector<SelectItem> items;
  StreamSource from;
  std::optional<StreamJoin> join;
  std::vector<TableJoin> tables;
  std::optional<EventTime> event_time;  // none: by the time of receipt
  ExpressionPointer condition;          // null: none
  std::vector<ExpressionPointer> keys;
  std::optional<WindowSpec> window;  // none: no GROUP BY
  ExpressionPointer having;          // null: none
  std::vector<ExpressionPointer> partition;
  bool has_partition = false;
};

}  // namespace verge::rules
