// Session: what the broker keeps of a client, whether it is connected or not (MQTT 5.0 section 4.1): its subscriptions
// and the messages on their way to it. Belongs to one loop; does no I/O: output goes to a buffer that is passed in.
//
// Delivery to the client is at QoS 0, 1 or 2. At most `inflight_max` messages of QoS 1 and 2 and about
// `inflight_bytes_max` are not done with (PUBACK, PUBCOMP), in order; further ones wait in a queue of at most
// `queue_bytes_max`; beyond it the newest is dropped and counted. Each has a number, from which its packet identifier
// follows, so that identifiers are given out in turn and none twice at a time.
//
// At QoS 2 a message goes out until PUBREC; then only its number is kept, and PUBREL goes out until PUBCOMP (MQTT 5.0
// section 4.3.3). After a reconnection each is repeated from where it stood [MQTT-4.4.0-1].
//
// What waits for clients that are away has a bound for all sessions, which the broker keeps. Retained
// messages that a subscription asks for are not queued: a cursor says how far they were sent.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/lazy_deque.h"
#include "mqtt/access_rules.h"
#include "mqtt/limits.h"
#include "mqtt/message.h"
#include "mqtt/packet.h"
#include "mqtt/receipts.h"
#include "mqtt/retained_cursor.h"
#include "mqtt/session_image.h"
#include "mqtt/subscription_tree.h"

namespace verge::mqtt {

class Connection;

// The packet identifier of a session's message.
inline constexpr uint64_t kPacketIds = 65535;  // 1 to 65535
inline uint16_t packet_id_of(uint64_t number) { return static_cast<uint16_t>((number - 1) % kPacketIds + 1); }

// A message as one client is to get it.
struct Delivery {
  MessagePointer message;
  uint8_t qos = 0;
  bool retain = false;
  std::vector<uint32_t> identifiers;  // of the subscriptions that match
  uint64_t number = 0;                // of those at QoS 1 and 2 of the session, from 1
  bool is_committed = true;           // it may be sent: where the session is durable, so is this
  bool may_be_there = false;          // it may have been sent before a restart
};

class Session {
 public:
  Session(std::string client_id, uint64_t serial) : client_id_(std::move(client_id)), serial_(serial) {}

  [[nodiscard]] const std::string& client_id() const { return client_id_; }
  [[nodiscard]] uint64_t serial() const { return serial_; }

  // What a client says of itself in CONNECT. 0: no limit to the bytes, no aliases.
  struct Wishes {
    uint16_t receive_maximum = 65535;
    uint32_t packet_bytes_max = 0;
    uint16_t topic_aliases_max = 0;
  };
  // A connection takes the session up.
  void attach(Connection& connection, Version version, const Wishes& wishes);
  void detach(MonotonicTime now);
  [[nodiscard]] Connection* connection() const { return connection_; }
  [[nodiscard]] Version version() const { return version_; }

  // How long the session outlives its connection.
  void set_expiry(Duration expiry) { expiry_ = expiry; }
  [[nodiscard]] Duration expiry() const { return expiry_; }
  [[nodiscard]] bool has_expired(MonotonicTime now) const;

  // Whether there is room for more than single messages: half of the queue and of the output.
  [[nodiscard]] bool has_room(const Limits& limits, size_t output_waiting) const {
    return queue_bytes_ < limits.queue_bytes_max / 2 && output_waiting < limits.queue_bytes_max / 2;
  }
  // Whether deliver() would drop the message for nothing but what waits before it.
  [[nodiscard]] bool can_take(const Delivery& delivery, const Limits& limits, size_t output_waiting) const;

  // Durable (session_journal.h): what is recorded of it names it by this number, which is never used again; 0: nothing
  // is. A message at QoS 1 or 2 is sent once it is committed.
  [[nodiscard]] uint64_t durable_name() const { return durable_name_; }
  void make_durable(uint64_t name) { durable_name_ = name; }
  // What is to be known of it itself.
  [[nodiscard]] StoredSession stored() const;
  // As the log has it, after a restart; before the first connection. `since`: when its client left.
  void restore(const StoredSession& stored, MonotonicTime since);
  // The number of the last message that was queued.
  [[nodiscard]] uint64_t last_number() const { return last_number_; }
  // The message is durable, or cannot be made so and is dropped. False when it does not wait any more.
  bool commit(uint64_t number);
  bool withdraw(uint64_t number);
  // Messages that are done with since the last call, of a durable session: to be recorded.
  [[nodiscard]] std::vector<uint64_t> take_done() { return std::exchange(done_, {}); }

