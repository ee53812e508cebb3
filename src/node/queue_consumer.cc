#include "node/queue_consumer.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/log.h"

namespace verge::node {
namespace {

constexpr Duration kLookAgainAfter = std::chrono::seconds(10);
// After a call that could not begin: the pool starts what did not start no sooner.
constexpr Duration kTryAgainAfter = std::chrono::seconds(1);
// Of the bodies of a batch, so that a call is one frame.
constexpr size_t kBodiesBytesMax = queues::QueueStore::kBatchBytesMax;

// "INDEX SECONDS" or "INDEX -", of realm.h. Nothing where it is neither.
std::optional<std::pair<size_t, std::optional<Duration>>> read_retry(std::string_view text) {
  constexpr int64_t kSecondsMax = 43'200;
  size_t index = 0;
  const char* end = text.data() + text.size();
  const auto [after, problem] = std::from_chars(text.data(), end, index);
  if (problem != std::errc{} || after == end || *after != ' ') return std::nullopt;
  const std::string_view rest(after + 1, static_cast<size_t>(end - after - 1));
  if (rest == "-") return std::pair(index, std::nullopt);
  int64_t seconds = 0;
  const auto [stop, bad] = std::from_chars(rest.data(), rest.data() + rest.size(), seconds);
  if (bad != std::errc{} || stop != rest.data() + rest.size() || seconds < 0 || seconds > kSecondsMax) {
    return std::nullopt;
  }
  return std::pair(index, std::optional<Duration>(std::chrono::seconds(seconds)));
}

// What a handler throws is an answer. All else that no limit ended did not come as far as the handler: there is no
// room, or the worker does not start, or has no `queue`.
bool has_begun(const Error& error) {
  return error.code == "workers.cpu" || error.code == "workers.wall" || error.code == "workers.memory" ||
         error.code == "workers.terminated" || error.code == "workers.crashed";
}

}  // namespace

QueueConsumer::QueueConsumer(runtime::Loop& loop, const Clock& clock, isolates::Pool& pool, queues::QueueStore& store,
                             ConsumedQueue consumed)
    : clock_(clock), pool_(pool), store_(store), consumed_(std::move(consumed)), looking_(loop) {}

// What is under way is told nothing, and comes again with the next start as it was.
QueueConsumer::~QueueConsumer() = default;

void QueueConsumer::look_after(Duration after) {
  looking_.after(std::min(after, kLookAgainAfter), [this] { look(); });
}

void QueueConsumer::look() {
  if (call_ || retired_) return;
  const int64_t now_ms = clock_.wall().microseconds / 1000;
  const queues::QueueStore::Waiting waiting = store_.waiting(consumed_.queue, consumed_.batch_max);
  const auto until = [&](int64_t at_ms) -> Duration {
    return std::chrono::milliseconds(
        std::clamp<int64_t>(at_ms - now_ms, 1, kLookAgainAfter / std::chrono::milliseconds(1)));
  };
  if (waiting.messages == 0) return look_after(until(waiting.next_due_ms));
  const int64_t full_at = waiting.since_ms + consumed_.batch_timeout / std::chrono::milliseconds(1);
  if (waiting.messages < consumed_.batch_max && now_ms < full_at) {
    return look_after(until(std::min(full_at, waiting.next_due_ms)));
  }
  begin();
}

void QueueConsumer::begin() {
  taken_ = store_.take(consumed_.queue, consumed_.batch_max, kBodiesBytesMax).messages;
  if (taken_.empty()) return look_after(kLookAgainAfter);
  std::vector<std::string> ids;
  std::vector<calls::QueuedMessage> messages;
  ids.reserve(taken_.size());
  outcomes_.clear();
  for (const queues::Message& message : taken_) {
    ids.push_back(fmt::format("{:016x}", message.id));
    messages.push_back({.id = ids.back(),
                        .time_ms = static_cast<uint64_t>(message.sent_ms),
                        .attempts = message.attempts + 1,
                        .kind = static_cast<calls::ContentKind>(message.kind),
                        .body = *message.body});
    outcomes_.push_back({.id = message.id});
  }
  answered_ = false;
  call_ = pool_.begin(consumed_.worker, {.kind = calls::CallKind::kQueue, .queue = consumed_.queue, .queued = messages},
                      *this);
}

void QueueConsumer::on_answer(const calls::Head& head, bool ends) {
  static_cast<void>(ends);
  answered_ = true;
  for (const calls::Field& field : head.fields) {
    const auto retry = field.name == "retry" ? read_retry(field.value) : std::nullopt;
    if (!retry || retry->first >= outcomes_.size()) continue;
    outcomes_[retry->first].again = true;
    outcomes_[retry->first].after = retry->second;
  }
}

void QueueConsumer::on_end() {
  call_.reset();
  settle(/*all_again=*/!answered_);
  look_after(Duration(0));
}

void QueueConsumer::on_failed(const isolates::CallFailure& failure) {
  call_.reset();
  const bool counts = answered_ || has_begun(failure.error);
  if (counts || failed_.due(clock_.monotonic())) {
    log_warning("queues", "{}: {}", consumed_.queue, failure.error.line());
  }
  if (!counts) {
    give_back();
    return look_after(kTryAgainAfter);
  }
  // What the answer said before it broke off holds.
  settle(/*all_again=*/!answered_);
  look_after(Duration(0));
}

void QueueConsumer::give_back() {
  std::vector<uint64_t> ids;
  for (const queues::Message& message : std::exchange(taken_, {})) ids.push_back(message.id);
  store_.give_back(consumed_.queue, ids);
}

void QueueConsumer::settle(bool all_again) {
  if (all_again) {
    for (queues::Outcome& outcome : outcomes_) outcome.again = true;
  }
  store_.settle(consumed_.queue, std::move(outcomes_));
  outcomes_.clear();
  taken_.clear();
}

}  // namespace verge::node
