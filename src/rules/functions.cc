#include "rules/functions.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "model/topic.h"
#include "rules/operators.h"

namespace verge::rules {
namespace {

constexpr std::array kFunctions = {
    FunctionSignature{"abs", Function::kAbs, 1, 1},
    FunctionSignature{"round", Function::kRound, 1, 2},
    FunctionSignature{"floor", Function::kFloor, 1, 1},
    FunctionSignature{"ceil", Function::kCeil, 1, 1},
    FunctionSignature{"sqrt", Function::kSqrt, 1, 1},
    FunctionSignature{"power", Function::kPower, 2, 2},
    FunctionSignature{"least", Function::kLeast, 1, kArgumentsMax},
    FunctionSignature{"greatest", Function::kGreatest, 1, kArgumentsMax},
    FunctionSignature{"lower", Function::kLower, 1, 1},
    FunctionSignature{"upper", Function::kUpper, 1, 1},
    FunctionSignature{"length", Function::kLength, 1, 1},
    FunctionSignature{"concat", Function::kConcat, 1, kArgumentsMax},
    FunctionSignature{"coalesce", Function::kCoalesce, 1, kArgumentsMax},
    FunctionSignature{"number", Function::kNumber, 1, 1},
    FunctionSignature{"text", Function::kText, 1, 1},
    FunctionSignature{"topic", Function::kTopic, 0, 1},
    FunctionSignature{"device", Function::kDevice, 0, 0},
    FunctionSignature{"now", Function::kNow, 0, 0},
};

constexpr std::array<std::pair<std::string_view, Aggregate>, 7> kAggregates = {{
    {"count", Aggregate::kCount},
    {"sum", Aggregate::kSum},
    {"avg", Aggregate::kAvg},
    {"min", Aggregate::kMin},
    {"max", Aggregate::kMax},
    {"first", Aggregate::kFirst},
    {"last", Aggregate::kLast},
}};

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

Value change_case(const Value& text, char from, char to, Arena& arena, std::string& scratch) {
  if (!text.is_text()) return {};
  scratch.assign(text.view());
  for (char& c : scratch) {
    if (c >= from && c <= from + ('z' - 'a')) c = static_cast<char>(c - from + to);
  }
  return Value::text(arena.keep(scratch));
}

Value concatenate(std::span<const Value> parts, Arena& arena, std::string& scratch) {
  scratch.clear();
  for (const Value& part : parts) {
    if (part.is_null()) return {};
    append_plain(scratch, part);
    if (scratch.size() > kTextBytesMax) return {};
  }
  return Value::text(arena.keep(scratch));
}

Value to_number(const Value& value) {
  if (value.is_numeric()) return value;
  if (value.is_boolean()) return Value::integer(value.is_true() ? 1 : 0);
  return value.is_text() ? parse_number(value.view()) : Value{};
}

Value length_in_characters(const Value& text) {
  if (!text.is_text()) return {};
  return Value::integer(
      std::ranges::count_if(text.view(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

Value topic_part(std::span<const Value> arguments, std::string_view topic) {
  if (arguments.empty()) return Value::text(topic);
  if (!arguments[0].is_integer() || arguments[0].as_integer() < 1) return {};
  const auto level = topic_level(topic, static_cast<uint64_t>(arguments[0].as_integer()) - 1);
  return level ? Value::text(*level) : Value{};
}

}  // namespace

const FunctionSignature* find_function(std::string_view name) {
  const auto found = std::ranges::find(kFunctions, name, &FunctionSignature::name);
  return found == kFunctions.end() ? nullptr : &*found;
}

std::optional<Aggregate> find_aggregate(std::string_view name) {
  for (const auto& [known, aggregate] : kAggregates) {
    if (known == name) return aggregate;
  }
  return std::nullopt;
}

std::string_view name_of(Aggregate aggregate) { return kAggregates[static_cast<size_t>(aggregate)].first; }

const std::vector<std::string>& function_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names = {"TUMBLING"};
    for (const FunctionSignature& signature : kFunctions) names.emplace_back(signature.name);
    for (const auto& [name, aggregate] : kAggregates) names.emplace_back(name);
    return names;
  }();
  return kNames;
}

bool reads_message(Function function) {
  return function == Function::kTopic || function == Function::kDevice || function == Function::kNow;
}

Value call(Function function, std::span<const Value> arguments, const MessageContext& message, Arena& arena,
           std::string& scratch) {
  const auto real = [&](auto operation) {
    return arguments[0].is_numeric() ? operation(arguments[0].as_double()) : Value{};
  };
  switch (function) {
    case Function::kAbs: {
      const std::optional<int> sign = compare(arguments[0], Value::integer(0));
      return !sign ? Value{} : *sign < 0 ? negate(arguments[0]) : arguments[0];
    }
    case Function::kRound:
      return rounded(arguments);
    case Function::kFloor:
      return arguments[0].is_integer() ? arguments[0] : real([](double x) { return whole(std::floor(x)); });
    case Function::kCeil:
      return arguments[0].is_integer() ? arguments[0] : real([](double x) { return whole(std::ceil(x)); });
    case Function::kSqrt:
      return real([](double x) { return Value::number(std::sqrt(x)); });
    case Function::kPower:
      if (!arguments[1].is_numeric()) return {};
      return real([&](double x) { return Value::number(std::pow(x, arguments[1].as_double())); });
    case Function::kLeast:
      return extreme(arguments, -1);
    case Function::kGreatest:
      return extreme(arguments, 1);
    case Function::kLower:
      return change_case(arguments[0], 'A', 'a', arena, scratch);
    case Function::kUpper:
      return change_case(arguments[0], 'a', 'A', arena, scratch);
    case Function::kLength:
      return length_in_characters(arguments[0]);
    case Function::kConcat:
      return concatenate(arguments, arena, scratch);
    case Function::kCoalesce: {
      const auto found = std::ranges::find_if(arguments, [](const Value& value) { return !value.is_null(); });
      return found == arguments.end() ? Value{} : *found;
    }
    case Function::kNumber:
      return to_number(arguments[0]);
    case Function::kText:
      return arguments[0].is_text() ? arguments[0] : concatenate(arguments, arena, scratch);
    case Function::kTopic:
      return topic_part(arguments, message.topic);
    case Function::kDevice:
      return Value::text(message.device);
    case Function::kNow:
      return Value::integer(message.time_ms);
  }
  return {};
}

std::optional<std::string_view> topic_level(std::string_view topic, uint64_t level) {
  bool more = true;
  for (uint64_t i = 0; more; ++i) {
    const std::string_view name = next_level(topic, more);
    if (i == level) return name;
  }
  return std::nullopt;
}

}  // namespace verge::rules
