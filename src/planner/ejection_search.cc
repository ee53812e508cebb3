#include "planner/ejection_search.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace verge::planner {

namespace {

constexpr std::array<size_t, 4> kBreadth = {8, 4, 2, 1};  // chains tried at each depth
constexpr size_t kEjectedTried = 12;                       // of an agent's jobs, in one look
constexpr int kStartsMax = 60;
constexpr double kStartPenaltyMore = 1.4;
constexpr size_t kNeighboursWoken = 6;                 // of an agent whose room changed
constexpr double kPenaltyMore = 1.03;

constexpr double kPenaltyLess = 0.97;
constexpr uint64_t kRoundsWithoutBetter = 3000;  // before the search goes back to the best
constexpr double kLittle = 1e-7;

}  // namespace

EjectionSearch::EjectionSearch(const AssignmentProblem& problem, std::vector<std::vector<uint32_t>> likely,
                               const std::vector<double>& capacity_prices, uint64_t seed, const std::atomic<bool>& stop)
    : state_(problem, capacity_prices),
      stop_(stop),
      likely_(std::move(likely)),
      random_(seed),
      is_awake_(problem.jobs, false),
      links_(kBreadth.size()) {}

void EjectionSearch::start_from(std::span<const uint32_t> assignment) {
  state_.clear();
  for (uint32_t job = 0; job < likely_.size(); ++job) {
    const uint32_t wanted = job < assignment.size() ? assignment[job] : kUnassigned;
    state_.place(job, wanted != kUnassigned ? wanted : likely_[job].front());
  }
  remember();
  // Shifts and swaps first, at rising penalties until all is within its capacity: most of the way down is cheap.
  const auto pass = [&](size_t depth) {
    depth_ = depth;
    for (uint32_t job = 0; job < likely_.size(); ++job) wake(job);
    descend();
  };
  pass(0);
  for (int attempt = 0; attempt < kStartsMax && !state_.is_feasible() && !stop_.load(std::memory_order_relaxed); ++attempt) {
    state_.adapt_penalties(kStartPenaltyMore, 1);
    pass(1);
  }
  for (size_t depth = 1; depth <= kBreadth.size(); ++depth) pass(depth);
  depth_ = kBreadth.size();
  journal_.clear();
}

void EjectionSearch::remember() {
  if (!state_.is_feasible() || state_.value() >= best_value_ - kLittle) return;
  best_value_ = state_.value();
  best_ = state_.assignment();
  last_better_ = rounds_;
}

void EjectionSearch::wake(uint32_t job) {
  if (is_awake_[job]) return;
  is_awake_[job] = true;
  awake_.push_back(job);
}

void EjectionSearch::wake_agent(uint32_t agent) {
  const std::vector<uint32_t>& jobs = state_.jobs_of(agent);
  if (jobs.size() <= kNeighboursWoken) {
    for (const uint32_t job : jobs) wake(job);
    return;
  }
  for (size_t i = 0; i < kNeighboursWoken; ++i) wake(jobs[random_.below(jobs.size())]);
}

void EjectionSearch::move(uint32_t job, uint32_t to) {
  journal_.push_back({job, state_.agent_of(job)});
  state_.take(job);
  state_.place(job, to);
}

// Every job of an agent that `job` could go to, ejected for it, with the best place that is then open for that one.
void EjectionSearch::collect_links(uint32_t job, uint32_t origin, double total, std::vector<Link>& links) {
  links.clear();
  for (const uint32_t agent : likely_[job]) {
    if (agent == origin) continue;
    const double placed = total + state_.placing(job, agent);
    state_.place(job, agent);
    const std::vector<uint32_t>& jobs = state_.jobs_of(agent);
    const size_t tried = std::min(jobs.size(), kEjectedTried);
    const size_t first = tried < jobs.size() ? random_.below(jobs.size()) : 0;
    for (size_t i = 0; i < tried; ++i) {
      const uint32_t ejected = jobs[(first + i) % jobs.size()];
      if (ejected == job) continue;
      const double without = placed + state_.taking(ejected);
      double trial = kForbidden;
      for (const uint32_t next : likely_[ejected]) {
        if (next != agent) trial = std::min(trial, without + state_.placing(ejected, next));
      }
      if (trial < kForbidden) links.push_back({trial, agent, ejected});
    }
    state_.take(job);
  }
}

// `job` floats and came from `origin`; `total` is that of the state without it, `before` the one to get below.
bool EjectionSearch::extend(uint32_t job, uint32_t origin, double total, double before, size_t depth) {
  double best = before - kLittle;
  uint32_t where = kUnassigned;
  for (const uint32_t agent : likely_[job]) {
    if (agent == origin) continue;
    const double placed = total + state_.placing(job, agent);
    if (placed < best) {
      best = placed;
      where = agent;
    }
  }
  if (where != kUnassigned) {
    state_.place(job, where);
    journal_.push_back({job, origin});
    return true;
  }
  if (depth == depth_) return false;
  std::vector<Link>& links = links_[depth];
  collect_links(job, origin, total, links);
  const size_t breadth = std::min(kBreadth[depth], links.size());
  std::partial_sort(links.begin(), links.begin() + static_cast<std::ptrdiff_t>(breadth), links.end(),
                    [](const Link& a, const Link& b) { return a.trial < b.trial; });
  for (size_t i = 0; i < breadth; ++i) {
    const Link link = links[i];
    const double placed = total + state_.placing(job, link.agent);
    state_.place(job, link.agent);
    const double without = placed + state_.taking(link.ejected);
    state_.take(link.ejected);
    if (extend(link.ejected, link.agent, without, before, depth + 1)) {
      journal_.push_back({job, origin});
      return true;
    }
    state_.place(link.ejected, link.agent);
    state_.take(job);
  }
  return false;
}

bool EjectionSearch::improve(uint32_t job) {
  const uint32_t origin = state_.agent_of(job);
  const double total = state_.taking(job);  // relative to the state before
  state_.take(job);
  if (extend(job, origin, total, 0, 0)) return true;
  state_.place(job, origin);
  return false;
}

void EjectionSearch::descend() {
  while (!awake_.empty()) {
    const uint32_t job = awake_.front();
    awake_.pop_front();
    is_awake_[job] = false;
    if (stop_.load(std::memory_order_relaxed)) continue;
    const size_t moves = journal_.size();
    if (!improve(job)) continue;
    remember();
    for (size_t i = moves; i < journal_.size(); ++i) {
      wake(journal_[i].job);
      wake_agent(journal_[i].from);
    }
  }
}

void EjectionSearch::disturb() {
  const auto job = static_cast<uint32_t>(random_.below(likely_.size()));
  const uint32_t from = state_.agent_of(job);
  const uint32_t to = likely_[job][random_.below(likely_[job].size())];
  if (to == from) return;
  move(job, to);
  wake(job);
  wake_agent(from);
  wake_agent(to);
}

void EjectionSearch::round() {
  ++rounds_;
  journal_.clear();
  const double before = state_.total();
  disturb();
  descend();
  if (state_.total() > before) {
    for (size_t i = journal_.size(); i-- > 0;) {
      state_.take(journal_[i].job);
      state_.place(journal_[i].job, journal_[i].from);
    }
  }
  state_.adapt_penalties(kPenaltyMore, kPenaltyLess);
  if (has_answer() && rounds_ - last_better_ > kRoundsWithoutBetter) {
    last_better_ = rounds_;
    start_from(best_);
  }
}

}  // namespace verge::planner
