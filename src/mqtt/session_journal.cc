#include "mqtt/session_journal.h"

#include <algorithm>
#include <utility>

#include <pthread.h>

#include "base/bytes.h"
#include "base/log.h"
#include "storage/frame.h"

namespace verge::mqtt {
namespace {

constexpr uint64_t kSegmentBytes = 4U << 20;
constexpr uint8_t kVersion = 2;
constexpr uint8_t kVersionBefore = 1;     // without wills and retained messages
constexpr size_t kFrameBytes = 1U << 20;  // about, of a frame's records

}  // namespace

SessionJournal::SessionJournal(storage::FileSystem& file_system, const std::string& directory,
                               const storage::KeyRing& keys, const Clock& clock, uint64_t log_bytes_min)
    : file_system_(file_system),
      directory_(directory + "/journal"),
      keys_(keys),
      clock_(clock),
      log_bytes_min_(log_bytes_min),
      reserve_(file_system, directory + "/reserve", kSegmentBytes) {}

Clocks SessionJournal::clocks() const {
  return {.wall_us = clock_.wall().microseconds, .monotonic = clock_.monotonic()};
}

Result<std::unique_ptr<SessionJournal>> SessionJournal::open(storage::FileSystem& file_system,
                                                             const std::string& directory, const storage::KeyRing& keys,
                                                             const Clock& clock, uint64_t log_bytes_min) {
  std::unique_ptr<SessionJournal> journal(new SessionJournal(file_system, directory, keys, clock, log_bytes_min));
  for (const std::string& path : {directory, directory + "/journal", directory + "/reserve"}) {
    if (const Result<void> made = file_system.make_directory(path); !made) return std::unexpected(made.error());
  }
  storage::SegmentedLog::Recovery found;
  if (const Result<void> reserve = journal->reserve_.open(found.set_aside); !reserve) {
    return std::unexpected(reserve.error());
  }
  auto log = storage::SegmentedLog::open(file_system, journal->directory_, journal->reserve_, keys, 1, found);
  if (!log) return std::unexpected(log.error());
  journal->log_ = std::move(*log);
  for (const storage::DamagedRange& range : found.damaged) {
    if (range.may_be_unfinished) continue;
    log_error("mqtt", "{} is damaged at byte {}: some of what sessions waited for is lost", range.path, range.offset);
  }
  if (const Result<void> replayed = journal->replay(); !replayed) return std::unexpected(replayed.error());
  return journal;
}

Result<void> SessionJournal::replay() {
  storage::LogReader reader(file_system_, directory_, keys_);
  const Clocks now = clocks();
  while (true) {
    const Result<std::optional<storage::FrameView>> read = reader.next(log_->next_sequence());
    if (!read) return std::unexpected(read.error());
    const std::optional<storage::FrameView>& frame = *read;
    if (!frame) return {};
    ByteReader in(frame->body);
    const auto version = in.fixed<uint8_t>();
    if ((version != kVersion && version != kVersionBefore) || !image_.apply(frame->body.substr(1), {}, now)) {
      log_error("mqtt", "{} holds records of another version; they are passed over", directory_);
    }
  }
}

void SessionJournal::renew() {
  {
    const std::lock_guard lock(mutex_);
    renewing_ = true;
  }
  wake_.notify_one();
}

void SessionJournal::start() {
  renewing_ = log_->has_other_keys();
  thread_ = std::thread([this] { run(); });
}

void SessionJournal::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void SessionJournal::submit(Batch batch, Done done) {
  const size_t bytes = batch.is_publish ? batch.records.size() : 0;
  {
    const std::lock_guard lock(mutex_);
    if (!batch.is_publish || (!stopping_ && publish_bytes_ + bytes <= kWaitingBytesMax)) {
      const bool wakes = waiting_.empty() || (batch.is_awaited && !urgent_);
      urgent_ |= batch.is_awaited;
      publish_bytes_ += bytes;
      waiting_.push_back({std::move(batch), std::move(done)});
      if (wakes) wake_.notify_one();
      return;
    }
  }
  if (done) done(false);
}

void SessionJournal::run() {
  pthread_setname_np(pthread_self(), "mqtt-sessions");
  std::vector<Waiting> group;
  while (true) {
    bool stopping = false;
    bool renewing = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return !waiting_.empty() || stopping_ || renewing_; });
      renewing = std::exchange(renewing_, false);
      if (!urgent_ && !stopping_ && !renewing) wake_.wait_for(lock, kPatience, [&] { return urgent_ || stopping_; });
      urgent_ = false;
      group.swap(waiting_);
      publish_bytes_ = 0;
      stopping = stopping_;
    }
    if (renewing && log_->has_other_keys()) is_behind_ = true;
    if (!group.empty() || (renewing && is_behind_)) commit(group);
    group.clear();
    if (stopping) return;
  }
}

Result<void> SessionJournal::append(std::string_view records) {
  std::string frame(storage::kFrameHeaderBytes, '\0');
  append_fixed(frame, kVersion);
  frame.append(records);
  if (const Result<void> room = log_->make_room_for(frame.size() - storage::kFrameHeaderBytes); !room) return room;
  return log_->append(1, 0, std::move(frame));
}

// All or nothing of a group.
void SessionJournal::commit(std::vector<Waiting>& waiting) {
  Result<void> committed;
  if (is_behind_) committed = write_snapshot();
  std::string records;
  for (size_t i = 0; i < waiting.size() && committed; ++i) {
    records.append(waiting[i].batch.records);
    if (records.size() < kFrameBytes && i + 1 < waiting.size()) continue;
    committed = append(records);
    records.clear();
  }
  if (committed) committed = log_->sync();
  const Clocks now = clocks();
  for (const Waiting& entry : waiting) {
    if (committed || !entry.batch.is_publish) image_.apply(entry.batch.records, entry.batch.messages, now);
  }
  if (committed) {
    if (!waiting.empty()) commits_.add();
    if (log_->bytes() > std::max(log_bytes_min_, kSnapshotFactor * snapshot_bytes_)) {
      if (const Result<void> written = write_snapshot(); !written) {
        log_warning("mqtt", "what sessions wait for cannot be written anew: {}", written.error().line());
      }
    }
  } else {
    is_behind_ = true;
    if (failed_.due(now.monotonic)) {
      log_error("mqtt", "what sessions wait for cannot be made durable: {}", committed.error().line());
    }
  }
  for (Waiting& entry : waiting) {
    if (entry.done) entry.done(committed.has_value());
  }
}

// In segments of its own: those before it go.
Result<void> SessionJournal::write_snapshot() {
  if (const Result<void> rolled = log_->roll(); !rolled) return rolled;
  const uint64_t begin = log_->next_sequence();
  const uint64_t before = log_->bytes();
  Result<void> appended;
  image_.snapshot(kFrameBytes, clocks(), [&](std::string_view batch) {
    appended = append(batch);
    return appended.has_value();
  });
  if (!appended) return appended;
  if (const Result<void> synced = log_->sync(); !synced) return synced;
  is_behind_ = false;
  snapshots_.add();
  snapshot_bytes_ = log_->bytes() - before;
  if (const Result<size_t> removed = log_->remove_before(begin); !removed) return std::unexpected(removed.error());
  return {};
}

}  // namespace verge::mqtt
