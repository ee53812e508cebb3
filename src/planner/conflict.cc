#include "planner/conflict.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "planner/lagrangian.h"

namespace verge::planner {

namespace {

constexpr double kRounding = 1e-9;
constexpr double kComparisonsMax = 2e8;  // of jobs with sets of agents
constexpr size_t kStepsAtOnce = 20'000;  // of one proof
constexpr size_t kStepsMax = 3'000'000;  // of all
constexpr size_t kJobsMax = 2'000;       // for the search
constexpr double kPairsMax = 1e6;        // of jobs and agents, for the relaxation
constexpr int kRelaxationSteps = 300;
constexpr std::chrono::seconds kTimeMax{6};  // for relaxation and search together

using SteadyClock = std::chrono::steady_clock;
using Agents = std::vector<uint32_t>;  // in rising order

std::vector<Agents> suitable_agents(const AssignmentProblem& problem) {
  std::vector<Agents> suitable(problem.jobs);
  for (uint32_t agent = 0; agent < problem.agents; ++agent) {
    for (size_t job = 0; job < problem.jobs; ++job) {
      if (!std::isfinite(problem.cost_of(agent, job))) continue;
      bool fits = true;
      for (size_t resource = 0; resource < problem.resources; ++resource) {
        const double capacity = problem.capacity_of(resource, agent);
        fits = fits && problem.weight_of(resource, agent, job) <= capacity + kRounding * (1 + capacity);
      }
      if (fits) suitable[job].push_back(agent);
    }
  }
  return suitable;
}

// What the job wants of the resource at least.
double least_weight(const AssignmentProblem& problem, size_t resource, size_t job, const Agents& suitable) {
  double least = kForbidden;
  for (const uint32_t agent : suitable) least = std::min(least, problem.weight_of(resource, agent, job));
  return least;
}

// The fewest of `jobs`, largest first, that together want more than `there`; none when all fit.
Conflict overfilling(const AssignmentProblem& problem, const std::vector<Agents>& suitable, const Agents& agents,
                     std::vector<uint32_t> jobs, uint32_t resource) {
  Conflict conflict{.agents = agents, .resources = {resource}};
  for (const uint32_t agent : agents) conflict.there += problem.capacity_of(resource, agent);
  std::vector<std::pair<double, uint32_t>> wants;
  for (const uint32_t job : jobs) wants.emplace_back(-least_weight(problem, resource, job, suitable[job]), job);
  std::ranges::sort(wants);
  for (const auto& [want, job] : wants) {
    conflict.wanted -= want;
    conflict.jobs.push_back(job);
    if (conflict.wanted > conflict.there * (1 + kRounding) + kRounding) return conflict;
  }
  return {};
}

std::optional<Conflict> by_counting(const AssignmentProblem& problem, const std::vector<Agents>& suitable) {
  std::map<Agents, std::vector<uint32_t>> jobs_by_agents;
  for (uint32_t job = 0; job < problem.jobs; ++job) jobs_by_agents[suitable[job]].push_back(job);
  const bool few = static_cast<double>(jobs_by_agents.size()) * static_cast<double>(jobs_by_agents.size()) *
                       static_cast<double>(problem.agents) <
                   kComparisonsMax;
  Agents everyone;
  for (uint32_t agent = 0; agent < problem.agents; ++agent) everyone.push_back(agent);
  std::vector<Agents> sets = {everyone};
  for (const auto& [agents, jobs] : jobs_by_agents) {
    if (few) sets.push_back(agents);
  }
  std::optional<Conflict> smallest;
  for (const Agents& agents : sets) {
    std::vector<uint32_t> confined;
    for (const auto& [others, jobs] : jobs_by_agents) {
      if (std::ranges::includes(agents, others)) confined.insert(confined.end(), jobs.begin(), jobs.end());
    }
    for (uint32_t resource = 0; resource < problem.resources; ++resource) {
      Conflict conflict = overfilling(problem, suitable, agents, confined, resource);
      if (conflict.jobs.empty()) continue;
      const bool is_smaller =
          !smallest || conflict.jobs.size() < smallest->jobs.size() ||
          (conflict.jobs.size() == smallest->jobs.size() && agents.size() < smallest->agents.size());
      if (is_smaller) smallest = std::move(conflict);
    }
  }
  return smallest;
}

// Backtracking over where a few jobs go.
class Proof {
 public:
  // `order`: all jobs, the most constrained first.
  Proof(const AssignmentProblem& problem, const std::vector<Agents>& suitable, const std::vector<uint32_t>& order)
      : problem_(problem), suitable_(suitable), rank_(problem.jobs), spreads_of_(problem.jobs) {
    for (uint32_t i = 0; i < order.size(); ++i) rank_[order[i]] = i;
    for (uint32_t spread = 0; spread < problem.spreads.size(); ++spread) {
      for (const uint32_t job : problem.spreads[spread].jobs) spreads_of_[job].push_back(spread);
    }
  }

