#include "base/metrics.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge {
namespace {

TEST(Histogram, EveryValueFallsIntoTheBucketThatHoldsIt) {
  Random random(7);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t value = random.next() >> (24 + random.below(40));
    const size_t bucket = Histogram::bucket_of(value);
    ASSERT_LE(value, Histogram::upper_edge(bucket)) << value;
    if (bucket > 0) ASSERT_GT(value, Histogram::upper_edge(bucket - 1)) << value;
  }
}

TEST(Histogram, QuantilesAreWithinABucket) {
  Histogram histogram;
  for (int64_t i = 1; i <= 1000; ++i) histogram.record(std::chrono::microseconds(i));
  Histogram::Snapshot snapshot;
  snapshot.add(histogram);
  EXPECT_EQ(snapshot.count, 1000U);
  EXPECT_EQ(snapshot.quantile(1.0), std::chrono::microseconds(1000));
  EXPECT_NEAR(static_cast<double>(snapshot.quantile(0.5).count()), 500e3, 500e3 / 16);
  EXPECT_NEAR(static_cast<double>(snapshot.quantile(0.99).count()), 990e3, 990e3 / 16);
}

}  // namespace
}  // namespace verge
