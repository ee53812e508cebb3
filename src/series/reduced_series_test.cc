// Whatever the series and the method: the decoder keeps what the record promises.
#include "series/reduced_series.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "base/random.h"
#include "series/kept_points.h"
#include "series/reduction_choice.h"
#include "series/semantic.h"

namespace verge::series {
namespace {

constexpr Method kMethods[] = {Method::kRaw,      Method::kLossless,     Method::kDeadband,  Method::kDoor,
                               Method::kSampling, Method::kQuantization, Method::kTransform, Method::kSemantic};

std::vector<std::string> timestamps(Random& random, size_t count) {
  std::vector<std::string> texts;
  int64_t second = 1'396'310'400;
  const uint64_t kind = random.below(4);
  for (size_t i = 0; i < count; ++i) {
    second += random.chance(0.02) ? static_cast<int64_t>(random.below(5000)) : 300;
    if (kind == 0) texts.push_back(std::to_string(second));
    if (kind == 1) texts.push_back(format_timestamp(second, {.kind = TimestampLayout::Kind::kSecond}));
    if (kind == 2) {
      texts.push_back(format_timestamp(
          second * 1000 + static_cast<int64_t>(random.below(1000)),
          {.kind = TimestampLayout::Kind::kSecond, .has_t = true, .fraction_digits = 3, .suffix = "Z"}));
    }
    if (kind == 3) texts.push_back("reading " + std::to_string(i * i));
  }
  return texts;
}

double next_value(Random& random, uint64_t kind, size_t i, double last) {
  const auto t = static_cast<double>(i);
  switch (kind) {
    case 0:
      return last + random.normal();
    case 1:
      return std::round(100 * (20 * std::sin(t / 20) + random.normal())) / 100;
    case 2:
      return random.chance(0.01) ? 1e9 * random.unit() : 3;
    case 3:
      return random.chance(0.05) ? std::numeric_limits<double>::quiet_NaN() : random.unit();
    case 4:
      return 42;
    case 5:
      return random.chance(0.01) ? HUGE_VAL : std::ldexp(random.normal(), static_cast<int>(random.below(600)) - 300);
    default:
      return t * 1e-3 + (i % 24 < 12 ? 0 : 10);
  }
}

Window some_window(Random& random, size_t count) {
  Window window;
  window.times = TimeColumn::of(timestamps(random, count));
  const uint64_t kind = random.below(7);
  for (size_t i = 0; i < count; ++i) {
    window.values.push_back(next_value(random, kind, i, i == 0 ? 0 : window.values.back()));
  }
  return window;
}

bool is_same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

TEST(ReducedSeries, KeepsItsErrorBoundTimestampsAndExactReadings) {
  for (uint64_t seed = 0; seed < 120; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const Window window = some_window(random, 1 + random.below(700));
    const size_t count = window.values.size();
    std::vector<size_t> exact;
    for (size_t i = 0; i < count; ++i) {
      if (random.chance(0.03)) exact.push_back(i);
    }
    const double range = range_of(window.values);
    const double tolerance = (range > 0 ? range : 1) * std::pow(10, -1 - 5 * random.unit());
    const size_t season = dominant_season(window.values);
    for (const Method method : kMethods) {
      SCOPED_TRACE(name_of(method));
      const Reduced reduced = reduce(
          window,
          {.method = method, .tolerance = tolerance, .kept = 2 + random.below(count), .is_bounded = random.chance(0.7)},
          exact, season);
      const std::string followed = reduced.record + "next";
      std::string_view in = followed;
      const Result<Restored> restored = restore(in);
      ASSERT_TRUE(restored) << restored.error().line();
      EXPECT_EQ(in, "next");
      EXPECT_EQ(restored->error_bound, reduced.error_bound);
      ASSERT_EQ(restored->window.values.size(), count);
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(restored->window.times.text(i), window.times.text(i));
        const double was = window.values[i];
        const double is = restored->window.values[i];
        ASSERT_TRUE(is_same(was, is) || std::fabs(was - is) <= restored->error_bound) << i << ": " << was << " " << is;
      }
      for (const size_t i : exact) ASSERT_TRUE(is_same(window.values[i], restored->window.values[i])) << i;
    }
  }
}

TEST(ReducedSeries, ABoundedRecordIsWithinWhatWasAsked) {
  Random random(5);
  const Window window = some_window(random, 500);
  const double tolerance = 0.01 * range_of(window.values);
  for (const Method method :
       {Method::kDeadband, Method::kDoor, Method::kQuantization, Method::kTransform, Method::kSemantic}) {
    EXPECT_LE(reduce(window, {.method = method, .tolerance = tolerance}, {}, 0).error_bound, tolerance);
  }
}

TEST(ReducedSeries, DamagedBytesAreAnErrorNotAGuess) {
  Random random(6);
  for (const Method method : kMethods) {
    const Window window = some_window(random, 200);
    const std::string record = reduce(window, {.method = method, .tolerance = 0.1, .kept = 20}, {}, 0).record;
    for (size_t size = 0; size < record.size(); ++size) {
      std::string_view in = std::string_view(record).substr(0, size);
      ASSERT_FALSE(restore(in)) << size;
    }
    for (size_t at = 0; at < record.size(); ++at) {
      std::string damaged = record;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << random.below(8)));
      std::string_view in = damaged;
      ASSERT_FALSE(restore(in)) << at;
    }
  }
}

