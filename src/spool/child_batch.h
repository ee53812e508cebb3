// ChildBatch: records of one stream of a child on their way through this node, from the body of POST /v1/uplink to the
// answer (docs/formats/uplink.md). What is done with it in which order is the Reception's to say.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/node_id.h"
#include "spool/batch.h"
#include "spool/spool.h"

namespace verge::spool {

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
    kLater,    // durable; it is stored by and by, and rules run over it then
  };

  BatchHeader header;
  std::vector<Record> records;

  // Filled by the store: one fate a record, and the reason if any was refused.
  std::vector<Fate> fates;
  Error error;
};

// A body unpacked, or why it cannot be.
struct UnpackedBatch {
  ChildBatch batch;
  bool has_circle = false;  // an event came back to where it entered
  std::optional<Error> error;
  int status = 400;  // with the error
};

// `self`: the id of this node.
UnpackedBatch unpack_batch(std::string_view body, const NodeId& self);

// What the spool is to make durable for the batch; its events move there, and back with take_fates().
Submission submission_of(ChildBatch& batch);
void take_fates(ChildBatch& batch, Submission stored);

// What the child is told.
struct BatchAnswer {
  int status = 200;
  std::string body;    // of a 200
  Error problem;       // of any other
  bool later = false;  // it should send the batch again
};
BatchAnswer answer_to(const ChildBatch& stored);

}  // namespace verge::spool
