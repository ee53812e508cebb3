#include "spool/redundant_paths.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/log.h"

namespace verge::spool {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(100);
// Of the time-out: of what has not answered by then, others are not kept waiting.
constexpr int kSuspectPart = 4;
// The log says of a path that it fails, and that it works again, once in this time.
constexpr Duration kQuiet = std::chrono::minutes(1);

}  // namespace

RedundantPaths::RedundantPaths(Effects& effects, const Clock& clock, uint64_t seed, std::vector<std::string> names,
                               const RedundantPathsOptions& options, std::span<PathCounters> counters)
    : effects_(effects), clock_(clock), options_(options), counters_(counters), random_(seed) {
  VERGE_ASSERT(!names.empty() && names.size() == counters.size());
  for (std::string& name : names) paths_.push_back({.name = std::move(name)});
  for (Race& race : races_) race.runners.resize(paths_.size());
}

void RedundantPaths::send(Lane lane, const Payload& body, Duration timeout) {
  Race& race = race_of(lane);
  VERGE_ASSERT(!race.is_on && !race.outcome);
  race.is_on = true;
  race.body = body;
  race.timeout = timeout;
  race.timed_out = false;
  race.took = Duration(0);
  for (Runner& runner : race.runners) {
    runner.failure.reset();
    runner.refusal.reset();
  }
  advance(lane);
}

void RedundantPaths::look() {
  advance(Lane::kExpress);
  advance(Lane::kBulk);
}

void RedundantPaths::answered(Lane lane, size_t path, const ParentAnswer& answer, Duration took) {
  Race& race = race_of(lane);
  Runner& runner = race.runners[path];
  VERGE_ASSERT(runner.exchange != Exchange::kNone);
  const bool is_racing = std::exchange(runner.exchange, Exchange::kNone) == Exchange::kRacing;
  const bool is_parents = answer.is_parents_word;
  if (is_parents) {
    on_success(path);
    if (is_racing) win(lane, path, answer, took);
    return look();
  }
  on_failure(path, answer);
  if (answer.meaning == ParentAnswer::Meaning::kRefused) {
    if (is_racing) runner.refusal = answer;
  } else {
    // Its name may stand for another address next time.
    effects_.close(lane, path);
    if (race.is_on) runner.failure = answer.error;
    if (is_racing && answer.timed_out) {
      race.timed_out = true;
      race.took = took;
    }
  }
  look();
}

std::optional<RedundantPaths::Outcome> RedundantPaths::take_outcome() {
  for (Race& race : races_) {
    if (race.outcome) return std::exchange(race.outcome, std::nullopt);
  }
  return std::nullopt;
}

MonotonicTime RedundantPaths::look_again() const {
  MonotonicTime due = MonotonicTime::max();
  if (paths_.size() == 1) return due;  // there is nothing else to try
  const MonotonicTime now = clock_.monotonic();
  const auto consider = [&](MonotonicTime time) {
    if (time > now) due = std::min(due, time);
  };
  for (const Race& race : races_) {
    if (!race.is_on) continue;
    for (size_t path = 0; path < paths_.size(); ++path) {
      const Runner& runner = race.runners[path];
      if (runner.exchange != Exchange::kNone) consider(runner.sent + race.timeout / kSuspectPart);
      if (runner.exchange == Exchange::kNone && !runner.refusal)
        consider(std::max(paths_[path].paused_until, paths_[path].asked_until));
    }
  }
  return due;
}

bool RedundantPaths::is_done(const Race& race, size_t path, MonotonicTime now) const {
  return race.runners[path].failure || race.runners[path].refusal || paths_[path].asked_until > now;
}

bool RedundantPaths::is_suspect(const Race& race, size_t path, MonotonicTime now) const {
  return now - race.runners[path].sent >= race.timeout / kSuspectPart;
}

// Takes the lane's batch as far as it goes.
void RedundantPaths::advance(Lane lane) {
  Race& race = race_of(lane);
  if (!race.is_on) return;
  const MonotonicTime now = clock_.monotonic();
  while (send_next(lane, now)) {
  }
  const auto is_racing = [](const Runner& runner) { return runner.exchange == Exchange::kRacing; };
  if (std::ranges::none_of(race.runners, is_racing)) send_anyway(lane, now);
  const bool is_under_way = std::ranges::any_of(race.runners, is_racing);
  const bool is_refused =
      std::ranges::any_of(race.runners, [](const Runner& runner) { return runner.refusal.has_value(); });
  // Of those that have an old batch under way, the turn may come yet.
  bool all_done = true;
  bool any_promising = false;
  for (size_t path = 0; path < paths_.size(); ++path) {
    if (is_done(race, path, now)) continue;
    all_done = false;
    if (paths_[path].failures_in_a_row == 0 && !is_suspect(race, path, now)) any_promising = true;
  }
  if (is_refused ? !any_promising : all_done && !is_under_way) give_up(lane, now);
}

