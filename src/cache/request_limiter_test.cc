#include "cache/request_limiter.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace verge::cache {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

net::Address ip(std::string_view text) { return *net::Address::parse(fmt::format("{}:1", text)); }
const MonotonicTime kStart{seconds(1000)};

TEST(RequestLimiter, GivesABurstAndThenARate) {
  RequestLimiter limiter(1024, 1);
  const RequestLimit limit{.group = 1, .a_second = 10, .burst = 3};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.admit(limit, ip("1.2.3.4"), kStart).admitted);
  const RequestLimiter::Verdict fourth = limiter.admit(limit, ip("1.2.3.4"), kStart);
  EXPECT_FALSE(fourth.admitted);
  EXPECT_EQ(fourth.retry_after, milliseconds(100));
  EXPECT_TRUE(limiter.admit(limit, ip("1.2.3.5"), kStart).admitted) << "another client";
  EXPECT_TRUE(limiter.admit({.group = 2, .a_second = 10, .burst = 3}, ip("1.2.3.4"), kStart).admitted)
      << "another rule";
  EXPECT_TRUE(limiter.admit(limit, ip("1.2.3.4"), kStart + milliseconds(100)).admitted);
  EXPECT_FALSE(limiter.admit(limit, ip("1.2.3.4"), kStart + milliseconds(150)).admitted);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.admit(limit, ip("1.2.3.4"), kStart + seconds(9)).admitted);
  EXPECT_FALSE(limiter.admit(limit, ip("1.2.3.4"), kStart + seconds(9)).admitted) << "a pause saves up one burst";
  EXPECT_EQ(limiter.refused(), 3U);
}

TEST(RequestLimiter, CountsWhatIsUnderWay) {
  RequestLimiter limiter(1024, 1);
  const RequestLimit limit{.group = 1, .at_once = 2};
  auto first = limiter.admit(limit, ip("1.2.3.4"), kStart);
  auto second = limiter.admit(limit, ip("1.2.3.4"), kStart);
  EXPECT_FALSE(limiter.admit(limit, ip("1.2.3.4"), kStart).admitted);
  first = {};
  EXPECT_TRUE(limiter.admit(limit, ip("1.2.3.4"), kStart).admitted);
}

TEST(RequestLimiter, AClientOfIPv6IsANetworkOf64Bits) {
  RequestLimiter limiter(1024, 1);
  const RequestLimit limit{.group = 1, .a_second = 1, .burst = 1};
  EXPECT_TRUE(limiter.admit(limit, ip("[2001:db8:1:2::1]"), kStart).admitted);
  EXPECT_FALSE(limiter.admit(limit, ip("[2001:db8:1:2:ffff::9]"), kStart).admitted);
  EXPECT_TRUE(limiter.admit(limit, ip("[2001:db8:1:3::1]"), kStart).admitted);
  EXPECT_TRUE(limiter.admit(limit, ip("10.0.0.1"), kStart).admitted);
  EXPECT_FALSE(limiter.admit(limit, ip("[::ffff:10.0.0.1]"), kStart).admitted) << "the same client";
}

TEST(RequestLimiter, AFullTableForgetsTheClientNearestToFull) {
  RequestLimiter limiter(8, 1);  // one set
  const RequestLimit limit{.group = 1, .a_second = 1, .burst = 2};
  for (int i = 0; i < 8; ++i) {
    const net::Address client = ip(fmt::format("10.0.0.{}", i));
    EXPECT_TRUE(limiter.admit(limit, client, kStart + milliseconds(i)).admitted);
    EXPECT_TRUE(limiter.admit(limit, client, kStart + milliseconds(i)).admitted);
  }
  EXPECT_TRUE(limiter.admit(limit, ip("10.0.1.1"), kStart + milliseconds(10)).admitted);
  EXPECT_FALSE(limiter.admit(limit, ip("10.0.0.1"), kStart + milliseconds(10)).admitted) << "still known";
  EXPECT_EQ(limiter.unlimited(), 0U);
}

TEST(RequestLimiter, WithoutAPlaceARequestPasses) {
  RequestLimiter limiter(8, 1);
  const RequestLimit limit{.group = 1, .at_once = 1};
  std::vector<RequestLimiter::Verdict> held;
  for (int i = 0; i < 8; ++i) held.push_back(limiter.admit(limit, ip(fmt::format("10.0.0.{}", i)), kStart));
  EXPECT_TRUE(limiter.admit(limit, ip("10.0.1.1"), kStart).admitted);
  EXPECT_TRUE(limiter.admit(limit, ip("10.0.1.1"), kStart).admitted);
  EXPECT_EQ(limiter.unlimited(), 2U);
}

}  // namespace
}  // namespace verge::cache
