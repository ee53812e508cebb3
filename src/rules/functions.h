// The scalar functions and the aggregates of the language, by name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/arena.h"
#include "rules/value.h"

namespace verge::rules {

enum class Function : uint8_t {
  kAbs,
  kRound,
  kFloor,
  kCeil,
  kSqrt,
  kPower,
  kLeast,
  kGreatest,
  kLower,
  kUpper,
  kLength,
  kConcat,
  kCoalesce,
  kNumber,
  kText,
  kTopic,
  kDevice,
  kNow,
};

enum class Aggregate : uint8_t { kCount, kSum, kAvg, kMin, kMax, kFirst, kLast };

struct FunctionSignature {
  std::string_view name;
  Function function;
  uint8_t arguments_min;
  uint8_t arguments_max;
};

inline constexpr uint8_t kArgumentsMax = 255;
inline constexpr size_t kTextBytesMax = 16U << 20;  // a longer text that concat() would make is NULL

// By name in lower case; null when there is none.
const FunctionSignature* find_function(std::string_view name);
std::optional<Aggregate> find_aggregate(std::string_view name);
std::string_view name_of(Aggregate aggregate);
// Every function, aggregate and window, for spelling hints.
const std::vector<std::string>& function_names();

// Whether the function reads the message rather than its arguments alone (topic, device, now).
bool reads_message(Function function);

// What such functions read of the message, beside its fields.
struct MessageContext {
  std::string_view topic;
  std::string_view device;               // the client's id
  int64_t time_ms = 0;                   // when the message was received
  std::optional<uint32_t> device_level;  // of the topic, from 0: the level under the filter's first '+'
};

// NULL for arguments of the wrong type. Texts made here live in `arena`; `scratch` is overwritten.
Value call(Function function, std::span<const Value> arguments, const MessageContext& message, Arena& arena,
           std::string& scratch);

// The level of the topic, counted from 0; nothing when it has fewer.
std::optional<std::string_view> topic_level(std::string_view topic, uint64_t level);

}  // namespace verge::rules
