#include "spool/child_batch.h"

#include <fmt/format.h>

#include "model/event.h"

namespace verge::spool {
namespace {

ChildBatch::Fate fate_of(Submission::Fate fate) {
  switch (fate) {
    case Submission::Fate::kStored:
      return ChildBatch::Fate::kStored;
    case Submission::Fate::kKnown:
      return ChildBatch::Fate::kKnown;
    case Submission::Fate::kDropped:
      return ChildBatch::Fate::kDropped;
    case Submission::Fate::kRefused:
      break;
  }
  return ChildBatch::Fate::kRefused;
}

}  // namespace

UnpackedBatch unpack_batch(std::string_view body, const NodeId& self) {
  UnpackedBatch made;
  const Result<Batch> batch = Batch::parse(body);
  if (!batch) {
    made.error = batch.error();
    return made;
  }
  if (batch->header.node == self) {
    made.error = {"uplink.loop", "the batch comes from this very node", "set parent.url to another node"};
    made.status = 409;
    return made;
  }
  made.batch.header = batch->header;
  for (const Batch::Record& record : batch->records) {
    EventView event = record.event;
    // An event that comes back to where it entered: the parents form a circle, or changed places. To take it could be
    // for ever, to say that it is stored would lose it: its sender sets it aside.
    if (event.has_origin && event.origin_node == self) {
      made.has_circle = true;
      made.status = 422;
      made.error = {"uplink.circle", "events of this very node are in the batch: its parents form a circle",
                    "set parent.url so that the topmost node has none, then replay the dead letters"};
      return made;
    }
    if (!event.has_origin) {
      event.has_origin = true;
      event.origin_node = batch->header.node;
      event.origin_name = batch->header.name;
      event.origin_sequence = record.sequence;
    }
    ChildBatch::Record& kept = made.batch.records.emplace_back();
    kept.sequence = record.sequence;
    append_event(kept.event, event);
  }
  return made;
}

Submission submission_of(ChildBatch& batch) {
  Submission submission;
  submission.floor_source = batch.header.source();
  submission.floor = batch.header.floor;
  submission.items.reserve(batch.records.size());
  for (ChildBatch::Record& record : batch.records) {
    submission.items.push_back({.priority = batch.header.stream,
                                .source = submission.floor_source,
                                .source_sequence = record.sequence,
                                .event = std::move(record.event)});
  }
  return submission;
}

void take_fates(ChildBatch& batch, Submission stored) {
  for (size_t i = 0; i < stored.items.size(); ++i) {
    batch.records[i].event = std::move(stored.items[i].event);
    batch.fates.push_back(fate_of(stored.fates[i]));
  }
  batch.error = std::move(stored.error);
}

BatchAnswer answer_to(const ChildBatch& stored) {
  size_t fresh = 0;
  size_t known = 0;
  for (const ChildBatch::Fate fate : stored.fates) {
    if (fate == ChildBatch::Fate::kRefused) {
      // What is too large stays so: the child sets it aside, and the rest goes on.
      if (stored.error.code.ends_with(".too-large")) return {.status = 413, .body = {}, .problem = stored.error};
      return {.status = 503, .body = {}, .problem = stored.error, .later = true};
    }
    const bool kept = fate == ChildBatch::Fate::kStored || fate == ChildBatch::Fate::kLater;
    (kept ? fresh : known) += 1;
  }
  return {.body = fmt::format(R"({{"durable":true,"stored":{},"known":{}}})", fresh, known), .problem = {}};
}

}  // namespace verge::spool
