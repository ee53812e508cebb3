#include "planner/priced_bound.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/random.h"

namespace verge::planner {

namespace {

constexpr double kSampledPairs = 300'000;  // of workloads and nodes
constexpr int kRounds = 80;
constexpr int kRoundsBetweenLooks = 80;  // at all workloads
constexpr double kFirstStep = 0.1;       // of the mean latency, for a workload of the mean size
constexpr double kShorter = 0.96;        // a step than the one before
constexpr float kMemory = 0.7F;          // of the direction before: a sample's loads are rough

struct Prices {
  explicit Prices(size_t nodes) : cpu(nodes, 0), memory(nodes, 0), bandwidth(nodes, 0) {}
  std::vector<float> cpu;
  std::vector<float> memory;
  std::vector<float> bandwidth;
};

class PricedBound {
 public:
  PricedBound(std::span<const SchedulerNode> nodes, std::span<const SchedulerWorkload> workloads)
      : nodes_(nodes), workloads_(workloads), priced_(nodes.size()) {
    uint32_t zones = 0;
    for (const SchedulerNode& node : nodes) zones = std::max(zones, node.zone + 1);
    of_zone_.resize(zones);
  }

  double run(double value) {
    const double pairs = static_cast<double>(nodes_.size()) * static_cast<double>(workloads_.size());
    const auto stride = static_cast<size_t>(std::max(1.0, pairs / kSampledPairs));
    Prices prices(nodes_.size());
    Prices used(nodes_.size());
    Prices direction(nodes_.size());
    const Prices unit = unit_prices(value);
    double best = evaluate(prices, 1, nullptr);
    double step = kFirstStep;
    for (int round = 1; round <= kRounds; ++round, step *= kShorter) {
      evaluate(prices, stride, &used);
      for (size_t node = 0; node < nodes_.size(); ++node) {
        const auto move = [&](float& price, float& towards, float load, double capacity, float one) {
          const float excess = capacity > 0 ? std::min(1.F, load / static_cast<float>(capacity) - 1) : load > 0 ? 1 : 0;
          towards = kMemory * towards + (1 - kMemory) * excess;
          price = std::max(0.F, price + static_cast<float>(step) * one * towards);
        };
        move(prices.cpu[node], direction.cpu[node], used.cpu[node], nodes_[node].cpu, unit.cpu[0]);
        move(prices.memory[node], direction.memory[node], used.memory[node], nodes_[node].memory, unit.memory[0]);
        move(prices.bandwidth[node], direction.bandwidth[node], used.bandwidth[node], nodes_[node].bandwidth,
             unit.bandwidth[0]);
      }
      if (round % kRoundsBetweenLooks == 0) best = std::max(best, evaluate(prices, 1, nullptr));
    }
    return best;
  }

 private:
  // What makes a workload of the mean size dearer by the mean latency; one entry each.
  [[nodiscard]] Prices unit_prices(double value) const {
    std::array<double, 3> sums{};
    for (const SchedulerWorkload& workload : workloads_) {
      sums[0] += workload.cpu * workload.replicas;
      sums[1] += workload.memory * workload.replicas;
      sums[2] += workload.bandwidth * workload.replicas;
    }
    Prices unit(1);
    const auto price = [&](double sum) { return static_cast<float>(sum > 0 ? value / sum : 0); };
    unit.cpu[0] = price(sums[0]);
    unit.memory[0] = price(sums[1]);
    unit.bandwidth[0] = price(sums[2]);
    return unit;
  }

  // Over one workload of every `stride`, drawn at random, which counts for those beside it; `used` is what they would
  // use.
  double evaluate(const Prices& prices, size_t stride, Prices* used) {
    double bound = 0;
    if (used != nullptr) *used = Prices(nodes_.size());
    for (size_t first = 0; first < workloads_.size(); first += stride) {
      const size_t beside = std::min(stride, workloads_.size() - first);
      const SchedulerWorkload& workload = workloads_[first + (beside > 1 ? random_.below(beside) : 0)];
      const auto cpu = static_cast<float>(workload.cpu);
      const auto memory = static_cast<float>(workload.memory);
      const auto bandwidth = static_cast<float>(workload.bandwidth);
      const float* const latency = workload.latency.data();
      const float* const of_cpu = prices.cpu.data();
      const float* const of_memory = prices.memory.data();
      const float* const of_bandwidth = prices.bandwidth.data();
      float* const priced = priced_.data();
      for (size_t node = 0; node < nodes_.size(); ++node) {
        priced[node] = latency[node] + cpu * of_cpu[node] + memory * of_memory[node] + bandwidth * of_bandwidth[node];
      }
      const auto count = static_cast<double>(beside);
      bound += count * choose(workload);
      if (used == nullptr) continue;
      for (const uint32_t node : chosen_) {
        used->cpu[node] += static_cast<float>(count) * cpu;
        used->memory[node] += static_cast<float>(count) * memory;
        used->bandwidth[node] += static_cast<float>(count) * bandwidth;
      }
    }
    for (size_t node = 0; node < nodes_.size(); ++node) {
      bound -= prices.cpu[node] * nodes_[node].cpu + prices.memory[node] * nodes_[node].memory +
               prices.bandwidth[node] * nodes_[node].bandwidth;
    }
    return bound;
  }

  // The nodes where the workload's replicas are cheapest, each on its own or in a zone of its own; what that is.
  double choose(const SchedulerWorkload& workload) {
    chosen_.clear();
    if (workload.replicas == 1) {
      const auto least = std::ranges::min_element(priced_);
      chosen_.push_back(static_cast<uint32_t>(least - priced_.begin()));
      return *least;
    }
    candidates_.clear();
    if (workload.spread_over_zones) {
      std::ranges::fill(of_zone_, std::pair(std::numeric_limits<float>::infinity(), 0U));
      for (uint32_t node = 0; node < nodes_.size(); ++node) {
        of_zone_[nodes_[node].zone] = std::min(of_zone_[nodes_[node].zone], {priced_[node], node});
      }
      candidates_ = of_zone_;
    } else {
      for (uint32_t node = 0; node < nodes_.size(); ++node) candidates_.emplace_back(priced_[node], node);
    }
    // Where there are too few, no placement is possible, and any bound holds.
    const auto count = static_cast<std::ptrdiff_t>(std::min<size_t>(workload.replicas, candidates_.size()));
    std::nth_element(candidates_.begin(), candidates_.begin() + count - 1, candidates_.end());
    double sum = 0;
    for (auto each = candidates_.begin(); each != candidates_.begin() + count; ++each) {
      if (!std::isfinite(each->first)) continue;  // a number of a zone that no node has
      sum += each->first;
      chosen_.push_back(each->second);
    }
    return sum;
  }

  std::span<const SchedulerNode> nodes_;
  std::span<const SchedulerWorkload> workloads_;
  std::vector<float> priced_;
  std::vector<uint32_t> chosen_;
  std::vector<std::pair<float, uint32_t>> candidates_;
  std::vector<std::pair<float, uint32_t>> of_zone_;
  Random random_{1};
};

}  // namespace

double priced_bound(std::span<const SchedulerNode> nodes, std::span<const SchedulerWorkload> workloads, double value) {
  if (nodes.empty()) return 0;
  // Sums in floating point: what they may be off is given away.
  const double bound = PricedBound(nodes, workloads).run(value);
  return std::isfinite(bound) ? bound - 1e-6 * std::abs(bound) : 0;
}

}  // namespace verge::planner
