#include "mqtt/session_journal.h"

#include <utility>

#include <pthread.h>

#include "base/log.h"

namespace verge::mqtt {
namespace {

constexpr uint8_t kVersion = 2;
constexpr uint8_t kVersionBefore = 1;  // without wills and retained messages

}  // namespace

Clocks SessionJournal::clocks() const {
  return {.wall_us = clock_.wall().microseconds, .monotonic = clock_.monotonic()};
}

Result<std::unique_ptr<SessionJournal>> SessionJournal::open(storage::FileSystem& file_system,
                                                             const std::string& directory, const storage::KeyRing& keys,
                                                             const Clock& clock, uint64_t log_bytes_min) {
  auto opened = storage::Journal::open(file_system, directory, keys,
                                       {.area = "mqtt",
                                        .lost = "some of what sessions waited for is lost",
                                        .version = kVersion,
                                        .bytes_min = log_bytes_min});
  if (!opened) return std::unexpected(opened.error());
  std::unique_ptr<SessionJournal> journal(new SessionJournal(std::move(*opened), clock));
  const Clocks now = journal->clocks();
  const Result<void> replayed = journal->journal_->replay([&](uint8_t version, std::string_view records) {
    return (version == kVersion || version == kVersionBefore) && journal->image_.apply(records, {}, now);
  });
  if (!replayed) return std::unexpected(replayed.error());
  return journal;
}

void SessionJournal::renew() {
  {
    const std::lock_guard lock(mutex_);
    renewing_ = true;
  }
  wake_.notify_one();
}

void SessionJournal::start() {
  renewing_ = journal_->has_other_keys();
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
    if (renewing && journal_->has_other_keys()) is_behind_ = true;
    if (!group.empty() || (renewing && is_behind_)) commit(group);
    group.clear();
    if (stopping) return;
  }
}

// All or nothing of a group.
void SessionJournal::commit(std::vector<Waiting>& waiting) {
  Result<void> committed;
  if (is_behind_) committed = write_snapshot();
  if (committed)
    committed = journal_->append_group(waiting, [](const Waiting& one) { return std::string_view(one.batch.records); });
  if (committed) committed = journal_->sync();
  const Clocks now = clocks();
  for (const Waiting& entry : waiting) {
    if (committed || !entry.batch.is_publish) image_.apply(entry.batch.records, entry.batch.messages, now);
  }
  if (committed) {
    if (!waiting.empty()) commits_.add();
    if (journal_->is_long()) {
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

Result<void> SessionJournal::write_snapshot() {
  const Result<void> written = journal_->write_image(
      [this](const storage::Journal::Give& give) { image_.snapshot(storage::Journal::kFrameBytes, clocks(), give); });
  if (!written) return written;
  is_behind_ = false;
  snapshots_.add();
  return {};
}

}  // namespace verge::mqtt
