// NatsOverflow: the overflow's stream over libnats.
//
// For the .cc files of this folder only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "jetstream/nats_connection.h"
#include "jetstream/nats_setup.h"
#include "jetstream/overflow_stream.h"

namespace verge::jetstream {

class NatsOverflow final : public OverflowStream {
 public:
  // `stream`: the name of the stream that it belongs to.
  NatsOverflow(std::shared_ptr<NatsConnection> connection, StreamSetup setup, std::string stream)
      : connection_(std::move(connection)), setup_(std::move(setup)), stream_(std::move(stream)) {}

  Result<void> prepare(Duration wait) override;
  Publication add(const std::string& subject, const std::string& body, Duration wait) override;
  Result<OverflowState> state(Duration wait) override;
  Result<bool> holds(const std::string& subject, Duration wait) override;
  Result<std::optional<std::string>> get(uint64_t sequence, Duration wait) override;
  Result<void> remove(uint64_t sequence, Duration wait) override;
  Result<bool> keep_apart(Duration wait) override;

 private:
  struct Seen {
    OverflowState state;
    std::string leader;  // the server's name; empty: none
  };
  Result<void> check_connection() const;
  [[nodiscard]] Result<Seen> look_at(const std::string& stream, Duration wait) const;

  const std::shared_ptr<NatsConnection> connection_;
  const StreamSetup setup_;
  const std::string stream_;
  bool checked_ = false;  // it was there, and as it must be, since the last failure
};

}  // namespace verge::jetstream
