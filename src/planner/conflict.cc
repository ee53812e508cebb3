#include "planner/conflict.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace verge::planner {

namespace {

constexpr double kRounding = 1e-9;
constexpr double kComparisonsMax = 2e8;  // of jobs with sets of agents
constexpr size_t kStepsAtOnce = 20'000;  // of one proof
constexpr size_t kStepsMax = 3'000'000;  // of all
constexpr size_t kJobsMax = 2'000;       // for the search

using Agents = std::vector<uint32_t>;  // in rising order

std::vector<Agents> suitable_agents(const AssignmentProblem& problem) {
  std::vector<Agents> suitable(problem.jobs);
  for (uint32_t agent = 0; agent < problem.agents; ++agent) {
    for (size_t job = 0; job < problem.jobs; ++job) {
      if (std::isfinite(problem.cost_of(agent, job))) suitable[job].push_back(agent);
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
  Proof(const AssignmentProblem& problem, const std::vector<Agents>& suitable)
      : problem_(problem), suitable_(suitable), spreads_of_(problem.jobs) {
    for (uint32_t spread = 0; spread < problem.spreads.size(); ++spread) {
      for (const uint32_t job : problem.spreads[spread].jobs) spreads_of_[job].push_back(spread);
    }
  }

  // Whether no placement of these jobs was proven to exist. False as well when the steps did not suffice.
  bool fails(const std::vector<uint32_t>& jobs, const std::vector<bool>& heeded, bool heeds_spreads) {
    jobs_ = jobs;
    std::ranges::sort(jobs_, {}, [&](uint32_t job) { return suitable_[job].size(); });
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
  std::vector<std::vector<uint32_t>> spreads_of_;
  std::vector<uint32_t> jobs_;
  std::vector<bool> heeded_;  // resources
  bool heeds_spreads_ = true;
  std::vector<double> room_;
  std::vector<std::vector<int64_t>> counts_;
  size_t steps_ = 0;
  size_t all_steps_ = 0;
};

std::optional<Conflict> by_search(const AssignmentProblem& problem, const std::vector<Agents>& suitable) {
  if (problem.jobs > kJobsMax) return {};
  Proof proof(problem, suitable);
  std::vector<bool> heeded(problem.resources, true);
  std::vector<uint32_t> order;
  for (uint32_t job = 0; job < problem.jobs; ++job) order.push_back(job);
  std::ranges::sort(order, {}, [&](uint32_t job) { return std::pair(suitable[job].size(), job); });
  std::vector<uint32_t> jobs;
  bool is_proven = false;
  for (size_t i = 0; i < order.size() && !is_proven && !proof.is_exhausted(); ++i) {
    jobs.push_back(order[i]);
    is_proven = proof.fails(jobs, heeded, true);
  }
  if (!is_proven) return {};
  for (size_t i = jobs.size(); i-- > 0;) {
    std::vector<uint32_t> fewer = jobs;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    if (proof.fails(fewer, heeded, true)) jobs = std::move(fewer);
  }
  const bool about_spreads = !proof.fails(jobs, heeded, false);
  for (uint32_t resource = 0; resource < problem.resources; ++resource) {
    heeded[resource] = false;
    if (!proof.fails(jobs, heeded, about_spreads)) heeded[resource] = true;
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

}  // namespace

std::optional<Conflict> find_conflict(const AssignmentProblem& problem) {
  const std::vector<Agents> suitable = suitable_agents(problem);
  for (uint32_t job = 0; job < problem.jobs; ++job) {
    if (suitable[job].empty()) return Conflict{.jobs = {job}};
  }
  std::optional<Conflict> conflict = by_counting(problem, suitable);
  return conflict ? conflict : by_search(problem, suitable);
}

}  // namespace verge::planner