  enum class Fate { kSent, kQueued, kDropped };
  // Sends to `output` if connected (which then holds `output_waiting` bytes), else queues.
  Fate deliver(Delivery delivery, const Limits& limits, size_t output_waiting, MonotonicTime now, std::string* output);
  // Sends again what was in flight, after a reconnection [MQTT-4.4.0-1], then what is queued.
  void resume(const Limits& limits, MonotonicTime now, std::string& output);
  // Sends what is queued as far as the window allows, after the output had been blocked. How many.
  size_t resume_queue(const Limits& limits, MonotonicTime now, std::string& output) {
    return send_queued(limits, now, output);
  }
  // PUBACK of a message at QoS 1, PUBREC of one at QoS 2 that is a refusal, PUBCOMP: the message is done with. False
  // when no such message was in flight.
  bool acknowledge(PacketType type, uint16_t packet_id, const Limits& limits, MonotonicTime now, std::string& output);
  // PUBREC: from now on the client has the message.
  enum class Receipt { kUnknown, kRelease, kRecord };
  // kRelease: it is to be sent PUBREL. kRecord: that it has the message is to be made durable first; then
  // note_recorded() says whether PUBREL is to be sent. kUnknown: the identifier names no message at QoS 2.
  Receipt note_received(uint16_t packet_id);
  bool note_recorded(uint64_t number);
  // Of which messages that is still to be made durable.
  [[nodiscard]] std::vector<uint64_t> unrecorded() const;
  // The number of the message in flight under the identifier.
  [[nodiscard]] uint64_t number_of(uint16_t packet_id);
  // What waits for the client, sent to it or not: a message counts as if it were this session's alone.
  [[nodiscard]] size_t waiting_bytes() const { return queue_bytes_ + inflight_bytes_; }
  // What deliver() would add to it.
  [[nodiscard]] static size_t bytes_of(const Delivery& delivery);
  // Drops the newest that were not sent yet, until `bytes` less wait or there are none. How many.
  size_t drop_newest(size_t bytes);
  // How many queued messages were found too large for the client since the last call: they count as sent
  // [MQTT-3.1.2-25].
  size_t take_dropped() { return std::exchange(dropped_, 0); }

  // Memory that nothing is in.
  void give_back() {
    inflight_.give_back();
    queue_.give_back();
  }

  std::map<std::string, SubscriptionOptions, std::less<>> subscriptions;
  size_t subscription_bytes = 0;  // of their filters
  // By filter. One page of them is on its way to the session at a time.
  std::map<std::string, RetainedCursor, std::less<>> retained_wanted;
  bool retained_asked = false;
  RetainedNews news;  // meanwhile
  // Who the client says it is, for the rules of access.
  [[nodiscard]] Identity identity() const { return {.user = user, .client_id = client_id_}; }
  std::string user;
  bool is_granted_in_part = false;  // a subscription: each message is looked at
  bool has_stored_will = false;     // where it is durable
  // Of what the client publishes at QoS 2: a repetition is not taken twice [MQTT-4.3.3-10].
  Receipts receipts;
  // Scratch for merging overlapping subscriptions while one message is matched.
  uint64_t match_mark = 0;
  size_t match_index = 0;

 private:
  struct InFlight {
    Delivery delivery;  // without its message once that is received
    bool received = false;
    bool recorded = false;  // that it is received: PUBREL may be sent
  };
  // What the client was told to call topics by, on this connection.
  struct Aliases {
    size_t max = 0;
    std::unordered_map<std::string, uint16_t, StringHash, std::equal_to<>> by_topic;
  };

  bool fits(const Delivery& delivery) const;
  void send(const Delivery& delivery, bool duplicate, MonotonicTime now, std::string& output);
  size_t send_queued(const Limits& limits, MonotonicTime now, std::string& output);
  [[nodiscard]] LazyDeque<InFlight>::iterator find_in_flight(uint16_t packet_id);
  [[nodiscard]] LazyDeque<Delivery>::iterator find_queued(uint64_t number);
  void note_done(uint64_t number) {
    if (durable_name_ != 0) done_.push_back(number);
  }
  // The alias of the topic, and whether the client knows it already; 0: none.
  std::pair<uint16_t, bool> alias_of(std::string_view topic);

  const std::string client_id_;
  const uint64_t serial_;
  Connection* connection_ = nullptr;
  Version version_ = Version::k5;
  size_t receive_maximum_ = 65535;
  size_t packet_bytes_max_ = 0;  // 0: no limit
  std::unique_ptr<Aliases> aliases_;
  Duration expiry_{0};
  MonotonicTime detached_at_{};
  LazyDeque<InFlight> inflight_;
  LazyDeque<Delivery> queue_;
  size_t queue_bytes_ = 0;
  size_t inflight_bytes_ = 0;
  uint64_t last_number_ = 0;
  uint64_t durable_name_ = 0;
  std::vector<uint64_t> done_;
  size_t dropped_ = 0;
};

}  // namespace verge::mqtt
