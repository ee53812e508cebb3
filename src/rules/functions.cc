#include "rules/functions.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "model/topic.h"
#include "rules/aggregate.h"
#include "rules/operators.h"
#include "rules/state_function.h"
#include "rules/worth.h"

namespace verge::rules {
namespace {

constexpr std::array kFunctions = {
    FunctionSignature{"abs", Function::kAbs, 1, 1},
    FunctionSignature{"round", Function::kRound, 1, 2},
    FunctionSignature{"floor", Function::kFloor, 1, 1},
    FunctionSignature{"ceil", Function::kCeil, 1, 1},
    FunctionSignature{"trunc", Function::kTrunc, 1, 1},
    FunctionSignature{"sign", Function::kSign, 1, 1},
    FunctionSignature{"sqrt", Function::kSqrt, 1, 1},
    FunctionSignature{"power", Function::kPower, 2, 2},
    FunctionSignature{"exp", Function::kExp, 1, 1},
    FunctionSignature{"ln", Function::kLn, 1, 1},
    FunctionSignature{"log10", Function::kLog10, 1, 1},
    FunctionSignature{"sin", Function::kSin, 1, 1},
    FunctionSignature{"cos", Function::kCos, 1, 1},
    FunctionSignature{"tan", Function::kTan, 1, 1},
    FunctionSignature{"asin", Function::kAsin, 1, 1},
    FunctionSignature{"acos", Function::kAcos, 1, 1},
    FunctionSignature{"atan", Function::kAtan, 1, 1},
    FunctionSignature{"atan2", Function::kAtan2, 2, 2},
    FunctionSignature{"pi", Function::kPi, 0, 0},
    FunctionSignature{"mod", Function::kMod, 2, 2},
    FunctionSignature{"clamp", Function::kClamp, 3, 3},
    FunctionSignature{"bit_and", Function::kBitAnd, 2, 2},
    FunctionSignature{"bit_or", Function::kBitOr, 2, 2},
    FunctionSignature{"least", Function::kLeast, 1, kArgumentsMax},
    FunctionSignature{"greatest", Function::kGreatest, 1, kArgumentsMax},
    FunctionSignature{"lower", Function::kLower, 1, 1},
    FunctionSignature{"upper", Function::kUpper, 1, 1},
    FunctionSignature{"length", Function::kLength, 1, 1},
    FunctionSignature{"concat", Function::kConcat, 1, kArgumentsMax},
    FunctionSignature{"substr", Function::kSubstr, 2, 3},
    FunctionSignature{"trim", Function::kTrim, 1, 1},
    FunctionSignature{"replace", Function::kReplace, 3, 3},
    FunctionSignature{"starts_with", Function::kStartsWith, 2, 2},
    FunctionSignature{"ends_with", Function::kEndsWith, 2, 2},
    FunctionSignature{"contains", Function::kContains, 2, 2},
    FunctionSignature{"position", Function::kPosition, 2, 2},
    FunctionSignature{"split_part", Function::kSplitPart, 3, 3},
    FunctionSignature{"coalesce", Function::kCoalesce, 1, kArgumentsMax},
    FunctionSignature{"nullif", Function::kNullif, 2, 2},
    FunctionSignature{"level", Function::kLevel, 2, 2},
    FunctionSignature{"handling", Function::kHandling, 1, 1},
    FunctionSignature{"iif", Function::kIif, 3, 3},
    FunctionSignature{"typeof", Function::kTypeof, 1, 1},
    FunctionSignature{"number", Function::kNumber, 1, 1},
    FunctionSignature{"text", Function::kText, 1, 1},
    FunctionSignature{"parse_time", Function::kParseTime, 1, 1},
    FunctionSignature{"format_time", Function::kFormatTime, 1, 1},
    FunctionSignature{"date_trunc", Function::kDateTrunc, 2, 2},
    FunctionSignature{"extract", Function::kExtract, 2, 2},
    FunctionSignature{"json_value", Function::kJsonValue, 2, 2},
    FunctionSignature{"array", Function::kArray, 0, kArgumentsMax},
    FunctionSignature{"object", Function::kObject, 0, kArgumentsMax},
    FunctionSignature{"array_length", Function::kArrayLength, 1, 1},
    FunctionSignature{"array_contains", Function::kArrayContains, 2, 2},
    FunctionSignature{"array_sum", Function::kArraySum, 1, 1},
    FunctionSignature{"array_avg", Function::kArrayAvg, 1, 1},
    FunctionSignature{"array_min", Function::kArrayMin, 1, 1},
    FunctionSignature{"array_max", Function::kArrayMax, 1, 1},
    FunctionSignature{"element", Function::kElement, 2, 2},
    FunctionSignature{"keys", Function::kKeys, 1, 1},
    FunctionSignature{"lookup", Function::kLookup, 3, 3},
    FunctionSignature{"in_table", Function::kInTable, 2, 2},
    FunctionSignature{"topic", Function::kTopic, 0, 1},
    FunctionSignature{"device", Function::kDevice, 0, 0},
    FunctionSignature{"now", Function::kNow, 0, 0},
};

constexpr std::array<std::string_view, 5> kWindows = {"TUMBLING", "HOPPING", "SLIDING", "SESSION", "COUNT"};

// What other dialects call it, and what to write here.
constexpr std::array<std::pair<std::string_view, std::string_view>, 35> kElsewhere = {{
    {"average", "avg"},
    {"mean", "avg"},
    {"maximum", "max"},
    {"minimum", "min"},
    {"quantile", "percentile"},
    {"percentile_cont", "percentile"},
    {"stdev", "stddev"},
    {"stddev_samp", "stddev"},
    {"first_value", "first"},
    {"last_value", "last"},
    {"latest", "last"},
    {"count_distinct", "count(DISTINCT x)"},
    {"ceiling", "ceil"},
    {"pow", "power"},
    {"log", "ln"},
    {"truncate", "trunc"},
    {"len", "length"},
    {"char_length", "length"},
    {"substring", "substr"},
    {"ucase", "upper"},
    {"lcase", "lower"},
    {"instr", "position"},
    {"strpos", "position"},
    {"split", "split_part"},
    {"ifnull", "coalesce"},
    {"nvl", "coalesce"},
    {"isnull", "coalesce"},
    {"if", "iif"},
    {"json_extract", "json_value"},
    {"date_part", "extract"},
    {"to_timestamp", "parse_time"},
    {"strftime", "format_time"},
    {"current_timestamp", "now"},
    {"previous", "lag"},
    {"difference", "delta"},
}};

Value topic_part(std::span<const Value> arguments, std::string_view topic) {
  if (arguments.empty()) return Value::text(topic);
  if (!arguments[0].is_integer() || arguments[0].as_integer() < 1) return {};
  const auto level = topic_level(topic, static_cast<uint64_t>(arguments[0].as_integer()) - 1);
  return level ? Value::text(*level) : Value{};
}

Value look_up(Function function, std::span<const Value> arguments, const Tables* tables) {
  if (tables == nullptr || !arguments[0].is_text()) return {};
  const auto table = tables->find(arguments[0].view());
  if (table == tables->end()) return {};
  if (function == Function::kInTable) return Value::boolean(table->second.has(arguments[1]));
  return arguments[2].is_text() ? table->second.find(arguments[1], arguments[2].view()) : Value{};
}

std::string_view type_of(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      return "null";
    case Value::Kind::kBoolean:
      return "boolean";
    case Value::Kind::kInteger:
      return "integer";
    case Value::Kind::kNumber:
      return "number";
    case Value::Kind::kText:
      return "text";
    case Value::Kind::kJson:
      return value.view().starts_with('[') ? "array" : "object";
  }
  return "null";
}

Value call_any(Function function, std::span<const Value> arguments) {
  switch (function) {
    case Function::kCoalesce: {
      const auto found = std::ranges::find_if(arguments, [](const Value& value) { return !value.is_null(); });
      return found == arguments.end() ? Value{} : *found;
    }
    case Function::kNullif:
      return compare(arguments[0], arguments[1]) == 0 ? Value{} : arguments[0];
    case Function::kIif:
      return arguments[0].is_true() ? arguments[1] : arguments[2];
    case Function::kLevel:
      if (!arguments[0].is_numeric() || !arguments[1].is_numeric()) return {};
      return Value::text(level_of(arguments[0].as_double(), arguments[1].as_double()));
    case Function::kHandling:
      if (!arguments[0].is_numeric()) return {};
      return Value::text(name_of(handling_of(arguments[0].as_double())));
    default:
      return Value::text(type_of(arguments[0]));
  }
}

}  // namespace

