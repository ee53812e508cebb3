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
#include "planner/lagrangian_dive.h"

namespace verge::planner {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr double kBoundShare = 0.15;  // of the time
constexpr int kBoundStepsMax = 3000;
constexpr double kFirstTarget = 1.01;  // of the bound: how far off the best value is taken to be before one is known
constexpr size_t kLikelyAgents = 6;    // that a job may move to
constexpr double kPromising = 0.004;   // of the bound above it
constexpr uint64_t kRoundsBetweenLooks = 16;
constexpr double kFirstDive = 3e-4;    // of the bound above it: the first target of a dive
constexpr double kDiveWider = 2;       // after a dive that found nothing
constexpr double kDiveWidest = 0.03;   // of the bound above it: what is not found there is left to the chains
constexpr double kPatience = 0.4;      // of the time, for dives that found nothing yet
constexpr int kReversals = 60;         // of a dive below the best known value
constexpr int kReversalsWider = 12;    // while targets are still widened
constexpr double kSecondDive = 4;      // times as far: where every other thread begins
constexpr double kQuickCells = 2.5e7;  // of knapsacks; beyond that one thread begins with chains

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
std::vector<std::vector<uint32_t>> promising_agents(const AssignmentProblem& problem,
                                                    std::vector<std::vector<uint32_t>> likely,
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

  void offer(double value, const Assignment& assignment) {
    const std::lock_guard lock(mutex_);
    if (value >= value_) return;
    value_ = value;
    assignment_ = assignment;
    if (value_ <= bound_ + 1e-9 * std::abs(bound_)) stop_ = true;
  }

  double value() {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  [[nodiscard]] double bound() const { return bound_; }
  std::atomic<bool>& stop() { return stop_; }
  Assignment& assignment() { return assignment_; }

 private:
  std::mutex mutex_;
  double bound_;
  double value_ = kForbidden;
  Assignment assignment_;
  std::atomic<bool> stop_ = false;
};

// Dives towards targets between the bound and the best known value, until the time is over; or until nothing is found
// anywhere near the bound, or by `patience`.
void dive_for_better(LagrangianDive& dive, const AssignmentProblem& problem, uint64_t seed,
                     SteadyClock::time_point patience, Best& best) {
  Random random(seed);
  const double bound = best.bound();
  const double step = problem.has_whole_costs() ? 1 : 1e-6 * std::abs(bound);
  double wide = seed % 2 == 0 ? kFirstDive * kSecondDive : kFirstDive;
  while (!best.stop().load(std::memory_order_relaxed)) {
    const double better = best.value() - step;
    double target = bound + step + wide * std::abs(bound);
    const bool is_wider = target < better;
    if (!is_wider) target = random.chance(0.5) ? better : bound + (better - bound) * (1 + random.unit()) / 2;
    if (dive.dive(target, is_wider ? kReversalsWider : kReversals) && is_feasible(problem, dive.answer())) {
      best.offer(value_of_assignment(problem, dive.answer()), dive.answer());
    } else if (is_wider) {
      wide *= kDiveWider;
      if (!std::isfinite(better) && (wide > kDiveWidest || SteadyClock::now() > patience)) return;
    }
  }
}

// Ejection chains, until the time is over or, where dives are made too, one of them found something better.
void chain_for_better(EjectionSearch& search, bool dives_too, Best& best) {
  search.start_from({});
  while (true) {
    if (search.has_answer()) best.offer(search.best_value(), search.best());
    if (best.stop().load(std::memory_order_relaxed)) return;
    if (dives_too && best.value() < search.best_value()) return;
    for (uint64_t i = 0; i < kRoundsBetweenLooks; ++i) search.round();
  }
}

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
  const bool dives = LagrangianDive::suits(problem);
  const bool dives_first = dives && LagrangianDive::cells(problem) <= kQuickCells;
  const auto patience = start + std::chrono::duration_cast<SteadyClock::duration>(options.time * kPatience);
  const auto search = [&](unsigned thread) {
    std::optional<LagrangianDive> dive;
    if (dives) dive.emplace(problem, lagrangian.prices(), options.seed + thread, best.stop());
    if (dives && (dives_first || thread > 0)) dive_for_better(*dive, problem, options.seed + thread, patience, best);
    if (best.stop()) return;
    EjectionSearch own(problem, thread % 2 == 0 ? promising : narrow, lagrangian.capacity_prices(),
                       options.seed + thread, best.stop());
    chain_for_better(own, dives, best);
    if (dives) dive_for_better(*dive, problem, options.seed + thread, end, best);
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < std::max(1U, options.threads); ++i) threads.emplace_back(search, i);
  while (!best.stop() && SteadyClock::now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  best.stop() = true;
  threads.clear();
  answer.assignment = std::move(best.assignment());
  answer.is_feasible = !answer.assignment.empty();
  // Added up anew: a sum that was kept up to date move by move has its last bits from them.
  if (answer.is_feasible) {
    answer.value = value_of_assignment(problem, answer.assignment);
    answer.bound = std::min(answer.bound, answer.value);
  }
  answer.is_optimal = answer.is_feasible && answer.value <= answer.bound + 1e-9 * std::abs(answer.bound);
  return answer;
}

}  // namespace verge::planner
