#include "calls/frame.h"

#include "base/assert.h"
#include "base/bytes.h"

namespace verge::calls {
namespace {

bool is_known(uint8_t type) {
  return (type >= uint8_t(FrameType::kLoad) && type <= uint8_t(FrameType::kSubrequestCredit)) ||
         (type >= uint8_t(FrameType::kLoaded) && type <= uint8_t(FrameType::kRestarts)) ||
         (type >= uint8_t(FrameType::kSocketMessage) && type <= uint8_t(FrameType::kInspect)) ||
         (type >= uint8_t(FrameType::kSocketSend) && type <= uint8_t(FrameType::kInspected));
}

struct Head {
  uint32_t size;
  uint8_t type;
  uint8_t flags;
  uint16_t zero;
  uint32_t id;
};
static_assert(sizeof(Head) == kFrameHeadBytes);

bool is_sound(const Head& head) {
  const bool is_large = head.type == uint8_t(FrameType::kLoad) || head.type == uint8_t(FrameType::kCode);
  return is_known(head.type) && head.zero == 0 && head.size <= (is_large ? kLoadBytesMax : kPayloadBytesMax);
}

}  // namespace

FrameReader::Step FrameReader::next(std::string_view input) {
  if (input.size() < kFrameHeadBytes) return {Progress::kNeedMore, 0, {}};
  Head head;
  std::memcpy(&head, input.data(), sizeof(head));
  if (!is_sound(head)) return {Progress::kBreach, 0, {}};
  if (input.size() < kFrameHeadBytes + head.size) return {Progress::kNeedMore, 0, {}};
  return {Progress::kFrame,
          kFrameHeadBytes + head.size,
          {static_cast<FrameType>(head.type), head.flags, head.id, input.substr(kFrameHeadBytes, head.size)}};
}

std::optional<size_t> FrameReader::size_of_first(std::string_view input) {
  if (input.size() < kFrameHeadBytes) return std::nullopt;
  Head head;
  std::memcpy(&head, input.data(), sizeof(head));
  if (!is_sound(head)) return std::nullopt;
  return kFrameHeadBytes + head.size;
}

FrameWriter::FrameWriter(std::string& out, FrameType type, uint32_t id, uint8_t flags) : out_(out), begin_(out.size()) {
  const Head head{.size = 0, .type = static_cast<uint8_t>(type), .flags = flags, .zero = 0, .id = id};
  out_.append(reinterpret_cast<const char*>(&head), sizeof(head));
}

void FrameWriter::end(size_t following) {
  const size_t size = out_.size() - begin_ - kFrameHeadBytes + following;
  VERGE_ASSERT(size <= kLoadBytesMax);
  write_fixed_at(out_, begin_, static_cast<uint32_t>(size));
}

void append_frame(std::string& out, FrameType type, uint32_t id, std::string_view payload, uint8_t flags) {
  FrameWriter frame(out, type, id, flags);
  out.append(payload);
  frame.end();
}

}  // namespace verge::calls
