#include "rules/program.h"

#include <optional>

#include "rules/operators.h"

namespace verge::rules {
namespace {

Value compared(Operation operation, const Value& left, const Value& right) {
  const std::optional<int> order = compare(left, right);
  if (!order) return {};
  switch (operation) {
    case Operation::kEqual:
      return Value::boolean(*order == 0);
    case Operation::kNotEqual:
      return Value::boolean(*order != 0);
    case Operation::kLess:
      return Value::boolean(*order < 0);
    case Operation::kLessEqual:
      return Value::boolean(*order <= 0);
    case Operation::kGreater:
      return Value::boolean(*order > 0);
    default:
      return Value::boolean(*order >= 0);
  }
}

Value between(const Value& value, const Value& low, const Value& high) {
  return logical_and(compared(Operation::kGreaterEqual, value, low), compared(Operation::kLessEqual, value, high));
}

Value in(const Value& value, std::span<const Value> list) {
  Value found = Value::boolean(false);
  for (const Value& candidate : list) {
    found = logical_or(found, compared(Operation::kEqual, value, candidate));
    if (found.is_true()) break;
  }
  return found;
}

Value binary(Operation operation, const Value& left, const Value& right) {
  switch (operation) {
    case Operation::kAdd:
      return add(left, right);
    case Operation::kSubtract:
      return subtract(left, right);
    case Operation::kMultiply:
      return multiply(left, right);
    case Operation::kDivide:
      return divide(left, right);
    case Operation::kRemainder:
      return remainder(left, right);
    case Operation::kAnd:
      return logical_and(left, right);
    case Operation::kOr:
      return logical_or(left, right);
    case Operation::kLike:
      return like(left, right);
    default:
      return compared(operation, left, right);
  }
}

Value device_of(const MessageContext& message) {
  if (message.device_level) {
    if (const auto level = topic_level(message.topic, *message.device_level)) return Value::text(*level);
  }
  return Value::text(message.device);
}

Value or_else(const Value& field, const Value& fallback) { return field.is_null() ? fallback : field; }

}  // namespace

void Program::relocate(std::span<const uint32_t> slots) {
  for (Instruction& step : instructions_) {
    if (step.operation >= Operation::kField && step.operation <= Operation::kTime) step.operand = slots[step.operand];
  }
}

void Program::append_digest(std::string& out) const {
  append_varint(out, instructions_.size());
  for (const Instruction& each : instructions_) {
    append_fixed(out, static_cast<uint8_t>(each.operation));
    append_fixed(out, static_cast<uint16_t>(each.function));
    append_varint(out, each.operand);
  }
  append_varint(out, constants_.size());
  for (const Value& constant : constants_) append_encoded(out, constant);
}

Program Program::of_payload() {
  Program program;
  program.instructions_.push_back({.operation = Operation::kPayload});
  program.stack_max_ = 1;
  return program;
}

Value Machine::run(const Program& program, std::span<const Value> slots, const MessageContext& message) {
  if (stack_.size() <= program.stack_max()) stack_.resize(program.stack_max() + 1);
  Value* top = stack_.data();  // the value put last; below the first lies one that is never read
  const std::span<const Instruction> code = program.instructions();
  for (size_t at = 0; at < code.size(); ++at) {
    const Instruction& step = code[at];
    switch (step.operation) {
      case Operation::kConstant:
        *++top = program.constant(step.operand);
        break;
      case Operation::kField:
        *++top = slots[step.operand];
        break;
      case Operation::kDevice:
        *++top = or_else(slots[step.operand], device_of(message));
        break;
      case Operation::kTopic:
        *++top = or_else(slots[step.operand], Value::text(message.topic));
        break;
      case Operation::kTime:
        *++top = or_else(slots[step.operand], Value::integer(message.time_ms));
        break;
      case Operation::kPayload:
        *++top = Value::text(message.payload);
        break;
      case Operation::kNegate:
        *top = negate(*top);
        break;
      case Operation::kNot:
        *top = logical_not(*top);
        break;
      case Operation::kIsNull:
        *top = Value::boolean(top->is_null());
        break;
      case Operation::kBetween:
        top -= 2;
        *top = between(top[0], top[1], top[2]);
        break;
      case Operation::kIn:
        top -= step.operand;
        *top = in(*top, {top + 1, step.operand});
        break;
      case Operation::kCall: {
        top -= static_cast<ptrdiff_t>(step.operand) - 1;
        *top = call(step.function, {top, step.operand}, message, {arena_, scratch_});
        break;
      }
      case Operation::kJump:
        at = step.operand - 1;
        break;
      case Operation::kJumpIfFalse:
        if (top->is_false()) at = step.operand - 1;
        break;
      case Operation::kJumpIfTrue:
        if (top->is_true()) at = step.operand - 1;
        break;
      case Operation::kJumpUnlessTrue:
        if (!(top--)->is_true()) at = step.operand - 1;
        break;
      case Operation::kDuplicate:
        top[1] = top[0];
        ++top;
        break;
      case Operation::kNip:
        top[-1] = top[0];
        --top;
        break;
      default:
        --top;
        *top = binary(step.operation, top[0], top[1]);
        break;
    }
  }
  return *top;
}

}  // namespace verge::rules
