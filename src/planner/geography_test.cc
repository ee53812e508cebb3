#include "planner/geography.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "base/random.h"
#include "planner/places.h"

namespace verge::planner {
namespace {

TEST(Geography, AQuarterOfTheEquatorIsAQuarterOfTheCircumference) {
  EXPECT_NEAR(great_circle_km({0, 0}, {0, 90}), 6371 * std::numbers::pi / 2, 1e-9);
  EXPECT_NEAR(great_circle_km({90, 0}, {-90, 123}), 6371 * std::numbers::pi, 1e-6);
}

TEST(Geography, TheEllipsoidIsVincentysExample) {
  // Flinders Peak to Buninyong, the test case that Geoscience Australia publishes: 54.972271 km.
  EXPECT_NEAR(ellipsoid_km({-37.951033, 144.424868}, {-37.652821, 143.926496}), 54.9723, 1e-3);
  EXPECT_EQ(ellipsoid_km({1, 2}, {1, 2}), 0);
  EXPECT_TRUE(std::isfinite(ellipsoid_km({0, 0}, {0, 180})));
}

TEST(Geography, LightInGlassNeedsFiveMicrosecondsAKilometre) {
  EXPECT_NEAR(one_way_floor_ms(1000), 1000 * 1.5 / 299'792.458 * 1000, 1e-12);
  EXPECT_NEAR(one_way_floor_ms(1000), 5.00346, 1e-5);
  EXPECT_DOUBLE_EQ(round_trip_floor_ms(1000), 2 * one_way_floor_ms(1000));
}

TEST(Geography, DistancesAreAMetric) {
  Random random(7);
  const auto point = [&] { return Coordinates{random.unit() * 180 - 90, random.unit() * 360 - 180}; };
  for (int i = 0; i < 5000; ++i) {
    const Coordinates a = point();
    const Coordinates b = point();
    const Coordinates c = point();
    EXPECT_NEAR(great_circle_km(a, b), great_circle_km(b, a), 1e-9);
    EXPECT_LE(great_circle_km(a, c), great_circle_km(a, b) + great_circle_km(b, c) + 1e-6);
    EXPECT_NEAR(ellipsoid_km(a, b), great_circle_km(a, b), 0.006 * great_circle_km(a, b) + 1e-6);
  }
}

TEST(Geography, WhatIsNotANumberIsNotOnEarth) {
  EXPECT_FALSE(is_on_earth({std::nan(""), 0}));
  EXPECT_FALSE(is_on_earth({90.1, 0}));
  EXPECT_FALSE(is_on_earth({0, -180.5}));
  EXPECT_TRUE(is_on_earth({-90, 180}));
}

TEST(Places, EachHasAPlaceOnEarthAndIsFoundInAnyCase) {
  for (const Place& place : known_places()) {
    EXPECT_TRUE(is_on_earth(place.at)) << place.name;
    ASSERT_NE(find_place(place.name), nullptr) << place.name;
  }
  EXPECT_EQ(find_place("LONDON")->kind, PlaceKind::kCity);
  EXPECT_EQ(find_place("va"), find_place("us-east-1"));
  EXPECT_EQ(find_place("atlantis"), nullptr);
}

}  // namespace
}  // namespace verge::planner
