#include "spool/dead_letter.h"

#include "base/bytes.h"

namespace verge::spool {

void append_dead_letter(std::string& out, const DeadLetter& letter) {
  out.push_back(static_cast<char>(letter.stream));
  append_varint(out, letter.sequence);
  append_varint(out, static_cast<uint64_t>(letter.time.microseconds));
  append_sized(out, letter.code);
  append_sized(out, letter.what);
  append_sized(out, letter.event);
}

std::optional<DeadLetter> read_dead_letter(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto stream = static_cast<uint8_t>(reader.fixed<uint8_t>());
  if (stream >= kPriorities.size()) return std::nullopt;
  DeadLetter letter{.stream = static_cast<Priority>(stream), .sequence = reader.varint()};
  letter.time.microseconds = static_cast<int64_t>(reader.varint());
  letter.code = reader.sized();
  letter.what = reader.sized();
  letter.event = reader.sized();
  if (!reader.ok() || !reader.empty()) return std::nullopt;
  return letter;
}

}  // namespace verge::spool
