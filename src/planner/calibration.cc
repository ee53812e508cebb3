#include "planner/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace verge::planner {

namespace {

// A round trip's access: the floor of two sites in one city is not what their factor is taken from.
constexpr double kAccessMs = 1;

// Standard deviations of the logarithm of the factor.
constexpr double kOfAll = 1;           // what all pairs share: the mean factor
constexpr double kOfPair = 0.30;       // what near pairs share
constexpr double kOfEnd = 0.15;        // what an end brings to all its pairs
constexpr double kOfDistance = 0.30;   // what distances of one length share
constexpr double kOfOne = 0.06;        // a pair's own
constexpr double kLengthKm = 2500;     // places that far apart share 1/e
constexpr double kDistanceLength = 1;  // of the logarithm of the distance

// The quantiles 0.1 and 0.9 of a normal distribution.
constexpr double kTenth = 1.2815515655446004;

// What clouds' public tables of round trips show where nothing near was measured: median factor and its spread.
constexpr double kUsualFactor = 1.55;
constexpr double kUsualSpread = 0.25;

double floor_with_access(double distance_km) { return round_trip_floor_ms(distance_km) + kAccessMs; }

double nearness(const Coordinates& a, const Coordinates& b) { return std::exp(-great_circle_km(a, b) / kLengthKm); }

struct Pair {
  Coordinates a;
  Coordinates b;
  double log_distance;  // of the floor with access
};

Pair pair_of(const Coordinates& a, const Coordinates& b) {
  return {a, b, std::log(floor_with_access(great_circle_km(a, b)))};
}

double covariance(const Pair& x, const Pair& y) {
  const double aa = nearness(x.a, y.a);
  const double bb = nearness(x.b, y.b);
  const double ab = nearness(x.a, y.b);
  const double ba = nearness(x.b, y.a);
  const double distance = (x.log_distance - y.log_distance) / kDistanceLength;
  return kOfAll * kOfAll + kOfPair * kOfPair * std::max(aa * bb, ab * ba) + kOfEnd * kOfEnd * (aa + bb + ab + ba) / 2 +
         kOfDistance * kOfDistance * std::exp(-distance * distance / 2);
}

// Replaces the lower triangle by Cholesky's factor. A covariance with kOfOne on its diagonal is positive definite.
void factorise(std::vector<double>& matrix, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    double* const row = &matrix[i * n];
    for (size_t j = 0; j <= i; ++j) {
      const double* const other = &matrix[j * n];
      double sum = row[j];
      for (size_t k = 0; k < j; ++k) sum -= row[k] * other[k];
      row[j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / other[j];
    }
  }
}

void solve_lower(const std::vector<double>& lower, size_t n, std::vector<double>& values, size_t first = 0) {
  for (size_t i = first; i < n; ++i) {
    double sum = values[i];
    for (size_t k = first; k < i; ++k) sum -= lower[i * n + k] * values[k];
    values[i] = sum / lower[i * n + i];
  }
}

void solve_upper(const std::vector<double>& lower, size_t n, std::vector<double>& values) {
  for (size_t i = n; i-- > 0;) {
    values[i] /= lower[i * n + i];
    for (size_t k = 0; k < i; ++k) values[k] -= lower[i * n + k] * values[i];
  }
}

}  // namespace

PredictedRoundTrip uncalibrated_round_trip(double distance_km) {
  const double floor = round_trip_floor_ms(distance_km);
  const double median = floor_with_access(distance_km) * kUsualFactor;
  return {.floor_ms = floor,
          .factor = floor > 0 ? median / floor : 1,
          .p10_ms = std::max(floor, median * std::exp(-kTenth * kUsualSpread)),
          .median_ms = median,
          .p90_ms = median * std::exp(kTenth * kUsualSpread)};
}

Result<Calibration> Calibration::fit(std::vector<Coordinates> places, std::vector<MeasuredPair> pairs) {
  if (pairs.size() < 3) {
    return fail("plan.too-few-pairs", "a calibration needs the round trips of three pairs of places or more",
                "measure more, or leave the calibration out");
  }
  Calibration fitted;
  fitted.places_ = std::move(places);
  const size_t width = fitted.places_.size();
  fitted.table_.assign(width * width, std::nan(""));
  for (const MeasuredPair& pair : pairs) {
    fitted.table_[pair.from * width + pair.to] = pair.round_trip_ms;
    fitted.table_[pair.to * width + pair.from] = pair.round_trip_ms;
  }
  const size_t stride = (pairs.size() + kPairsMax - 1) / kPairsMax;
  for (size_t i = 0; i < pairs.size(); i += stride) fitted.pairs_.push_back(pairs[i]);
  const size_t n = fitted.pairs_.size();
  std::vector<Pair> inputs;
  for (const MeasuredPair& pair : fitted.pairs_) {
    inputs.push_back(pair_of(fitted.places_[pair.from], fitted.places_[pair.to]));
    fitted.logarithms_.push_back(std::log(pair.round_trip_ms) - inputs.back().log_distance);
  }
  fitted.lower_.assign(n * n, 0);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) fitted.lower_[i * n + j] = covariance(inputs[i], inputs[j]);
    fitted.lower_[i * n + i] += kOfOne * kOfOne;
  }
  factorise(fitted.lower_, n);
  fitted.weights_ = fitted.logarithms_;
  solve_lower(fitted.lower_, n, fitted.weights_);
  solve_upper(fitted.lower_, n, fitted.weights_);
  return fitted;
}

