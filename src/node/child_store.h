// ChildStore: what the receiver of POST /v1/uplink needs of whoever keeps what children send. Two fulfil it: this
// node's spool (store.engine = "log"), and a JetStream stream that several parents share ("nats").
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "jetstream/stream_store.h"
#include "runtime/loop.h"
#include "spool/batch.h"
#include "spool/spool_writer.h"

namespace verge::node {

// Records of one stream of a child, and what became of each.
struct ChildBatch {
  struct Record {
    uint64_t sequence = 0;  // the child's; they rise
    std::string event;      // as append_event() wrote it, with its origin
  };
  enum class Fate : uint8_t {
    kStored,
    kKnown,
    kRefused,
    kDropped,  // not stored, by a policy of the store: done with
  };

  spool::BatchHeader header;
  std::vector<Record> records;

  // Filled by the store: one fate a record, and the reason if any was refused.
  std::vector<Fate> fates;
  Error error;
};

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
