#include "spool/spool_writer.h"

#include <chrono>
#include <map>

#include <pthread.h>

#include "base/log.h"

namespace verge::spool {
namespace {

size_t bytes_of(const Submission& submission) {
  size_t bytes = 0;
  for (const Submission::Item& item : submission.items) bytes += item.event.size() + sizeof(item);
  return bytes;
}

// The others concern one sender, not the node.
bool is_want_of_space(const Error& error) { return error.code == "spool.full" || error.code.starts_with("storage."); }

}  // namespace

SpoolWriter::SpoolWriter(std::unique_ptr<Spool> spool, size_t waiting_bytes_max, std::function<void()> grown)
    : spool_(std::move(spool)),
      waiting_bytes_max_(waiting_bytes_max),
      grown_(std::move(grown)),
      age_clock_(spool_->age(), std::chrono::steady_clock::now()) {
  for (const Priority stream : kPriorities) {
    delivered_at_start_[static_cast<size_t>(stream)] = spool_->delivered_of(stream);
  }
  publish_progress();
  thread_ = std::thread([this] { run(); });
  preparing_thread_ = std::thread([this] { prepare_segments(); });
}

void SpoolWriter::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  prepare_.notify_one();
  thread_.join();
  preparing_thread_.join();
}

void SpoolWriter::submit(Submission submission, runtime::Loop& loop, Urgency urgency, Done done) {
  const size_t bytes = bytes_of(submission);
  {
    const std::lock_guard lock(mutex_);
    // One is always taken: whatever its size, it can be stored some day.
    if (!stopping_ && (waiting_.empty() || waiting_bytes_ + bytes <= waiting_bytes_max_)) {
      waiting_bytes_ += bytes;
      waiting_.push_back({std::move(submission), &loop, std::move(done), bytes});
      const bool wakes = waiting_.size() == 1 || (urgency == Urgency::kAwaited && !urgent_);
      urgent_ |= urgency == Urgency::kAwaited;
      if (wakes) wake_.notify_one();
      return;
    }
  }
  submission.fates.assign(submission.items.size(), Submission::Fate::kRefused);
  submission.error = {"spool.busy", "the disk does not keep up with what is to be stored", "send less, or later"};
  loop.post([done = std::move(done), refused = std::move(submission)]() mutable { done(std::move(refused)); });
}

void SpoolWriter::delivered(Priority stream, IntervalSet::Interval sequences) {
  {
    const std::lock_guard lock(mutex_);
    delivered_[static_cast<size_t>(stream)].push_back(sequences);
    delivered_changed_ = true;
  }
  wake_.notify_one();
}

void SpoolWriter::bury(DeadLetter letter, runtime::Loop& loop, std::move_only_function<void(Result<void>)> done) {
  {
    const std::lock_guard lock(mutex_);
    burials_.push_back({std::move(letter), &loop, std::move(done)});
  }
  wake_.notify_one();
}

void SpoolWriter::change_keys(storage::Keys keys, std::move_only_function<void(Result<void>)> done) {
  {
    const std::lock_guard lock(mutex_);
    key_changes_.push_back({std::move(keys), std::move(done)});
  }
  wake_.notify_one();
}

void SpoolWriter::run() {
  pthread_setname_np(pthread_self(), "spool");
  std::vector<Waiting> group;
  while (true) {
    std::array<std::vector<IntervalSet::Interval>, kStreams> delivered;
    std::vector<Burial> burials;
    std::vector<KeyChange> key_changes;
    bool delivered_changed = false;
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      const auto something = [&] {
        return !waiting_.empty() || !burials_.empty() || !key_changes_.empty() || delivered_changed_ || stopping_;
      };
      // While it is full it is woken for every probe, and otherwise only for work.
      if (full_) {
        wake_.wait_until(lock, next_probe_, something);
      } else {
        wake_.wait(lock, something);
      }
      if (!urgent_ && !waiting_.empty() && !delivered_changed_) {
        wake_.wait_for(lock, kPatience, [&] { return urgent_ || stopping_; });
      }
      urgent_ = false;
      group.swap(waiting_);
      waiting_bytes_ = 0;
      delivered.swap(delivered_);
      burials.swap(burials_);
      key_changes.swap(key_changes_);
      delivered_changed = std::exchange(delivered_changed_, false);
      stopping = stopping_;
    }
    if (full_ && std::chrono::steady_clock::now() >= next_probe_) probe_space();
    // First: whoever asked for another key wants no record more under the old one.
    for (KeyChange& change : key_changes) change.done(spool_->change_keys(change.keys));
    if (!key_changes.empty()) publish_progress();
    if (!group.empty()) commit(group);
    group.clear();
    if (delivered_changed) {
      for (const Priority stream : kPriorities) {
        for (const IntervalSet::Interval& sequences : delivered[static_cast<size_t>(stream)]) {
          const Result<void> noted = spool_->delivered(stream, sequences);
          if (!noted) log_warning("spool", "{}", noted.error().line());
        }
        awaited_.delivered_through(stream, spool_->state(stream).delivered_through);
      }
      publish_progress();
    }
    bury(burials);
    if (stopping) break;
  }
  if (const Result<void> kept = spool_->checkpoint(); !kept) log_warning("spool", "{}", kept.error().line());
}

