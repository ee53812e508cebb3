// RuleInput: one message's part in what a rule remembers, on its way to the loop that owns its key. Owns what it holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"

namespace verge::rules {

inline constexpr size_t kKeyBytesMax = 1024;       // encoded; a message with a longer key is refused
inline constexpr size_t kCapturedBytesMax = 4096;  // of one value, encoded; a longer one counts as NULL

struct RuleInput {
  uint64_t rule = 0;      // Rule::identity
  uint64_t key_hash = 0;  // equal for equal keys of a rule; the loop that it is mapped to owns them
  WallTime received;
  int64_t time_us = 0;  // of the event; of receipt where the rule states none
  uint8_t feed = 0;     // which of the rule's streams
  uint32_t key_size = 0;
  std::string bytes;  // the encoded key, then the values that the rule reads of the message, encoded

  // What recognises a repetition: who numbered it, and the number. Empty: nobody did.
  std::string source;
  uint64_t sequence = 0;

  [[nodiscard]] std::string_view key() const { return std::string_view(bytes).substr(0, key_size); }
  [[nodiscard]] std::string_view values() const { return std::string_view(bytes).substr(key_size); }
};

void append_input(std::string& out, const RuleInput& input);
// Nothing on malformed bytes.
std::optional<RuleInput> read_input(ByteReader& in);

}  // namespace verge::rules
