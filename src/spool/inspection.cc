#include "spool/inspection.h"

#include <fmt/format.h>

#include "base/text.h"
#include "model/node_id.h"
#include "spool/cursors.h"
#include "spool/lost_end.h"
#include "spool/record_reader.h"
#include "spool/spool.h"

namespace verge::spool {

Result<Inspection> Inspection::open(storage::FileSystem& file_system, std::string spool_directory,
                                    const storage::KeyRing& keys) {
  if (!file_system.list(spool_directory)) {
    return fail("spool.none", fmt::format("there is no spool in {}", spool_directory),
                "name the node's data directory with --data-dir");
  }
  Inspection inspection(file_system, std::move(spool_directory), keys);
  if (std::optional<Cursors> cursors = Cursors::read(file_system, inspection.directory_)) {
    inspection.has_cursors_ = true;
    inspection.delivered_ = std::move(cursors->delivered);
  }
  const Result<std::string> incarnation = file_system.read_file(inspection.directory_ + "/incarnation", 1024);
  inspection.has_incarnation_ = incarnation && NodeId::parse(trim(*incarnation)).has_value();
  return inspection;
}

Result<SpoolContent> Inspection::content() {
  SpoolContent content{.has_cursors = has_cursors_, .has_incarnation = has_incarnation_};
  const Result<std::string> lives = file_system_.read_file(Lives::path(directory_), 2 * Lives::kSlotBytes);
  content.has_lives_file = lives || lives.error().code != "storage.missing";
  if (const std::optional<Lives> sound = lives ? Lives::parse(*lives) : std::nullopt)
    content.lives = sound->all().size();
  // Before the logs: what it covers is in them, whatever a running node adds meanwhile.
  const LedgerCoverage covered = read_ledger(content);
  for (const Priority stream : kPriorities) {
    StreamContent& its = content.streams[static_cast<size_t>(stream)];
    const IntervalSet& delivered = delivered_[static_cast<size_t>(stream)];
    const std::string directory = Spool::stream_directory(directory_, stream);
    const Result<std::vector<storage::SegmentFile>> files = storage::list_segments(file_system_, directory);
    if (!files) continue;  // never used
    its.segments = files->size();
    for (const storage::SegmentFile& file : *files) {
      if (const auto opened = file_system_.open(file.path, storage::OpenMode::kRead)) {
        its.bytes += (*opened)->size().value_or(0);
      }
    }
    RecordReader reader(file_system_, directory, keys_);
    while (true) {
      const Result<std::optional<RecordReader::Numbered>> read = reader.next(UINT64_MAX);
      if (!read) return std::unexpected(read.error());
      const std::optional<RecordReader::Numbered>& found = *read;
      if (!found) break;
      if (delivered.contains(found->sequence)) {
        ++its.delivered_records;
        continue;
      }
      ++its.records;
      ByteReader bytes(found->record.event);
      if (its.oldest) continue;
      if (const std::optional<EventView> event = read_event(bytes)) its.oldest = event->time;
    }
    its.damaged = reader.take_damaged();
    add_lost_at_end(its.damaged, reader.position(), covered[static_cast<size_t>(stream)], delivered);
  }
  RecordReader letters(file_system_, Spool::dead_letter_directory(directory_), keys_);
  while (true) {
    const Result<std::optional<RecordReader::Numbered>> next = letters.next(UINT64_MAX);
    if (!next && next.error().code == "storage.missing") break;
    if (!next) return std::unexpected(next.error());
    if (!*next) break;
    ++content.dead_letters;
  }
  content.damaged_dead_letters = letters.take_damaged();
  return content;
}

// By stream up to which sequence the ledger knows all.
LedgerCoverage Inspection::read_ledger(SpoolContent& content) {
  const std::string path = Ledger::path(directory_);
  const Result<std::string> bytes = file_system_.read_file(path, Ledger::kFileBytesMax);
  if (!bytes && bytes.error().code == "storage.missing") return {};
  if (!bytes) {
    content.ledger_problem = bytes.error();
    return {};
  }
  Ledger ledger(SIZE_MAX, SIZE_MAX);
  const std::optional<LedgerCoverage> covered = read_ledger_file(*bytes, ledger);
  content.has_ledger = covered.has_value();
  if (!covered) {
    content.ledger_problem = Error{"spool.ledger-lost", path + " is damaged", {}};
    return {};
  }
  content.ledger_sources = ledger.sources();
  content.ledger_stretches = ledger.stretches();
  return *covered;
}

Result<std::vector<SegmentContent>> Inspection::segments() {
  std::vector<SegmentContent> found;
  for (const Priority stream : kPriorities) {
    const std::string directory = Spool::stream_directory(directory_, stream);
    const Result<std::vector<storage::SegmentFile>> files = storage::list_segments(file_system_, directory);
    if (!files) continue;
    const size_t first = found.size();
    for (const storage::SegmentFile& file : *files) {
      SegmentContent segment{.stream = stream, .file = file};
      const auto opened = file_system_.open(file.path, storage::OpenMode::kRead);
      if (opened) {
        segment.file.bytes = (*opened)->size().value_or(0);
        const Result<std::optional<storage::SegmentHeader>> header = storage::read_segment_header(**opened);
        const std::optional<storage::SegmentHeader> sound = header ? *header : std::nullopt;
        if (sound) segment.file.key = sound->key;
      }
      found.push_back(segment);
    }
    size_t at = first;
    RecordReader reader(file_system_, directory, keys_);
    while (true) {
      const Result<std::optional<RecordReader::Numbered>> read = reader.next(UINT64_MAX);
      if (!read) return std::unexpected(read.error());
      const std::optional<RecordReader::Numbered>& next = *read;
      if (!next) break;
      while (at + 1 < found.size() && found[at + 1].file.first_sequence <= next->sequence) ++at;
      ++found[at].records;
      if (!delivered_[static_cast<size_t>(stream)].contains(next->sequence)) ++found[at].undelivered;
    }
  }
  return found;
}

Result<void> Inspection::for_each(std::optional<Priority> only,
                                  const std::function<bool(const InspectedRecord&)>& take) {
  for (const Priority stream : kPriorities) {
    if (only && *only != stream) continue;
    RecordReader reader(file_system_, Spool::stream_directory(directory_, stream), keys_);
    while (true) {
      const Result<std::optional<RecordReader::Numbered>> read = reader.next(UINT64_MAX);
      if (!read && read.error().code == "storage.missing") break;
      if (!read) return std::unexpected(read.error());
      const std::optional<RecordReader::Numbered>& found = *read;
      if (!found) break;
      ByteReader bytes(found->record.event);
      const std::optional<EventView> event = read_event(bytes);
      if (!event) continue;
      const InspectedRecord record{.stream = stream,
                                   .sequence = found->sequence,
                                   .is_delivered = delivered_[static_cast<size_t>(stream)].contains(found->sequence),
                                   .source = found->record.source,
                                   .source_sequence = found->record.source_sequence,
                                   .event = *event,
                                   .bytes = found->record.event};
      if (!take(record)) return {};
    }
  }
  return {};
}

Result<void> Inspection::for_each_dead_letter(const std::function<bool(const DeadLetter&)>& take) {
  RecordReader reader(file_system_, Spool::dead_letter_directory(directory_), keys_);
  while (true) {
    const Result<std::optional<RecordReader::Numbered>> read = reader.next(UINT64_MAX);
    if (!read && read.error().code == "storage.missing") return {};
    if (!read) return std::unexpected(read.error());
    const std::optional<RecordReader::Numbered>& found = *read;
    if (!found) return {};
    const std::optional<DeadLetter> letter = read_dead_letter(found->record.event);
    if (letter && !take(*letter)) return {};
  }
}

}  // namespace verge::spool
