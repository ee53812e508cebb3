#include "planner/latency.h"

#include <algorithm>
#include <cmath>

namespace verge::planner {

namespace {

constexpr double kTenth = 1.2815515655446004;  // the quantiles 0.1 and 0.9 of a normal distribution

}  // namespace

double transmission_ms(double bytes, double megabits_per_second) {
  if (bytes <= 0) return 0;
  return megabits_per_second > 0 ? 8 * bytes / (megabits_per_second * 1e6) * 1000 : kInfinite;
}

double compute_ms(double complexity, double power) {
  if (complexity <= 0) return 0;
  return power > 0 ? complexity / power : kInfinite;
}

double queueing_ms(double arrival_rate, double service_rate) {
  return arrival_rate < service_rate ? 1000 / (service_rate - arrival_rate) : kInfinite;
}

double confidence(double load) { return 0.85 + (1 - std::clamp(load, 0.0, 1.0)) * 0.1; }

LatencyPrediction predict_latency(const LatencyQuery& query) {
  LatencyPrediction answer;
  answer.one_way_floor_ms = one_way_floor_ms(query.distance_km);
  answer.is_measured = query.measured_ms.has_value();
  answer.propagation_ms = query.measured_ms.value_or(2 * answer.one_way_floor_ms * query.factor);
  answer.access_ms = answer.is_measured ? 0 : query.access_ms;
  answer.transmission_ms = transmission_ms(query.bytes, query.megabits_per_second);
  answer.compute_ms = compute_ms(query.complexity, query.power);
  if (query.service_rate > 0) {
    answer.queueing_ms = queueing_ms(query.arrival_rate, query.service_rate);
    answer.load = query.arrival_rate / query.service_rate;
  }
  answer.is_saturated = std::isinf(answer.queueing_ms);
  const double network = answer.propagation_ms + answer.access_ms;
  const double rest = answer.transmission_ms + answer.compute_ms + answer.queueing_ms;
  answer.total_ms = network + rest;
  const double spread = answer.is_measured ? query.spread / 4 : query.spread;
  answer.p10_ms = std::max(2 * answer.one_way_floor_ms, network * std::exp(-kTenth * spread)) + rest;
  answer.p90_ms = network * std::exp(kTenth * spread) + rest;
  answer.confidence = confidence(answer.load);
  return answer;
}

EdgeAgainstCloud compare_edge(const LatencyQuery& edge, const LatencyQuery& cloud) {
  EdgeAgainstCloud answer{.edge = predict_latency(edge), .cloud = predict_latency(cloud)};
  if (std::isinf(answer.edge.total_ms) && std::isinf(answer.cloud.total_ms)) return answer;
  answer.advantage_ms = answer.cloud.total_ms - answer.edge.total_ms;
  const double beside = answer.edge.total_ms - answer.edge.propagation_ms;
  const double room = answer.cloud.total_ms - beside;  // for the edge's propagation
  if (std::isinf(beside) || room < 0) return answer;
  const double per_km = 2 * one_way_floor_ms(1) * edge.factor;
  answer.break_even_km = std::isinf(room) ? kInfinite : room / per_km;
  return answer;
}

}  // namespace verge::planner