TEST(ReducedSeries, RegularTimestampsAndConstantsCostNearlyNothing) {
  Window window;
  std::vector<std::string> texts;
  for (int i = 0; i < 100'000; ++i) texts.push_back(std::to_string(1'700'000'000 + i));
  window.times = TimeColumn::of(texts);
  window.values.assign(texts.size(), 20.5);
  EXPECT_LT(reduce(window, {.method = Method::kLossless}, {}, 0).record.size(), 300U);
}

TEST(LargestTriangles, KeepEndsAndPeaks) {
  const std::vector<double> values = {0, 0, 9, 0, 0, 0, -7, 0, 0, 0};
  std::vector<double> positions;
  for (size_t i = 0; i < values.size(); ++i) positions.push_back(static_cast<double>(i));
  EXPECT_EQ(largest_triangles(values, positions, 4), (std::vector<size_t>{0, 2, 6, 9}));
  EXPECT_EQ(largest_triangles(values, positions, 2), (std::vector<size_t>{0, 9}));
  EXPECT_EQ(largest_triangles(values, positions, 50).size(), values.size());
}

TEST(DominantSeason, IsThePeriodOfTheSeries) {
  Random random(7);
  std::vector<double> values;
  for (int i = 0; i < 2000; ++i) values.push_back(std::sin(i * 6.283185307 / 48) + 0.3 * random.normal());
  EXPECT_NEAR(static_cast<double>(dominant_season(values)), 48, 1);
  for (double& value : values) value = random.normal();
  EXPECT_EQ(dominant_season(values), 0U);
  EXPECT_EQ(dominant_season(std::vector<double>(100, 3.0)), 0U);
}

Window wave(size_t count) {
  Random random(8);
  Window window;
  std::vector<std::string> texts;
  for (size_t i = 0; i < count; ++i) {
    texts.push_back(std::to_string(1'700'000'000 + 60 * i));
    window.values.push_back(20 * std::sin(static_cast<double>(i) / 30) + random.normal());
  }
  window.times = TimeColumn::of(texts);
  return window;
}

TEST(ReductionChoice, TakesTheBestThatFits) {
  const Window window = wave(3000);
  const Choice raw = best_within(window, 1'000'000, {});
  EXPECT_EQ(raw.reduction.method, Method::kRaw);
  EXPECT_EQ(raw.quality, 1);
  double quality = 1;
  for (const size_t budget : {20'000UL, 5'000UL, 2'000UL, 800UL, 300UL, 120UL}) {
    const Choice choice = best_within(window, budget, {});
    ASSERT_TRUE(choice.fits) << budget;
    EXPECT_LE(choice.reduced.record.size(), budget);
    EXPECT_LE(choice.quality, quality) << budget;
    quality = choice.quality;
  }
  EXPECT_GT(quality, 0.3);
}

TEST(ReductionChoice, GivesTheSmallestAndSaysSoWhereNothingFits) {
  const Window window = wave(3000);
  const Choice choice = best_within(window, 20, {});
  EXPECT_FALSE(choice.fits);
  EXPECT_LT(choice.reduced.record.size(), 200U);
  std::string_view in = choice.reduced.record;
  EXPECT_TRUE(restore(in));
}

TEST(ReductionChoice, CountsBytesUntilTheDeadline) {
  EXPECT_EQ(bytes_until(9600, 500), 600U);
  EXPECT_EQ(bytes_until(1, 1), 0U);
}

}  // namespace
}  // namespace verge::series
