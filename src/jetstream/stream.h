// Stream: what the appender needs of a JetStream stream. NatsStream is the one over libnats; tests have one of their
// own that loses answers and lets messages overtake each other.
//
// All calls may block, up to the wait that they are given, and come from one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace verge::jetstream {

// The headers of a message, and its place in the stream.
struct StoredMessage {
  uint64_t sequence = 0;
  std::string known;
  std::string attempt;
};

struct Message {
  std::string subject;
  uint64_t after = 0;         // the stream sequence of the subject's last message; 0: there is none
  std::string after_attempt;  // and its attempt, as the stream showed it
  std::string known;
  std::string attempt;
  std::string body;
};

struct Publication {
  enum class Outcome : uint8_t {
    kStored,     // at `sequence`, and acknowledged by the stream
    kTaken,      // not stored: another message follows `after`
    kUnheard,    // not stored: nobody was there to take it; may be tried again as it is
    kUncertain,  // no answer: it may be stored, now or later
    kRefused,    // not stored, and will not be
  };
  Outcome outcome = Outcome::kUncertain;
  uint64_t sequence = 0;
  Error error;  // unless it was stored
};

class Stream {
 public:
  virtual ~Stream() = default;

  // Whether the stream can be used: connected, there (it is made if it is not), and as it must be. Errors:
  // jetstream.unreachable, jetstream.stream.
  virtual Result<void> prepare(Duration wait) = 0;
  // What the stream's leader has; nothing when the subject has no message. Errors: jetstream.unreachable,
  // jetstream.stream.
  virtual Result<std::optional<StoredMessage>> last(const std::string& subject, Duration wait) = 0;
  // What is stored at that place; nothing where there is nothing. Errors likewise.
  virtual Result<std::optional<StoredMessage>> at(uint64_t sequence, Duration wait) = 0;
  virtual Publication publish(const Message& message, Duration wait) = 0;
  // Sleeps.
  virtual void pause(Duration duration) = 0;
  // The largest message that the servers take, headers and body together.
  [[nodiscard]] virtual size_t message_bytes_max() const = 0;
};

}  // namespace verge::jetstream
