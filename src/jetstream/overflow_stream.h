// OverflowStream: what the overflow needs of a second JetStream stream. NatsOverflow is the one over libnats; tests
// have one of their own that loses answers.
//
// All calls may block, up to the wait that they are given, and come from the thread that uses the Stream beside it.
// Errors, where nothing else is said: jetstream.unreachable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "jetstream/stream.h"

namespace verge::jetstream {

struct OverflowState {
  uint64_t first = 0;  // sequences of the first and the last message, and how many there are
  uint64_t last = 0;
  uint64_t messages = 0;
};

class OverflowStream {
 public:
  virtual ~OverflowStream() = default;

  // Whether it can be used: there (it is made if it is not), and as it must be. Errors: jetstream.stream too.
  virtual Result<void> prepare(Duration wait) = 0;
  // Puts a body at the end. Never kTaken.
  virtual Publication add(const std::string& subject, const std::string& body, Duration wait) = 0;
  virtual Result<OverflowState> state(Duration wait) = 0;
  // Whether a message is there on this subject.
  virtual Result<bool> holds(const std::string& subject, Duration wait) = 0;
  // The body of a message; nothing when it is not there any more.
  virtual Result<std::optional<std::string>> get(uint64_t sequence, Duration wait) = 0;
  // As good as done when it is not there any more.
  virtual Result<void> remove(uint64_t sequence, Duration wait) = 0;
  // Whether its leader and that of the stream it belongs to are on two servers. If they are not, its own is asked to
  // give up its office.
  virtual Result<bool> keep_apart(Duration wait) = 0;
};

}  // namespace verge::jetstream
