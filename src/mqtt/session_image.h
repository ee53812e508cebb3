// SessionImage: what a node is to know of its MQTT sessions after a crash: who they are, what they subscribe to, which
// messages at QoS 1 and 2 they have not been done with, and which of a client's own publishes at QoS 2 were taken and
// not released. It is built by records, one for each thing that happens, and can be written as records again, which is
// how the log of them (SessionJournal) is kept short.
//
// Invariants: records name a session by a number that is never used again, so that one that comes late changes nothing;
// a message of a session is named by its number there, from which its packet identifier follows. Records may be applied
// twice, as long as all that followed is applied again too.
//
// Format: docs/formats/sessions.md. Times are on the clock on the wall there, on the monotonic clock here.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
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
};

// Both clocks at one moment.
struct Clocks {
  int64_t wall_us = 0;
  MonotonicTime monotonic{};
};

// Records, to be appended to a batch.
void append_opened(std::string& batch, const StoredSession& session);  // without what the last three members hold
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

class SessionImage {
 public:
  // Applies records in order. `messages`: those of the append_published() among them, in order, so that they are not
  // held twice; none: they are made from the records. False where a record is none: the rest is not applied.
  bool apply(std::string_view records, std::span<const MessagePointer> messages, const Clocks& clocks);

  // The whole as records, in batches of about `batch_bytes`.
  [[nodiscard]] std::vector<std::string> snapshot(size_t batch_bytes, const Clocks& clocks) const;

  [[nodiscard]] const std::unordered_map<uint64_t, StoredSession>& sessions() const { return sessions_; }

 private:
  StoredSession* find(uint64_t session);

  std::unordered_map<uint64_t, StoredSession> sessions_;
};

}  // namespace verge::mqtt
