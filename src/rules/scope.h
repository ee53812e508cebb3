// Scope: what names mean where an expression stands.
//
// The message's fields get slots as they are first named. The row of a window has other slots: its bounds, the group's
// keys, its aggregates; there a field that is none of these has no meaning.
#pragma once

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

class WindowScope final : public Scope {
 public:
  static constexpr uint32_t kStartSlot = 0;
  static constexpr uint32_t kEndSlot = 1;
  static constexpr uint32_t kFirstKeySlot = 2;

  // `keys` must outlive the scope, as must every expression given to load().
  explicit WindowScope(std::span<const ExpressionPointer> keys) : keys_(keys) {}
  Checked<std::optional<Instruction>> load(const Expression& expression) override;

  // The aggregates loaded so far; their slots follow those of the keys.
  [[nodiscard]] std::span<const Expression* const> aggregates() const { return aggregates_; }

 private:
  std::span<const ExpressionPointer> keys_;
  std::vector<const Expression*> aggregates_;
};

}  // namespace verge::rules
