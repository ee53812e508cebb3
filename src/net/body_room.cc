#include "net/body_room.h"

#include "base/assert.h"

namespace verge::net {
namespace {

constexpr size_t kIpv6NetworkBytes = 8;

// Short enough to need no memory of its own.
std::string sender_of(const Address& address) { return std::string(address.ip().substr(0, kIpv6NetworkBytes)); }

}  // namespace

std::optional<std::string_view> BodyRoom::take(const Address& sender, size_t bytes) {
  if (bytes == 0) return std::nullopt;
  if (bytes > bytes_max_ - bytes_) return "too many bodies are being received";
  const auto [its, is_new] = senders_.try_emplace(sender_of(sender), 0);
  if (bytes > sender_bytes_max_ - its->second) {
    if (its->second == 0) senders_.erase(its);
    return "too many bodies are being received from this address";
  }
  its->second += bytes;
  bytes_ += bytes;
  return std::nullopt;
}

void BodyRoom::give_back(const Address& sender, size_t bytes) {
  if (bytes == 0) return;
  const auto its = senders_.find(sender_of(sender));
  VERGE_ASSERT(its != senders_.end() && its->second >= bytes);
  its->second -= bytes;
  bytes_ -= bytes;
  if (its->second == 0) senders_.erase(its);
}

}  // namespace verge::net
