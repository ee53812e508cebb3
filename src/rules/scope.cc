#include "rules/scope.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace verge::rules {
namespace {

using Kind = Expression::Kind;
using Loaded = std::optional<Instruction>;

Instruction load_slot(uint32_t slot) { return {.operation = Operation::kField, .operand = slot}; }

bool is_name(const Expression& expression, std::string_view name) {
  return expression.kind == Kind::kField && expression.path.size() == 1 && expression.path.front().name == name;
}

std::unexpected<Fault> too_many_fields(size_t offset) {
  return refuse(offset, "rule.fields", fmt::format("a rule reads at most {} fields", kFieldsMax),
                "divide it into several rules");
}

}  // namespace

Checked<Loaded> MessageScope::load(const Expression& expression) {
  if (expression.kind == Kind::kAggregate) {
    return refuse(expression.offset, "rule.aggregate",
                  fmt::format("{}() {}", name_of(expression.aggregate.aggregate), aggregate_reason_),
                  std::string(aggregate_fix_));
  }
  if (expression.kind == Kind::kState) {
    return refuse(expression.offset, "rule.memory",
                  fmt::format("{}() remembers what came before and cannot stand here", name_of(expression.state)),
                  "use it in SELECT or WHERE");
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
  if (slot == kFieldsMax) return too_many_fields(offset);
  fields_.push_back(path);
  return slot;
}

void CaptureScope::refuse_aggregates(std::string_view reason, std::string_view fix) {
  aggregate_reason_ = reason;
  aggregate_fix_ = fix;
}

std::optional<uint8_t> CaptureScope::stream_of(const FieldPath& path) const {
  const auto named = std::ranges::find(streams_, path.front().name);
  if (named == streams_.end() || path.size() < 2) return std::nullopt;
  return static_cast<uint8_t>(named - streams_.begin());
}

Checked<Loaded> CaptureScope::load(const Expression& expression) {
  if (expression.kind == Kind::kAggregate) {
    return refuse(expression.offset, "rule.aggregate",
                  fmt::format("{}() {}", name_of(expression.aggregate.aggregate), aggregate_reason_),
                  std::string(aggregate_fix_));
  }
  const bool is_of_message =
      expression.kind == Kind::kField || (expression.kind == Kind::kCall && reads_message(expression.function));
  if (!is_of_message && expression.kind != Kind::kState) return Loaded{};
  const Checked<uint32_t> slot = is_of_message ? capture(expression) : step(expression);
  if (!slot) return std::unexpected(slot.error());
  return load_slot(*slot);
}

Checked<uint32_t> CaptureScope::capture(const Expression& expression) {
  ExpressionPointer captured = clone(expression);
  uint8_t feed = 0;
  if (!streams_.empty()) {
    const auto stream = expression.kind == Kind::kField ? stream_of(expression.path) : std::nullopt;
    if (!stream) {
      return refuse_without_stream(expression);
    }
    feed = *stream;
    captured->path.erase(captured->path.begin());
  }
  for (const Capture& known : captures_) {
    if (known.feed == feed && same(*known.expression, *captured)) return known.slot;
  }
  if (captures_.size() == kFieldsMax) return too_many_fields(expression.offset);
  captures_.push_back({std::move(captured), slots_, feed});
  return slots_++;
}

std::unexpected<Fault> CaptureScope::refuse_without_stream(const Expression& expression) const {
  const bool is_field = expression.kind == Kind::kField;
  const std::string text = is_field ? path_text(expression.path) : "the call";
  const std::string known = fmt::format("the streams are {}", fmt::join(streams_, " and "));
  std::string fix = fmt::format("{}; write {}.device, .topic or .time", known, streams_.front());
  if (is_field) fix = fmt::format("{}; write {}.{}", known, streams_.front(), text);
  if (is_field && expression.path.size() > 1) {
    const std::string& first = expression.path.front().name;
    const std::string rest = text.substr(first.size());
    const std::string near = nearest(first, streams_);
    fix = near.empty() ? fmt::format("{}; write {}{}, or {}.{} where {} is a field", known, streams_.front(), rest,
                                     streams_.front(), text, first)
                       : fmt::format("{}; did you mean {}{}?", known, near, rest);
  }
  return refuse(expression.offset, "rule.join", fmt::format("{} does not say of which stream it is", text),
                std::move(fix));
}

Checked<uint32_t> CaptureScope::step(const Expression& call) {
  for (const Step& known : steps_) {
    if (same(*known.call, call)) return known.slot;
  }
  for (const ExpressionPointer& argument : call.operands) {
    Fault fault;
    bool is_good = true;
    for_each(*argument, [&](const Expression& part) {
      if (!is_good || part.kind != Kind::kState) return;
      const Checked<uint32_t> inner = step(part);
      if (inner) return;
      is_good = false;
      fault = inner.error();
    });
    if (!is_good) return std::unexpected(std::move(fault));
  }
  steps_.push_back({&call, slots_});
  return slots_++;
}

Checked<Loaded> WindowScope::load(const Expression& expression) {
  const auto key = std::ranges::find_if(keys_, [&](const auto& known) { return same(*known, expression); });
  if (key != keys_.end()) return load_slot(kFirstKeySlot + static_cast<uint32_t>(key - keys_.begin()));
  if (expression.kind == Kind::kAggregate) return load_aggregate(expression);
  if (is_name(expression, "window_start")) return load_slot(kStartSlot);
  if (is_name(expression, "window_end")) return load_slot(kEndSlot);
  if (expression.kind == Kind::kState && is_detector(expression.state)) {
    // The worst of the window.
    Expression& worst = implied_.emplace_back();
    worst.kind = Kind::kAggregate;
    worst.offset = expression.offset;
    worst.aggregate.aggregate = Aggregate::kMax;
    worst.operands.push_back(clone(expression));
    return load_aggregate(worst);
  }
  if (expression.kind == Kind::kState) {
    return refuse(expression.offset, "rule.not-grouped",
                  fmt::format("{}() has many values in a window", name_of(expression.state)),
                  "aggregate it, as in max() or last()");
  }
  if (expression.kind == Kind::kCall && reads_message(expression.function)) {
    return refuse(expression.offset, "rule.not-grouped", "topic(), device() and now() have many values in a window",
                  "add the call to GROUP BY, or use window_start or window_end");
  }
  if (expression.kind == Kind::kField) return refuse_field(expression);
  return Loaded{};
}

std::unexpected<Fault> WindowScope::refuse_field(const Expression& field) const {
  const std::string name = path_text(field.path);
  std::vector<std::string> names = {"window_start", "window_end"};
  for (const ExpressionPointer& key : keys_) {
    if (key->kind == Kind::kField) names.push_back(path_text(key->path));
  }
  names.insert(names.end(), suggested_.begin(), suggested_.end());
  const std::string near = nearest(name, names);
  return refuse(field.offset, "rule.not-grouped", fmt::format("{} has many values in a window", name),
                near.empty() ? "add it to GROUP BY, or aggregate it, as in avg() or last()"
                             : fmt::format("did you mean {}? Else add it to GROUP BY, or aggregate it", near));
}

Instruction WindowScope::load_aggregate(const Expression& aggregate) {
  const auto known =
      std::ranges::find_if(aggregates_, [&](const Expression* other) { return same(*other, aggregate); });
  const auto index = static_cast<uint32_t>(known - aggregates_.begin());
  if (known == aggregates_.end()) aggregates_.push_back(&aggregate);
  return load_slot(kFirstKeySlot + static_cast<uint32_t>(keys_.size()) + index);
}

}  // namespace verge::rules
