#include "jetstream/stream_store.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <pthread.h>

#include "base/log.h"
#include "base/random.h"

namespace verge::jetstream {
namespace {

// Another reason is said, but servers that fail in turn do not fill the log.
constexpr Duration kSaidAgain = std::chrono::seconds(10);

size_t bytes_of(const Batch& batch) {
  size_t bytes = 0;
  for (const Batch::Record& record : batch.records) bytes += record.event.size() + sizeof(record);
  return bytes;
}

}  // namespace

StreamStore::StreamStore(std::unique_ptr<Stream> stream, std::unique_ptr<OverflowStream> overflow, const Clock& clock,
                         const StoreOptions& options)
    : stream_(std::move(stream)),
      overflow_(std::move(overflow)),
      options_(options),
      clock_(clock),
      appender_(*stream_, overflow_.get(), clock_,
                {.stream = options.stream,
                 .overflow = options.overflow,
                 .writer = fmt::format("{}.{:016x}", options.node.text(), system_seed()),
                 .subjects_max = options.subjects_max,
                 .seed = system_seed()}) {
  thread_ = std::thread([this] { run(); });
}

void StreamStore::begin_moving(Overflow::Decode decode, Moved moved) {
  {
    const std::lock_guard lock(mutex_);
    decode_ = std::move(decode);
    moved_ = std::move(moved);
  }
  wake_.notify_one();
}

void StreamStore::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    away_ = {"jetstream.unreachable", "the node is shutting down", "send it again soon"};
  }
  wake_.notify_one();
  thread_.join();
}

void StreamStore::submit(Batch batch, runtime::Loop& loop, Done done) {
  Waiting waiting{
      .batch = std::move(batch), .loop = &loop, .done = std::move(done), .bytes = 0, .since = clock_.monotonic()};
  waiting.bytes = bytes_of(waiting.batch);
  Error error;
  {
    const std::lock_guard lock(mutex_);
    if (!reachable_ || stopping_) {
      error = away_;
    } else if (waiting_.empty() || waiting_bytes_ + waiting.bytes <= options_.waiting_bytes_max) {
      waiting_bytes_ += waiting.bytes;
      waiting_.push_back(std::move(waiting));
      if (waiting_.size() == 1) wake_.notify_one();
      return;
    } else {
      error = {"jetstream.busy", "the stream does not keep up with what is to be stored", "send less, or later"};
    }
  }
  refuse(std::move(waiting), error);
}

void StreamStore::run() {
  pthread_setname_np(pthread_self(), "jetstream");
  Duration wait = kIdlePeriod;
  while (true) {
    look();
    std::optional<Waiting> next = wait_for_next(reachable_ ? wait : kProbePeriod);
    if (stopping_) break;
    if (next) append(*std::move(next));
    wait = move();
    diverted_ = appender_.diverted();
    counters_.messages.set(appender_.messages());
  }
  refuse_all(away_);
}

std::optional<StreamStore::Waiting> StreamStore::wait_for_next(Duration wait) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, wait, [&] { return (reachable_ && !waiting_.empty()) || stopping_; });
  if (waiting_.empty() || stopping_) return std::nullopt;
  std::optional<Waiting> next = std::move(waiting_.front());
  waiting_.pop_front();
  waiting_bytes_ -= next->bytes;
  return next;
}

Duration StreamStore::move() {
  {
    const std::lock_guard lock(mutex_);
    if (!moved_ || !reachable_) return kIdlePeriod;
  }
  if (*moved_unfinished_ >= kMovedMax) return kMovedPeriod;
  const bool more = appender_.move(kMovesABatch, decode_, [this](Batch batch) {
    counters_.appended.add(static_cast<uint64_t>(std::ranges::count(batch.fates, Batch::Fate::kAppended)));
    ++*moved_unfinished_;
    moved_(std::move(batch), [unfinished = moved_unfinished_] { --*unfinished; });
  });
  if (more) return Duration(0);
  return appender_.is_overflow_empty() ? kIdlePeriod : kProbePeriod;
}

void StreamStore::look() {
  const Result<void> prepared = appender_.prepare();
  const bool was_reachable = reachable_;
  const MonotonicTime now = clock_.monotonic();
  if (prepared) {
    last_usable_ = now;
    if (!was_reachable) log_info("jetstream", "stream {} can be used", options_.stream);
    reachable_ = true;
    return;
  }
  if (was_reachable && now - last_usable_ < kBreakMax) return;
  bool is_news = was_reachable || said_ == MonotonicTime();
  {
    const std::lock_guard lock(mutex_);
    is_news |= away_.what != prepared.error().what && now - said_ > kSaidAgain;
    if (!stopping_) away_ = prepared.error();
    reachable_ = false;
  }
  if (is_news) {
    said_ = now;
    log_error("jetstream", "refusing what children send: {}", prepared.error().line());
  }
  refuse_all(prepared.error());
}

void StreamStore::append(Waiting waiting) {
  const MonotonicTime deadline = waiting.since + options_.timeout;
  if (clock_.monotonic() >= deadline) {
    return refuse(std::move(waiting),
                  {"jetstream.busy", "the stream does not keep up with what is to be stored", "send less, or later"});
  }
  appender_.append(waiting.batch, deadline);
  counters_.append.record(clock_.monotonic() - waiting.since);
  count(waiting.batch);
  runtime::Loop* loop = waiting.loop;
  loop->post([done = std::move(waiting.done), batch = std::move(waiting.batch)]() mutable { done(std::move(batch)); });
}

void StreamStore::count(const Batch& batch) {
  uint64_t appended = 0;
  uint64_t known = 0;
  uint64_t refused = 0;
  for (const Batch::Fate fate : batch.fates) {
    appended += fate == Batch::Fate::kAppended ? 1 : 0;
    known += fate == Batch::Fate::kKnown ? 1 : 0;
    refused += fate == Batch::Fate::kRefused ? 1 : 0;
  }
  counters_.messages.set(appender_.messages());
  counters_.appended.add(appended);
  counters_.known.add(known);
  counters_.refused += refused;
}

void StreamStore::refuse(Waiting waiting, const Error& error) {
  Batch& batch = waiting.batch;
  batch.fates.assign(batch.records.size(), Batch::Fate::kRefused);
  batch.error = error;
  counters_.refused += batch.fates.size();
  runtime::Loop* loop = waiting.loop;
  loop->post([done = std::move(waiting.done), refused = std::move(batch)]() mutable { done(std::move(refused)); });
}

void StreamStore::refuse_all(const Error& error) {
  std::deque<Waiting> group;
  {
    const std::lock_guard lock(mutex_);
    group.swap(waiting_);
    waiting_bytes_ = 0;
  }
  for (Waiting& waiting : group) refuse(std::move(waiting), error);
}

}  // namespace verge::jetstream
