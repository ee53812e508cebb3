// FailoverAppender: appends to the stream; while that has no leader, to the overflow, from where it moves all of it to
// the stream as soon as there is one again.
//
// The stream is given kPatience before the overflow is tried. From then on everything goes to the overflow, and the
// stream is asked now and then whether it can be used again. If neither takes a batch both are tried in turn until the
// batch's deadline.
//
// Blocks; one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "jetstream/appender.h"
#include "jetstream/overflow.h"
#include "jetstream/overflow_stream.h"
#include "jetstream/stream.h"

namespace verge::jetstream {

struct FailoverOptions {
  std::string stream;    // its name
  std::string overflow;  // and that of the overflow's stream
  std::string writer;    // this process, as in Appender
  size_t subjects_max = 65'536;
  uint64_t seed = 0;
};

class FailoverAppender {
 public:
  // An election after a leader was told to end takes 20 to 50 ms, one after a leader died seconds.
  static constexpr Duration kPatience = std::chrono::milliseconds(500);
  static constexpr Duration kProbeWait = std::chrono::milliseconds(100);
  static constexpr Duration kProbeWaitMax = std::chrono::seconds(1);
  static constexpr Duration kMoveAgain = std::chrono::milliseconds(250);
  // Without a leader nobody answers: ask again rather than wait.
  static constexpr Duration kPrepareWait = std::chrono::seconds(1);

  // `overflow` may be null: there is none. The references outlive the appender.
  FailoverAppender(Stream& stream, OverflowStream* overflow, const Clock& clock, const FailoverOptions& options);

  // Whether anything can be stored. Errors: jetstream.unreachable, jetstream.stream.
  Result<void> prepare();
  // As Appender::append(); fates may be kOverflowed too.
  void append(Batch& batch, MonotonicTime deadline);
  // Looks after the overflow, and moves at most `messages` from there. Whether more can be moved at once.
  bool move(size_t messages, const Overflow::Decode& decode, const Overflow::Moved& moved);

  // Whether batches go to the overflow at present.
  [[nodiscard]] bool diverted() const { return diverted_; }
  // As far as is known, nothing is to be moved.
  [[nodiscard]] bool is_overflow_empty() const { return !overflow_ || (!diverted_ && overflow_->is_empty()); }
  [[nodiscard]] uint64_t messages() const { return appender_.messages(); }
  [[nodiscard]] const OverflowCounters* counters() const { return overflow_ ? &overflow_->counters() : nullptr; }

 private:
  // Whether the stream can be used again; asks it only if it is time.
  bool has_returned();
  void divert(const Error& reason);
  void give_to_stream(Batch& batch, MonotonicTime deadline);

  Stream& stream_;
  const Clock& clock_;
  const std::string name_;
  Appender appender_;
  std::unique_ptr<Overflow> overflow_;
  bool diverted_ = false;
  MonotonicTime probe_at_;
  Duration probe_wait_ = kProbeWait;
  MonotonicTime move_at_;
};

}  // namespace verge::jetstream