  // Whether no placement of these jobs was proven to exist. False as well when the steps did not suffice.
  bool fails(const std::vector<uint32_t>& jobs, const std::vector<bool>& heeded, bool heeds_spreads) {
    jobs_ = jobs;
    std::ranges::sort(jobs_, {}, [&](uint32_t job) { return rank_[job]; });
    heeded_ = heeded;
    heeds_spreads_ = heeds_spreads;
    room_ = problem_.capacity;
    counts_.clear();
    for (const Spread& spread : problem_.spreads) counts_.emplace_back(heeds_spreads ? spread.domains : 0, 0);
    steps_ = 0;
    const bool fits = place(0);
    all_steps_ += steps_;
    return !fits && steps_ < kStepsAtOnce;
  }

  [[nodiscard]] bool is_exhausted() const { return all_steps_ >= kStepsMax; }

 private:
  bool may(uint32_t job, uint32_t agent) const {
    for (size_t resource = 0; resource < problem_.resources; ++resource) {
      const double room = room_[resource * problem_.agents + agent];
      if (heeded_[resource] &&
          problem_.weight_of(resource, agent, job) > room + kRounding * (1 + problem_.capacity_of(resource, agent))) {
        return false;
      }
    }
    return !heeds_spreads_ || std::ranges::all_of(spreads_of_[job], [&](uint32_t name) {
      const Spread& spread = problem_.spreads[name];
      return counts_[name][spread.domain_of_agent[agent]] < spread.most;
    });
  }

  void change(uint32_t job, uint32_t agent, int by) {
    for (size_t resource = 0; resource < problem_.resources; ++resource) {
      room_[resource * problem_.agents + agent] -= by * problem_.weight_of(resource, agent, job);
    }
    if (!heeds_spreads_) return;
    for (const uint32_t name : spreads_of_[job]) counts_[name][problem_.spreads[name].domain_of_agent[agent]] += by;
  }

  bool place(size_t index) {
    if (index == jobs_.size()) return true;
    const uint32_t job = jobs_[index];
    for (const uint32_t agent : suitable_[job]) {
      if (!may(job, agent)) continue;
      if (++steps_ >= kStepsAtOnce) return false;
      change(job, agent, 1);
      const bool fits = place(index + 1);
      change(job, agent, -1);
      if (fits) return true;
      if (steps_ >= kStepsAtOnce) return false;
    }
    return false;
  }

  const AssignmentProblem& problem_;
  const std::vector<Agents>& suitable_;
  std::vector<uint32_t> rank_;
  std::vector<std::vector<uint32_t>> spreads_of_;
  std::vector<uint32_t> jobs_;
  std::vector<bool> heeded_;  // resources
  bool heeds_spreads_ = true;
  std::vector<double> room_;
  std::vector<std::vector<int64_t>> counts_;
  size_t steps_ = 0;
  size_t all_steps_ = 0;
};

// Whether the relaxation proves that not all of these jobs can be placed.
bool relaxation_fails(const AssignmentProblem& problem, const std::vector<uint32_t>& jobs,
                      const std::vector<bool>& heeded, bool heeds_spreads, SteadyClock::time_point end) {
  AssignmentProblem relaxed = restricted(problem, jobs, heeded, heeds_spreads);
  if (static_cast<double>(relaxed.jobs) * static_cast<double>(relaxed.agents) > kPairsMax) return false;
  for (double& cost : relaxed.cost) cost = std::isfinite(cost) ? 0 : kForbidden;
  relaxed.cost.insert(relaxed.cost.end(), relaxed.jobs, 1);
  std::vector<double> weight;
  std::vector<double> capacity;
  for (size_t resource = 0; resource < relaxed.resources; ++resource) {
    const auto rows = static_cast<std::ptrdiff_t>(relaxed.agents * relaxed.jobs);
    const auto first = relaxed.weight.begin() + static_cast<std::ptrdiff_t>(resource) * rows;
    weight.insert(weight.end(), first, first + rows);
    weight.insert(weight.end(), relaxed.jobs, 0);
    const auto row = relaxed.capacity.begin() + static_cast<std::ptrdiff_t>(resource * relaxed.agents);
    capacity.insert(capacity.end(), row, row + static_cast<std::ptrdiff_t>(relaxed.agents));
    capacity.push_back(1);
  }
  relaxed.weight = std::move(weight);
  relaxed.capacity = std::move(capacity);
  relaxed.opening.clear();
  ++relaxed.agents;
  // The agent more is a domain of its own: where all can be placed nobody needs it, so that this forbids nothing.
  for (Spread& spread : relaxed.spreads) spread.domain_of_agent.push_back(spread.domains++);
  Lagrangian lagrangian(relaxed);
  for (int step = 0; step < kRelaxationSteps && lagrangian.bound() < 1 && SteadyClock::now() < end; ++step) {
    if (!lagrangian.step(1)) break;
  }
  return lagrangian.bound() >= 1;
}

// By relaxation or backtracking, whichever can.
class Prover {
 public:
  Prover(const AssignmentProblem& problem, const std::vector<Agents>& suitable, const std::vector<uint32_t>& order,
         SteadyClock::time_point end)
      : problem_(problem), backtracking_(problem, suitable, order), end_(end), all_(problem.resources, true) {}

