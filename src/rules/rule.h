// Rule: one rule, compiled. Immutable and shared by threads.
//
// What is to be read of a message is divided in two: the fields of the condition, and those that are read only when it
// holds. A windowed rule turns each such message into a key and readings (plan `window`); its columns are computed
// from the closed window, whose slots WindowScope numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/priority.h"
#include "rules/field_tree.h"
#include "rules/functions.h"
#include "rules/program.h"
#include "rules/rule_source.h"
#include "rules/template.h"

namespace verge::rules {

struct PublishAction {
  Template topic;
  std::optional<Template> payload;  // none: the row
  uint8_t qos = 0;
  bool retain = false;
};

struct UploadAction {
  Priority priority = Priority::kNormal;
  std::optional<Template> topic;  // none: the message's topic, or "windows/<rule>"
};

struct DropAction {};

struct PurgeAction {
  Template what;
  PurgeScope scope = PurgeScope::kTag;
  bool softly = false;
};

using Action = std::variant<PublishAction, UploadAction, DropAction, PurgeAction>;

struct Column {
  std::string name;
  Program program;
};

struct Reading {
  Aggregate aggregate{};
  std::optional<Program> program;  // none: count(*)
};

struct WindowPlan {
  int64_t size_us = 0;
  std::vector<Program> keys;
  std::vector<Reading> readings;
  std::optional<uint32_t> device_column;  // says whose the window is
};

struct Rule {
  std::string name;
  std::optional<Priority> report;
  size_t index = 0;       // in the RuleSet, in order of declaration
  uint64_t identity = 0;  // of name and SQL: stays over a reload that changes neither

  std::string filter;
  std::optional<uint32_t> device_level;  // where the filter has its first '+', counted from 0

  FieldTree condition_fields;
  FieldTree row_fields;
  size_t slot_count = 0;
  std::optional<Program> condition;

  bool selects_message = false;  // '*' is among the columns
  std::vector<Column> columns;   // without '*'; those that only templates name come last
  size_t selected_columns = 0;   // how many of them are in the row
  std::optional<WindowPlan> window;
  std::vector<Action> actions;
  bool drops = false;  // one of the actions is a drop

  // `SELECT *` alone: the message is passed on byte by byte.
  [[nodiscard]] bool is_verbatim() const { return selects_message && selected_columns == 0; }
};

}  // namespace verge::rules
