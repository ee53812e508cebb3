// RedundantPaths: one batch over several network paths at a time; the first valid answer counts.
//
// It stands between Delivery, which sends a batch and waits for what the parent says, and the connections, of which
// each lane has one a path. A batch goes over `redundant` paths at once. The race for it is decided by the first answer
// that is the parent's own: what comes later for it is read, and says only how that path does. So no connection is cut
// because another was faster, and a path that still has an old batch under way joins in when it is free.
//
// What is there is used. A path that fails leaves its place to the next one. One that has failed, or from which nothing
// has come for a quarter of the time that it has, does not count as one of the `redundant`: others go beside it, so
// that a path that takes everything and answers nothing holds up nothing. Each path has its own pause after failures
// (exponential, full jitter), and whoever answers on it may ask for a longer one (Retry-After). A path that has failed
// is tried again with a batch that is sent anyway, one such path at a time beside those that do well.
//
// The batch is not delivered when every path has failed since it was given; then those that were tried once more are
// waited for, and nothing new is begun. A refusal for good (413, …) that is not in the parent's words, as a proxy
// gives, stands only when no path that does well can do better.
//
// Invariants: a lane has one batch, and one exchange a path, at a time; a batch that was given has one outcome, within
// a few time-outs, and when that is "not now", nothing of it is under way. Memory: a batch a lane, an entry a path.
//
// No I/O, no threads; time comes from the clock that is passed in. After each input, take_outcome() is to be called
// until it has nothing more, and look_again() says when the next look() is due.
#pragma once

#include <array>
#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/payload.h"
#include "base/random.h"
#include "spool/parent_answer.h"
#include "spool/send_plan.h"

namespace verge::spool {

// Written on the uplink's loop and readable anywhere.
struct PathCounters {
  Counter sent;                    // batches
  Counter won;                     // of these, those that this path's answer decided
  Counter failures;                // of these, those that brought no answer of the parent
  std::atomic<bool> stands{true};  // it has not failed last
};

struct RedundantPathsOptions {
  size_t redundant = 1;  // paths at a time
  Duration retry_max = std::chrono::seconds(5);
};

class RedundantPaths {
 public:
  // What the machine asks for. None of these may call back into the machine before it returns.
  class Effects {
   public:
    virtual ~Effects() = default;
    // Send it to the parent over this path, and give what comes back, within `timeout`, to answered(). One a lane and
    // path at a time.
    virtual void send(Lane lane, size_t path, const Payload& body, Duration timeout) = 0;
    // The connection that the lane has on this path is not to be used again.
    virtual void close(Lane lane, size_t path) = 0;
  };
  // Of a batch.
  struct Outcome {
    Lane lane;
    ParentAnswer answer;
    Duration took;
  };

  // `names`: of the paths, for the log, in the order in which they are preferred; one at least. The references, and as
  // many counters as paths, outlive the machine.
  RedundantPaths(Effects& effects, const Clock& clock, uint64_t seed, std::vector<std::string> names,
                 const RedundantPathsOptions& options, std::span<PathCounters> counters);

  // Inputs. A batch is to be sent; one a lane at a time.
  void send(Lane lane, const Payload& body, Duration timeout);
  void answered(Lane lane, size_t path, const ParentAnswer& answer, Duration took);
  // Time has passed.
  void look();

  std::optional<Outcome> take_outcome();
  // When look() is due if nothing else comes in; MonotonicTime::max(): not at all.
  [[nodiscard]] MonotonicTime look_again() const;

 private:
  enum class Exchange : uint8_t {
    kNone,
    kRacing,  // for the lane's batch
    kLate,    // for a batch that is decided
  };
  struct Path {
    std::string name;
    uint32_t failures_in_a_row = 0;
    MonotonicTime paused_until = MonotonicTime::min();  // after its failures
    MonotonicTime asked_until = MonotonicTime::min();   // as whoever answered on it has asked
    bool is_reported = false;                           // the log says that it does not work
    MonotonicTime quiet_until = MonotonicTime::min();   // of the log
  };
  // A path, for one lane.
  struct Runner {
    Exchange exchange = Exchange::kNone;
    MonotonicTime sent;
    std::optional<Error> failure;         // since the batch was given
    std::optional<ParentAnswer> refusal;  // of the batch, not in the parent's words
  };
  struct Race {
    bool is_on = false;
    Payload body;
    Duration timeout{0};
    bool timed_out = false;  // a path
    Duration took{0};        // by the last answer
    std::vector<Runner> runners;
    std::optional<Outcome> outcome;
  };

  void advance(Lane lane);
  bool send_next(Lane lane, MonotonicTime now);
  void send_anyway(Lane lane, MonotonicTime now);
  void start(Lane lane, size_t path, MonotonicTime now);
  void win(Lane lane, size_t path, const ParentAnswer& answer, Duration took);
  void give_up(Lane lane, MonotonicTime now);
  static void decide(Race& race, Outcome outcome);
  void on_failure(size_t path, const ParentAnswer& answer);
  void on_success(size_t path);
  // Nothing more is to be expected of the path for the lane's batch, beside what is under way.
  [[nodiscard]] bool is_done(const Race& race, size_t path, MonotonicTime now) const;
  [[nodiscard]] bool is_suspect(const Race& race, size_t path, MonotonicTime now) const;
  [[nodiscard]] Error failure_of(const Race& race) const;
  Race& race_of(Lane lane) { return races_[static_cast<size_t>(lane)]; }

  Effects& effects_;
  const Clock& clock_;
  const RedundantPathsOptions options_;
  const std::span<PathCounters> counters_;
  Random random_;
  std::vector<Path> paths_;
  std::array<Race, kLanes> races_;
};

}  // namespace verge::spool
