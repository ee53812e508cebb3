// ChildStore: what the receiver of POST /v1/uplink needs of whoever keeps what children send. Two fulfil it: this
// node's spool (store.engine = "log"), and a JetStream stream that several parents share ("nats").
#pragma once

#include <functional>
#include <string>

#include "runtime/loop.h"
#include "spool/child_batch.h"
#include "spool/spool_writer.h"

namespace verge::jetstream {
class StreamStore;
}

namespace verge::node {

using spool::ChildBatch;

class ChildStore {
 public:
  using Done = std::move_only_function<void(ChildBatch)>;
  // A batch that was durable and is stored by now; `finished` is to be called, on any thread, when rules have run over
  // what of it was new.
  using Moved = std::function<void(ChildBatch, std::function<void()> finished)>;
  virtual ~ChildStore() = default;

  // From any thread. Stores each record that is not stored yet; `done` runs on `loop` once all that was not refused
  // cannot be lost. Refusals carry the store's own error.
  virtual void store(ChildBatch batch, runtime::Loop& loop, Done done) = 0;
  // Who is given what of kLater was stored since. Once, before loops run; it is called on any thread.
  virtual void when_moved(Moved moved) = 0;
  // Why nothing can be stored at present; empty when it can. From any thread.
  [[nodiscard]] virtual std::string not_ready() const = 0;
};

// In this node's logs: stored is durable here.
class SpooledChildren final : public ChildStore {
 public:
  explicit SpooledChildren(spool::SpoolWriter& spool) : spool_(spool) {}
  void store(ChildBatch batch, runtime::Loop& loop, Done done) override;
  void when_moved(Moved) override {}                                   // all is stored at once
  [[nodiscard]] std::string not_ready() const override { return {}; }  // the node looks at its spool itself

 private:
  spool::SpoolWriter& spool_;
};

// On a JetStream stream: stored is acknowledged by it (docs/jetstream.md). While it has no leader, what is in its
// overflow is stored later.
class StreamedChildren final : public ChildStore {
 public:
  explicit StreamedChildren(jetstream::StreamStore& stream) : stream_(stream) {}
  void store(ChildBatch batch, runtime::Loop& loop, Done done) override;
  void when_moved(Moved moved) override;
  [[nodiscard]] std::string not_ready() const override;

 private:
  jetstream::StreamStore& stream_;
};

}  // namespace verge::node
