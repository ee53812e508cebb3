// DeadLetter: a record that the parent would not have, with what it said. Kept beside the streams until a person looks
// into it; one is one record of the log under dead-letters/ (docs/formats/spool.md).
//
//   priority u8 | sequence varint | time of giving up, µs since 1970 varint | code sized | what sized | event sized
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "model/priority.h"

namespace verge::spool {

struct DeadLetter {
  Priority stream = Priority::kNormal;
  uint64_t sequence = 0;  // in that stream
  WallTime time;
  std::string code;  // of the refusal: "uplink.refused"
  std::string what;
  std::string event;  // as append_event() wrote it
};

void append_dead_letter(std::string& out, const DeadLetter& letter);
// Nothing when the bytes are not one.
std::optional<DeadLetter> read_dead_letter(std::string_view bytes);

}  // namespace verge::spool
