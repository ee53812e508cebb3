#include "planner/replanning.h"

#include <algorithm>

namespace verge::planner {

namespace {

constexpr double kWorthwhile = 1e-9;  // ms; rounding is no gain
constexpr size_t kExchangesTried = 20'000'000;
constexpr int kExchangeRounds = 4;

class Replanner {
 public:
  explicit Replanner(const Replanning& question)
      : question_(question),
        scheduler_({question.nodes.begin(), question.nodes.end()}),
        where_(question.workloads.size()) {}

  bool run(bool holds_places) {
    for (uint32_t name = 0; name < where_.size() && holds_places; ++name) stay(name);
    for (uint32_t name = 0; name < where_.size(); ++name) {
      if (!holds_places) stay(name);
      move_what_gains(name);
      if (!complete(name)) return false;
    }
    for (int round = 0; round < kExchangeRounds && exchange(); ++round) {
    }
    return true;
  }

  [[nodiscard]] const std::vector<std::vector<uint32_t>>& answer() const { return where_; }

 private:
  [[nodiscard]] double cost(uint32_t name, uint32_t node) const {
    return question_.workloads[name].latency[node] + question_.price(name, node);
  }

  // On the nearest of the nodes that it runs on, as many as it has replicas, where they still suit it.
  void stay(uint32_t name) {
    const SchedulerWorkload& workload = question_.workloads[name];
    std::vector<uint32_t> current = question_.current[name];
    std::ranges::sort(current, [&](uint32_t a, uint32_t b) { return workload.latency[a] < workload.latency[b]; });
    for (const uint32_t node : current) {
      if (where_[name].size() == workload.replicas) return;
      if (scheduler_.violated(node, name, workload) != 0) continue;
      if (!scheduler_.is_beside(node, workload, where_[name])) continue;
      scheduler_.hold(node, name, workload);
      where_[name].push_back(node);
    }
  }

  void move_what_gains(uint32_t name) {
    const SchedulerWorkload& workload = question_.workloads[name];
    for (size_t replica = 0; replica < where_[name].size(); ++replica) {
      const uint32_t from = where_[name][replica];
      scheduler_.release(from, name, workload);
      where_[name].erase(where_[name].begin() + static_cast<std::ptrdiff_t>(replica));
      const double here = cost(name, from);
      const uint32_t to = scheduler_.best_node(name, workload, where_[name], [&](uint32_t node) {
        return node == from || cost(name, node) < here - kWorthwhile;
      });
      const uint32_t chosen = to == kNowhere ? from : to;
      scheduler_.hold(chosen, name, workload);
      where_[name].insert(where_[name].begin() + static_cast<std::ptrdiff_t>(replica), chosen);
    }
  }

  bool complete(uint32_t name) {
    const SchedulerWorkload& workload = question_.workloads[name];
    while (where_[name].size() < workload.replicas) {
      const uint32_t to = scheduler_.best_node(name, workload, where_[name]);
      if (to == kNowhere) return false;
      scheduler_.hold(to, name, workload);
      where_[name].push_back(to);
    }
    return true;
  }

  // Whether any two changed places.
  bool exchange() {
    std::vector<std::vector<uint32_t>> on_node(question_.nodes.size());
    for (uint32_t name = 0; name < where_.size(); ++name) {
      for (const uint32_t node : where_[name]) on_node[node].push_back(name);
    }
    bool has_changed = false;
    for (uint32_t name = 0; name < where_.size(); ++name) {
      if (question_.current[name].empty()) continue;
      for (uint32_t& from : where_[name]) {
        for (uint32_t to = 0; to < question_.nodes.size(); ++to) {
          const double gain = cost(name, from) - cost(name, to);
          if (to == from || gain <= kWorthwhile) continue;
          for (uint32_t& other : on_node[to]) {
            if (++tried_ > kExchangesTried) return has_changed;
            if (other == name || gain + cost(other, to) - cost(other, from) <= kWorthwhile) continue;
            if (!change_places(name, from, other, to)) continue;
            std::ranges::replace(on_node[from], name, other);
            other = name;
            from = to;
            has_changed = true;
            break;
          }
          if (from == to) break;
        }
      }
    }
    return has_changed;
  }

  // `from` is the entry of where_ itself. Nothing is changed when one does not suit the other's place.
  bool change_places(uint32_t name, uint32_t from, uint32_t other, uint32_t to) {
    const SchedulerWorkload& one = question_.workloads[name];
    const SchedulerWorkload& two = question_.workloads[other];
    scheduler_.release(from, name, one);
    scheduler_.release(to, other, two);
    const bool fits = scheduler_.violated(to, name, one) == 0 && scheduler_.violated(from, other, two) == 0 &&
                      scheduler_.is_beside(to, one, without(where_[name], from)) &&
                      scheduler_.is_beside(from, two, without(where_[other], to));
    scheduler_.hold(fits ? to : from, name, one);
    scheduler_.hold(fits ? from : to, other, two);
    if (fits) *std::ranges::find(where_[other], to) = from;
    return fits;
  }

  static std::vector<uint32_t> without(std::vector<uint32_t> nodes, uint32_t one) {
    std::erase(nodes, one);
    return nodes;
  }

  const Replanning& question_;
  Scheduler scheduler_;
  std::vector<std::vector<uint32_t>> where_;  // of each workload's replicas
  size_t tried_ = 0;
};

}  // namespace

std::optional<std::vector<std::vector<uint32_t>>> replan(const Replanning& question) {
  for (const bool holds_places : {true, false}) {
    Replanner replanner(question);
    if (replanner.run(holds_places)) return replanner.answer();
  }
  return {};
}

}  // namespace verge::planner
