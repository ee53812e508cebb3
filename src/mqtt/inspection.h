// What a broker shows of itself to who runs the node: copies, which may leave its loop.
#pragma once

#include <cstdint>
#include <string>

#include "mqtt/packet.h"

namespace verge::mqtt {

struct ClientView {
  std::string client_id;
  std::string user;     // empty: it named none
  std::string address;  // empty: it is away
  Version version = Version::k5;
  size_t subscriptions = 0;
  size_t waiting_bytes = 0;  // of messages at QoS 1 and 2 that it is not done with
  uint64_t expiry_s = 0;     // how long its session outlives its connection
  bool is_durable = false;
};

struct SubscriptionView {
  std::string client_id;
  std::string filter;
  SubscriptionOptions options;
};

}  // namespace verge::mqtt
