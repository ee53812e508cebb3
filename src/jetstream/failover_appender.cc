#include "jetstream/failover_appender.h"

#include <algorithm>

#include "base/log.h"

namespace verge::jetstream {
namespace {

bool is_settled(const Batch& batch) {
  return std::ranges::find(batch.fates, Batch::Fate::kRefused) == batch.fates.end();
}

// Whether it is a matter of the stream having no leader, or a new one that does not know all yet. What the stream does
// not want, the overflow shall not have either.
bool is_leaderless(const Error& error) {
  return error.code == "jetstream.unreachable" || error.code == "jetstream.behind" || error.code == "jetstream.raced";
}

}  // namespace

FailoverAppender::FailoverAppender(Stream& stream, OverflowStream* overflow, const Clock& clock,
                                   const FailoverOptions& options)
    : stream_(stream),
      clock_(clock),
      name_(options.stream),
      appender_(stream, clock, options.stream, options.writer, options.subjects_max) {
  if (overflow) overflow_ = std::make_unique<Overflow>(*overflow, appender_, clock, options.overflow, options.seed);
}

Result<void> FailoverAppender::prepare() {
  if (diverted_ && !has_returned()) return overflow_->prepare(kPrepareWait);
  Result<void> prepared = stream_.prepare(kPrepareWait);
  if (prepared || !overflow_ || !is_leaderless(prepared.error()) || !overflow_->prepare(kPrepareWait)) return prepared;
  divert(prepared.error());
  return {};
}

bool FailoverAppender::has_returned() {
  const MonotonicTime now = clock_.monotonic();
  if (now < probe_at_) return false;
  if (stream_.prepare(probe_wait_)) {
    diverted_ = false;
    log_info("jetstream", "the stream {} can be used again", name_);
    return true;
  }
  // Most of the time is for what children send.
  probe_at_ = clock_.monotonic() + 4 * (clock_.monotonic() - now) + kProbeWait;
  probe_wait_ = std::min(kProbeWaitMax, probe_wait_ * 2);
  return false;
}

void FailoverAppender::divert(const Error& reason) {
  log_warning("jetstream", "what children send goes to the overflow of the stream {}: {}", name_, reason.line());
  diverted_ = true;
  probe_at_ = clock_.monotonic() + kProbeWait;
  probe_wait_ = kProbeWait;
}

void FailoverAppender::give_to_stream(Batch& batch, MonotonicTime deadline) {
  appender_.append(batch, deadline, [&] { return !overflow_ || overflow_->is_clear_of(batch); });
}

void FailoverAppender::append(Batch& batch, MonotonicTime deadline) {
  batch.fates.assign(batch.records.size(), Batch::Fate::kRefused);
  if (!overflow_) return give_to_stream(batch, deadline);
  while (true) {
    if (!diverted_ || has_returned()) {
      give_to_stream(batch, std::min(deadline, clock_.monotonic() + kPatience));
      if (is_settled(batch) || !is_leaderless(batch.error)) return;
    }
    const Error reason = batch.error;
    overflow_->put(batch, stream_.message_bytes_max());
    if (is_settled(batch)) {
      if (!diverted_) divert(reason);
      return;
    }
    if (!is_leaderless(batch.error) || clock_.monotonic() + Appender::kPause >= deadline) return;
    stream_.pause(Appender::kPause);
  }
}

bool FailoverAppender::move(size_t messages, const Overflow::Decode& decode, const Overflow::Moved& moved) {
  if (!overflow_ || diverted_ || clock_.monotonic() < move_at_) return false;
  overflow_->look();
  for (size_t i = 0; i < messages; ++i) {
    switch (overflow_->move(decode, moved)) {
      case Overflow::Step::kMoved:
        break;
      case Overflow::Step::kIdle:
        return false;
      case Overflow::Step::kAway:
        divert({"jetstream.unreachable", "the stream does not answer", "check that most of its servers run"});
        return false;
      case Overflow::Step::kFailed:
        move_at_ = clock_.monotonic() + kMoveAgain;
        return false;
    }
  }
  return true;
}

}  // namespace verge::jetstream
