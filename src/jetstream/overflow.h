// Overflow: where batches go while the stream has no leader, so that children are answered meanwhile; and how they come
// from there to the stream (docs/decisions/0032-jetstream-overflow.md).
//
// A second stream, replicated like the first, whose leader is kept on another server. What is put there is durable, and
// not stored yet: it may be there twice, and in the stream as well. It is stored when it is moved, which is to append
// it to the stream as if the child had sent it once more. So only the stream says what is stored and who stored it, and
// a move may be begun by several, broken off anywhere, and done again.
//
// Each process moves what it put there. What it left behind is moved by others, when the first message has not changed
// for kOrphanedAfter.
//
// Bounds: kOwnMax sequences of own messages; more are left to whoever finds them. What the stream's bytes allow is put
// there, then it is jetstream.full. Messages that are no batches are left alone, and named in the log.
//
// Blocks; one thread.
#pragma once

#include <deque>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/random.h"
#include "jetstream/appender.h"
#include "jetstream/overflow_stream.h"

namespace verge::jetstream {

// Written by the store's thread, readable anywhere.
struct OverflowCounters {
  Counter records;   // put there
  Counter moved;     // appended to the stream from there
  Counter messages;  // that were there when it was looked last
  Counter apart;     // 1 while its leader is on another server than the stream's
};

class Overflow {
 public:
  static constexpr Duration kAddWait = std::chrono::seconds(1);
  static constexpr Duration kReadWait = std::chrono::milliseconds(250);
  static constexpr Duration kLookPeriod = std::chrono::seconds(1);
  static constexpr Duration kLookPeriodMax = std::chrono::seconds(8);
  static constexpr Duration kMakePeriod = std::chrono::minutes(1);  // while it cannot be made, or may not be used
  static constexpr Duration kOrphanedAfter = std::chrono::seconds(10);
  static constexpr size_t kAdoptedAtOnce = 64;
  static constexpr size_t kOwnMax = 1U << 16;

  // A body taken apart; without fates.
  using Decode = std::function<Result<Batch>(std::string_view body)>;
  // Given what was moved, with its fates: rules run over what was appended.
  using Moved = std::function<void(Batch)>;
  enum class Step : uint8_t {
    kMoved,   // one message is done with
    kIdle,    // there is nothing to move, as far as is known
    kFailed,  // later
    kAway,    // the stream has no leader
  };

  // `name`: of the overflow stream. The references outlive the overflow.
  Overflow(OverflowStream& stream, Appender& appender, const Clock& clock, std::string name, uint64_t seed)
      : stream_(stream), appender_(appender), clock_(clock), name_(std::move(name)), random_(seed) {}

  Result<void> prepare(Duration wait) { return stream_.prepare(wait); }
  // Puts there what is refused of the batch; batch.error says why something still is.
  void put(Batch& batch, size_t message_bytes_max);
  // Looks what is there, and that the leaders are apart; no more often than is good.
  void look();
  // Moves one message.
  Step move(const Decode& decode, const Moved& moved);
  // Whether nothing of this child's stream is there.
  bool is_clear_of(const Batch& batch);
  // As far as is known.
  [[nodiscard]] bool is_empty() const { return own_.empty() && counters_.messages.value() == 0; }

  [[nodiscard]] const OverflowCounters& counters() const { return counters_; }

 private:
  // Of as many records as fit; `places` is cut to those.
  Result<std::string> body_that_fits(const Batch& batch, std::vector<size_t>& places, size_t room) const;
  void adopt(const OverflowState& state);
  void say(const Result<void>& prepared);
  Step settle(uint64_t sequence, Batch batch, const Moved& moved);
  Step put_off(uint64_t sequence);

  OverflowStream& stream_;
  Appender& appender_;
  const Clock& clock_;
  const std::string name_;
  Random random_;
  OverflowCounters counters_;

  std::deque<uint64_t> own_;    // to be moved here
  std::set<uint64_t> foreign_;  // those that are no batches
  uint64_t first_ = 0;          // as it was when it was looked last, and since when
  MonotonicTime first_since_;
  Duration patience_ = kOrphanedAfter;
  uint64_t adopted_end_ = 0;  // while orphans are adopted: those below have been
  bool was_there_ = false;
  std::string said_;  // why it cannot be used
  MonotonicTime look_at_;
  Duration look_period_ = kLookPeriod;
};

}  // namespace verge::jetstream
