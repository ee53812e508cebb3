// Finds good assignments by diving along the Lagrangian relaxation of "each job once" (Posta, Ferland and Michelon 2012
// search the whole tree that way): the prices of the jobs are improved for a while, what would lift the bound above the
// value looked for is ruled out, the pairs that the relaxation chose most often are settled, and again, until every job
// has an agent. Where the bound passes the target the last choice is reversed, a number of times.
//
// It is strongest where agents have few jobs and their knapsacks decide, which is where local search is weakest.
// For one resource, whole weights, no opening costs and no spreads. One object belongs to one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "planner/assignment_problem.h"

namespace verge::planner {

class LagrangianDive {
 public:
  static bool suits(const AssignmentProblem& problem);
  // Cells of all agents' knapsacks: what a step costs at most.
  static double cells(const AssignmentProblem& problem);

  // `prices`: of the jobs, from the bound. Once `stop` is set, a dive ends soon.
  LagrangianDive(const AssignmentProblem& problem, std::span<const double> prices, uint64_t seed,
                 const std::atomic<bool>& stop);

  // Whether an assignment of at most `target` was found, with no more than so many reversals of choices. Another dive
  // takes other choices.
  bool dive(double target, int reversals_max);
  // What was found; else where the dive ended: each job at the agent it had most often, capacities or not.
  [[nodiscard]] const Assignment& answer() const { return answer_; }

 private:
  enum class State : uint8_t { kOpen, kIn, kOut };
  struct Change {
    uint32_t agent;
    uint32_t job;
  };
  struct Agent {
    size_t room = 0;              // capacity less what is in
    std::vector<uint32_t> open;   // jobs that it may get; may hold some that are settled by now
    std::vector<uint32_t> taken;  // of the last knapsack
  };

  void restart();
  bool settle(uint32_t agent, uint32_t job);
  bool settle_last_ways();
  bool rule_out(uint32_t agent, uint32_t job);
  void undo(size_t changes);
  void list_items(uint32_t agent);
  double fill_forwards(uint32_t agent);
  void fill_backwards(uint32_t agent);
  double evaluate();
  bool improve(double target, int steps);
  bool step_prices(double reach_to_target);
  bool rule_out_hopeless(double target);
  void weigh_agent(uint32_t agent, double slack);
  bool choose(std::vector<Change>& chosen);
  bool complete();
  void round_off();

  [[nodiscard]] size_t at(size_t agent, size_t job) const { return agent * jobs_ + job; }
  [[nodiscard]] double profit(size_t agent, size_t job) const { return prices_[job] - cost_[at(agent, job)]; }

  const size_t agents_;
  const size_t jobs_;
  const std::atomic<bool>& stop_;
  Random random_;
  std::vector<double> cost_;
  std::vector<uint32_t> weight_;
  std::vector<size_t> capacity_;
  const std::vector<double> first_prices_;
  std::vector<double> prices_;
  std::vector<double> best_prices_;
  std::vector<double> direction_;
  std::vector<State> state_;        // [agent * jobs + job]
  std::vector<uint32_t> agent_of_;  // of settled jobs
  std::vector<uint32_t> ways_;      // of each job: pairs not ruled out
  std::vector<Agent> of_agent_;
  std::vector<Change> trail_;
  std::vector<float> share_;  // how often the relaxation chose the pair, lately
  std::vector<int> times_;
  std::vector<double> table_;  // of one knapsack: [item][capacity]
  std::vector<double> back_table_;
  std::vector<uint32_t> items_;
  std::vector<uint32_t> hopeless_;  // of one agent: jobs that must not go there
  std::vector<Change> sure_;        // that must
  double settled_cost_ = 0;
  Assignment answer_;
};

}  // namespace verge::planner
