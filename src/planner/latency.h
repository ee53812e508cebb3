// Latency from physics: what a request from a user to a node and back takes, with its parts, its spread and how sure it
// is. Times in milliseconds.
//
//     one-way floor   distance / (299,792.458 km/s / 1.5)
//     round trip      2 × floor × regional factor + access
//     transmission    8 · bytes / (Mbit/s · 10^6) · 1000
//     compute         complexity / power
//     queueing        M/M/1: 1 / (μ - λ), per second; infinite from λ = μ on
//     confidence      0.85 + (1 - load) · 0.1
#pragma once

#include <limits>
#include <optional>

#include "planner/geography.h"

namespace verge::planner {

inline constexpr double kInfinite = std::numeric_limits<double>::infinity();
inline constexpr double kEdgeShareOfDistance = 0.1;  // an edge node is a tenth of the cloud's distance away

double transmission_ms(double bytes, double megabits_per_second);
double compute_ms(double complexity, double power);
// Mean time in an M/M/1 queue, service included. Rates per second. Infinite, never negative, where it is saturated.
double queueing_ms(double arrival_rate, double service_rate);
double confidence(double load);

struct LatencyQuery {
  double distance_km = 0;
  double factor = 1;  // the regional one
  double access_ms = 0;
  double bytes = 0;
  double megabits_per_second = 1000;
  double complexity = 0;
  double power = 1;                   // complexity units a millisecond
  double arrival_rate = 0;            // a second
  double service_rate = 0;            // a second; 0: no queue is looked at
  double spread = 0.2;                // of the logarithm of the round trip
  std::optional<double> measured_ms;  // a round trip that replaces floor, factor and access
};

struct LatencyPrediction {
  double one_way_floor_ms = 0;
  double propagation_ms = 0;  // there and back, with the factor, or as measured
  double access_ms = 0;
  double transmission_ms = 0;
  double compute_ms = 0;
  double queueing_ms = 0;
  double total_ms = 0;
  double p10_ms = 0;
  double p90_ms = 0;
  double load = 0;
  double confidence = 0;
  bool is_saturated = false;
  bool is_measured = false;
};

LatencyPrediction predict_latency(const LatencyQuery& query);

struct EdgeAgainstCloud {
  LatencyPrediction edge;
  LatencyPrediction cloud;
  // Of the edge; negative when the cloud is faster, infinite when one of them never answers, nothing when neither does.
  std::optional<double> advantage_ms;
  // How far the edge may be before the cloud is as fast; nothing when it loses at any distance, infinite when it wins
  // at any.
  std::optional<double> break_even_km;
};

EdgeAgainstCloud compare_edge(const LatencyQuery& edge, const LatencyQuery& cloud);

}  // namespace verge::planner
