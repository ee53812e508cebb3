#include "rules/operators.h"

#include <cmath>
#include <limits>

namespace verge::rules {
namespace {

constexpr int64_t kIntegerMin = std::numeric_limits<int64_t>::min();

bool both_numeric(const Value& left, const Value& right) { return left.is_numeric() && right.is_numeric(); }
bool both_integer(const Value& left, const Value& right) { return left.is_integer() && right.is_integer(); }

template <class T>
int order(const T& left, const T& right) {
  return left < right ? -1 : right < left ? 1 : 0;
}

// Exact: converting a 64-bit integer to double may round it onto the other side.
int order(int64_t left, double right) {
  if (right >= 0x1p63) return -1;
  if (right < -0x1p63) return 1;
  const double whole = std::floor(right);
  const int by_whole = order(left, static_cast<int64_t>(whole));
  if (by_whole != 0) return by_whole;
  return whole < right ? -1 : 0;
}

size_t character_length(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && (static_cast<uint8_t>(text[length]) & 0xc0) == 0x80) ++length;
  return length;
}

// Greedy with one point of return: the last '%' seen.
std::optional<bool> matches(std::string_view text, std::string_view pattern) {
  std::optional<std::string_view> after_wildcard;
  std::string_view retry;
  for (size_t step = 0; step < kLikeStepsMax; ++step) {
    if (pattern.starts_with('%')) {
      pattern.remove_prefix(1);
      after_wildcard = pattern;
      retry = text;
      continue;
    }
    if (text.empty() && pattern.empty()) return true;
    if (!text.empty() && !pattern.empty() && (pattern.front() == '_' || pattern.front() == text.front())) {
      text.remove_prefix(pattern.front() == '_' ? character_length(text) : 1);
      pattern.remove_prefix(1);
      continue;
    }
    if (!after_wildcard || retry.empty()) return false;
    retry.remove_prefix(character_length(retry));
    text = retry;
    pattern = *after_wildcard;
  }
  return std::nullopt;
}

}  // namespace

Value add(const Value& left, const Value& right) {
  if (!both_numeric(left, right)) return {};
  int64_t sum = 0;
  if (both_integer(left, right) && !__builtin_add_overflow(left.as_integer(), right.as_integer(), &sum)) {
    return Value::integer(sum);
  }
  return Value::number(left.as_double() + right.as_double());
}

Value subtract(const Value& left, const Value& right) {
  if (!both_numeric(left, right)) return {};
  int64_t difference = 0;
  if (both_integer(left, right) && !__builtin_sub_overflow(left.as_integer(), right.as_integer(), &difference)) {
    return Value::integer(difference);
  }
  return Value::number(left.as_double() - right.as_double());
}

Value multiply(const Value& left, const Value& right) {
  if (!both_numeric(left, right)) return {};
  int64_t product = 0;
  if (both_integer(left, right) && !__builtin_mul_overflow(left.as_integer(), right.as_integer(), &product)) {
    return Value::integer(product);
  }
  return Value::number(left.as_double() * right.as_double());
}

Value divide(const Value& left, const Value& right) {
  if (!both_numeric(left, right) || right.as_double() == 0) return {};
  if (both_integer(left, right)) {
    const int64_t dividend = left.as_integer();
    const int64_t divisor = right.as_integer();
    const bool overflows = dividend == kIntegerMin && divisor == -1;
    if (!overflows && dividend % divisor == 0) return Value::integer(dividend / divisor);
  }
  return Value::number(left.as_double() / right.as_double());
}

Value remainder(const Value& left, const Value& right) {
  if (!both_numeric(left, right) || right.as_double() == 0) return {};
  if (!both_integer(left, right)) return Value::number(std::fmod(left.as_double(), right.as_double()));
  if (right.as_integer() == -1) return Value::integer(0);
  return Value::integer(left.as_integer() % right.as_integer());
}

Value negate(const Value& operand) {
  if (!operand.is_numeric()) return {};
  if (operand.is_integer() && operand.as_integer() != kIntegerMin) return Value::integer(-operand.as_integer());
  return Value::number(-operand.as_double());
}

std::optional<int> compare(const Value& left, const Value& right) {
  if (both_numeric(left, right)) {
    if (both_integer(left, right)) return order(left.as_integer(), right.as_integer());
    if (left.is_integer()) return order(left.as_integer(), right.as_double());
    if (right.is_integer()) return -order(right.as_integer(), left.as_double());
    return order(left.as_double(), right.as_double());
  }
  if (left.is_text() && right.is_text()) return order(left.view(), right.view());
  if (left.is_boolean() && right.is_boolean()) return order(left.is_true(), right.is_true());
  return std::nullopt;
}

Value logical_and(const Value& left, const Value& right) {
  if (left.is_false() || right.is_false()) return Value::boolean(false);
  if (left.is_true() && right.is_true()) return Value::boolean(true);
  return {};
}

Value logical_or(const Value& left, const Value& right) {
  if (left.is_true() || right.is_true()) return Value::boolean(true);
  if (left.is_false() && right.is_false()) return Value::boolean(false);
  return {};
}

Value logical_not(const Value& operand) {
  if (!operand.is_boolean()) return {};
  return Value::boolean(operand.is_false());
}

Value like(const Value& text, const Value& pattern) {
  if (!text.is_text() || !pattern.is_text()) return {};
  const std::optional<bool> matched = matches(text.view(), pattern.view());
  return matched ? Value::boolean(*matched) : Value{};
}

}  // namespace verge::rules
