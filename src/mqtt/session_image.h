// SessionImage: what a node is to know of its MQTT sessions after a crash: who they are, what they subscribe to, which
// messages at QoS 1 and 2 they have not been done with, which of a client's own publishes at QoS 2 were taken and not
// released, and their wills; and of the messages that are retained. It is built by records, one for each thing that
// happens, and can be written as records again, which is how the log of them (SessionJournal) is kept short.
//
// Invariants: records name a session by a number that is never used again, so that one that comes late changes nothing;
// a message of a session is named by its number there, from which its packet identifier follows. Records may be applied
// twice, as long as all that followed is applied again too.
//
// Format: docs/formats/sessions.md. Times are on the clock on the wall there, on the monotonic clock here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "mqtt/message.h"
#include "mqtt/packet.h"

namespace verge::mqtt {

// A message as it waits for a session.
struct StoredTarget {
  uint64_t session = 0;
  uint64_t number = 0;
  uint8_t qos = 0;
  bool retain = false;
  std::vector<uint32_t> identifiers;
};

// What is to be published when a session's client goes without saying so.
struct StoredWill {
  Message message;  // its times are not looked at
  uint32_t delay_s = 0;
  std::optional<uint32_t> expiry_s;
};

struct StoredSession {
  struct Subscription {
    SubscriptionOptions options;
    uint32_t identifier = 0;
  };
  struct Waiting {
    MessagePointer message;  // null once received
    uint8_t qos = 0;
    bool retain = false;
    bool received = false;  // PUBREC came
    std::vector<uint32_t> identifiers;
  };

  uint64_t session = 0;  // never 0
  std::string client_id;
  std::string user;
  Version version = Version::k5;
  bool is_granted_in_part = false;
  uint32_t expiry_s = 0;
  int64_t left_us = 0;  // wall clock; 0: it was connected
  uint64_t last_number = 0;
  std::map<std::string, Subscription, std::less<>> subscriptions;
  std::map<uint64_t, Waiting> waiting;  // by number
  std::set<uint16_t> receipts;
  std::unique_ptr<StoredWill> will;
};

// One message a topic.
struct TopicHash {
  using is_transparent = void;
  size_t operator()(std::string_view topic) const { return hash64(topic); }
  size_t operator()(const MessagePointer& message) const { return hash64(message->topic); }
};
struct TopicEqual {
  using is_transparent = void;
  static std::string_view topic_of(std::string_view topic) { return topic; }
  static std::string_view topic_of(const MessagePointer& message) { return message->topic; }
  bool operator()(const auto& left, const auto& right) const { return topic_of(left) == topic_of(right); }
};
using MessagesByTopic = std::unordered_set<MessagePointer, TopicHash, TopicEqual>;
// In place of the one that the topic had.
void put(MessagesByTopic& messages, MessagePointer message);

// Both clocks at one moment.
struct Clocks {
  int64_t wall_us = 0;
  MonotonicTime monotonic{};
};

// Records, to be appended to a batch.
void append_opened(std::string& batch, const StoredSession& session);  // without what the last four members hold
void append_left(std::string& batch, uint64_t session, uint32_t expiry_s, int64_t left_us);
void append_ended(std::string& batch, uint64_t session);
void append_subscribed(std::string& batch, uint64_t session, std::string_view filter,
                       const StoredSession::Subscription& subscription);
void append_unsubscribed(std::string& batch, uint64_t session, std::string_view filter);
// A message for all its targets, together with the receipt of its publisher, if `receipt_session` is not 0.
void append_published(std::string& batch, const Message& message, std::span<const StoredTarget* const> targets,
                      uint64_t receipt_session, uint16_t receipt, const Clocks& clocks);
void append_received(std::string& batch, uint64_t session, uint64_t number);
void append_done(std::string& batch, uint64_t session, uint64_t number);
void append_released(std::string& batch, uint64_t session, uint16_t receipt);
// In place of an earlier one.
void append_will(std::string& batch, uint64_t session, const Message& message, uint32_t delay_s,
                 std::optional<uint32_t> expiry_s);
void append_will_gone(std::string& batch, uint64_t session);
// An empty payload: nothing is retained there any more.
void append_retained(std::string& batch, const Message& message, const Clocks& clocks);

class SessionImage {
 public:
  // Applies records in order. `messages`: those of the append_published() and append_retained() among them, in order,
  // so that they are not held twice; none: they are made from the records. False where a record is none: the rest is
  // not applied.
  bool apply(std::string_view records, std::span<const MessagePointer> messages, const Clocks& clocks);

  // The whole as records, in batches of about `batch_bytes`, each given to `take`, until that says false. Retained
  // messages that have expired go first.
  void snapshot(size_t batch_bytes, const Clocks& clocks, const std::function<bool(std::string_view batch)>& take);

  [[nodiscard]] const std::unordered_map<uint64_t, StoredSession>& sessions() const { return sessions_; }
  [[nodiscard]] const MessagesByTopic& retained() const { return retained_; }

 private:
  StoredSession* find(uint64_t session);

  std::unordered_map<uint64_t, StoredSession> sessions_;
  MessagesByTopic retained_;
};

}  // namespace verge::mqtt
