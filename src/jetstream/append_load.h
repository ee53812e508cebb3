// AppendLoad: a load of equal records for a JetStream stream of one server, to be measured beside this program's own
// log: publishes go out as fast as they are acknowledged, at most so many of them under way. Blocks; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace verge::jetstream {

struct AppendLoadOptions {
  std::string url;     // "nats://host:port"
  std::string stream;  // made if it is not there: one replica, file storage, its oldest messages go at 1 GiB
  size_t record_bytes = 256;
  size_t inflight = 1024;  // publishes that are not acknowledged yet
};

class AppendLoad {
 public:
  // Connects, and makes the stream. Errors: jetstream.library, jetstream.unreachable, jetstream.stream.
  static Result<std::unique_ptr<AppendLoad>> open(const AppendLoadOptions& options);
  ~AppendLoad();

  // Publishes for so long, then waits for what is under way, at most `wait`. Returns how many were published; all of
  // them were acknowledged by then, or there is an error: jetstream.unreachable, jetstream.stream.
  Result<uint64_t> run(Duration duration, Duration wait);

 private:
  struct Client;
  AppendLoad(const AppendLoadOptions& options, std::unique_ptr<Client> client);

  const AppendLoadOptions options_;
  std::unique_ptr<Client> client_;
};

}  // namespace verge::jetstream