  bool fails(const std::vector<uint32_t>& jobs) { return fails(jobs, all_, true); }
  bool fails(const std::vector<uint32_t>& jobs, const std::vector<bool>& heeded, bool heeds_spreads) {
    return backtracking_.fails(jobs, heeded, heeds_spreads) ||
           (problem_.jobs <= kJobsMax && relaxation_fails(problem_, jobs, heeded, heeds_spreads, end_));
  }
  bool relaxation_fails_alone(const std::vector<uint32_t>& jobs) {
    return relaxation_fails(problem_, jobs, all_, true, end_);
  }
  bool backtracking_fails(const std::vector<uint32_t>& jobs) { return backtracking_.fails(jobs, all_, true); }
  [[nodiscard]] bool is_exhausted() const { return backtracking_.is_exhausted() || SteadyClock::now() >= end_; }

 private:
  const AssignmentProblem& problem_;
  Proof backtracking_;
  SteadyClock::time_point end_;
  std::vector<bool> all_;
};

// The most constrained first, of those the largest.
std::vector<uint32_t> by_constraint(const AssignmentProblem& problem, const std::vector<Agents>& suitable) {
  std::vector<uint32_t> order;
  std::vector<double> size(problem.jobs, 0);  // the largest share of what suits it that it wants
  for (uint32_t job = 0; job < problem.jobs; ++job) {
    order.push_back(job);
    for (size_t resource = 0; resource < problem.resources; ++resource) {
      for (const uint32_t agent : suitable[job]) {
        const double capacity = problem.capacity_of(resource, agent);
        if (capacity > 0) size[job] = std::max(size[job], problem.weight_of(resource, agent, job) / capacity);
      }
    }
  }
  std::ranges::sort(order, {}, [&](uint32_t job) { return std::tuple(suitable[job].size(), -size[job], job); });
  return order;
}

Conflict explained(const AssignmentProblem& problem, const std::vector<Agents>& suitable,
                   const std::vector<uint32_t>& jobs, Prover& prover) {
  std::vector<bool> heeded(problem.resources, true);
  const bool about_spreads = !problem.spreads.empty() && !prover.fails(jobs, heeded, false);
  for (uint32_t resource = 0; resource < problem.resources; ++resource) {
    heeded[resource] = false;
    if (!prover.fails(jobs, heeded, about_spreads)) heeded[resource] = true;
  }
  Conflict conflict{.jobs = jobs, .is_about_spreads = about_spreads};
  for (uint32_t resource = 0; resource < problem.resources; ++resource) {
    if (heeded[resource]) conflict.resources.push_back(resource);
  }
  for (const uint32_t job : jobs) {
    conflict.agents.insert(conflict.agents.end(), suitable[job].begin(), suitable[job].end());
  }
  std::ranges::sort(conflict.agents);
  const auto repeated = std::ranges::unique(conflict.agents);
  conflict.agents.erase(repeated.begin(), repeated.end());
  return conflict;
}

std::optional<Conflict> by_proof(const AssignmentProblem& problem, const std::vector<Agents>& suitable) {
  const auto end = SteadyClock::now() + kTimeMax;
  const std::vector<uint32_t> order = by_constraint(problem, suitable);
  Prover prover(problem, suitable, order, end);
  std::vector<uint32_t> jobs;
  bool is_proven = false;
  for (size_t i = 0; i < order.size() && problem.jobs <= kJobsMax && !is_proven && !prover.is_exhausted(); ++i) {
    jobs.push_back(order[i]);
    is_proven = prover.backtracking_fails(jobs);
  }
  if (!is_proven) {
    jobs = order;
    if (!prover.relaxation_fails_alone(jobs)) return {};
  }
  std::ranges::reverse(jobs);  // the least constrained are tried first
  jobs = without_spare_jobs(std::move(jobs), [&](const auto& fewer) { return prover.fails(fewer); }, end);
  std::ranges::sort(jobs);
  return explained(problem, suitable, jobs, prover);
}

}  // namespace

AssignmentProblem restricted(const AssignmentProblem& problem, const std::vector<uint32_t>& jobs,
                             const std::vector<bool>& heeded, bool heeds_spreads) {
  AssignmentProblem some{.agents = problem.agents, .jobs = jobs.size(), .resources = 0};
  for (size_t agent = 0; agent < problem.agents; ++agent) {
    for (const uint32_t job : jobs) some.cost.push_back(problem.cost_of(agent, job));
  }
  for (size_t resource = 0; resource < problem.resources; ++resource) {
    if (!heeded[resource]) continue;
    ++some.resources;
    for (size_t agent = 0; agent < problem.agents; ++agent) {
      for (const uint32_t job : jobs) some.weight.push_back(problem.weight_of(resource, agent, job));
      some.capacity.push_back(problem.capacity_of(resource, agent));
    }
  }
  if (some.resources == 0) {
    some.resources = 1;
    some.weight.assign(problem.agents * jobs.size(), 0);
    some.capacity.assign(problem.agents, 1);
  }
  some.opening = problem.opening;
  std::vector<uint32_t> index(problem.jobs, kUnassigned);
  for (uint32_t i = 0; i < jobs.size(); ++i) index[jobs[i]] = i;
  for (const Spread& spread : problem.spreads) {
    if (!heeds_spreads) break;
    std::vector<uint32_t> left;
    for (const uint32_t job : spread.jobs) {
      if (index[job] != kUnassigned) left.push_back(index[job]);
    }
    if (left.size() <= spread.most) continue;
    some.spreads.push_back(spread);
    some.spreads.back().jobs = std::move(left);
  }
  return some;
}

std::vector<uint32_t> without_spare_jobs(std::vector<uint32_t> jobs,
                                         const std::function<bool(const std::vector<uint32_t>&)>& is_impossible,
                                         SteadyClock::time_point end) {
  for (size_t piece = std::max<size_t>(1, jobs.size() / 2); piece > 0; piece /= 2) {
    for (size_t at = 0; at < jobs.size();) {
      if (SteadyClock::now() >= end) return jobs;
      const auto first = jobs.begin() + static_cast<std::ptrdiff_t>(at);
      std::vector<uint32_t> fewer(jobs.begin(), first);
      fewer.insert(fewer.end(), first + static_cast<std::ptrdiff_t>(std::min(piece, jobs.size() - at)), jobs.end());
      if (!fewer.empty() && is_impossible(fewer)) {
        jobs = std::move(fewer);
      } else {
        at += piece;
      }
    }
  }
  return jobs;
}

std::optional<Conflict> count_conflict(const AssignmentProblem& problem) {
  const std::vector<Agents> suitable = suitable_agents(problem);
  for (uint32_t job = 0; job < problem.jobs; ++job) {
    if (suitable[job].empty()) return Conflict{.jobs = {job}};
  }
  return by_counting(problem, suitable);
}

std::optional<Conflict> find_conflict(const AssignmentProblem& problem) {
  constexpr size_t kSmall = 2;  // nothing smaller is worth a search
  std::optional<Conflict> counted = count_conflict(problem);
  if (counted && counted->jobs.size() <= kSmall) return counted;
  std::optional<Conflict> proven = by_proof(problem, suitable_agents(problem));
  if (!counted || (proven && proven->jobs.size() < counted->jobs.size())) return proven;
  return counted;
}

}  // namespace verge::planner
