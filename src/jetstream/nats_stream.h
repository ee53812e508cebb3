// NatsStream: a JetStream stream over libnats, the NATS project's C client. It is loaded by open()
// (nats_library.h): a node without this engine never maps it.
#pragma once

#include <memory>
#include <string>

#include "jetstream/nats_options.h"
#include "jetstream/overflow_stream.h"
#include "jetstream/stream.h"

namespace verge::jetstream {

class NatsConnection;

class NatsStream final : public Stream {
 public:
  // Does not connect yet: prepare() does. One at a time in a process. Errors: jetstream.library, jetstream.client.
  static Result<std::unique_ptr<NatsStream>> open(const NatsOptions& options);

  // The stream named `name` as its overflow, over the same connection; made with a limit of `bytes_max`.
  [[nodiscard]] std::unique_ptr<OverflowStream> overflow(const std::string& name, uint64_t bytes_max) const;

  Result<void> prepare(Duration wait) override;
  Result<std::optional<StoredMessage>> last(const std::string& subject, Duration wait) override;
  Result<std::optional<StoredMessage>> at(uint64_t sequence, Duration wait) override;
  Publication publish(const Message& message, Duration wait) override;
  void pause(Duration duration) override;
  [[nodiscard]] size_t message_bytes_max() const override;

 private:
  NatsStream(const NatsOptions& options, std::shared_ptr<NatsConnection> connection);
  Publication judged(Publication publication);
  Result<std::optional<StoredMessage>> judged(Result<std::optional<StoredMessage>> found);

  const NatsOptions options_;
  const std::shared_ptr<NatsConnection> connection_;
  bool checked_ = false;  // the stream was there, and as it must be, since the last failure
};

}  // namespace verge::jetstream
