// Functions of numbers: whatever is no number, and what is not finite, gives NULL.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "rules/functions.h"
#include "rules/operators.h"

namespace verge::rules {
namespace {

// The integer that a whole double is, where it fits.
Value whole(double value) {
  if (value >= -0x1p63 && value < 0x1p63) return Value::integer(static_cast<int64_t>(value));
  return Value::number(value);
}

Value rounded(std::span<const Value> arguments) {
  const Value& value = arguments[0];
  const Value digits = arguments.size() == 2 ? arguments[1] : Value::integer(0);
  if (!value.is_numeric() || !digits.is_integer() || std::abs(digits.as_double()) > 15) return {};
  const int64_t places = digits.as_integer();
  if (places == 0) return value.is_integer() ? value : whole(std::round(value.as_double()));
  if (places > 0 && value.is_integer()) return value;
  const double scale = std::pow(10.0, static_cast<double>(std::abs(places)));
  if (places < 0) return whole(std::round(value.as_double() / scale) * scale);
  const double scaled = value.as_double() * scale;
  // Beyond 2^53 a double has no such digits to round.
  return std::abs(scaled) >= 0x1p53 ? value : Value::number(std::round(scaled) / scale);
}

// The argument that comes before (-1) or after (1) all others.
Value extreme(std::span<const Value> arguments, int wanted) {
  Value best = arguments[0];
  for (const Value& argument : arguments) {
    const std::optional<int> ordered = compare(argument, best);
    if (!ordered) return {};
    if (*ordered * wanted > 0) best = argument;
  }
  return best;
}

Value absolute(const Value& value) {
  const std::optional<int> sign = compare(value, Value::integer(0));
  if (!sign) return {};
  return *sign < 0 ? negate(value) : value;
}

Value clamped(const Value& value, const Value& low, const Value& high) {
  if (!value.is_numeric() || !low.is_numeric() || !high.is_numeric()) return {};
  if (compare(value, low) < 0) return low;
  return compare(value, high) > 0 ? high : value;
}

Value bits(Function function, const Value& left, const Value& right) {
  if (!left.is_integer() || !right.is_integer()) return {};
  const auto a = static_cast<uint64_t>(left.as_integer());
  const auto b = static_cast<uint64_t>(right.as_integer());
  return Value::integer(static_cast<int64_t>(function == Function::kBitAnd ? a & b : a | b));
}

Value whole_part(Function function, const Value& value) {
  if (value.is_integer()) return value;
  if (!value.is_numeric()) return {};
  const double number = value.as_double();
  if (function == Function::kFloor) return whole(std::floor(number));
  return whole(function == Function::kCeil ? std::ceil(number) : std::trunc(number));
}

double real(Function function, double x) {
  switch (function) {
    case Function::kSqrt:
      return std::sqrt(x);
    case Function::kExp:
      return std::exp(x);
    case Function::kLn:
      return std::log(x);
    case Function::kLog10:
      return std::log10(x);
    case Function::kSin:
      return std::sin(x);
    case Function::kCos:
      return std::cos(x);
    case Function::kTan:
      return std::tan(x);
    case Function::kAsin:
      return std::asin(x);
    case Function::kAcos:
      return std::acos(x);
    default:
      return std::atan(x);
  }
}

}  // namespace

Value call_number(Function function, std::span<const Value> arguments) {
  switch (function) {
    case Function::kAbs:
      return absolute(arguments[0]);
    case Function::kRound:
      return rounded(arguments);
    case Function::kFloor:
    case Function::kCeil:
    case Function::kTrunc:
      return whole_part(function, arguments[0]);
    case Function::kSign: {
      const std::optional<int> sign =
          arguments[0].is_numeric() ? compare(arguments[0], Value::integer(0)) : std::nullopt;
      return sign ? Value::integer(*sign) : Value{};
    }
    case Function::kPi:
      return Value::number(std::numbers::pi);
    case Function::kPower:
    case Function::kAtan2: {
      if (!arguments[0].is_numeric() || !arguments[1].is_numeric()) return {};
      const double x = arguments[0].as_double();
      const double y = arguments[1].as_double();
      return Value::number(function == Function::kPower ? std::pow(x, y) : std::atan2(x, y));
    }
    case Function::kMod:
      return remainder(arguments[0], arguments[1]);
    case Function::kClamp:
      return clamped(arguments[0], arguments[1], arguments[2]);
    case Function::kBitAnd:
    case Function::kBitOr:
      return bits(function, arguments[0], arguments[1]);
    case Function::kLeast:
      return extreme(arguments, -1);
    case Function::kGreatest:
      return extreme(arguments, 1);
    default:
      return arguments[0].is_numeric() ? Value::number(real(function, arguments[0].as_double())) : Value{};
  }
}

}  // namespace verge::rules
