#include "node/rule_journal.h"

#include <algorithm>
#include <map>

#include <pthread.h>

#include "base/bytes.h"
#include "base/log.h"

namespace verge::node {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kBatchOverhead = 64;

std::optional<RuleRecord> read_record(ByteReader& in) {
  RuleRecord record;
  record.kind = static_cast<RuleRecord::Kind>(in.fixed<uint8_t>());
  record.rule = in.fixed<uint64_t>();
  record.now_us = static_cast<int64_t>(in.fixed<uint64_t>());
  record.bytes = in.sized();
  const bool is_known = record.kind >= RuleRecord::Kind::kInput && record.kind <= RuleRecord::Kind::kState;
  return in.ok() && is_known ? std::optional(record) : std::nullopt;
}

}  // namespace

void append_record(std::string& batch, const RuleRecord& record) {
  append_fixed(batch, static_cast<uint8_t>(record.kind));
  append_fixed(batch, record.rule);
  append_fixed(batch, static_cast<uint64_t>(record.now_us));
  append_sized(batch, record.bytes);
}

Result<std::unique_ptr<RuleJournal>> RuleJournal::open(storage::FileSystem& file_system, const std::string& directory,
                                                       const storage::KeyRing& keys) {
  auto opened =
      storage::Journal::open(file_system, directory, keys,
                             {.area = "rules", .lost = "some of what rules remembered is lost", .version = kVersion});
  if (!opened) return std::unexpected(opened.error());
  return std::unique_ptr<RuleJournal>(new RuleJournal(std::move(*opened)));
}

Result<void> RuleJournal::replay(const std::function<void(const Place&)>& begin,
                                 const std::function<void(const RuleRecord&)>& take) {
  return journal_->replay([&](uint8_t version, std::string_view body) {
    ByteReader in(body);
    Place place;
    place.layout.epoch = in.fixed<uint64_t>();
    place.layout.loops = in.fixed<uint32_t>();
    place.loop = in.fixed<uint32_t>();
    place.is_snapshot = in.fixed<uint8_t>() != 0;
    if (!in.ok() || version != kVersion || place.loop >= place.layout.loops) return false;
    begin(place);
    while (!in.empty()) {
      const std::optional<RuleRecord> record = read_record(in);
      if (!record) break;
      take(*record);
    }
    return true;
  });
}

void RuleJournal::start(const RuleLayout& layout) {
  layout_ = layout;
  snapshots_.assign(layout.loops, 0);
  thread_ = std::thread([this] { run(); });
}

void RuleJournal::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void RuleJournal::submit(Batch batch, runtime::Loop& loop, Done done) {
  const size_t bytes = batch.records.size() + kBatchOverhead;
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_ && (waiting_.empty() || waiting_bytes_ + bytes <= kWaitingBytesMax)) {
      const bool wakes = waiting_.empty() || (batch.is_awaited && !urgent_);
      urgent_ |= batch.is_awaited;
      waiting_bytes_ += bytes;
      waiting_.push_back({std::move(batch), &loop, std::move(done)});
      if (wakes) wake_.notify_one();
      return;
    }
  }
  loop.post([done = std::move(done)]() mutable {
    done(fail("rules.busy", "the disk does not keep up with what rules remember", "send less, or later"));
  });
}

void RuleJournal::run() {
  pthread_setname_np(pthread_self(), "rule-journal");
  std::vector<Waiting> group;
  while (true) {
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return !waiting_.empty() || stopping_; });
      if (!urgent_ && !stopping_) wake_.wait_for(lock, kPatience, [&] { return urgent_ || stopping_; });
      urgent_ = false;
      group.swap(waiting_);
      waiting_bytes_ = 0;
      stopping = stopping_;
    }
    if (!group.empty()) commit(group);
    group.clear();
    if (stopping) return;
  }
}

Result<void> RuleJournal::append(const Batch& batch) {
  std::string body;
  append_fixed(body, layout_.epoch);
  append_fixed(body, layout_.loops);
  append_fixed(body, batch.loop);
  append_fixed(body, static_cast<uint8_t>(batch.is_snapshot));
  body.append(batch.records);
  return journal_->append(body);
}

// All or nothing of a group: an answer that says no may be of what is durable all the same, and is then taken again.
void RuleJournal::commit(std::vector<Waiting>& waiting) {
  Result<void> committed;
  std::vector<std::pair<uint32_t, uint64_t>> snapshots;
  for (const Waiting& entry : waiting) {
    if (committed && entry.batch.is_snapshot) snapshots.emplace_back(entry.batch.loop, journal_->next_sequence());
    if (committed) committed = append(entry.batch);
  }
  if (committed) committed = journal_->sync();
  if (committed) {
    for (const auto& [loop, sequence] : snapshots) snapshots_[loop] = sequence;
    if (!snapshots.empty()) trim();
  } else {
    log_error("rules", "what rules remember cannot be made durable: {}", committed.error().line());
  }
  std::map<runtime::Loop*, std::vector<Done>> answers;
  for (Waiting& entry : waiting) answers[entry.loop].push_back(std::move(entry.done));
  for (auto& [loop, dones] : answers) {
    loop->post([committed, all = std::move(dones)]() mutable {
      for (Done& done : all) done(committed);
    });
  }
}

void RuleJournal::trim() {
  const uint64_t needed = *std::ranges::min_element(snapshots_);
  if (needed == 0) return;
  if (const Result<void> removed = journal_->remove_before(needed); !removed) {
    log_warning("rules", "{}", removed.error().line());
  }
}

}  // namespace verge::node