const FunctionSignature* find_function(std::string_view name) {
  const auto found = std::ranges::find(kFunctions, name, &FunctionSignature::name);
  return found == kFunctions.end() ? nullptr : &*found;
}

std::string suggested_call(std::string_view name) {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names(kWindows.begin(), kWindows.end());
    for (const FunctionSignature& signature : kFunctions) names.emplace_back(signature.name);
    names.insert(names.end(), aggregate_names().begin(), aggregate_names().end());
    names.insert(names.end(), state_function_names().begin(), state_function_names().end());
    names.emplace_back("cast");
    for (const auto& [elsewhere, unused] : kElsewhere) names.emplace_back(elsewhere);
    return names;
  }();
  const std::string near = nearest(name, kNames);
  const auto elsewhere = std::ranges::find(kElsewhere, near, [](const auto& each) { return each.first; });
  return elsewhere == kElsewhere.end() ? near : std::string(elsewhere->second);
}

bool reads_message(Function function) {
  return function == Function::kTopic || function == Function::kDevice || function == Function::kNow;
}

Value call(Function function, std::span<const Value> arguments, const MessageContext& message, Workspace work) {
  if (function <= Function::kGreatest) return call_number(function, arguments);
  if (function <= Function::kSplitPart) return call_text(function, arguments, work);
  if (function <= Function::kTypeof) return call_any(function, arguments);
  if (function <= Function::kCastJson) return call_text(function, arguments, work);
  if (function <= Function::kExtract) return call_time(function, arguments, work);
  if (function <= Function::kKeys) return call_json(function, arguments, work);
  switch (function) {
    case Function::kTopic:
      return topic_part(arguments, message.topic);
    case Function::kDevice:
      return Value::text(message.device);
    case Function::kNow:
      return Value::integer(message.time_ms);
    default:
      return look_up(function, arguments, message.tables);
  }
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
