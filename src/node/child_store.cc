#include "node/child_store.h"

namespace verge::node {
namespace {

// What comes in was compressed by the child, what is stored is small beside it: speed counts.
constexpr int kStreamCompression = 1;

ChildBatch::Fate fate_of(jetstream::Batch::Fate fate) {
  switch (fate) {
    case jetstream::Batch::Fate::kAppended:
      return ChildBatch::Fate::kStored;
    case jetstream::Batch::Fate::kKnown:
      return ChildBatch::Fate::kKnown;
    case jetstream::Batch::Fate::kRefused:
      break;
  }
  return ChildBatch::Fate::kRefused;
}

}  // namespace

void SpooledChildren::store(ChildBatch batch, runtime::Loop& loop, Done done) {
  spool::Submission submission = spool::submission_of(batch);
  spool_.submit(std::move(submission), loop, spool::Urgency::kAwaited,
                [batch = std::move(batch), done = std::move(done)](spool::Submission stored) mutable {
                  spool::take_fates(batch, std::move(stored));
                  done(std::move(batch));
                });
}

void StreamedChildren::store(ChildBatch batch, runtime::Loop& loop, Done done) {
  jetstream::Batch appended{.node = batch.header.node,
                            .incarnation = batch.header.incarnation,
                            .stream = batch.header.stream,
                            .floor = batch.header.floor};
  appended.records.reserve(batch.records.size());
  for (ChildBatch::Record& record : batch.records) {
    appended.records.push_back({record.sequence, std::move(record.event)});
  }
  appended.encode = [header = batch.header](std::span<const jetstream::Batch::Record* const> records) {
    spool::BatchBuilder builder(header);
    for (const jetstream::Batch::Record* record : records) builder.add(record->sequence, record->event);
    return builder.take(kStreamCompression);
  };
  stream_.submit(std::move(appended), loop,
                 [batch = std::move(batch), done = std::move(done)](jetstream::Batch stored) mutable {
                   for (size_t i = 0; i < stored.records.size(); ++i) {
                     batch.records[i].event = std::move(stored.records[i].event);
                     batch.fates.push_back(fate_of(stored.fates[i]));
                   }
                   batch.error = std::move(stored.error);
                   done(std::move(batch));
                 });
}

std::string StreamedChildren::not_ready() const {
  return stream_.reachable() ? "" : "the JetStream stream cannot be used: see the log";
}

}  // namespace verge::node
