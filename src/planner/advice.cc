#include "planner/advice.h"

#include <fmt/format.h>

namespace verge::planner {

namespace {

constexpr double kLatencyEdgeMs = 10;
constexpr double kLatencyCloudMs = 100;
constexpr double kBandwidthEdgeMbps = 100;
constexpr double kVolumeEdgeGigabytes = 100;
constexpr double kVolumeCloudGigabytes = 1;
constexpr double kGoodLinePercent = 99.9;
constexpr double kClear = 1;  // score beyond which one side has it
constexpr double kIdleUtilisation = 0.3;
constexpr double kNodesPerOperator = 50;

Factor latency_factor(const AdviceInput& input) {
  if (input.latency_ms < kLatencyEdgeMs) {
    return {"latency", 2, fmt::format("{:g} ms is needed: no cloud is that near", input.latency_ms)};
  }
  if (input.latency_ms > kLatencyCloudMs) {
    return {"latency", -1, fmt::format("{:g} ms is enough for a cloud", input.latency_ms)};
  }
  return {"latency", 0.5, fmt::format("{:g} ms can be met by a near region, better by an edge", input.latency_ms)};
}

Factor bandwidth_factor(const AdviceInput& input) {
  if (input.bandwidth_mbps > kBandwidthEdgeMbps) {
    return {"bandwidth", 1, fmt::format("{:g} Mbit/s a site are dear to carry", input.bandwidth_mbps)};
  }
  return {"bandwidth", 0, fmt::format("{:g} Mbit/s a site are easily carried", input.bandwidth_mbps)};
}

Factor volume_factor(const AdviceInput& input) {
  if (input.gigabytes_per_day > kVolumeEdgeGigabytes) {
    return {"volume", 1, fmt::format("{:g} GB a day are better reduced where they arise", input.gigabytes_per_day)};
  }
  if (input.gigabytes_per_day < kVolumeCloudGigabytes) {
    return {"volume", -0.5, fmt::format("{:g} GB a day cost next to nothing in a cloud", input.gigabytes_per_day)};
  }
  return {"volume", 0, fmt::format("{:g} GB a day do not decide", input.gigabytes_per_day)};
}

Factor reliability_factor(const AdviceInput& input) {
  if (input.must_run_offline) return {"reliability", 2, "it must go on without the line"};
  if (input.line_availability_percent < kGoodLinePercent) {
    return {"reliability", 1, fmt::format("the line is there {:g} % of the time", input.line_availability_percent)};
  }
  return {"reliability", 0, "the line is good and it may wait for it"};
}

Factor computing_factor(const AdviceInput& input) {
  if (input.computing == "realtime") return {"computing", 1, "control in real time belongs beside what it controls"};
  if (input.computing == "inference") return {"computing", 0.5, "inference fits on edge nodes"};
  if (input.computing == "batch") return {"computing", -1, "batches wait for cheap machines"};
  if (input.computing == "training") return {"computing", -2, "training needs machines that only a cloud has"};
  return {"computing", 0, "general computing runs anywhere"};
}

}  // namespace

Advice advise(const AdviceInput& input) {
  Advice advice;
  advice.factors = {latency_factor(input),
                    bandwidth_factor(input),
                    volume_factor(input),
                    input.is_private ? Factor{"privacy", 1, "the data must stay where it arises"}
                                     : Factor{"privacy", 0, "the data may leave"},
                    reliability_factor(input),
                    computing_factor(input)};
  for (const Factor& factor : advice.factors) advice.score += factor.weight;
  advice.where = advice.score >= kClear ? "edge" : advice.score <= -kClear ? "cloud" : "both";

  if (input.edge_utilisation < kIdleUtilisation) {
    advice.mistakes.push_back({"over-provisioned edge",
                               fmt::format("edge nodes are {:.0f} % used", input.edge_utilisation * 100),
                               "plan for 60 to 70 % and let bursts go to the cloud"});
  }
  if (input.estimated_edge_nodes > kNodesPerOperator * input.operators) {
    advice.mistakes.push_back(
        {"complexity under-estimated",
         fmt::format("{:g} nodes for {:g} people to run", input.estimated_edge_nodes, input.operators),
         fmt::format("no more than {:g} nodes a person without automation; begin with fewer sites",
                     kNodesPerOperator)});
  }
  if (!input.has_security_plan) {
    advice.mistakes.push_back(
        {"security left out", "nothing is said of identities, encryption and updates",
         "an edge node can be carried away: encrypt its disk, give it an identity, plan updates"});
  }
  if (!input.has_offline_strategy) {
    advice.mistakes.push_back({"no offline strategy", "nothing is said of what happens without the line",
                               "say what is stored, for how long, and what goes first when the line is back"});
  }
  if (input.services <= 1) {
    advice.mistakes.push_back({"one monolith", "the workload has one part, which is either near or far as a whole",
                               "split what must be near from what may be far"});
  }
  return advice;
}

}  // namespace verge::planner
