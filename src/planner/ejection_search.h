// Local search over assignments by ejection chains (Yagiura, Ibaraki and Glover 2004; the chains grow as in Lin and
// Kernighan's): a job moves to a likely agent and, where that is full, ejects one that moves on in turn, as long as the
// whole gets better; then a small random disturbance, and again. What got worse is taken back.
//
// One object belongs to one thread. The same seed and the same number of rounds give the same answer.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/random.h"
#include "planner/assignment_state.h"

namespace verge::planner {

class EjectionSearch {
 public:
  // `likely`: of each job, the agents that it may move to, best first; none empty. Once `stop` is set, what is under
  // way ends soon.
  EjectionSearch(const AssignmentProblem& problem, std::vector<std::vector<uint32_t>> likely,
                 const std::vector<double>& capacity_prices, uint64_t seed, const std::atomic<bool>& stop);

  // Where the search goes on from; jobs without an agent get their likeliest.
  void start_from(std::span<const uint32_t> assignment);
  // One disturbance and the descent that follows.
  void round();

  [[nodiscard]] bool has_answer() const { return best_value_ < kForbidden; }
  [[nodiscard]] double best_value() const { return best_value_; }
  [[nodiscard]] const Assignment& best() const { return best_; }
  [[nodiscard]] uint64_t rounds() const { return rounds_; }

 private:
  struct Move {
    uint32_t job;
    uint32_t from;
  };
  struct Link {  // the next job to eject
    double trial;
    uint32_t agent;
    uint32_t ejected;
  };
  bool improve(uint32_t job);
  bool extend(uint32_t job, uint32_t origin, double total, double before, size_t depth);
  void collect_links(uint32_t job, uint32_t origin, double total, std::vector<Link>& links);
  void descend();
  void disturb();
  void move(uint32_t job, uint32_t to);
  void wake(uint32_t job);
  void wake_agent(uint32_t agent);
  void remember();

  AssignmentState state_;
  const std::atomic<bool>& stop_;
  size_t depth_ = 0;
  std::vector<std::vector<uint32_t>> likely_;
  Random random_;
  std::vector<Move> journal_;  // of this round
  std::deque<uint32_t> awake_;
  std::vector<bool> is_awake_;
  std::vector<std::vector<Link>> links_;  // of each depth
  double best_value_ = kForbidden;
  Assignment best_;
  uint64_t rounds_ = 0;
  uint64_t last_better_ = 0;
};

}  // namespace verge::planner
