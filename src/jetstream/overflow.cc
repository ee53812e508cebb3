#include "jetstream/overflow.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "jetstream/known_set.h"

namespace verge::jetstream {
namespace {

// Beside the body: what the stream's message has of headers when it is moved there.
constexpr size_t kHeaderBytes = 1024 + kKnownBytesMax;
constexpr size_t kForeignMax = 1024;

std::vector<size_t> refused_of(const Batch& batch) {
  std::vector<size_t> places;
  for (size_t i = 0; i < batch.fates.size(); ++i) {
    if (batch.fates[i] == Batch::Fate::kRefused) places.push_back(i);
  }
  return places;
}

}  // namespace

Result<std::string> Overflow::body_that_fits(const Batch& batch, std::vector<size_t>& places, size_t room) const {
  while (true) {
    std::vector<const Batch::Record*> records;
    for (const size_t place : places) records.push_back(&batch.records[place]);
    std::string body = batch.encode(records, batch.floor);
    const size_t bytes = body.size() + kHeaderBytes;
    if (bytes <= room) return body;
    if (places.size() == 1) {
      return fail("jetstream.busy",
                  fmt::format("the stream has no leader, and record {} is too large for the overflow",
                              batch.records[places.front()].sequence),
                  "send it again soon");
    }
    places.resize(share_that_fits(places.size(), bytes, room));
  }
}

void Overflow::put(Batch& batch, size_t message_bytes_max) {
  const std::string subject = Appender::subject_of(name_, batch);
  while (true) {
    std::vector<size_t> places = refused_of(batch);
    if (places.empty()) {
      batch.error = {};
      return;
    }
    const Result<std::string> body = body_that_fits(batch, places, message_bytes_max);
    if (!body) {
      batch.error = body.error();
      return;
    }
    const Publication put = stream_.add(subject, *body, kAddWait);
    if (put.outcome != Publication::Outcome::kStored) {
      batch.error = put.error;
      return;
    }
    for (const size_t place : places) batch.fates[place] = Batch::Fate::kOverflowed;
    counters_.records.add(places.size());
    if (own_.size() < kOwnMax) own_.push_back(put.sequence);
  }
}

bool Overflow::is_clear_of(const Batch& batch) {
  const Result<bool> held = stream_.holds(Appender::subject_of(name_, batch), kReadWait);
  return held && !*held;
}

void Overflow::look() {
  const MonotonicTime now = clock_.monotonic();
  if (now < look_at_) return;
  const Result<void> prepared = stream_.prepare(kReadWait);
  const Result<OverflowState> state = prepared ? stream_.state(kReadWait) : std::unexpected(prepared.error());
  const Result<bool> apart = state ? stream_.keep_apart(kReadWait) : std::unexpected(state.error());
  counters_.apart.set(apart && *apart ? 1 : 0);
  // A server that does not answer is not waited for again and again; parents do not look all at the same time.
  was_there_ |= prepared.has_value();
  look_period_ = apart ? kLookPeriod : std::min(was_there_ ? kLookPeriodMax : kMakePeriod, look_period_ * 2);
  if (!prepared && prepared.error().code == "jetstream.stream") look_period_ = kMakePeriod;
  say(prepared);
  look_at_ = now + look_period_ * 3 / 4 + Duration(random_.below(static_cast<uint64_t>(look_period_.count()) / 2));
  if (state) adopt(*state);
}

void Overflow::say(const Result<void>& prepared) {
  const std::string why = prepared ? "" : prepared.error().line();
  if (why == said_) return;
  said_ = why;
  if (!prepared) log_warning("jetstream", "there is no overflow for when the stream has no leader: {}", why);
}

void Overflow::adopt(const OverflowState& state) {
  const MonotonicTime now = clock_.monotonic();
  counters_.messages.set(state.messages);
  if (state.messages == 0 || adopted_end_ > state.last) adopted_end_ = 0;
  if (state.messages == 0) foreign_.clear();
  if (state.messages == 0 || state.first != first_) {
    first_ = state.first;
    first_since_ = now;
    patience_ = kOrphanedAfter + Duration(random_.below(static_cast<uint64_t>(kOrphanedAfter.count()) / 2));
  }
  const bool orphaned = state.messages > 0 && now - first_since_ >= patience_;
  if (!own_.empty() || (!orphaned && adopted_end_ == 0)) return;
  if (adopted_end_ == 0) adopted_end_ = state.first;
  const uint64_t end = std::min(state.last + 1, adopted_end_ + kAdoptedAtOnce);
  for (uint64_t sequence = std::max(adopted_end_, state.first); sequence < end; ++sequence) {
    if (!foreign_.contains(sequence)) own_.push_back(sequence);
  }
  adopted_end_ = end;
  first_since_ = now;
}

Overflow::Step Overflow::move(const Decode& decode, const Moved& moved) {
  if (own_.empty()) return Step::kIdle;
  const uint64_t sequence = own_.front();
  own_.pop_front();
  const Result<std::optional<std::string>> body = stream_.get(sequence, kReadWait);
  if (!body) return put_off(sequence);
  const std::optional<std::string>& held = *body;
  if (!held) {
    if (own_.empty() && adopted_end_ > 0) look_at_ = {};
    return Step::kMoved;
  }
  Result<Batch> batch = decode(*held);
  if (!batch) {
    log_error("jetstream", "message {} of the stream {} is left alone: {}", sequence, name_, batch.error().line());
    if (foreign_.size() < kForeignMax) foreign_.insert(sequence);
    return Step::kMoved;
  }
  return settle(sequence, *std::move(batch), moved);
}

Overflow::Step Overflow::settle(uint64_t sequence, Batch batch, const Moved& moved) {
  // What the floor of this batch covers came here before it, or is in the stream: nothing before it is here any more.
  const auto complete = [&] {
    const Result<OverflowState> state = stream_.state(kReadWait);
    return state && state->first >= sequence;
  };
  appender_.append(batch, clock_.monotonic(), complete);
  const bool settled = std::ranges::find(batch.fates, Batch::Fate::kRefused) == batch.fates.end();
  const Error error = batch.error;
  const auto appended = static_cast<size_t>(std::ranges::count(batch.fates, Batch::Fate::kAppended));
  // Counted here: whether the removal is answered says nothing about what is in the stream.
  counters_.moved.add(appended);
  if (appended > 0) moved(std::move(batch));
  if (!settled) {
    put_off(sequence);
    return error.code == "jetstream.unreachable" ? Step::kAway : Step::kFailed;
  }
  if (!stream_.remove(sequence, kReadWait)) return put_off(sequence);
  // Else the rest of what was left behind would wait for the next look.
  if (own_.empty() && adopted_end_ > 0) look_at_ = {};
  return Step::kMoved;
}

// To the end: one that the stream will not take does not keep the others.
Overflow::Step Overflow::put_off(uint64_t sequence) {
  own_.push_back(sequence);
  return Step::kFailed;
}

}  // namespace verge::jetstream
