// The aggregates of windows against plain computations over all readings, merged in groups drawn by chance.
#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/random.h"
#include "series/distinct_count.h"
#include "series/moments.h"
#include "series/quantile_sketch.h"
#include "series/state.h"

namespace verge::series {
namespace {

TEST(Moments, AreThoseOfTwoPassesHoweverTheyAreMerged) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    Moments whole;
    std::vector<double> values;
    for (uint64_t part = 0; part < 1 + random.below(5); ++part) {
      Moments moments;
      for (uint64_t i = random.below(200); i > 0; --i) {
        values.push_back(1e9 + random.normal());
        moments.add(values.back());
      }
      whole.merge(moments);
    }
    if (values.size() < 2) continue;
    double mean = 0;
    for (const double value : values) mean += value / static_cast<double>(values.size());
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    EXPECT_NEAR(whole.deviation(), std::sqrt(squares / static_cast<double>(values.size() - 1)), 1e-6)
        << "seed " << seed;
    Moments loaded;
    ASSERT_TRUE(load_state(save_state(whole), loaded));
    EXPECT_EQ(loaded.deviation(), whole.deviation());
  }
  EXPECT_TRUE(std::isnan(Moments().population_deviation()));
}

TEST(Moments, OfHandComputedNumbers) {
  Moments moments;
  for (const double value : {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}) moments.add(value);
  EXPECT_DOUBLE_EQ(moments.population_deviation(), 2);
  EXPECT_NEAR(moments.deviation(), 2.138089935299395, 1e-12);
}

TEST(Slope, IsTheLeastSquaresLine) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    Slope whole;
    std::vector<double> t;
    std::vector<double> x;
    const int64_t start = 1'700'000'000'000'000;
    for (int part = 0; part < 3; ++part) {
      Slope slope;
      for (int i = 0; i < 40; ++i) {
        const auto offset = static_cast<int64_t>(random.below(100'000'000));
        t.push_back(static_cast<double>(offset) * 1e-6);
        x.push_back(3 * t.back() + random.normal());
        slope.add(start + offset, x.back());
      }
      whole.merge(slope);
    }
    double st = 0, sx = 0, stt = 0, stx = 0;
    for (size_t i = 0; i < t.size(); ++i) st += t[i], sx += x[i], stt += t[i] * t[i], stx += t[i] * x[i];
    const auto n = static_cast<double>(t.size());
    EXPECT_NEAR(whole.per_second(), (n * stx - st * sx) / (n * stt - st * st), 1e-9) << "seed " << seed;
  }
  Slope one;
  one.add(5, 1);
  EXPECT_TRUE(std::isnan(one.per_second()));
}

TEST(FirstLast, GoByTimeNotByArrival) {
  FirstLast early;
  early.add(20, 2);
  early.add(10, 1);
  FirstLast late;
  late.add(30, 3);
  late.add(30, 4);
  late.merge(early);
  EXPECT_EQ(late.first(), 1);
  EXPECT_EQ(late.last(), 4);
  EXPECT_TRUE(std::isnan(FirstLast().first()));
}

double exact_quantile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  const auto rank = static_cast<size_t>(std::max(1.0, std::ceil(share * static_cast<double>(values.size()))));
  return values[rank - 1];
}

TEST(QuantileSketch, IsExactForFewAndWithinOnePercentForMany) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    QuantileSketch whole;
    std::vector<double> values;
    const uint64_t parts = 1 + random.below(6);
    for (uint64_t part = 0; part < parts; ++part) {
      QuantileSketch sketch;
      for (uint64_t i = random.below(1500); i > 0; --i) {
        const double value = random.chance(0.05) ? 0 : std::exp(3 * random.normal()) * (random.chance(0.3) ? -1 : 1);
        values.push_back(value);
        sketch.add(value);
      }
      std::string saved;
      sketch.append_to(saved);
      ByteReader in(saved);
      const Result<QuantileSketch> loaded = QuantileSketch::read(in);
      if (sketch.count() == 0) continue;
      ASSERT_TRUE(loaded) << loaded.error().line();
      whole.merge(*loaded);
    }
    if (values.empty()) continue;
    for (const double share : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 1.0}) {
      const double exact = exact_quantile(values, share);
      const double allowed = whole.is_exact() ? 0 : std::fabs(exact) * QuantileSketch::kAccuracy * (1 + 1e-9);
      EXPECT_NEAR(whole.quantile(share), exact, allowed) << "seed " << seed << " share " << share;
    }
  }
  EXPECT_TRUE(std::isnan(QuantileSketch().quantile(0.5)));
}

TEST(QuantileSketch, RefusesDamage) {
  QuantileSketch sketch;
  for (int i = 0; i < 3000; ++i) sketch.add(i);
  std::string saved;
  sketch.append_to(saved);
  for (size_t size = 0; size < saved.size(); ++size) {
    ByteReader in(std::string_view(saved).substr(0, size));
    EXPECT_FALSE(QuantileSketch::read(in)) << size;
  }
}

TEST(DistinctCount, IsExactForFewAndNearForMany) {
  for (const size_t many : {1UL, 100UL, 512UL, 513UL, 5'000UL, 200'000UL}) {
    DistinctCount first;
    DistinctCount second;
    for (size_t i = 0; i < many; ++i) {
      const uint64_t hash = hash64(std::to_string(i));
      (i % 3 == 0 ? first : second).add(hash);
      if (i % 5 == 0) second.add(hash);
    }
    std::string saved;
    second.append_to(saved);
    ByteReader in(saved);
    const Result<DistinctCount> loaded = DistinctCount::read(in);
    ASSERT_TRUE(loaded);
    first.merge(*loaded);
    // Four standard errors of 1.04 / sqrt 4096.
    const double allowed = first.is_exact() ? 0 : static_cast<double>(many) * 0.065;
    EXPECT_NEAR(static_cast<double>(first.count()), static_cast<double>(many), allowed);
    EXPECT_EQ(first.is_exact(), many <= DistinctCount::kExactMax);
  }
}

TEST(DistinctCount, RefusesDamage) {
  DistinctCount distinct;
  distinct.add(2);
  distinct.add(1);
  std::string saved;
  distinct.append_to(saved);
  std::string unsorted = saved;
  std::swap(unsorted[3], unsorted[11]);
  ByteReader in(unsorted);
  EXPECT_FALSE(DistinctCount::read(in));
  ByteReader shorter(std::string_view(saved).substr(0, saved.size() - 1));
  EXPECT_FALSE(DistinctCount::read(shorter));
}

}  // namespace
}  // namespace verge::series