// Over one path more, if there are fewer than there should be: one that does well, else one that has to show it.
bool RedundantPaths::send_next(Lane lane, MonotonicTime now) {
  const Race& race = race_of(lane);
  size_t trusted = 0;
  size_t on_trial = 0;
  bool is_hopeless = true;
  std::optional<size_t> next_trusted;
  std::optional<size_t> next_on_trial;
  for (size_t path = 0; path < paths_.size(); ++path) {
    const Path& its = paths_[path];
    const Runner& runner = race.runners[path];
    const bool does_well = its.failures_in_a_row == 0;
    if (!is_done(race, path, now)) is_hopeless = false;
    if (runner.exchange == Exchange::kRacing && !is_suspect(race, path, now)) ++(does_well ? trusted : on_trial);
    if (runner.exchange != Exchange::kNone || runner.refusal) continue;
    if (its.paused_until > now || its.asked_until > now) continue;
    if (does_well && !next_trusted) next_trusted = path;
    if (!does_well && (!next_on_trial || its.paused_until < paths_[*next_on_trial].paused_until)) next_on_trial = path;
  }
  if (is_hopeless) return false;
  const size_t on_trial_most = trusted < options_.redundant ? options_.redundant - trusted : 1;
  std::optional<size_t> next;
  if (trusted < options_.redundant) next = next_trusted;
  if (!next && on_trial < on_trial_most) next = next_on_trial;
  if (!next) return false;
  start(lane, *next, now);
  return true;
}

// Nothing is under way. Rather than give up, the pauses of those that were not tried yet are cut short, and if all were
// asked to wait, whoever gave the batch knows better: it is tried.
void RedundantPaths::send_anyway(Lane lane, MonotonicTime now) {
  Race& race = race_of(lane);
  const bool is_first = std::ranges::all_of(race.runners, [](const Runner& runner) {
    return !runner.failure && !runner.refusal && runner.exchange == Exchange::kNone;
  });
  const bool all_asked = std::ranges::all_of(paths_, [&](const Path& path) { return path.asked_until > now; });
  for (size_t started = 0; started < options_.redundant; ++started) {
    std::optional<size_t> next;
    for (size_t path = 0; path < paths_.size(); ++path) {
      const Runner& runner = race.runners[path];
      if (runner.exchange != Exchange::kNone || runner.failure || runner.refusal) continue;
      if (paths_[path].asked_until > now && !(is_first && all_asked)) continue;
      if (!next || paths_[path].paused_until < paths_[*next].paused_until) next = path;
    }
    if (!next) return;
    start(lane, *next, now);
  }
}

void RedundantPaths::start(Lane lane, size_t path, MonotonicTime now) {
  Race& race = race_of(lane);
  race.runners[path].exchange = Exchange::kRacing;
  race.runners[path].sent = now;
  counters_[path].sent.add();
  effects_.send(lane, path, race.body, race.timeout);
}

void RedundantPaths::win(Lane lane, size_t path, const ParentAnswer& answer, Duration took) {
  Race& race = race_of(lane);
  counters_[path].won.add();
  decide(race, {.lane = lane, .answer = answer, .took = took});
}

void RedundantPaths::decide(Race& race, Outcome outcome) {
  race.is_on = false;
  race.body = {};
  race.outcome = std::move(outcome);
  for (Runner& runner : race.runners) {
    if (runner.exchange == Exchange::kRacing) runner.exchange = Exchange::kLate;
  }
}

// Every path has failed, or one refused and no other can be hoped for.
void RedundantPaths::give_up(Lane lane, MonotonicTime now) {
  Race& race = race_of(lane);
  Outcome outcome{.lane = lane, .answer = {}, .took = race.took};
  for (const Runner& runner : race.runners) {
    if (const std::optional<ParentAnswer>& refusal = runner.refusal; refusal) outcome.answer = *refusal;
  }
  if (outcome.answer.meaning != ParentAnswer::Meaning::kRefused) {
    outcome.answer.timed_out = race.timed_out;
    outcome.answer.error = failure_of(race);
    // Until the first of them may be asked again.
    Duration pause = Duration::max();
    for (const Path& path : paths_) pause = std::min(pause, std::max(path.asked_until, now) - now);
    if (pause > Duration(0)) outcome.answer.asked_pause = pause;
  }
  decide(race, std::move(outcome));
}

Error RedundantPaths::failure_of(const Race& race) const {
  if (const std::optional<Error>& only = race.runners.front().failure; paths_.size() == 1 && only) return *only;
  Error all{.code = "uplink.no-path", .what = "no path to the parent works", .fix = {}};
  for (size_t path = 0; path < paths_.size(); ++path) {
    const std::optional<Error>& failure = race.runners[path].failure;
    all.what += fmt::format("; {}: {}", paths_[path].name, failure ? failure->what : "asked to be left alone for now");
  }
  return all;
}

void RedundantPaths::on_failure(size_t path, const ParentAnswer& answer) {
  Path& its = paths_[path];
  const MonotonicTime now = clock_.monotonic();
  counters_[path].failures.add();
  counters_[path].stands = false;
  if (answer.asked_pause) its.asked_until = std::max(its.asked_until, now + *answer.asked_pause);
  if (its.paused_until > now) return;  // the other lane has noticed
  if (paths_.size() > 1 && !its.is_reported && its.quiet_until <= now) {
    its.is_reported = true;
    its.quiet_until = now + kQuiet;
    log_warning("uplink", "the path {} does not work: {}", its.name, answer.error.line());
  }
  const uint32_t doublings = std::min<uint32_t>(its.failures_in_a_row++, 16);
  const Duration ceiling = std::min<Duration>(kFirstPause * (1LL << doublings), options_.retry_max);
  its.paused_until = now + Duration(static_cast<int64_t>(random_.unit() * static_cast<double>(ceiling.count())));
}

void RedundantPaths::on_success(size_t path) {
  Path& its = paths_[path];
  if (std::exchange(its.is_reported, false)) log_info("uplink", "the path {} works again", its.name);
  counters_[path].stands = true;
  its.failures_in_a_row = 0;
  its.paused_until = MonotonicTime::min();
  its.asked_until = MonotonicTime::min();
}

}  // namespace verge::spool
