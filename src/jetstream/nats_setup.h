// A stream as this folder needs it: looked up, made if it is not there, and refused if it is not as it must be
// (docs/formats/jetstream.md).
//
// For the .cc files of this folder only.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "jetstream/nats_connection.h"
#include "jetstream/stream.h"

namespace verge::jetstream {

struct StreamSetup {
  std::string name;  // also the first word of its subjects
  uint64_t replicas = 3;
  int64_t bytes_max = -1;                        // of one that is made; -1: none
  Duration make_wait = std::chrono::seconds(5);  // the servers agree on it among themselves
};

// Errors: jetstream.unreachable, jetstream.stream.
Result<void> prepare_stream(const NatsConnection& connection, const StreamSetup& setup, Duration wait);

// What the server says of its failing to answer for a stream.
std::unexpected<Error> no_answer(const NatsConnection& connection, const std::string& stream, natsStatus status);

// What became of a publish that was not acknowledged.
Publication failed_publication(const std::string& stream, natsStatus status, jsErrCode code, const std::string& why);

}  // namespace verge::jetstream
