// How much longer than light a round trip takes between two places, learnt from measurements between others.
//
// Cables do not follow great circles, and how far they stray depends on the region: the South Atlantic is crossed by
// way of London, India is reached around it. The regional factor is round trip / floor; its logarithm is regressed on
// the pair of places by a Gaussian process (Rasmussen and Williams 2006, chapter 2) whose covariance says that pairs
// with near ends have like factors, that an end brings some of its own (its access and its cables) to all its pairs,
// and that short distances have factors of their own, because access weighs more there. Measured ways over a third
// place bound what is predicted: a network seldom is slower than the best detour, and never faster than the difference.
//
// Nothing is tuned to a table: the few parameters of the covariance are constants below, with their meaning.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "planner/geography.h"

namespace verge::planner {

struct MeasuredPair {
  uint32_t from = 0;
  uint32_t to = 0;
  double round_trip_ms = 0;
};

struct PredictedRoundTrip {
  double floor_ms = 0;
  double factor = 1;  // median / floor; 1 where the floor is 0
  double p10_ms = 0;
  double median_ms = 0;
  double p90_ms = 0;
};

// The model without any measurement of the world at hand: what public measurements between clouds look like.
PredictedRoundTrip uncalibrated_round_trip(double distance_km);

class Calibration {
 public:
  // Pairs beyond these are left out, every n-th kept: the work grows with their cube.
  static constexpr size_t kPairsMax = 2500;

  // Each pair once; none below its floor, none of a place with itself. Errors: plan.too-few-pairs.
  static Result<Calibration> fit(std::vector<Coordinates> places, std::vector<MeasuredPair> pairs);

  // Between any two points. With `from` and `to` given, they are those places of the table, and detours over third
  // places count.
  [[nodiscard]] PredictedRoundTrip predict(const Coordinates& a, const Coordinates& b,
                                           std::optional<uint32_t> from = {}, std::optional<uint32_t> to = {}) const;

  // The median alone, which costs much less.
  [[nodiscard]] double median_ms(const Coordinates& a, const Coordinates& b) const;

  // For each pair, the prediction from all others: leave one pair out. The same arithmetic as fitting without it.
  [[nodiscard]] std::vector<double> left_out_medians() const;

  [[nodiscard]] const std::vector<MeasuredPair>& pairs() const { return pairs_; }

 private:
  [[nodiscard]] double within_detours(double median, uint32_t from, uint32_t to) const;
  [[nodiscard]] double measured(uint32_t from, uint32_t to) const;

  std::vector<Coordinates> places_;
  std::vector<MeasuredPair> pairs_;
  std::vector<double> table_;       // [from * places + to], NaN where nothing was measured
  std::vector<double> logarithms_;  // of each pair's factor
  std::vector<double> lower_;       // Cholesky's factor of the covariance
  std::vector<double> weights_;     // the covariance's inverse times the logarithms
};

// The median of |predicted - measured| / measured.
double median_relative_error(std::span<const double> predicted, std::span<const double> measured);

}  // namespace verge::planner
