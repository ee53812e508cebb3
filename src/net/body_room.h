// BodyRoom: the memory that bodies of requests take while they are on their way, of all who send on one loop.
//
// It is bounded in all, and for each sender, so that one who sends much and slowly leaves room for the others. A sender
// is an IPv4 address or an IPv6 /64, of which one host has all. Who sits behind a load balancer that does not say for
// whom it speaks shares that one's part.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "net/address.h"

namespace verge::net {

class BodyRoom {
 public:
  BodyRoom(size_t bytes_max, size_t sender_bytes_max) : bytes_max_(bytes_max), sender_bytes_max_(sender_bytes_max) {}

  // Takes room for `bytes` more. Why there is none, for people, where there is none; then nothing was taken.
  std::optional<std::string_view> take(const Address& sender, size_t bytes);
  // What was taken for that sender.
  void give_back(const Address& sender, size_t bytes);

 private:
  const size_t bytes_max_;
  const size_t sender_bytes_max_;
  size_t bytes_ = 0;
  std::unordered_map<std::string, size_t> senders_;  // those that have any
};

}  // namespace verge::net
