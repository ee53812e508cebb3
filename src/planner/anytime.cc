#include "planner/anytime.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <thread>

#include "planner/ejection_search.h"
#include "planner/lagrangian.h"

namespace verge::planner {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr double kBoundShare = 0.15;  // of the time
constexpr int kBoundStepsMax = 3000;
constexpr double kFirstTarget = 1.01;    // of the bound: how far off the best value is taken to be before one is known
constexpr size_t kLikelyAgents = 6;      // that a job may move to
constexpr double kPromising = 0.004;     // of the bound above it
constexpr uint64_t kRoundsBetweenLooks = 16;

// The agents that each job is likely to have in a good assignment: cheapest with capacity at its price.
std::vector<std::vector<uint32_t>> likely_agents(const AssignmentProblem& problem, const std::vector<double>& prices,
                                                 size_t most) {
  std::vector<std::vector<uint32_t>> likely(problem.jobs);
  std::vector<double> priced(problem.agents);
  for (size_t job = 0; job < problem.jobs; ++job) {
    for (uint32_t agent = 0; agent < problem.agents; ++agent) {
      priced[agent] = problem.cost_of(agent, job) + problem.opening_of(agent) / static_cast<double>(problem.jobs);
      for (size_t resource = 0; resource < problem.resources; ++resource) {
        priced[agent] += prices[resource * problem.agents + agent] * problem.weight_of(resource, agent, job);
      }
      if (std::isfinite(priced[agent])) likely[job].push_back(agent);
    }
    std::ranges::sort(likely[job], [&](uint32_t a, uint32_t b) { return priced[a] < priced[b]; });
    if (likely[job].size() > most) likely[job].resize(most);
  }
  return likely;
}

// Without agents whose choice alone would put the value so far above the bound that the best is hardly among them; two
// are left in any case.
std::vector<std::vector<uint32_t>> promising_agents(const AssignmentProblem& problem, std::vector<std::vector<uint32_t>> likely,
                                                    const std::vector<double>& bounds, double limit) {
  for (size_t job = 0; job < problem.jobs; ++job) {
    std::vector<uint32_t>& agents = likely[job];
    std::ranges::sort(agents, {}, [&](uint32_t agent) { return bounds[agent * problem.jobs + job]; });
    while (agents.size() > 2 && bounds[agents.back() * problem.jobs + job] > limit) agents.pop_back();
  }
  return likely;
}

// What the searching threads share: the best answer of all.
class Best {
 public:
  explicit Best(double bound) : bound_(bound) {}

  void offer(const EjectionSearch& search) {
    if (!search.has_answer()) return;
    const std::lock_guard lock(mutex_);
    if (search.best_value() >= value_) return;
    value_ = search.best_value();
    assignment_ = search.best();
    if (value_ <= bound_ + 1e-9 * std::abs(bound_)) stop_ = true;
  }

  std::atomic<bool>& stop() { return stop_; }
  [[nodiscard]] double value() const { return value_; }
  Assignment& assignment() { return assignment_; }

 private:
  std::mutex mutex_;
  double bound_;
  double value_ = kForbidden;
  Assignment assignment_;
  std::atomic<bool> stop_ = false;
};

}  // namespace

AnytimeAnswer solve_anytime(const AssignmentProblem& problem, const AnytimeOptions& options) {
  const auto start = SteadyClock::now();
  const auto end = start + std::chrono::duration_cast<SteadyClock::duration>(options.time);
  const auto bound_end = start + std::chrono::duration_cast<SteadyClock::duration>(options.time * kBoundShare);
  AnytimeAnswer answer;
  if (problem.jobs == 0) return {.is_feasible = true, .assignment = {}, .value = 0, .is_optimal = true};

  Lagrangian lagrangian(problem);
  double target = kForbidden;
  for (int step = 0; step < kBoundStepsMax && SteadyClock::now() < bound_end; ++step) {
    if (!lagrangian.step(target)) break;
    target = lagrangian.bound() * (lagrangian.bound() > 0 ? kFirstTarget : 1 / kFirstTarget) + 1;
  }
  answer.bound = lagrangian.bound();
  answer.bounds_when_assigned = lagrangian.bounds_when_assigned();

  const auto narrow = likely_agents(problem, lagrangian.capacity_prices(), kLikelyAgents);
  if (std::ranges::any_of(narrow, [](const auto& agents) { return agents.empty(); })) return answer;
  const auto promising = promising_agents(problem, narrow, answer.bounds_when_assigned,
                                          answer.bound + kPromising * std::abs(answer.bound));
  Best best(answer.bound);
  const auto search = [&](unsigned thread) {
    EjectionSearch own(problem, thread % 2 == 0 ? promising : narrow, lagrangian.capacity_prices(), options.seed + thread,
                       best.stop());
    own.start_from({});
    best.offer(own);
    while (!best.stop().load(std::memory_order_relaxed)) {
      for (uint64_t i = 0; i < kRoundsBetweenLooks; ++i) own.round();
      best.offer(own);
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < std::max(1U, options.threads); ++i) threads.emplace_back(search, i);
  while (!best.stop() && SteadyClock::now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  best.stop() = true;
  threads.clear();
  answer.assignment = std::move(best.assignment());
  answer.value = best.value();
  answer.is_feasible = !answer.assignment.empty();
  answer.is_optimal = answer.is_feasible && answer.value <= answer.bound + 1e-9 * std::abs(answer.bound);
  return answer;
}

}  // namespace verge::planner
