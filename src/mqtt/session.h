// Session: what the broker keeps of a client, whether it is connected or not (MQTT 5.0 section 4.1): its subscriptions
// and the messages on their way to it. Belongs to one loop; does no I/O: output goes to a buffer that is passed in.
//
// Delivery to the client is at QoS 0 or 1. At most `inflight_max` QoS 1 messages and about `inflight_bytes_max` are
// unacknowledged, in order; further ones wait in a queue of at most `queue_bytes_max`; beyond it the newest is dropped
// and counted.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "mqtt/limits.h"
#include "mqtt/message.h"
#include "mqtt/packet.h"
#include "mqtt/subscription_tree.h"

namespace verge::mqtt {

class Connection;

// A message as one client is to get it.
struct Delivery {
  MessagePointer message;
  uint8_t qos = 0;
  bool retain = false;
  std::vector<uint32_t> identifiers;  // of the subscriptions that match
};

class Session {
 public:
  Session(std::string client_id, uint64_t serial) : client_id_(std::move(client_id)), serial_(serial) {}

  [[nodiscard]] const std::string& client_id() const { return client_id_; }
  [[nodiscard]] uint64_t serial() const { return serial_; }

  // A connection takes the session up. `receive_maximum` and `packet_bytes_max` are the client's wishes.
  void attach(Connection& connection, Version version, uint16_t receive_maximum, uint32_t packet_bytes_max);
  void detach(MonotonicTime now);
  [[nodiscard]] Connection* connection() const { return connection_; }
  [[nodiscard]] Version version() const { return version_; }

  // How long the session outlives its connection.
  void set_expiry(Duration expiry) { expiry_ = expiry; }
  [[nodiscard]] bool has_expired(MonotonicTime now) const;

  enum class Fate { kSent, kQueued, kDropped };
  // Sends to `output` if connected (which then holds `output_waiting` bytes), else queues.
  Fate deliver(Delivery delivery, const Limits& limits, size_t output_waiting, MonotonicTime now, std::string* output);
  // Sends again what was in flight, after a reconnection [MQTT-4.4.0-1], then what is queued.
  void resume(const Limits& limits, MonotonicTime now, std::string& output);
  // Sends what is queued as far as the window allows, after the output had been blocked.
  void resume_queue(const Limits& limits, MonotonicTime now, std::string& output) { send_queued(limits, now, output); }
  // PUBACK. False when the identifier was not in flight.
  bool acknowledge(uint16_t packet_id, const Limits& limits, MonotonicTime now, std::string& output);

  std::map<std::string, SubscriptionOptions, std::less<>> subscriptions;
  // QoS 2 identifiers answered with PUBREC and not yet released: a repetition is not taken twice [MQTT-4.3.3-10].
  std::unordered_set<uint16_t> received_qos2;
  // Scratch for merging overlapping subscriptions while one message is matched.
  uint64_t match_mark = 0;
  size_t match_index = 0;

 private:
  struct InFlight {
    uint16_t packet_id;
    Delivery delivery;
  };

  bool fits(const Delivery& delivery) const;
  void send(const Delivery& delivery, uint16_t packet_id, bool duplicate, MonotonicTime now, std::string& output) const;
  void send_queued(const Limits& limits, MonotonicTime now, std::string& output);
  uint16_t next_packet_id();

  const std::string client_id_;
  const uint64_t serial_;
  Connection* connection_ = nullptr;
  Version version_ = Version::k5;
  size_t receive_maximum_ = 65535;
  size_t packet_bytes_max_ = 0;  // 0: no limit
  Duration expiry_{0};
  MonotonicTime detached_at_{};
  std::deque<InFlight> inflight_;
  std::deque<Delivery> queue_;
  size_t queue_bytes_ = 0;
  size_t inflight_bytes_ = 0;
  uint16_t last_packet_id_ = 0;
};

}  // namespace verge::mqtt
