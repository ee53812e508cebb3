// ChildStore: what the receiver of POST /v1/uplink needs of whoever keeps what children send. Two fulfil it: this
// node's spool (store.engine = "log"), and a JetStream stream that several parents share ("nats").
#pragma once

#include <functional>
#include <string>

#include "jetstream/stream_store.h"
#include "runtime/loop.h"
#include "spool/child_batch.h"
#include "spool/spool_writer.h"

namespace verge::node {

using spool::ChildBatch;

class ChildStore {
 public:
  using Done = std::move_only_function<void(ChildBatch)>;
  virtual ~ChildStore() = default;

  // From any thread. Stores each record that is not stored yet; `done` runs on `loop` once all that was not refused
  // cannot be lost. Refusals carry the store's own error.
  virtual void store(ChildBatch batch, runtime::Loop& loop, Done done) = 0;
  // Why nothing can be stored at present; empty when it can. From any thread.
  [[nodiscard]] virtual std::string not_ready() const = 0;
};

// In this node's logs: stored is durable here.
class SpooledChildren final : public ChildStore {
 public:
  explicit SpooledChildren(spool::SpoolWriter& spool) : spool_(spool) {}
  void store(ChildBatch batch, runtime::Loop& loop, Done done) override;
  [[nodiscard]] std::string not_ready() const override { return {}; }  // the node looks at its spool itself

 private:
  spool::SpoolWriter& spool_;
};

// On a JetStream stream: stored is acknowledged by it (docs/jetstream.md).
class StreamedChildren final : public ChildStore {
 public:
  explicit StreamedChildren(jetstream::StreamStore& stream) : stream_(stream) {}
  void store(ChildBatch batch, runtime::Loop& loop, Done done) override;
  [[nodiscard]] std::string not_ready() const override;

 private:
  jetstream::StreamStore& stream_;
};

}  // namespace verge::node
