// Receipts: which QoS 2 packet identifiers of a session name a message that the broker took and the client has not
// released yet (MQTT 5.0 section 4.3.3). A PUBLISH with one of them is a repetition, on whichever connection it comes:
// the identifier counts from the moment the message is taken, not from its PUBREC, which may wait for a disk and be
// lost with its connection.
//
// While it is not known whether the message is kept, the receipt is *awaited*, and holds the ticket of the publish; a
// repetition meanwhile waits for the same answer. A message that was refused has none any more: sent again, it is new.
//
// Bounds: an identifier that is kept costs a bit, at most 8 KiB a session, nothing when all are released. Receipts that
// are awaited are as many as the broker lets wait (Limits::pending_max).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mqtt/intake.h"

namespace verge::mqtt {

class Receipts {
 public:
  enum class State { kNone, kAwaited, kKept };

  [[nodiscard]] State state(uint16_t packet_id) const;
  // A message was taken under this identifier, whatever the identifier named before; `ticket` is to be settled.
  void begin(uint16_t packet_id, const AckTicket& ticket);
  // A repetition of one that is awaited came: its ticket replaces that of an earlier repetition, whose connection is
  // gone.
  void repeat(uint16_t packet_id, const AckTicket& ticket);
  // The answer to the publish of `ticket`. Nothing, unless the receipt still is that publish's and a repetition waits:
  // then the ticket of that, which the same answer is for.
  std::optional<AckTicket> settle(uint16_t packet_id, const AckTicket& ticket, bool kept);
  // A message that is kept was taken under it, as the log says after a restart.
  void restore(uint16_t packet_id) { keep(packet_id); }
  // PUBREL: the identifier is free again. False when it named nothing.
  bool release(uint16_t packet_id);

  [[nodiscard]] size_t awaited() const { return awaited_.size(); }
  // Those that await a publish of this connection: (ticket number, identifier).
  [[nodiscard]] std::vector<std::pair<uint64_t, uint16_t>> awaited_of(uint64_t connection) const;

 private:
  struct Awaited {
    AckTicket ticket;
    std::optional<AckTicket> repeated;
  };

  [[nodiscard]] bool is_kept(uint16_t packet_id) const;
  void keep(uint16_t packet_id);
  bool forget_kept(uint16_t packet_id);

  std::unordered_map<uint16_t, Awaited> awaited_;
  std::vector<uint64_t> kept_;  // a bit an identifier, up to the highest kept
  size_t kept_count_ = 0;
};

}  // namespace verge::mqtt
