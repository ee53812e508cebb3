#include "spool/awaited_deliveries.h"

#include <gtest/gtest.h>

namespace verge::spool {
namespace {

using Record = AwaitedDeliveries::Record;

class Waiting : public testing::Test {
 protected:
  AwaitedDeliveries::Wait wait(int& done) {
    return std::make_shared<DeliveryWait>(loop_, [&done] { ++done; });
  }
  // Runs what was posted.
  void settle() {
    loop_.post([this] { loop_.stop(); });
    loop_.run();
  }

  runtime::Loop loop_{"test"};
  AwaitedDeliveries awaited_;
  int first_ = 0;
  int second_ = 0;
};

TEST_F(Waiting, IsOverWhenTheParentHasAllOfTheRecords) {
  awaited_.enter(wait(first_), {Record{.stream = Priority::kHigh, .sequence = 7},
                                Record{.stream = Priority::kNormal, .sequence = 7}});
  awaited_.enter(wait(second_), {Record{.stream = Priority::kNormal, .sequence = 8}});
  EXPECT_TRUE(awaited_.any());
  awaited_.confirmed(Priority::kNormal, {1, 8});
  awaited_.delivered_through(Priority::kHigh, 100);  // that alone may be a dead letter
  settle();
  EXPECT_EQ(first_, 0);
  awaited_.confirmed(Priority::kHigh, {7, 8});
  settle();
  EXPECT_EQ(first_, 1);
  EXPECT_EQ(second_, 0);
  awaited_.confirmed(Priority::kNormal, {8, 9});
  awaited_.confirmed(Priority::kNormal, {1, 9});
  settle();
  EXPECT_EQ(first_, 1);
  EXPECT_EQ(second_, 1);
  EXPECT_FALSE(awaited_.any());
}

TEST_F(Waiting, OfARepetitionIsForAllThatWasThere) {
  awaited_.enter(wait(first_), {Record{.sequence = 5, .is_repetition = true, .delivered_through = 3}});
  awaited_.enter(wait(second_), {Record{.sequence = 5, .is_repetition = true, .delivered_through = 5}});
  settle();
  EXPECT_EQ(second_, 1);
  awaited_.confirmed(Priority::kNormal, {5, 6});
  awaited_.delivered_through(Priority::kNormal, 4);
  settle();
  EXPECT_EQ(first_, 0);
  awaited_.delivered_through(Priority::kNormal, 5);
  settle();
  EXPECT_EQ(first_, 1);
}

TEST_F(Waiting, ThatNobodyWaitsForAnyMoreIsForgotten) {
  const AwaitedDeliveries::Wait given_up = wait(first_);
  awaited_.enter(given_up, {Record{.sequence = 5}, Record{.sequence = 6}});
  awaited_.enter(wait(second_), {Record{.sequence = 5}});
  awaited_.confirmed(Priority::kNormal, {6, 7});
  awaited_.forget(given_up);
  awaited_.confirmed(Priority::kNormal, {1, 10});
  settle();
  EXPECT_EQ(first_, 0);
  EXPECT_EQ(second_, 1);
  EXPECT_FALSE(awaited_.any());
}

TEST_F(Waiting, ForNothingIsOverAtOnce) {
  awaited_.enter(wait(first_), {});
  settle();
  EXPECT_EQ(first_, 1);
  EXPECT_FALSE(awaited_.any());
}

}  // namespace
}  // namespace verge::spool