void SpoolWriter::commit(std::vector<Waiting>& waiting) {
  const auto start = std::chrono::steady_clock::now();
  spool_->set_age(age_clock_.seconds(start));
  std::vector<Submission*> group;
  group.reserve(waiting.size());
  for (Waiting& entry : waiting) group.push_back(&entry.submission);
  spool_->commit(group);
  counters_.commits.add();
  counters_.commit.record(std::chrono::steady_clock::now() - start);

  uint64_t stored = 0;
  const Error* refusal = nullptr;
  for (const Submission* submission : group) {
    for (const Submission::Fate fate : submission->fates) {
      switch (fate) {
        case Submission::Fate::kStored:
          ++stored;
          break;
        case Submission::Fate::kDropped:
          break;
        case Submission::Fate::kKnown:
          counters_.known.add();
          break;
        case Submission::Fate::kRefused:
          counters_.refused.add();
          if (is_want_of_space(submission->error)) refusal = &submission->error;
          break;
      }
    }
  }
  counters_.stored.add(stored);
  // Before the uplink can see them.
  for (const Submission* submission : group) enter_awaited(*submission);
  publish_progress();
  if (refusal != nullptr) set_full(*refusal);

  std::map<runtime::Loop*, std::vector<Waiting>> answers;
  for (Waiting& entry : waiting) answers[entry.loop].push_back(std::move(entry));
  for (auto& [loop, entries] : answers) {
    loop->post([answered = std::move(entries)]() mutable {
      for (Waiting& entry : answered) entry.done(std::move(entry.submission));
    });
  }
  if ((stored > 0 || refusal != nullptr) && grown_) grown_();
  if (spool_->needs_segment()) {
    {
      const std::lock_guard lock(mutex_);
      segment_wanted_ = true;
    }
    prepare_.notify_one();
  }
}

// Where a repetition's first stands, the ledger does not say.
void SpoolWriter::enter_awaited(const Submission& submission) {
  std::map<AwaitedDeliveries::Wait, std::vector<AwaitedDeliveries::Record>> waits;
  for (size_t i = 0; i < submission.items.size(); ++i) {
    const Submission::Item& item = submission.items[i];
    if (!item.delivery) continue;
    std::vector<AwaitedDeliveries::Record>& records = waits[item.delivery];
    if (submission.fates[i] == Submission::Fate::kStored) {
      records.push_back({.stream = item.priority, .sequence = item.sequence});
    } else if (submission.fates[i] == Submission::Fate::kKnown) {
      const StreamState state = spool_->state(item.priority);
      records.push_back({.stream = item.priority,
                         .sequence = state.end - 1,
                         .is_repetition = true,
                         .delivered_through = state.delivered_through});
    }
  }
  for (const auto& [wait, records] : waits) awaited_.enter(wait, records);
}

void SpoolWriter::bury(std::vector<Burial>& burials) {
  for (Burial& burial : burials) {
    burial.loop->post(
        [done = std::move(burial.done), kept = spool_->bury(burial.letter)]() mutable { done(std::move(kept)); });
  }
  if (!burials.empty()) publish_progress();
}

void SpoolWriter::prepare_segments() {
  pthread_setname_np(pthread_self(), "spool-prepare");
  std::unique_lock lock(mutex_);
  while (true) {
    prepare_.wait(lock, [&] { return segment_wanted_ || stopping_; });
    if (stopping_) return;
    segment_wanted_ = false;
    lock.unlock();
    if (const Result<void> prepared = spool_->prepare_segment(); !prepared) {
      // Not needed, only faster; and what is wrong with the disk is said where it matters.
      log_debug("spool", "no segment could be made ready: {}", prepared.error().line());
    }
    lock.lock();
  }
}

void SpoolWriter::set_full(const Error& refusal) {
  next_probe_ = std::chrono::steady_clock::now() + kProbePeriod;
  if (!full_.exchange(true)) log_error("spool", "refusing records: {}", refusal.line());
}

// What could be stored meanwhile says nothing: it may have been small, or critical, for which there is a reserve.
void SpoolWriter::probe_space() {
  next_probe_ = std::chrono::steady_clock::now() + kProbePeriod;
  if (!spool_->has_room()) return;
  full_ = false;
  log_info("spool", "storing records again");
}

void SpoolWriter::publish_progress() {
  for (const Priority stream : kPriorities) {
    const StreamState state = spool_->state(stream);
    StreamProgress& progress = progress_[static_cast<size_t>(stream)];
    progress.delivered_through = state.delivered_through;
    progress.undelivered = state.undelivered;
    progress.end = state.end;
    progress.bytes = state.bytes;
    progress.appended_bytes = state.appended_bytes;
    progress.dropped = state.dropped;
  }
  short_of_space_ = spool_->is_short_of_space();
  dead_letters_ = spool_->dead_letters();
}

}  // namespace verge::spool
