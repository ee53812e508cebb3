#include "spool/spool.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/text.h"
#include "model/event.h"
#include "spool/cursors.h"
#include "spool/lost_end.h"
#include "spool/record.h"
#include "spool/record_reader.h"
#include "storage/cut_off.h"

namespace verge::spool {
namespace {

constexpr std::string_view kProbe = "/probe";  // for space; there for a moment
constexpr size_t kIncarnationBytesMax = 1024;
constexpr int kReadsMax = 3;
constexpr size_t kFrameBodyTarget = 4U << 20;  // a group larger than this becomes several frames
// Room for topic, device and origin beside the largest payload.
constexpr size_t kRecordBytesMax = kEventBytesMax + (1U << 20);
// What a record takes beside its event and its source.
constexpr size_t kRecordOverheadMax = 40;
constexpr uint64_t kSegmentsMin = 16;
constexpr uint64_t kSegmentBytesMin = 4U << 10;

// By which a letter that is replayed twice is recognised. It begins with another letter than the names of children and
// of devices.
std::string dead_letter_source(const NodeId& incarnation, Priority stream) {
  std::string name = "l";
  name.append(incarnation.view());
  name.push_back(static_cast<char>('0' + static_cast<int>(stream)));
  return name;
}

}  // namespace

struct Spool::Pending {
  Priority priority;
  FrameBuilder frame;
  struct Place {
    Submission* submission;
    size_t item;
    uint64_t sequence = 0;  // once it is written
  };
  std::vector<Place> places;
  std::vector<Place> written;  // appended, waiting for the sync
  std::optional<Error> error;  // why no more of this group is appended: what comes later is not to be stored before
};

std::vector<std::string> log_directories(const std::string& spool_directory) {
  std::vector<std::string> directories;
  for (const Priority stream : kPriorities) directories.push_back(Spool::stream_directory(spool_directory, stream));
  directories.push_back(Spool::dead_letter_directory(spool_directory));
  return directories;
}

std::string Spool::stream_directory(const std::string& spool_directory, Priority stream) {
  return fmt::format("{}/{}", spool_directory, name_of(stream));
}

// The last segment of each stream stays although all in it may be delivered: four of them must not fill the spool.
Spool::Spool(storage::FileSystem& file_system, std::string directory, storage::KeyRing& keys,
             const SpoolOptions& options)
    : file_system_(file_system),
      directory_(std::move(directory)),
      keys_(keys),
      options_(options),
      reserve_(file_system_, directory_ + "/reserve",
               std::min(options.segment_bytes, std::max(options.bytes_max / kSegmentsMin, kSegmentBytesMin))),
      ledger_(options.sources_max, options.stretches_max) {}

Result<std::unique_ptr<Spool>> Spool::open(storage::FileSystem& file_system, std::string directory,
                                           storage::KeyRing& keys, const SpoolOptions& options, Recovery& recovery) {
  if (const Result<void> made = file_system.make_directory(directory); !made) return std::unexpected(made.error());
  std::unique_ptr<Spool> spool(new Spool(file_system, std::move(directory), keys, options));
  // Before anything is touched.
  if (const Result<void> there = spool->check_keys(keys); !there) return std::unexpected(there.error());
  if (const Result<void> known = spool->read_incarnation(recovery); !known) return std::unexpected(known.error());
  spool->read_cursors(recovery);
  const Result<LedgerCoverage> covered = spool->read_ledger(recovery);
  if (!covered) return std::unexpected(covered.error());
  // What a process put in place that failed or was killed before its name was durable is read here and trusted:
  // segments go because of it.
  if (const Result<void> named = file_system.sync_directory(spool->directory_); !named) {
    return std::unexpected(named.error());
  }
  (void)file_system.remove(spool->directory_ + std::string(kProbe));  // where a process was killed meanwhile
  for (const std::string& log : log_directories(spool->directory_)) {
    if (const Result<void> made = spool->make_log_directory(log, recovery); !made) return std::unexpected(made.error());
  }
  if (const Result<void> made = spool->make_log_directory(spool->directory_ + "/reserve", recovery); !made) {
    return std::unexpected(made.error());
  }
  if (const Result<void> reserve = spool->reserve_.open(recovery.set_aside); !reserve)
    return std::unexpected(reserve.error());
  bool is_unused = true;
  for (const Priority priority : kPriorities) {
    const uint64_t through = (*covered)[static_cast<size_t>(priority)];
    Result<void> opened = spool->open_log(priority, through, recovery);
    if (opened) opened = spool->replay(priority, through);
    if (!opened) return std::unexpected(opened.error());
    is_unused = is_unused && spool->stream(priority).durable_end == 1;
  }
  spool->make_cursor_slots();
  if (const Result<void> opened = spool->open_dead_letters(recovery); !opened) return std::unexpected(opened.error());
  // Where nothing is left of what was, sequences begin anew, and with them the incarnation: the parent must not take
  // the new records for old ones.
  if (is_unused) {
    if (const Result<void> renewed = spool->new_incarnation(); !renewed) return std::unexpected(renewed.error());
  }
  if (const Result<void> begun = spool->begin_life(is_unused, recovery); !begun) return std::unexpected(begun.error());
  spool->renew_segments();
  return spool;
}

// What is in its place and is no directory is moved away: a start does not fail for it.
Result<void> Spool::make_log_directory(const std::string& path, Recovery& recovery) {
  const Result<void> made = file_system_.make_directory(path);
  if (made || made.error().code != "storage.foreign") return made;
  set_aside(path, made.error().what, recovery);
  return file_system_.make_directory(path);
}

Result<void> Spool::open_log(Priority priority, uint64_t covered, Recovery& recovery) {
  Stream& its = stream(priority);
  storage::SegmentedLog::Recovery found;
  Result<std::unique_ptr<storage::SegmentedLog>> log =
      storage::SegmentedLog::open(file_system_, stream_directory(directory_, priority), reserve_, keys_,
                                  std::max(its.delivered_end(), covered), found);
  if (!log) return std::unexpected(log.error());
  add_lost_at_end(found.damaged, found.readable_end, covered, its.delivered);
  recovery.damaged.insert(recovery.damaged.end(), found.damaged.begin(), found.damaged.end());
  recovery.set_aside.insert(recovery.set_aside.end(), found.set_aside.begin(), found.set_aside.end());
  its.log = std::move(*log);
  // The cursors may be from long before a kill: nothing was younger than what was stored last.
  if (found.readable_end) age_s_ = std::max(age_s_, found.readable_end->stamp);
  its.covered = covered;
  its.durable_end = its.log->next_sequence();
  // What is gone, or was never given, need not be waited for.
  its.delivered.insert({found.end, its.durable_end});
  for (const storage::DamagedRange& range : found.damaged) {
    its.delivered.insert({range.first_sequence, range.end_sequence});
  }
  its.delivered.insert({0, its.log->first_sequence()});
  return {};
}

Result<void> Spool::check_keys(const storage::KeyRing& keys) const {
  for (const std::string& log : log_directories(directory_)) {
    const Result<std::map<storage::KeyId, size_t>> needed = storage::keys_in_use(file_system_, log);
    if (!needed) return std::unexpected(needed.error());
    for (const auto& [key, segments] : *needed) {
      if (keys.has(key)) continue;
      return storage::missing_key(key, fmt::format("{} of the files in {}", segments, log), keys);
    }
  }
  return {};
}

Result<std::vector<Spool::Erased>> Spool::erase_key(storage::FileSystem& file_system, std::string directory,
                                                    storage::KeyRing& keys, const SpoolOptions& options,
                                                    storage::KeyId key, Recovery& recovery) {
  Spool spool(file_system, std::move(directory), keys, options);
  spool.read_cursors(recovery);
  const Result<LedgerCoverage> covered = spool.read_ledger(recovery);
  if (!covered) return std::unexpected(covered.error());
  if (const Result<void> reserve = spool.reserve_.open(recovery.set_aside); !reserve)
    return std::unexpected(reserve.error());
  std::vector<Erased> erased;
  for (const Priority priority : kPriorities) {
    Stream& its = spool.stream(priority);
    // Before the log says what is gone from its front.
    const IntervalSet delivered = its.delivered;
    const Result<void> opened = spool.open_log(priority, (*covered)[static_cast<size_t>(priority)], recovery);
    if (!opened) return std::unexpected(opened.error());
    const Result<std::vector<IntervalSet::Interval>> lost = its.log->erase(key);
    if (!lost) return std::unexpected(lost.error());
    for (const IntervalSet::Interval& range : *lost) {
      erased.push_back({name_of(priority), range, delivered.missing(range.begin, range.end)});
    }
  }
  storage::SegmentedLog::Recovery found;
  const Result<std::unique_ptr<storage::SegmentedLog>> letters =
      storage::SegmentedLog::open(file_system, dead_letter_directory(spool.directory_), spool.reserve_, keys, 1, found);
  if (!letters) return std::unexpected(letters.error());
  const Result<std::vector<IntervalSet::Interval>> lost = (*letters)->erase(key);
  if (!lost) return std::unexpected(lost.error());
  for (const IntervalSet::Interval& range : *lost) {
    erased.push_back({"dead letters", range, range.end - range.begin});
  }
  return erased;
}

Result<void> Spool::change_keys(const storage::Keys& keys) {
  storage::KeyRing fresh;
  Result<void> done = fresh.replace(keys);
  if (done) done = check_keys(fresh);
  if (done) done = keys_.replace(keys);
  if (!done) return done;
  reserve_.drop();  // it may have what was not encrypted
  renew_segments();
  return {};
}

// What cannot be done now is with the next append, or the next delivery.
void Spool::renew_segments() {
  (void)dead_letter_log_->renew();
  for (Stream& its : streams_) {
    const uint64_t begun = its.log->segments_begun();
    if (!its.log->renew() || its.log->segments_begun() == begun) continue;
    if (ledger_changed_ && !write_ledger()) continue;
    (void)free_delivered(its);
  }
}

std::string Spool::dead_letter_directory(const std::string& spool_directory) {
  return spool_directory + "/dead-letters";
}

Result<void> Spool::open_dead_letters(Recovery& recovery) {
  const std::string directory = dead_letter_directory(directory_);
  storage::SegmentedLog::Recovery found;
  auto log = storage::SegmentedLog::open(file_system_, directory, reserve_, keys_, 1, found);
  if (!log) return std::unexpected(log.error());
  recovery.damaged.insert(recovery.damaged.end(), found.damaged.begin(), found.damaged.end());
  recovery.set_aside.insert(recovery.set_aside.end(), found.set_aside.begin(), found.set_aside.end());
  dead_letter_log_ = std::move(*log);
  storage::LogReader reader(file_system_, directory, keys_);
  while (true) {
    const Result<std::optional<storage::FrameView>> read = reader.next(dead_letter_log_->next_sequence());
    if (!read) return std::unexpected(read.error());
    const std::optional<storage::FrameView>& frame = *read;
    if (!frame) break;
    dead_letters_ += frame->count;
  }
  for (storage::DamagedRange& range : reader.take_damaged()) {
    if (!range.may_be_unfinished) recovery.damaged.push_back(std::move(range));
  }
  return {};
}

Result<void> Spool::bury(const DeadLetter& letter) {
  std::string bytes;
  append_dead_letter(bytes, letter);
  if (dead_letter_log_->bytes() + bytes.size() > options_.bytes_max / kSegmentsMin) {
    return fail("spool.dead-letters-full",
                fmt::format("the dead letters have {} of {} bytes (a sixteenth of spool.bytes_max)",
                            dead_letter_log_->bytes(), options_.bytes_max / kSegmentsMin),
                "look at them (verge spool dlq ls), then replay or purge them");
  }
  FrameBuilder frame;
  frame.add({}, 0, bytes);
  Result<void> kept = dead_letter_log_->append(1, 0, frame.take(storage::kFrameHeaderBytes));
  if (kept) kept = dead_letter_log_->sync();
  if (!kept) return kept;
  ++dead_letters_;
  // It is kept. Should that not be noted, the record is sent again after the next start, and refused again.
  (void)delivered(letter.stream, {letter.sequence, letter.sequence + 1});
  return {};
}

// Where the disk is full, into the space that is held back: more than that becomes free by it.
Result<void> Spool::roll(storage::SegmentedLog& log) {
  Result<void> rolled = log.roll();
  if (rolled || rolled.error().code != "storage.full" || !reserve_.release()) return rolled;
  return log.roll();
}

// The new segment that stays says which sequences were used.
Result<uint64_t> Spool::discard(Priority priority) {
  Stream& its = stream(priority);
  const uint64_t undelivered = its.delivered.missing(1, its.durable_end);
  if (const Result<void> rolled = roll(*its.log); !rolled) return std::unexpected(rolled.error());
  // The ledger must know what the segments said before they go.
  if (ledger_changed_) {
    if (const Result<void> kept = write_ledger(); !kept) return std::unexpected(kept.error());
  }
  const Result<size_t> removed = its.log->remove_before(its.log->next_sequence());
  its.delivered.insert({0, its.log->first_sequence()});
  if (!removed) return std::unexpected(removed.error());
  if (const Result<void> gone = storage::remove_cut_off(file_system_, its.log->directory(), std::nullopt); !gone) {
    return std::unexpected(gone.error());
  }
  reserve_.drop();  // what became ready for new segments still holds the records
  // What is gone need not be noted as delivered: a start finds that it is gone. This is for who reads the cursors.
  if (const Result<void> noted = write_cursors(); !noted) return std::unexpected(noted.error());
  return undelivered;
}

Result<uint64_t> Spool::replay_dead_letters(std::vector<storage::DamagedRange>& damaged) {
  RecordReader reader(file_system_, dead_letter_directory(directory_), keys_);
  uint64_t replayed = 0;
  while (true) {
    const Result<std::optional<RecordReader::Numbered>> read = reader.next(dead_letter_log_->next_sequence());
    if (!read) return std::unexpected(read.error());
    const std::optional<RecordReader::Numbered>& found = *read;
    if (!found) break;
    const std::optional<DeadLetter> letter = read_dead_letter(found->record.event);
    if (!letter) continue;
    Submission submission;
    submission.items.push_back({.priority = letter->stream,
                                .source = dead_letter_source(incarnation_, letter->stream),
                                .source_sequence = letter->sequence,
                                .event = letter->event});
    std::vector<Submission*> group{&submission};
    commit(group);
    if (submission.fates[0] == Submission::Fate::kRefused) return std::unexpected(submission.error);
    ++replayed;
  }
  damaged = reader.take_damaged();
  if (const Result<void> forgotten = forget_dead_letters(); !forgotten) return std::unexpected(forgotten.error());
  return replayed;
}

Result<void> Spool::forget_dead_letters() {
  if (const Result<void> rolled = roll(*dead_letter_log_); !rolled) return rolled;
  const Result<size_t> removed = dead_letter_log_->remove_before(dead_letter_log_->next_sequence());
  if (!removed) return std::unexpected(removed.error());
  reserve_.drop();
  dead_letters_ = 0;
  return storage::remove_cut_off(file_system_, dead_letter_log_->directory(), std::nullopt);
}

// So that nothing of a start fails for it. Where it cannot be moved, what needs the place will say so.
void Spool::set_aside(const std::string& path, const std::string& why, Recovery& recovery) {
  if (const Result<std::string> now = file_system_.set_aside(path)) recovery.set_aside.push_back({path, *now, why});
}

// One failure to read is not enough to go without a file.
Result<std::string> Spool::read_patiently(const std::string& path, size_t bytes_max) {
  Result<std::string> content = file_system_.read_file(path, bytes_max);
  for (int again = 1; again < kReadsMax && !content && content.error().code == "storage.io"; ++again) {
    content = file_system_.read_file(path, bytes_max);
  }
  return content;
}

Result<void> Spool::read_incarnation(Recovery& recovery) {
  const std::string path = directory_ + "/incarnation";
  const Result<std::string> text = read_patiently(path, kIncarnationBytesMax);
  if (text) {
    if (const auto id = NodeId::parse(trim(*text))) {
      incarnation_ = *id;
      return {};
    }
  } else if (text.error().code == "storage.missing") {
    return new_incarnation();
  } else if (text.error().code == "storage.permission") {
    return std::unexpected(text.error());
  }
  // What the parent knows records by are the lives.
  set_aside(path, text ? path + " does not hold an incarnation" : text.error().what, recovery);
  recovery.replaced.push_back(
      {"spool.incarnation-lost",
       fmt::format("{} cannot be read and was replaced: nothing is lost, but dead letters of which a part was replayed "
                   "are stored a second time when they are replayed again",
                   path),
       "look for what damaged the file (the disk, a copy that was cut short); verge spool fsck reads the rest"});
  return new_incarnation();
}

NodeId Spool::draw_identity() const {
  return options_.identities == nullptr ? NodeId::generate() : NodeId::draw(*options_.identities);
}

// Before anything is stored: from here on sequences are this life's.
Result<void> Spool::begin_life(bool is_fresh, Recovery& recovery) {
  Lives::Start start{.id = draw_identity(), .first_id = incarnation_, .is_fresh = is_fresh};
  for (size_t i = 0; i < kStreams; ++i) {
    start.next[i] = streams_[i].durable_end;
    // Not what the cursors say: a power cut can set them back, and what is here may be sent again.
    start.done[i] = streams_[i].log->first_sequence();
  }
  Result<Lives> lives = Lives::start(file_system_, directory_, start, recovery.replaced);
  if (!lives) return std::unexpected(lives.error());
  lives_ = std::move(*lives);
  return {};
}

Result<void> Spool::new_incarnation() {
  incarnation_ = draw_identity();
  return file_system_.replace_file(directory_ + "/incarnation", incarnation_.text() + "\n");
}

void Spool::read_cursors(Recovery& recovery) {
  const std::string path = Cursors::path(directory_);
  const Result<std::unique_ptr<storage::File>> file = file_system_.open(path, storage::OpenMode::kRead);
  if (!file && file.error().code == "storage.foreign") set_aside(path, file.error().what, recovery);
  std::optional<Cursors> found = Cursors::read(file_system_, directory_);
  if (!found) return;
  cursors_generation_ = found->generation;
  age_s_ = found->age_s;
  for (size_t i = 0; i < kStreams; ++i) streams_[i].delivered = std::move(found->delivered[i]);
}

// Two slots in turn, unsynced: a crash can set the cursors back, which the parent's ledger makes harmless.
// Both slots, so that noting what was delivered needs no space of a disk that is full by then.
void Spool::make_cursor_slots() {
  const std::string path = Cursors::path(directory_);
  const Result<std::unique_ptr<storage::File>> file = file_system_.open(path, storage::OpenMode::kRead);
  const Result<uint64_t> size = file ? (*file)->size() : 0;
  if (size && *size >= 2 * Cursors::kSlotBytes) return;
  for (int slot = 0; slot < 2; ++slot) (void)write_cursors();
}

Result<void> Spool::write_cursors() {
  if (!cursor_file_) {
    const std::string path = Cursors::path(directory_);
    Result<std::unique_ptr<storage::File>> file = file_system_.open(path, storage::OpenMode::kWrite);
    if (!file) file = file_system_.open(path, storage::OpenMode::kCreate);
    if (!file) return std::unexpected(file.error());
    cursor_file_ = std::move(*file);
  }
  Cursors cursors{.generation = ++cursors_generation_, .age_s = age_s_, .delivered = {}};
  for (size_t i = 0; i < kStreams; ++i) cursors.delivered[i] = streams_[i].delivered;
  return cursor_file_->write_at(cursors.generation % 2 * Cursors::kSlotBytes, cursors.slot());
}

// The snapshot, if there is a sound one; returns by stream up to which sequence it covers the log.
// Error storage.permission: it is there and sound for all that is known, but not to be read by this process.
Result<LedgerCoverage> Spool::read_ledger(Recovery& recovery) {
  const std::string path = Ledger::path(directory_);
  // To go without it is to take again what was taken before.
  const Result<std::string> content = read_patiently(path, Ledger::kFileBytesMax);
  if (!content && content.error().code == "storage.missing") return LedgerCoverage{};
  if (!content && content.error().code == "storage.permission") return std::unexpected(content.error());
  if (content) {
    if (const std::optional<LedgerCoverage> read = read_ledger_file(*content, ledger_)) return *read;
  }
  if (!content && content.error().code == "storage.foreign") set_aside(path, content.error().what, recovery);
  recovery.replaced.push_back(
      {"spool.ledger-lost",
       fmt::format("{} cannot be read ({}) and is made anew from the records that are here: what a child or a numbered "
                   "device sends again is stored twice where the record it repeats is no longer here",
                   path, content ? "its content is damaged" : content.error().what),
       "look for what damaged the file (the disk, a copy that was cut short); verge spool fsck reads the rest"});
  return {};
}

Result<void> Spool::write_ledger() {
  LedgerCoverage covered{};
  segments_at_snapshot_ = 0;
  for (size_t i = 0; i < kStreams; ++i) {
    covered[i] = streams_[i].durable_end;
    segments_at_snapshot_ += streams_[i].log->segments_begun();
  }
  const Result<void> written = file_system_.replace_file(Ledger::path(directory_), ledger_file(covered, ledger_));
  if (!written) return written;
  for (Stream& stream : streams_) stream.covered = stream.durable_end;
  ledger_changed_ = false;
  return {};
}

// Enters the records from `from` on into the ledger.
Result<void> Spool::replay(Priority priority, uint64_t from) {
  storage::LogReader reader(file_system_, stream_directory(directory_, priority), keys_);
  reader.seek(from);
  while (true) {
    const Result<std::optional<storage::FrameView>> read = reader.next(stream(priority).durable_end);
    if (!read) return std::unexpected(read.error());
    const std::optional<storage::FrameView>& frame = *read;
    if (!frame) return {};
    FrameRecords records(frame->body);
    while (const std::optional<StoredRecord> record = records.next()) {
      if (record->source.empty()) continue;
      ledger_.enter(record->source, record->source_sequence);
      ledger_changed_ = true;
    }
  }
}

void Spool::commit(std::vector<Submission*>& group) {
  std::array<Pending, kStreams> pending;
  for (const Priority priority : kPriorities) pending[static_cast<size_t>(priority)].priority = priority;

  make_room_on_disk(group);
  uint64_t bytes_held = bytes();
  uint64_t bytes_added = 0;
  for (Submission* submission : group) {
    submission->fates.assign(submission->items.size(), Submission::Fate::kRefused);
    if (submission->floor > 0) {
      ledger_.raise_floor(submission->floor_source, submission->floor);
      ledger_changed_ = true;
    }
    for (size_t i = 0; i < submission->items.size(); ++i) {
      const Submission::Item& item = submission->items[i];
      if (item.event.size() > kRecordBytesMax) {
        submission->error = {"spool.too-large",
                             fmt::format("a record has {} bytes, {} are allowed", item.event.size(), kRecordBytesMax),
                             "send it in parts"};
        continue;
      }
      // Before it is asked whether there is room: what is here already needs none.
      if (!item.source.empty() && ledger_.contains(item.source, item.source_sequence)) {
        (void)ledger_.enter(item.source, item.source_sequence);  // its source was used just now
        submission->fates[i] = Submission::Fate::kKnown;
        continue;
      }
      const uint64_t space = space_for(item.priority);
      if (item.event.size() > space) {
        submission->error = {
            "spool.too-large",
            fmt::format("a record has {} bytes, and the spool has room for {} (spool.bytes_max{})", item.event.size(),
                        space, item.priority == Priority::kCritical ? "" : " less spool.critical_reserve"),
            "raise spool.bytes_max, or send it in parts"};
        continue;
      }
      if (bytes_held + bytes_added + item.event.size() > space && may_drop(item.priority)) {
        settle(pending);
        bytes_added = 0;
        bytes_held = bytes();
        while (bytes_held + item.event.size() > space && make_room(item.priority)) bytes_held = bytes();
      }
      if (bytes_held + bytes_added + item.event.size() > space) {
        submission->error = {"spool.full",
                             fmt::format("the spool holds {} of {} bytes (spool.bytes_max{})", bytes_held, space,
                                         item.priority == Priority::kCritical ? "" : " less spool.critical_reserve"),
                             "raise spool.bytes_max, bring the parent back, or choose another when_full"};
        continue;
      }
      if (!item.source.empty()) {
        ledger_changed_ = true;
        if (ledger_.enter(item.source, item.source_sequence) == Ledger::Entry::kTooManyHoles) {
          submission->error = {"spool.holes", "too many sequences of this source are missing",
                               "send the missing ones first"};
          continue;
        }
      }
      if (is_thinned_out(item.priority, bytes_held + bytes_added)) {
        submission->fates[i] = Submission::Fate::kDropped;
        continue;
      }
      bytes_added += item.event.size();
      Pending& share = pending[static_cast<size_t>(item.priority)];
      share.frame.add(item.source, item.source_sequence, item.event);
      share.places.push_back({submission, i});
      if (share.frame.is_full(frame_body_target())) append_frame(share);
    }
  }
  settle(pending);
  // A repetition of what was refused in this very group is not stored either.
  for (Submission* submission : group) {
    for (size_t i = 0; i < submission->items.size(); ++i) {
      const Submission::Item& item = submission->items[i];
      if (submission->fates[i] == Submission::Fate::kKnown && !ledger_.contains(item.source, item.source_sequence)) {
        submission->fates[i] = Submission::Fate::kRefused;
        if (submission->error.code.empty()) {
          submission->error = {"storage.io", "the record that it repeats could not be stored", "send it again"};
        }
      }
    }
  }
  // A start reads the log since the last snapshot: keep that to about a segment.
  uint64_t begun = 0;
  for (const Stream& its : streams_) begun += its.log->segments_begun();
  if (begun > segments_at_snapshot_ + kStreams) (void)write_ledger();
}

// Where the disk is full before bytes_max is: begins the segments that the group needs, while nothing is written yet
// that a snapshot of the ledger must not know of. A stream that may drop does so, and critical records get what is held
// back. What finds no room all the same is refused when it is written.
void Spool::make_room_on_disk(const std::vector<Submission*>& group) {
  std::array<size_t, kStreams> needed{};
  for (const Submission* submission : group) {
    for (const Submission::Item& item : submission->items) {
      needed[static_cast<size_t>(item.priority)] += item.event.size() + item.source.size() + kRecordOverheadMax;
    }
  }
  for (const Priority priority : kPriorities) {
    const size_t bytes = std::min(needed[static_cast<size_t>(priority)], frame_body_target());
    if (bytes == 0) continue;
    storage::SegmentedLog& log = *stream(priority).log;
    const auto has_no_space = [&] {
      const Result<void> ready = log.make_room_for(bytes);
      return !ready && ready.error().code == "storage.full";
    };
    if (!has_no_space()) continue;
    if (priority == Priority::kCritical && reserve_.release() && !has_no_space()) continue;
    while (may_drop(priority) && make_room(priority) && has_no_space()) {
    }
  }
}

uint64_t Spool::space_for(Priority priority) const {
  if (priority == Priority::kCritical) return options_.bytes_max;
  const uint64_t reserve = options_.critical_reserve == 0 ? options_.bytes_max / 16 : options_.critical_reserve;
  return options_.bytes_max - std::min(reserve, options_.bytes_max);
}

size_t Spool::frame_body_target() const { return std::min<size_t>(kFrameBodyTarget, options_.segment_bytes); }

bool Spool::may_drop(Priority priority) const {
  const WhenFull policy = options_.streams[static_cast<size_t>(priority)].when_full;
  return policy == WhenFull::kDropOldest || policy == WhenFull::kDropLower;
}

// A segment's worth for the stream, as its policy says. False when nothing may go.
bool Spool::make_room(Priority priority) {
  switch (options_.streams[static_cast<size_t>(priority)].when_full) {
    case WhenFull::kDropOldest:
      return drop_oldest(priority);
    case WhenFull::kDropLower:
      for (size_t lower = kStreams - 1; lower > static_cast<size_t>(priority); --lower) {
        if (drop_oldest(static_cast<Priority>(lower))) return true;
      }
      return false;
    case WhenFull::kReject:
    case WhenFull::kDownsample:
      return false;
  }
  return false;
}

bool Spool::drop_oldest(Priority priority) {
  Stream& its = stream(priority);
  if (its.log->first_sequence() >= its.durable_end) return false;
  const uint64_t bytes_before = its.log->bytes();
  // The only one: on a full disk the file that is held back takes its place, until it can be held back itself.
  if (!its.log->can_remove_before(its.log->next_sequence())) (void)roll(*its.log);
  // The ledger must know what the segment said before it goes.
  std::optional<IntervalSet::Interval> gone;
  if (!ledger_changed_ || write_ledger()) gone = its.log->remove_oldest();
  reserve_.hold_back_ready();
  if (!gone) return false;
  // From its last record to the next segment there may be sequences that nothing ever had.
  its.dropped += its.delivered.missing(gone->begin, gone->end);
  its.delivered.insert({gone->begin, its.log->first_sequence()});
  return its.log->bytes() < bytes_before;
}

bool Spool::is_thinned_out(Priority priority, uint64_t held) {
  if (options_.streams[static_cast<size_t>(priority)].when_full != WhenFull::kDownsample) return false;
  const uint64_t space = space_for(priority);
  const uint64_t one_in = held >= space / 16 * 15 ? 8 : held >= space / 8 * 7 ? 4 : held >= space / 4 * 3 ? 2 : 1;
  Stream& its = stream(priority);
  if (its.sampled++ % one_in == 0) return false;
  ++its.dropped;
  return true;
}

void Spool::append_frame(Pending& share) {
  if (share.frame.count() == 0) return;
  if (share.error) {
    (void)share.frame.take(0);
    return refuse(share, *share.error);
  }
  const uint32_t count = share.frame.count();
  std::string frame = share.frame.take(storage::kFrameHeaderBytes);
  if (const Result<void> appended = stream(share.priority).log->append(count, age_s_, std::move(frame)); !appended) {
    share.error = appended.error();
    return refuse(share, *share.error);
  }
  uint64_t sequence = stream(share.priority).log->next_sequence() - count;
  for (Pending::Place& place : share.places) place.sequence = sequence++;
  share.written.insert(share.written.end(), share.places.begin(), share.places.end());
  share.places.clear();
}

// Stores what was gathered, or refuses it. Also before anything is dropped: with that goes a snapshot of the ledger,
// which must know of no record that is not durable.
void Spool::settle(std::array<Pending, kStreams>& pending) {
  for (Pending& share : pending) {
    append_frame(share);
    if (!share.written.empty()) make_durable(share);
  }
}

// Syncs what was written. After a failure, what filled a segment before may be durable all the same: that is stored,
// and would be there twice if it were refused and came again.
void Spool::make_durable(Pending& share) {
  Stream& its = stream(share.priority);
  const Result<void> synced = its.log->sync();
  its.durable_end = synced ? its.log->next_sequence() : std::max(its.durable_end, its.log->durable_end());
  for (const Pending::Place& place : std::exchange(share.written, {})) {
    if (place.sequence >= its.durable_end) {
      share.places.push_back(place);
      continue;
    }
    its.appended_bytes += place.submission->items[place.item].event.size();
    place.submission->fates[place.item] = Submission::Fate::kStored;
    place.submission->items[place.item].sequence = place.sequence;
  }
  if (synced) return;
  share.error = synced.error();
  refuse(share, *share.error);
}

void Spool::refuse(Pending& share, const Error& error) {
  for (const Pending::Place& place : share.places) {
    const Submission::Item& item = place.submission->items[place.item];
    if (!item.source.empty()) ledger_.withdraw(item.source, item.source_sequence);
    if (error.code == "storage.full") {
      uint64_t& lacked = stream(share.priority).lacked;
      lacked = std::max<uint64_t>(lacked, item.event.size() + item.source.size() + kRecordOverheadMax);
    }
    place.submission->fates[place.item] = Submission::Fate::kRefused;
    place.submission->error = error;
  }
  share.places.clear();
}

Result<void> Spool::delivered(Priority priority, IntervalSet::Interval sequences) {
  Stream& its = stream(priority);
  const uint64_t before = its.delivered_through();
  its.delivered.insert(sequences);
  // Space is given back whether that can be noted or not: what is gone need not be delivered.
  const Result<void> noted = write_cursors();
  const uint64_t through = its.delivered_through();
  if (through == before) return noted;
  // The last segment stays. When all in it is delivered and space is short, a new one takes its place.
  const bool is_short = is_short_of_space();
  if (is_short && through + 1 >= its.log->next_sequence()) (void)its.log->roll();
  // The ledger must know what the segments said before they go. Where space is not short they may wait until it does.
  if (ledger_changed_ && is_short && through >= its.covered && its.log->can_remove_before(through + 1)) {
    Result<void> kept = write_ledger();
    if (!kept && reserve_.ready() > 0) {
      // What is ready for new segments may be the space that it needs.
      reserve_.drop();
      kept = write_ledger();
    }
    if (!kept) return kept;
  }
  const Result<void> freed = free_delivered(its);
  return noted ? freed : noted;
}

// As far as the ledger knows what the segments said.
Result<void> Spool::free_delivered(Stream& its) {
  const uint64_t through = its.delivered_through();
  const uint64_t removable = ledger_changed_ ? std::min(through + 1, its.covered) : through + 1;
  if (const Result<size_t> removed = its.log->remove_before(removable); !removed) {
    return std::unexpected(removed.error());
  }
  return {};
}

bool Spool::needs_segment() const {
  size_t filling = 0;
  for (const Stream& its : streams_) filling += its.log->needs_next() ? 1 : 0;
  return !reserve_.holds_back() || reserve_.ready() < std::min(filling, storage::SegmentReserve::kReadyMax);
}

Result<void> Spool::checkpoint() {
  if (const Result<void> noted = write_cursors(); !noted) return noted;
  return write_ledger();
}

// Each stream that found none has a segment now with room for what it lacked, and for more than a few records.
bool Spool::has_begun_again() const {
  bool has_lacked = false;
  for (const Stream& its : streams_) {
    if (its.lacked == 0) continue;
    has_lacked = true;
    if (its.log->room() < std::max<uint64_t>(its.lacked, frame_body_target() / 4)) return false;
  }
  return has_lacked;
}

bool Spool::has_room() {
  if (bytes() + options_.bytes_max / kSegmentsMin > space_for(Priority::kLow)) return false;
  const bool room = reserve_.ready() > 0 || has_begun_again() || fits_on_disk();
  for (Stream& its : streams_) its.lacked = room ? 0 : its.lacked;
  return room;
}

// A segment more.
bool Spool::fits_on_disk() {
  const std::string path = directory_ + std::string(kProbe);
  Result<std::unique_ptr<storage::File>> file = file_system_.open(path, storage::OpenMode::kCreate);
  const bool room = file && (*file)->allocate(reserve_.segment_bytes());
  if (file) file->reset();
  return file_system_.remove(path) && room;
}

StreamState Spool::state(Priority priority) const {
  const Stream& its = streams_[static_cast<size_t>(priority)];
  return {its.delivered_through(), its.delivered.missing(1, its.durable_end),
          its.durable_end,         its.log->bytes(),
          its.appended_bytes,      its.dropped};
}

uint64_t Spool::bytes() const {
  uint64_t total = 0;
  for (const Stream& its : streams_) total += its.log->bytes();
  return total;
}

}  // namespace verge::spool
