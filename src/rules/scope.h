// Scope: what names mean where an expression stands.
//
// The message's fields get slots as they are first named. A rule with memory reads what was captured of its messages,
// and what its functions that remember gave. The row of a window has other slots: its bounds, the group's keys, its
// aggregates; there a field that is none of these has no meaning.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rules/expression.h"
#include "rules/fault.h"
#include "rules/program.h"

namespace verge::rules {

class Scope {
 public:
  virtual ~Scope() = default;
  // How the value of the whole expression is loaded; nothing where it is to be computed from its operands. A fault
  // where it has no meaning.
  virtual Checked<std::optional<Instruction>> load(const Expression& expression) = 0;
};

class MessageScope final : public Scope {
 public:
  Checked<std::optional<Instruction>> load(const Expression& expression) override;
  // Why an aggregate cannot stand where the scope is used next.
  void refuse_aggregates(std::string_view reason, std::string_view fix);

  [[nodiscard]] const std::vector<FieldPath>& fields() const { return fields_; }

 private:
  Checked<uint32_t> slot_of(const FieldPath& path, size_t offset);

  std::vector<FieldPath> fields_;  // by slot
  std::string_view aggregate_reason_;
  std::string_view aggregate_fix_;
};

// What a rule with memory sees: whatever of the message it names is captured.
class CaptureScope final : public Scope {
 public:
  // A value of a message that is captured.
  struct Capture {
    ExpressionPointer expression;  // without the stream's name
    uint32_t slot = 0;
    uint8_t feed = 0;
  };
  // A call of a function that remembers.
  struct Step {
    const Expression* call = nullptr;
    uint32_t slot = 0;
  };

  // `streams`: the names of the two streams of a join; none where there is one.
  explicit CaptureScope(std::vector<std::string> streams) : streams_(std::move(streams)) {}

  Checked<std::optional<Instruction>> load(const Expression& expression) override;
  void refuse_aggregates(std::string_view reason, std::string_view fix);

  // The slot where the value is captured, whoever else named it.
  Checked<uint32_t> capture(const Expression& expression);
  [[nodiscard]] const std::deque<Capture>& captures() const { return captures_; }
  // In the order in which they are to be made: those inside others first.
  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }
  [[nodiscard]] size_t slot_count() const { return slots_; }
  // Which stream of a join the path's first name is; nothing where it is none, or there is one stream.
  [[nodiscard]] std::optional<uint8_t> stream_of(const FieldPath& path) const;

 private:
  Checked<uint32_t> step(const Expression& call);
  [[nodiscard]] std::unexpected<Fault> refuse_without_stream(const Expression& expression) const;

  std::vector<std::string> streams_;
  std::deque<Capture> captures_;
  std::vector<Step> steps_;
  uint32_t slots_ = 0;
  std::string_view aggregate_reason_;
  std::string_view aggregate_fix_;
};

class WindowScope final : public Scope {
 public:
  static constexpr uint32_t kStartSlot = 0;
  static constexpr uint32_t kEndSlot = 1;
  static constexpr uint32_t kFirstKeySlot = 2;

  // `keys` must outlive the scope, as must every expression given to load().
  explicit WindowScope(std::span<const ExpressionPointer> keys) : keys_(keys) {}
  Checked<std::optional<Instruction>> load(const Expression& expression) override;
  // Names beside those of the keys that a field of another name may be meant for.
  void suggest(std::vector<std::string> names) { suggested_ = std::move(names); }

  // The aggregates loaded so far; their slots follow those of the keys.
  [[nodiscard]] std::span<const Expression* const> aggregates() const { return aggregates_; }

 private:
  Instruction load_aggregate(const Expression& aggregate);
  [[nodiscard]] std::unexpected<Fault> refuse_field(const Expression& field) const;

  std::vector<std::string> suggested_;
  std::span<const ExpressionPointer> keys_;
  std::vector<const Expression*> aggregates_;
  std::deque<Expression> implied_;  // max() of detectors that stand alone
};

}  // namespace verge::rules
