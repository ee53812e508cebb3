// NatsConnection: a connection to NATS servers with JetStream, over libnats. Once there is one libnats keeps it, with
// threads of its own: after a break it goes round the servers until one answers.
//
// For the .cc files of this folder only: nobody else shall see libnats' header. Used by one thread.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "jetstream/nats_library.h"
#include "jetstream/nats_options.h"

namespace verge::jetstream {

// libnats takes no wait of 0.
int64_t milliseconds(Duration duration);

class NatsConnection {
 public:
  // Does not connect yet: establish() does. One at a time in a process. Errors: jetstream.library, jetstream.client.
  static Result<std::shared_ptr<NatsConnection>> open(const NatsOptions& options);
  NatsConnection(const NatsConnection&) = delete;
  NatsConnection& operator=(const NatsConnection&) = delete;
  ~NatsConnection();

  // Connects at first, and where libnats gave up because it may not log in. Errors: jetstream.unreachable.
  Result<void> establish();
  [[nodiscard]] bool connected() const;
  [[nodiscard]] size_t message_bytes_max() const;

  [[nodiscard]] const NatsLibrary& library() const { return *library_; }
  [[nodiscard]] natsConnection* connection() const { return connection_; }
  [[nodiscard]] jsCtx* context() const { return context_; }

 private:
  NatsConnection(const NatsOptions& options, std::unique_ptr<NatsLibrary> library);
  natsStatus configure();
  void drop();

  const NatsOptions wanted_;
  const std::unique_ptr<NatsLibrary> library_;
  natsOptions* options_ = nullptr;
  natsConnection* connection_ = nullptr;
  jsCtx* context_ = nullptr;
};

}  // namespace verge::jetstream
