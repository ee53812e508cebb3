#include "spool/batch_reader.h"

#include <algorithm>

#include "spool/batch.h"
#include "spool/spool.h"

namespace verge::spool {

RecordReader& BatchReader::reader_of(Priority stream) {
  std::unique_ptr<RecordReader>& reader = readers_[static_cast<size_t>(stream)];
  if (!reader) {
    reader = std::make_unique<RecordReader>(file_system_, Spool::stream_directory(spool_directory_, stream), keys_);
  }
  return *reader;
}

PreparedBatch BatchReader::read(const SendPlan::Stretch& stretch, const BatchLimits& limits, const Seen& seen) {
  const MonotonicTime start = clock_.monotonic();
  // A batch is of one life.
  const Lives::Part life = sender_.lives.part_of(stretch.stream, stretch.sequences.begin);
  PreparedBatch batch{.stretch = stretch, .end = std::min(stretch.sequences.end, life.end)};
  RecordReader& reader = reader_of(stretch.stream);
  reader.seek(stretch.sequences.begin);
  const Duration ttl = ttl_[static_cast<size_t>(stretch.stream)];
  const uint32_t now_s = age_clock_.seconds(start);
  BatchBuilder builder({sender_.node, life.id, stretch.stream, sender_.name, limits.floor});
  while (true) {
    const Result<std::optional<RecordReader::Numbered>> read = reader.next(batch.end);
    if (!read) {
      batch.error = read.error();
      return batch;
    }
    const std::optional<RecordReader::Numbered>& next = *read;
    if (!next) break;
    const auto& [sequence, age_s, record] = *next;
    if (ttl > Duration(0) && std::chrono::seconds(now_s - std::min(age_s, now_s)) > ttl) {
      ++batch.expired;
      continue;
    }
    if (builder.count() > 0 && (builder.count() >= stretch.records_max || builder.count() >= kBatchRecordsTarget ||
                                builder.bytes() + record.event.size() > limits.bytes)) {
      reader.unread();
      batch.end = sequence;
      break;
    }
    if (builder.count() == 0) {
      batch.first_record = sequence;
      batch.first_event = record.event;
    }
    builder.add(sequence, record.event);
    if (seen) seen(stretch.stream, sequence, record.event);
  }
  batch.damaged = reader.take_damaged();
  batch.records = builder.count();
  batch.event_bytes = builder.bytes();
  if (builder.count() > 0) batch.body = Payload(builder.take(limits.level));
  batch.took = clock_.monotonic() - start;
  return batch;
}

}  // namespace verge::spool
