#include "rules/scope.h"

#include <algorithm>

#include <fmt/format.h>

namespace verge::rules {
namespace {

using Kind = Expression::Kind;
using Loaded = std::optional<Instruction>;

Instruction load_slot(uint32_t slot) { return {.operation = Operation::kField, .operand = slot}; }

bool is_name(const Expression& expression, std::string_view name) {
  return expression.kind == Kind::kField && expression.path.size() == 1 && expression.path.front().name == name;
}

}  // namespace

Checked<Loaded> MessageScope::load(const Expression& expression) {
  if (expression.kind == Kind::kAggregate) {
    return refuse(expression.offset, "rule.aggregate",
                  fmt::format("{}() {}", name_of(expression.aggregate), aggregate_reason_),
                  std::string(aggregate_fix_));
  }
  if (expression.kind != Kind::kField) return Loaded{};
  const Checked<uint32_t> slot = slot_of(expression.path, expression.offset);
  if (!slot) return std::unexpected(slot.error());
  Instruction instruction = load_slot(*slot);
  if (is_name(expression, "device")) instruction.operation = Operation::kDevice;
  if (is_name(expression, "topic")) instruction.operation = Operation::kTopic;
  if (is_name(expression, "time")) instruction.operation = Operation::kTime;
  return instruction;
}

void MessageScope::refuse_aggregates(std::string_view reason, std::string_view fix) {
  aggregate_reason_ = reason;
  aggregate_fix_ = fix;
}

Checked<uint32_t> MessageScope::slot_of(const FieldPath& path, size_t offset) {
  const auto known = std::ranges::find(fields_, path);
  const auto slot = static_cast<uint32_t>(known - fields_.begin());
  if (known != fields_.end()) return slot;
  if (slot == kFieldsMax) {
    return refuse(offset, "rule.fields", fmt::format("a rule reads at most {} fields", kFieldsMax),
                  "divide it into several rules");
  }
  fields_.push_back(path);
  return slot;
}

Checked<Loaded> WindowScope::load(const Expression& expression) {
  const auto key = std::ranges::find_if(keys_, [&](const auto& known) { return same(*known, expression); });
  if (key != keys_.end()) return load_slot(kFirstKeySlot + static_cast<uint32_t>(key - keys_.begin()));
  if (expression.kind == Kind::kAggregate) {
    auto known = std::ranges::find_if(aggregates_, [&](const Expression* other) { return same(*other, expression); });
    const auto index = static_cast<uint32_t>(known - aggregates_.begin());
    if (known == aggregates_.end()) aggregates_.push_back(&expression);
    return load_slot(kFirstKeySlot + static_cast<uint32_t>(keys_.size()) + index);
  }
  if (is_name(expression, "window_start")) return load_slot(kStartSlot);
  if (is_name(expression, "window_end")) return load_slot(kEndSlot);
  if (expression.kind == Kind::kCall && reads_message(expression.function)) {
    return refuse(expression.offset, "rule.not-grouped", "topic(), device() and now() have many values in a window",
                  "add the call to GROUP BY, or use window_start or window_end");
  }
  if (expression.kind == Kind::kField) {
    return refuse(expression.offset, "rule.not-grouped",
                  fmt::format("{} has many values in a window", path_text(expression.path)),
                  "add it to GROUP BY, or aggregate it, as in avg() or last()");
  }
  return Loaded{};
}

}  // namespace verge::rules
