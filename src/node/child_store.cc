#include "node/child_store.h"

#include "jetstream/stream_store.h"
#include "model/event.h"
#include "spool/batch.h"

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
    case jetstream::Batch::Fate::kOverflowed:
      return ChildBatch::Fate::kLater;
    case jetstream::Batch::Fate::kRefused:
      break;
  }
  return ChildBatch::Fate::kRefused;
}

jetstream::Batch::Encode encode_with(const spool::BatchHeader& header) {
  return [header](std::span<const jetstream::Batch::Record* const> records, uint64_t floor) {
    spool::BatchHeader stated = header;
    stated.floor = floor;
    spool::BatchBuilder builder(std::move(stated));
    for (const jetstream::Batch::Record* record : records) builder.add(record->sequence, record->event);
    return builder.take(kStreamCompression);
  };
}

jetstream::Batch batch_of(const spool::BatchHeader& header) {
  return {.node = header.node,
          .incarnation = header.incarnation,
          .stream = header.stream,
          .floor = header.floor,
          .encode = encode_with(header)};
}

void take_back(ChildBatch& batch, jetstream::Batch stored) {
  for (size_t i = 0; i < stored.records.size(); ++i) {
    batch.records[i].event = std::move(stored.records[i].event);
    batch.fates.push_back(fate_of(stored.fates[i]));
  }
  batch.error = std::move(stored.error);
}

// Of a message in the overflow: what a parent that took it in put there.
Result<jetstream::Batch> read_overflowed(std::string_view body) {
  const Result<spool::Batch> read = spool::Batch::parse(body);
  if (!read) return std::unexpected(read.error());
  jetstream::Batch batch = batch_of(read->header);
  batch.records.reserve(read->records.size());
  for (const spool::Batch::Record& record : read->records) {
    append_event(batch.records.emplace_back(record.sequence).event, record.event);
  }
  return batch;
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
  jetstream::Batch appended = batch_of(batch.header);
  appended.records.reserve(batch.records.size());
  for (ChildBatch::Record& record : batch.records) {
    appended.records.push_back({record.sequence, std::move(record.event)});
  }
  stream_.submit(std::move(appended), loop,
                 [batch = std::move(batch), done = std::move(done)](jetstream::Batch stored) mutable {
                   take_back(batch, std::move(stored));
                   done(std::move(batch));
                 });
}

void StreamedChildren::when_moved(Moved moved) {
  stream_.begin_moving(
      read_overflowed, [moved = std::move(moved)](jetstream::Batch stored, jetstream::StreamStore::Finished finished) {
        ChildBatch batch;
        batch.header = {.node = stored.node, .incarnation = stored.incarnation, .stream = stored.stream, .name = {}};
        batch.records.resize(stored.records.size());
        for (size_t i = 0; i < stored.records.size(); ++i) batch.records[i].sequence = stored.records[i].sequence;
        take_back(batch, std::move(stored));
        moved(std::move(batch), std::move(finished));
      });
}

std::string StreamedChildren::not_ready() const {
  return stream_.reachable() ? "" : "the JetStream stream cannot be used: see the log";
}

}  // namespace verge::node
