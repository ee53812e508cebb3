#include "planner/priced_bound.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace verge::planner {

namespace {

constexpr double kSampledPairs = 400'000;  // of workloads and nodes
constexpr int kRounds = 120;
constexpr double kShorter = 0.97;  // a step than the one before

struct Prices {
  explicit Prices(size_t nodes) : cpu(nodes, 0), memory(nodes, 0), bandwidth(nodes, 0) {}
  std::vector<float> cpu;
  std::vector<float> memory;
  std::vector<float> bandwidth;
};

class PricedBound {
 public:
  PricedBound(std::span<const SchedulerNode> nodes, std::span<const SchedulerWorkload> workloads)
      : nodes_(nodes), workloads_(workloads), priced_(nodes.size()) {}

  double run(double value) {
    const double pairs = static_cast<double>(nodes_.size()) * static_cast<double>(workloads_.size());
    const auto stride = static_cast<size_t>(std::max(1.0, pairs / kSampledPairs));
    Prices prices(nodes_.size());
    Prices best_prices = prices;
    const double nothing = evaluate(prices, 1, nullptr);
    double best = -1e300;
    double reach = 0.5;
    Prices excess(nodes_.size());
    for (int round = 0; round < kRounds; ++round, reach *= kShorter) {
      const double bound = evaluate(prices, stride, &excess);
      if (bound > best) {
        best = bound;
        best_prices = prices;
      }
      // A sample's bound is about the whole: its workloads count for those beside them.
      if (!step(prices, excess, reach * std::max(value - bound, 1e-3 * std::abs(value)))) break;
    }
    return std::max(nothing, evaluate(best_prices, 1, nullptr));
  }

 private:
  // Over every `stride`th workload, which counts for all of them; `excess` is what is used beyond the capacities.
  double evaluate(const Prices& prices, size_t stride, Prices* excess) {
    double bound = 0;
    if (excess != nullptr) *excess = Prices(nodes_.size());
    for (size_t i = 0; i < workloads_.size(); i += stride) {
      const SchedulerWorkload& workload = workloads_[i];
      const auto cpu = static_cast<float>(workload.cpu);
      const auto memory = static_cast<float>(workload.memory);
      const auto bandwidth = static_cast<float>(workload.bandwidth);
      const float* const latency = workload.latency.data();
      for (size_t node = 0; node < nodes_.size(); ++node) {
        priced_[node] =
            latency[node] + cpu * prices.cpu[node] + memory * prices.memory[node] + bandwidth * prices.bandwidth[node];
      }
      const auto least = std::ranges::min_element(priced_);
      const double count = static_cast<double>(std::min(stride, workloads_.size() - i)) * workload.replicas;
      bound += count * *least;
      if (excess == nullptr) continue;
      const auto node = static_cast<size_t>(least - priced_.begin());
      excess->cpu[node] += static_cast<float>(count) * cpu;
      excess->memory[node] += static_cast<float>(count) * memory;
      excess->bandwidth[node] += static_cast<float>(count) * bandwidth;
    }
    for (size_t node = 0; node < nodes_.size(); ++node) {
      bound -= prices.cpu[node] * nodes_[node].cpu + prices.memory[node] * nodes_[node].memory +
               prices.bandwidth[node] * nodes_[node].bandwidth;
      if (excess == nullptr) continue;
      excess->cpu[node] -= static_cast<float>(nodes_[node].cpu);
      excess->memory[node] -= static_cast<float>(nodes_[node].memory);
      excess->bandwidth[node] -= static_cast<float>(nodes_[node].bandwidth);
    }
    return bound;
  }

  // Prices rise where capacities are exceeded, by a step that should gain `reach`. Each resource is measured in its own
  // units. False when there is nowhere to go.
  static bool step(Prices& prices, Prices& excess, double reach) {
    const auto length_of = [](std::vector<float>& excess, const std::vector<float>& prices) {
      double length = 0;
      for (size_t node = 0; node < prices.size(); ++node) {
        if (prices[node] == 0 && excess[node] < 0) excess[node] = 0;
        length += static_cast<double>(excess[node]) * excess[node];
      }
      return length;
    };
    const std::array<std::vector<float>*, 3> all_prices = {&prices.cpu, &prices.memory, &prices.bandwidth};
    const std::array<std::vector<float>*, 3> all_excess = {&excess.cpu, &excess.memory, &excess.bandwidth};
    bool moved = false;
    for (size_t resource = 0; resource < 3; ++resource) {
      const double length = length_of(*all_excess[resource], *all_prices[resource]);
      if (!(length > 0) || !std::isfinite(length)) continue;
      moved = true;
      const auto stride = static_cast<float>(reach / 3 / length);
      for (size_t node = 0; node < prices.cpu.size(); ++node) {
        float& price = (*all_prices[resource])[node];
        price = std::max(0.F, price + stride * (*all_excess[resource])[node]);
      }
    }
    return moved;
  }

  std::span<const SchedulerNode> nodes_;
  std::span<const SchedulerWorkload> workloads_;
  std::vector<float> priced_;
};

}  // namespace

double priced_bound(std::span<const SchedulerNode> nodes, std::span<const SchedulerWorkload> workloads, double value) {
  if (nodes.empty()) return 0;
  // Sums in floating point: what they may be off is given away.
  const double bound = PricedBound(nodes, workloads).run(value);
  return std::isfinite(bound) ? bound - 1e-6 * std::abs(bound) : 0;
}

}  // namespace verge::planner
