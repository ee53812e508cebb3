#include "planner/geography.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace verge::planner {

namespace {

constexpr double kEquatorKm = 6378.137;  // WGS 84
constexpr double kFlattening = 1 / 298.257223563;

double radians(double degrees) { return degrees * std::numbers::pi / 180; }

}  // namespace

bool is_on_earth(const Coordinates& point) {
  return point.latitude >= -90 && point.latitude <= 90 && point.longitude >= -180 && point.longitude <= 180;
}

double great_circle_km(const Coordinates& a, const Coordinates& b) {
  const double across = std::sin(radians(b.latitude - a.latitude) / 2);
  const double along = std::sin(radians(b.longitude - a.longitude) / 2);
  const double h = across * across + std::cos(radians(a.latitude)) * std::cos(radians(b.latitude)) * along * along;
  return 2 * kEarthRadiusKm * std::asin(std::sqrt(std::clamp(h, 0.0, 1.0)));
}

double ellipsoid_km(const Coordinates& a, const Coordinates& b) {
  if (a.latitude == b.latitude && a.longitude == b.longitude) return 0;
  const double polar_km = kEquatorKm * (1 - kFlattening);
  const double reduced_a = std::atan((1 - kFlattening) * std::tan(radians(a.latitude)));
  const double reduced_b = std::atan((1 - kFlattening) * std::tan(radians(b.latitude)));
  const double difference = radians(b.longitude - a.longitude);
  double lambda = difference;
  for (int round = 0; round < 100; ++round) {
    const double x = std::cos(reduced_b) * std::sin(lambda);
    const double y =
        std::cos(reduced_a) * std::sin(reduced_b) - std::sin(reduced_a) * std::cos(reduced_b) * std::cos(lambda);
    const double sine = std::hypot(x, y);
    if (sine == 0) return 0;
    const double cosine =
        std::sin(reduced_a) * std::sin(reduced_b) + std::cos(reduced_a) * std::cos(reduced_b) * std::cos(lambda);
    const double sigma = std::atan2(sine, cosine);
    const double sine_alpha = std::cos(reduced_a) * std::cos(reduced_b) * std::sin(lambda) / sine;
    const double alpha = 1 - sine_alpha * sine_alpha;
    const double middle = alpha == 0 ? 0 : cosine - 2 * std::sin(reduced_a) * std::sin(reduced_b) / alpha;
    const double c = kFlattening / 16 * alpha * (4 + kFlattening * (4 - 3 * alpha));
    const double before = lambda;
    lambda = difference + (1 - c) * kFlattening * sine_alpha *
                              (sigma + c * sine * (middle + c * cosine * (2 * middle * middle - 1)));
    if (std::abs(lambda - before) > 1e-12) continue;
    const double u = alpha * (kEquatorKm * kEquatorKm - polar_km * polar_km) / (polar_km * polar_km);
    const double big_a = 1 + u / 16384 * (4096 + u * (-768 + u * (320 - 175 * u)));
    const double big_b = u / 1024 * (256 + u * (-128 + u * (74 - 47 * u)));
    const double correction = big_b * sine *
                              (middle + big_b / 4 *
                                            (cosine * (2 * middle * middle - 1) -
                                             big_b / 6 * middle * (4 * sine * sine - 3) * (4 * middle * middle - 3)));
    return polar_km * big_a * (sigma - correction);
  }
  return great_circle_km(a, b);
}

double one_way_floor_ms(double distance_km) { return distance_km / (kLightKmPerSecond / kGlassIndex) * 1000; }

double round_trip_floor_ms(double distance_km) { return 2 * one_way_floor_ms(distance_km); }

}  // namespace verge::planner
