// Rule: one rule, compiled. Immutable and shared by threads.
//
// A rule is fed by one stream of messages, or by two that it joins. A rule without memory (no window, no join, no
// function that remembers) makes its columns of each message at once. Any other captures what it reads of the message
// and sends it to the loop that owns the message's key (RuleInput), where its Memory goes on: order by time, join,
// functions that remember, condition, window, HAVING, columns (memory.h).
//
// Programs of a feed read the slots of the rule set's fields; those of a MemoryPlan read the captured values, what
// functions that remember gave, and, behind a window, its bounds, keys and aggregates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/assert.h"
#include "model/priority.h"
#include "rules/aggregate.h"
#include "rules/field_path.h"
#include "rules/program.h"
#include "rules/rule_source.h"
#include "rules/state_function.h"
#include "rules/statement.h"
#include "rules/template.h"

namespace verge::rules {

struct PublishAction {
  Template topic;
  std::optional<Template> payload;  // none: the row
  uint8_t qos = 0;
  bool retain = false;
};

struct UploadAction {
  std::optional<Priority> priority;  // none: by `importance`
  uint32_t importance = 0;           // a column
  std::optional<Template> topic;     // none: the message's topic, or "windows/<rule>"
};

struct DropAction {};

struct PurgeAction {
  Template what;
  PurgeScope scope = PurgeScope::kTag;
  bool softly = false;
};

struct WebhookAction {
  std::string url;
  std::optional<Template> payload;  // none: the row
  Duration timeout{0};
  uint32_t attempts = 1;
};

struct CallAction {
  std::string worker;
};

struct AskAction {
  std::string question;
  Template topic;
  std::optional<Template> otherwise;
  AskLevel level = AskLevel::kNext;
  Duration deadline{0};
  uint8_t qos = 0;
  bool retain = false;
  std::optional<uint32_t> urgency;  // columns, where the rule states them
  std::optional<uint32_t> complexity;
};

struct AnswerAction {};

struct InsightAction {
  std::string type;
  Priority priority = Priority::kHigh;
  std::optional<Template> topic;
  // Columns.
  uint32_t value = 0;
  uint32_t significance = 0;
  uint32_t prediction = 0;
  uint32_t confidence = 0;
  uint32_t statistics = 0;
  std::optional<uint32_t> readings;   // of one that is critical
  std::optional<uint32_t> aftermath;  // likewise
};

struct StoreAction {
  bool is_hot = false;
  std::optional<uint32_t> importance;  // a column; none: it is as is_hot says
  std::optional<Template> topic;
};

using Action = std::variant<PublishAction, UploadAction, DropAction, PurgeAction, WebhookAction, CallAction, AskAction,
                            AnswerAction, InsightAction, StoreAction>;

struct Column {
  std::string name;
  Program program;
};

// A part of the condition that the predicate index can look up: the field lies within bounds, or is one of some values.
// Where it is not TRUE, neither is the condition.
struct Predicate {
  FieldPath field;
  std::vector<Literal> equals;  // one of these, where there are any
  std::optional<double> least;  // else: not below, and not above
  std::optional<double> most;
};

struct Feed {
  std::string filter;
  std::optional<uint32_t> device_level;  // where the filter has its first '+', counted from 0
  std::vector<FieldPath> fields;         // that its programs read, by slot
  std::optional<Program> condition;
  std::optional<Predicate> predicate;  // of the condition

  // Of a rule with memory.
  std::vector<Program> captures;
  std::vector<uint32_t> capture_slots;  // where they go
  std::vector<Program> route;           // the key
  std::optional<Program> timestamp;     // none: the time of receipt
};

// A call of a function that remembers.
struct MemoryStep {
  uint32_t slot = 0;
  StateFunction function{};
  int64_t duration_us = 0;
  bool follows_clock = false;  // a FOR, or of one: time alone changes what it gives
  std::vector<Program> arguments;
};

struct WindowPlan {
  WindowSpec spec;
  std::vector<Program> keys;
  std::vector<AggregateCall> aggregates;
  std::vector<std::optional<Program>> readings;  // what each aggregates; none: count(*)
  std::optional<Program> having;
  std::optional<uint32_t> device_column;  // says whose the window is
  bool takes_long = false;                // to compute one of its aggregates
};

struct MemoryPlan {
  size_t slot_count = 0;
  bool is_on_one_loop = false;  // its parts are keyed differently
  std::optional<int64_t> join_within_us;
  bool keeps_unmatched = false;  // of the first stream of a join, with NULL for the second, when its span is over
  int64_t delay_us = 0;
  int64_t ahead_us = 0;
  bool has_event_time = false;
  LatePolicy late = LatePolicy::kDrop;

  std::vector<MemoryStep> steps;
  bool follows_clock = false;                     // one of them does; with a window, one of the condition
  std::optional<std::vector<Program>> partition;  // none: the key of the input
  std::optional<Program> condition;
  std::optional<WindowPlan> window;
  // Of a row without a window: where the message's topic and client were captured, and for '*' its payload.
  std::optional<uint32_t> topic_slot;
  std::optional<uint32_t> device_slot;
  std::optional<uint32_t> payload_slot;

  // Of a rule with a window.
  [[nodiscard]] const WindowPlan& window_plan() const {
    VERGE_ASSERT(window.has_value());
    return *window;
  }
};

struct Rule {
  std::string name;
  std::optional<Priority> report;
  size_t index = 0;  // in the RuleSet, in order of declaration
  // Of its name, its SQL and what its actions make it remember: stays over a reload that changes none of these.
  uint64_t identity = 0;

  std::vector<Feed> feeds;  // one, or two that are joined
  std::optional<MemoryPlan> memory;

  bool selects_message = false;  // '*' is among the columns
  std::vector<Column> columns;   // without '*'; those that only templates name come last
  size_t selected_columns = 0;   // how many of them are in the row
  std::vector<Action> actions;
  bool drops = false;    // one of the actions is a drop
  bool answers = false;  // one of them is an answer

  // `SELECT *` alone: the message is passed on byte by byte.
  [[nodiscard]] bool is_verbatim() const { return selects_message && selected_columns == 0; }
  [[nodiscard]] bool has_window() const { return memory && memory->window; }
  // Of a rule with memory.
  [[nodiscard]] const MemoryPlan& memory_plan() const {
    VERGE_ASSERT(memory.has_value());
    return *memory;
  }
};

}  // namespace verge::rules
