// NatsStream: a JetStream stream over libnats, the NATS project's C client. It is loaded by open()
// (nats_library.h): a node without this engine never maps it.
//
// Once there is a connection libnats keeps it, with threads of its own: after a break it goes round the servers until
// one answers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jetstream/stream.h"

namespace verge::jetstream {

struct NatsLibrary;

struct NatsOptions {
  std::vector<std::string> urls;  // "nats://host:port"
  std::string stream;             // its name
  uint64_t replicas = 3;
  std::string client;            // how the servers name this connection, for their operators
  std::string credentials_path;  // a .creds file; empty: none
  std::string token;             // empty: none
};

class NatsStream final : public Stream {
 public:
  // Does not connect yet: prepare() does. One at a time in a process. Errors: jetstream.library, jetstream.client.
  static Result<std::unique_ptr<NatsStream>> open(const NatsOptions& options);
  ~NatsStream() override;

  Result<void> prepare(Duration wait) override;
  Result<std::optional<LastMessage>> last(const std::string& subject, Duration wait) override;
  Publication publish(const Message& message, Duration wait) override;
  void pause(Duration duration) override;
  [[nodiscard]] size_t message_bytes_max() const override;

 private:
  struct Connection;

  explicit NatsStream(const NatsOptions& options);
  Result<void> connect();
  [[nodiscard]] bool connected() const;
  Result<void> make_stream();

  const NatsOptions options_;
  std::unique_ptr<NatsLibrary> library_;
  std::unique_ptr<Connection> connection_;
  bool checked_ = false;  // the stream was there, and as it must be, since the last failure
};

}  // namespace verge::jetstream
