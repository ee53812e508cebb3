#include "isolates/tcp_records.h"

#include <algorithm>

#include "base/bytes.h"

namespace verge::isolates {
namespace {

constexpr size_t kHeadBytes = 5;

}  // namespace

bool TcpRecords::read(std::string_view bytes, const Take& take) {
  while (!bytes.empty()) {
    if (head_.size() < kHeadBytes) {
      const size_t size = std::min(kHeadBytes - head_.size(), bytes.size());
      head_.append(bytes.substr(0, size));
      bytes.remove_prefix(size);
      if (head_.size() < kHeadBytes) return true;
      ByteReader reader(std::string_view(head_).substr(1));
      left_ = reader.fixed<uint32_t>();
    }
    const auto type = static_cast<uint8_t>(head_.front());
    if (ended_ || type > static_cast<uint8_t>(TcpRecord::kTls)) return false;
    const auto its = static_cast<TcpRecord>(type);
    if ((its == TcpRecord::kEnd && left_ > 0) || (its == TcpRecord::kTls && left_ + payload_.size() > kNameBytesMax)) {
      return false;
    }
    const std::string_view piece = bytes.substr(0, left_);
    left_ -= static_cast<uint32_t>(piece.size());
    bytes.remove_prefix(piece.size());
    if (its == TcpRecord::kTls) {
      payload_.append(piece);
      if (left_ == 0) take(its, payload_);
    } else if (its == TcpRecord::kEnd) {
      ended_ = true;
      take(its, {});
    } else if (!piece.empty()) {
      take(its, piece);
    }
    if (left_ > 0) continue;
    head_.clear();
    payload_.clear();
  }
  return true;
}

void TcpRecords::append(std::string& out, TcpRecord type, std::string_view payload) {
  append_fixed(out, static_cast<uint8_t>(type));
  append_fixed(out, static_cast<uint32_t>(payload.size()));
  out.append(payload);
}

}  // namespace verge::isolates
