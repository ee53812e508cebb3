// Points on the Earth, distances between them, and how long light in glass takes.
#pragma once

#include <cstdint>

namespace verge::planner {

inline constexpr double kEarthRadiusKm = 6371;
inline constexpr double kLightKmPerSecond = 299'792.458;
inline constexpr double kGlassIndex = 1.5;  // of refraction: light in fibre is that much slower

struct Coordinates {
  double latitude = 0;   // degrees north, -90 to 90
  double longitude = 0;  // degrees east, -180 to 180
};

bool is_on_earth(const Coordinates& point);

// Along the great circle of a sphere, by haversines.
double great_circle_km(const Coordinates& a, const Coordinates& b);

// On the ellipsoid WGS 84 (Vincenty 1975); the great circle's where the iteration does not end, near the antipodes.
double ellipsoid_km(const Coordinates& a, const Coordinates& b);

// The least a signal needs through fibre, one way: distance / (c / 1.5).
double one_way_floor_ms(double distance_km);

// There and back.
double round_trip_floor_ms(double distance_km);

}  // namespace verge::planner
