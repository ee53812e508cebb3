// Session: what the broker keeps of a client, whether it is connected or not (MQTT 5.0 section 4.1): its subscriptions
// and the messages on their way to it. Belongs to one loop; does no I/O: output goes to a buffer that is passed in.
//
// Delivery to the client is at QoS 0 or 1. At most `inflight_max` QoS 1 messages and about `inflight_bytes_max` are
// unacknowledged, in order; further ones wait in a queue of at most `queue_bytes_max`; beyond it the newest is dropped
// and counted. What waits for clients that are away has a bound for all sessions, which the broker keeps. Retained
// messages that a subscription asks for are not queued: a cursor says how far they were sent.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mqtt/limits.h"
#include "mqtt/message.h"
#include "mqtt/packet.h"
#include "mqtt/receipts.h"
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

// A subscription whose retained messages are being sent.
struct RetainedCursor {
  uint64_t number = 0;  // of the SUBSCRIBE: nothing goes out before its SUBACK
  SubscriptionOptions options;
  uint32_t identifier = 0;  // 0: none
  size_t shard = 0;         // whose messages are being sent
  std::string through;      // of those, up to this topic are sent
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

  // Whether there is room for more than single messages: half of the queue and of the output.
  [[nodiscard]] bool has_room(const Limits& limits, size_t output_waiting) const {
    return queue_bytes_ < limits.queue_bytes_max / 2 && output_waiting < limits.queue_bytes_max / 2;
  }
  // Whether deliver() would drop the message for nothing but what waits before it.
  [[nodiscard]] bool can_take(const Delivery& delivery, const Limits& limits, size_t output_waiting) const;

  enum class Fate { kSent, kQueued, kDropped };
  // Sends to `output` if connected (which then holds `output_waiting` bytes), else queues.
  Fate deliver(Delivery delivery, const Limits& limits, size_t output_waiting, MonotonicTime now, std::string* output);
  // Sends again what was in flight, after a reconnection [MQTT-4.4.0-1], then what is queued.
  void resume(const Limits& limits, MonotonicTime now, std::string& output);
  // Sends what is queued as far as the window allows, after the output had been blocked.
  void resume_queue(const Limits& limits, MonotonicTime now, std::string& output) { send_queued(limits, now, output); }
  // PUBACK. False when the identifier was not in flight.
  bool acknowledge(uint16_t packet_id, const Limits& limits, MonotonicTime now, std::string& output);
  // What waits for the client, sent to it or not: a message counts as if it were this session's alone.
  [[nodiscard]] size_t waiting_bytes() const { return queue_bytes_ + inflight_bytes_; }
  // What deliver() would add to it.
  [[nodiscard]] static size_t bytes_of(const Delivery& delivery);
  // Drops the newest that were not sent yet, until `bytes` less wait or there are none. How many.
  size_t drop_newest(size_t bytes);
  // How many queued messages were found too large for the client since the last call: they count as sent
  // [MQTT-3.1.2-25].
  size_t take_dropped() { return std::exchange(dropped_, 0); }

  std::map<std::string, SubscriptionOptions, std::less<>> subscriptions;
  size_t subscription_bytes = 0;  // of their filters
  // By filter. One page of them is on its way to the session at a time.
  std::map<std::string, RetainedCursor, std::less<>> retained_wanted;
  bool retained_asked = false;
  // Of what the client publishes at QoS 2: a repetition is not taken twice [MQTT-4.3.3-10].
  Receipts receipts;
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
  size_t dropped_ = 0;
};

}  // namespace verge::mqtt
