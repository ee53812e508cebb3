// Program: an expression compiled to instructions for a stack of Values. Immutable and shared by threads; each thread
// runs it on a Machine of its own. Nothing is allocated to run one, but for texts longer than the Arena's block.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "rules/arena.h"
#include "rules/functions.h"
#include "rules/value.h"

namespace verge::rules {

enum class Operation : uint8_t {
  kConstant,  // operand: index into constants
  kField,     // operand: slot
  kDevice,
  kTopic,
  kTime,     // the field in the slot, where it is NULL the message's own
  kPayload,  // the message's bytes, as text
  kNegate,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kRemainder,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kAnd,
  kOr,
  kNot,
  kBetween,
  kIsNull,
  kLike,
  kIn,              // operand: how many follow the value
  kCall,            // operand: how many arguments
  kJump,            // operand: the instruction to go on with
  kJumpIfFalse,     // looks at the top and keeps it
  kJumpIfTrue,      // the same
  kJumpUnlessTrue,  // takes the top off
  kDuplicate,       // puts the top once more
  kNip,             // removes what is under the top
};

struct Instruction {
  Operation operation{};
  Function function{};
  uint32_t operand = 0;
};

class Program {
 public:
  Program() = default;
  Program(Program&&) noexcept = default;
  Program& operator=(Program&&) noexcept = default;
  Program(const Program&) = delete;  // constants point into texts_
  Program& operator=(const Program&) = delete;

  [[nodiscard]] std::span<const Instruction> instructions() const { return instructions_; }
  [[nodiscard]] const Value& constant(uint32_t index) const { return constants_[index]; }
  [[nodiscard]] size_t stack_max() const { return stack_max_; }

  // Reads slot `slots[n]` from now on where it read slot n.
  void relocate(std::span<const uint32_t> slots);
  // One that gives the message's bytes.
  static Program of_payload();
  // Appends what tells it from other programs: its instructions and constants.
  void append_digest(std::string& out) const;

 private:
  friend class ProgramCompiler;
  std::vector<Instruction> instructions_;
  std::vector<Value> constants_;
  std::deque<std::string> texts_;  // of the constants; a deque, so that moving the program moves none of them
  size_t stack_max_ = 0;
};

class Machine {
 public:
  // What the program gives, by the values of the slots and what it reads of the message.
  Value run(const Program& program, std::span<const Value> slots, const MessageContext& message);
  // Lives between messages; the owner clears it when no Value is needed any more.
  Arena& arena() { return arena_; }

 private:
  std::vector<Value> stack_;
  Arena arena_;
  std::string scratch_;
};

}  // namespace verge::rules
