// The scalar functions of the language, by name. What they do is in number_functions.cc, text_functions.cc,
// time_functions.cc and json_functions.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/arena.h"
#include "rules/table.h"
#include "rules/value.h"

namespace verge::rules {

enum class Function : uint8_t {
  // numbers
  kAbs,
  kRound,
  kFloor,
  kCeil,
  kTrunc,
  kSign,
  kSqrt,
  kPower,
  kExp,
  kLn,
  kLog10,
  kSin,
  kCos,
  kTan,
  kAsin,
  kAcos,
  kAtan,
  kAtan2,
  kPi,
  kMod,
  kClamp,
  kBitAnd,
  kBitOr,
  kLeast,
  kGreatest,
  // texts
  kLower,
  kUpper,
  kLength,
  kConcat,
  kSubstr,
  kTrim,
  kReplace,
  kStartsWith,
  kEndsWith,
  kContains,
  kPosition,
  kSplitPart,
  // any
  kCoalesce,
  kNullif,
  kIif,
  kLevel,     // level(urgency, complexity)
  kHandling,  // handling(importance)
  kTypeof,
  kNumber,
  kText,
  kCastInteger,
  kCastBoolean,
  kCastJson,
  // times
  kParseTime,
  kFormatTime,
  kDateTrunc,
  kExtract,
  // arrays and objects
  kJsonValue,
  kArray,
  kObject,
  kArrayLength,
  kArrayContains,
  kArraySum,
  kArrayAvg,
  kArrayMin,
  kArrayMax,
  kElement,
  kKeys,
  // tables
  kLookup,
  kInTable,
  // the message
  kTopic,
  kDevice,
  kNow,
};

struct FunctionSignature {
  std::string_view name;  // empty: it has a syntax of its own
  Function function;
  uint8_t arguments_min;
  uint8_t arguments_max;
};

inline constexpr uint8_t kArgumentsMax = 255;
inline constexpr size_t kTextBytesMax = 16U << 20;  // a longer text that a function would make is NULL

// By name in lower case; null when there is none.
const FunctionSignature* find_function(std::string_view name);
// What to write in place of a call of that name, which there is not: "round", or "percentile(x, 0.5)". Knows the names
// of slips of the finger and those of other dialects. Empty where none is near.
std::string suggested_call(std::string_view name);

// Whether the function reads the message rather than its arguments alone (topic, device, now).
bool reads_message(Function function);

// What such functions read of the message, beside its fields.
struct MessageContext {
  std::string_view topic;
  std::string_view device;  // the client's id
  std::string_view payload;
  int64_t time_ms = 0;                   // when the message was received
  std::optional<uint32_t> device_level;  // of the topic, from 0: the level under the filter's first '+'
  const Tables* tables = nullptr;        // what lookup() looks in; null: none
};

// Where functions work: texts that they make live in `arena`, `text` is overwritten.
struct Workspace {
  Arena& arena;
  std::string& text;

  // The text made in `text`, kept; NULL where it is too long.
  [[nodiscard]] Value kept_text() const {
    return text.size() > kTextBytesMax ? Value{} : Value::text(arena.keep(text));
  }
  [[nodiscard]] Value kept_json() const {
    return text.size() > kTextBytesMax ? Value{} : Value::json(arena.keep(text));
  }
};

// NULL for arguments of the wrong type.
Value call(Function function, std::span<const Value> arguments, const MessageContext& message, Workspace work);

// By kind; `call` chooses.
Value call_number(Function function, std::span<const Value> arguments);
Value call_text(Function function, std::span<const Value> arguments, Workspace work);
Value call_time(Function function, std::span<const Value> arguments, Workspace work);
Value call_json(Function function, std::span<const Value> arguments, Workspace work);

// Microseconds since 1970 that a value says: a number is milliseconds, a text is RFC 3339 (with a space in place of T,
// without seconds or without an offset too, then UTC). Nothing for what is neither.
std::optional<int64_t> microseconds_of(const Value& value);

// The level of the topic, counted from 0; nothing when it has fewer.
std::optional<std::string_view> topic_level(std::string_view topic, uint64_t level);

}  // namespace verge::rules
