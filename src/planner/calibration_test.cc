#include "planner/calibration.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "base/random.h"
#include "planner/round_trip_files.h"

namespace verge::planner {
namespace {

std::vector<Coordinates> some_places(Random& random, size_t count) {
  std::vector<Coordinates> places;
  for (size_t i = 0; i < count; ++i) places.push_back({random.unit() * 120 - 60, random.unit() * 340 - 170});
  return places;
}

std::vector<MeasuredPair> all_pairs(const std::vector<Coordinates>& places, Random& random) {
  std::vector<MeasuredPair> pairs;
  for (uint32_t a = 0; a < places.size(); ++a) {
    for (uint32_t b = a + 1; b < places.size(); ++b) {
      pairs.push_back(
          {a, b, round_trip_floor_ms(great_circle_km(places[a], places[b])) * (1.3 + random.unit() * 0.6) + 1});
    }
  }
  return pairs;
}

TEST(Calibration, LeavingOneOutIsWhatFittingWithoutItSays) {
  Random random(5);
  const std::vector<Coordinates> places = some_places(random, 8);
  const std::vector<MeasuredPair> pairs = all_pairs(places, random);
  const std::vector<double> left_out = Calibration::fit(places, pairs)->left_out_medians();
  for (size_t i = 0; i < pairs.size(); ++i) {
    std::vector<MeasuredPair> others = pairs;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    const MeasuredPair& pair = pairs[i];
    const PredictedRoundTrip without =
        Calibration::fit(places, others)->predict(places[pair.from], places[pair.to], pair.from, pair.to);
    EXPECT_NEAR(left_out[i], without.median_ms, 1e-6 * without.median_ms);
  }
}

TEST(Calibration, NothingIsPredictedBelowItsFloorAndQuantilesAreInOrder) {
  Random random(6);
  const std::vector<Coordinates> places = some_places(random, 10);
  const Result<Calibration> calibration = Calibration::fit(places, all_pairs(places, random));
  ASSERT_TRUE(calibration);
  for (int i = 0; i < 500; ++i) {
    const std::vector<Coordinates> ends = some_places(random, 2);
    const PredictedRoundTrip trip = calibration->predict(ends[0], ends[1]);
    EXPECT_GE(trip.p10_ms, trip.floor_ms);
    EXPECT_LE(trip.p10_ms, trip.median_ms);
    EXPECT_LE(trip.median_ms, trip.p90_ms);
    EXPECT_NEAR(trip.median_ms, calibration->median_ms(ends[0], ends[1]), 1e-9 * trip.median_ms);
    EXPECT_NEAR(trip.median_ms, calibration->predict(ends[1], ends[0]).median_ms, 1e-9 * trip.median_ms);
  }
}

TEST(Calibration, TwoPairsAreTooFew) {
  const auto fitted = Calibration::fit({{0, 0}, {1, 1}, {2, 2}}, {{0, 1, 5}, {1, 2, 5}});
  ASSERT_FALSE(fitted);
  EXPECT_EQ(fitted.error().code, "plan.too-few-pairs");
}

// Measured tables of clouds, where they are at hand: each pair predicted from all others.
class MeasuredCloud : public testing::TestWithParam<const char*> {};

TEST_P(MeasuredCloud, IsPredictedWithinFifteenPercentAndIsNowhereFasterThanLight) {
  std::filesystem::path folder = "shared/data/rtt";
  for (int up = 0; up < 6 && !std::filesystem::exists(folder); ++up) folder = ".." / folder;
  folder /= GetParam();
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "there is no ../shared/data";
  std::map<std::string, std::vector<RoundTripLine>> lines;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    lines[entry.path().stem().string()] = *parse_round_trip_lines(text.str(), entry.path().string());
  }
  const MeasuredSites measured = join_round_trips(lines, {});
  EXPECT_TRUE(measured.below_floor.empty());
  EXPECT_TRUE(measured.without_place.empty());
  EXPECT_GT(measured.pairs.size(), 150U);
  std::vector<Coordinates> places;
  for (const Site& site : measured.sites) places.push_back(site.at);
  const Result<Calibration> calibration = Calibration::fit(places, measured.pairs);
  ASSERT_TRUE(calibration);
  std::vector<double> actual;
  for (const MeasuredPair& pair : calibration->pairs()) actual.push_back(pair.round_trip_ms);
  EXPECT_LE(median_relative_error(calibration->left_out_medians(), actual), 0.15);
}

INSTANTIATE_TEST_SUITE_P(All, MeasuredCloud, testing::Values("aws", "gcp"));

TEST(RoundTripFiles, WhatIsNoLineIsNamedWithItsPlace) {
  EXPECT_EQ(parse_round_trip_lines("1/2/3/0.1:a\n\n# note\n4:b\n", "x")->size(), 2U);
  EXPECT_EQ((*parse_round_trip_lines("1/2/3/0.1:a\n", "x"))[0].mean_ms, 2);
  for (const char* bad :
       {"1/2/3", "1/2/3:", "1/x/3:a", "1/-2/3:a", "1/2:a", "1//3:a", "nan/nan/nan:a", "3/2/4:a", "1/5/4:a"}) {
    const auto parsed = parse_round_trip_lines(std::string("1/2/3:ok\n") + bad, "rtt.dat");
    ASSERT_FALSE(parsed) << bad;
    EXPECT_TRUE(parsed.error().what.starts_with("rtt.dat:2:")) << parsed.error().what;
  }
  for (const char* empty : {"", "\n\n", "# nothing\n"}) {
    const auto parsed = parse_round_trip_lines(empty, "rtt.dat");
    ASSERT_FALSE(parsed) << empty;
    EXPECT_TRUE(parsed.error().what.starts_with("rtt.dat:1:")) << parsed.error().what;
  }
}

TEST(RoundTripFiles, SitesHaveTheirPlaceOnEarth) {
  EXPECT_EQ(parse_sites("name,lat,lon\na,1,2\n", "s")->size(), 1U);
  EXPECT_EQ(parse_sites("a,1,2\nb,3,4\n", "s")->size(), 2U);
  EXPECT_DOUBLE_EQ((*parse_sites("lon,lat,site\n10,50,x\n", "s"))[0].at.latitude, 50);
  for (const char* bad : {"a,91,0", "a,0,181", "a,x,0", ",1,1", "ok,1,1", "a,1"}) {
    const auto parsed = parse_sites(std::string("name,lat,lon\nok,1,1\n") + bad + "\n", "s.csv");
    ASSERT_FALSE(parsed) << bad;
    EXPECT_TRUE(parsed.error().what.starts_with("s.csv:3:")) << parsed.error().what;
  }
}

TEST(RoundTripFiles, WhatIsFasterThanLightIsRefused) {
  const MeasuredSites measured =
      join_round_trips({{"London", {{"New York", 70, 70, "l", 1}, {"Sydney", 20, 20, "l", 2}}}}, {});
  ASSERT_EQ(measured.pairs.size(), 1U);
  ASSERT_EQ(measured.below_floor.size(), 1U);
  EXPECT_EQ(measured.sites[measured.below_floor[0].to].name, "Sydney");
}

TEST(RoundTripFiles, EachSampleIsComparedWithTheFloorByItself) {
  // London - Sydney needs 170 ms: 20 there would make, with 330 back, a mean that is possible, and with 200 one that is
  // not.
  for (const double back : {200.0, 330.0}) {
    const MeasuredSites measured = join_round_trips(
        {{"London", {{"Sydney", 20, 20, "london.dat", 7}}}, {"Sydney", {{"London", back, back, "sydney.dat", 3}}}}, {});
    ASSERT_EQ(measured.pairs.size(), 1U);
    EXPECT_EQ(measured.pairs[0].round_trip_ms, back);
    ASSERT_EQ(measured.below_floor.size(), 1U);
    EXPECT_EQ(measured.below_floor[0].file, "london.dat");
    EXPECT_EQ(measured.below_floor[0].line, 7U);
    EXPECT_EQ(measured.unused_files,
              (std::vector<std::string>{"london.dat:7: every sample is faster than light in glass"}));
  }
  // The fastest of those that a line's mean is of counts too.
  const auto lines = parse_round_trip_lines("20/250/300/9:Sydney\n", "london.dat");
  ASSERT_TRUE(lines);
  EXPECT_EQ(join_round_trips({{"London", *lines}}, {}).below_floor.size(), 1U);
  EXPECT_TRUE(join_round_trips({{"London", *lines}}, {}).pairs.empty());
}

TEST(RoundTripFiles, WhatWasMeasuredIsFoundByNameAndByPlace) {
  const MeasuredSites measured =
      join_round_trips({{"London", {{"us-east-1", 80, 80, "l", 1}}}, {"Nowhere", {{"London", 9, 9, "n", 2}}}}, {});
  const auto london = measured.site_named("london");
  const auto virginia = measured.site_named("US-EAST-1");
  ASSERT_TRUE(london && virginia);
  EXPECT_EQ(measured.measured_ms(virginia.value_or(0), london.value_or(0)), 80);
  EXPECT_EQ(measured.site_at(measured.sites[london.value_or(0)].at), london);
  EXPECT_FALSE(measured.site_named("Nowhere"));
  EXPECT_EQ(measured.unused_files, (std::vector<std::string>{"n:2: nobody says where 'Nowhere' is"}));
}

}  // namespace
}  // namespace verge::planner