double Calibration::measured(uint32_t from, uint32_t to) const { return table_[from * places_.size() + to]; }

double Calibration::within_detours(double median, uint32_t from, uint32_t to) const {
  double most = std::numeric_limits<double>::infinity();
  double least = 0;
  for (uint32_t over = 0; over < places_.size(); ++over) {
    if (over == from || over == to) continue;
    const double first = measured(from, over);
    const double second = measured(over, to);
    if (std::isnan(first) || std::isnan(second)) continue;
    most = std::min(most, first + second);
    least = std::max(least, std::abs(first - second));
  }
  return least > most ? median : std::clamp(median, least, most);
}

PredictedRoundTrip Calibration::predict(const Coordinates& a, const Coordinates& b, std::optional<uint32_t> from,
                                        std::optional<uint32_t> to) const {
  const double distance = great_circle_km(a, b);
  const Pair input = pair_of(a, b);
  const size_t n = pairs_.size();
  std::vector<double> shared(n);
  double logarithm = 0;
  for (size_t i = 0; i < n; ++i) {
    shared[i] = covariance(input, pair_of(places_[pairs_[i].from], places_[pairs_[i].to]));
    logarithm += shared[i] * weights_[i];
  }
  double variance = covariance(input, input) + kOfOne * kOfOne;
  solve_lower(lower_, n, shared);
  for (const double part : shared) variance -= part * part;
  const double spread = std::sqrt(std::max(variance, kOfOne * kOfOne));
  const double floor = round_trip_floor_ms(distance);
  double median = std::max(floor, std::exp(logarithm + input.log_distance));
  if (from && to) median = std::max(floor, within_detours(median, *from, *to));
  return {.floor_ms = floor,
          .factor = floor > 0 ? median / floor : 1,
          .p10_ms = std::max(floor, median * std::exp(-kTenth * spread)),
          .median_ms = median,
          .p90_ms = median * std::exp(kTenth * spread)};
}

double Calibration::median_ms(const Coordinates& a, const Coordinates& b) const {
  const Pair input = pair_of(a, b);
  double logarithm = input.log_distance;
  for (size_t i = 0; i < pairs_.size(); ++i) {
    logarithm += weights_[i] * covariance(input, pair_of(places_[pairs_[i].from], places_[pairs_[i].to]));
  }
  return std::max(round_trip_floor_ms(great_circle_km(a, b)), std::exp(logarithm));
}

std::vector<double> Calibration::left_out_medians() const {
  // Rasmussen and Williams, equation 5.12: the mean without pair i is y[i] - (K^-1 y)[i] / (K^-1)[i][i].
  const size_t n = pairs_.size();
  std::vector<double> diagonal(n, 0);
  for (size_t column = 0; column < n; ++column) {
    std::vector<double> unit(n, 0);
    unit[column] = 1;
    solve_lower(lower_, n, unit, column);
    for (size_t k = column; k < n; ++k) diagonal[column] += unit[k] * unit[k];
  }
  std::vector<double> medians;
  for (size_t i = 0; i < n; ++i) {
    const MeasuredPair& pair = pairs_[i];
    const double distance = great_circle_km(places_[pair.from], places_[pair.to]);
    const double logarithm = logarithms_[i] - weights_[i] / diagonal[i];
    const double median = std::exp(logarithm) * floor_with_access(distance);
    medians.push_back(std::max(round_trip_floor_ms(distance), within_detours(median, pair.from, pair.to)));
  }
  return medians;
}

double median_relative_error(std::span<const double> predicted, std::span<const double> measured) {
  std::vector<double> errors;
  for (size_t i = 0; i < predicted.size(); ++i) errors.push_back(std::abs(predicted[i] - measured[i]) / measured[i]);
  if (errors.empty()) return 0;
  std::ranges::sort(errors);
  const size_t middle = errors.size() / 2;
  return errors.size() % 2 == 1 ? errors[middle] : (errors[middle - 1] + errors[middle]) / 2;
}

}  // namespace verge::planner
