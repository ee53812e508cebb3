// Commit: one message on its way to be made durable for the sessions that it waits for, on whichever loops, together
// with the receipt that its publisher is owed. Each loop that takes part names its own sessions; the last of them
// submits the whole. The loop that retains the message takes part too: it submits that first. (A record a loop was the
// alternative: after a crash between two of them the publisher would send again what some of its subscribers have.)
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "mqtt/intake.h"
#include "mqtt/message.h"
#include "mqtt/session_image.h"

namespace verge::mqtt {

struct Commit {
  Commit(MessagePointer committed, size_t loops) : message(std::move(committed)), targets(loops) {}

  const MessagePointer message;
  AckTicket ticket;              // answered once, whatever becomes of it; number 0: nobody waits
  uint64_t receipt_session = 0;  // 0: no receipt is owed
  uint16_t receipt = 0;
  std::string also;                                // records that are to become durable with it
  std::vector<std::vector<StoredTarget>> targets;  // by loop, each written there
  // It is answered when what was submitted before by a loop that took part is durable.
  bool awaits_retained = false;
  std::atomic<bool> is_refused{false};  // it cannot be retained
  std::atomic<size_t> parts{1};         // that are not named yet
};

}  // namespace verge::mqtt
