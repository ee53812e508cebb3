#include "node/row_computer.h"

#include <future>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::node {
namespace {

constexpr rules::AggregateCall kLossless{.aggregate = rules::Aggregate::kReduced};

// `number` is the value of all its readings.
rules::LateRow row_of(uint64_t number, size_t readings) {
  rules::LateRow row{.rules = nullptr, .emission = {}, .number = number};
  rules::Accumulator& series = row.emission.accumulators.emplace_back(kLossless);
  const std::string reading = fmt::format("[{},0]", number);
  for (size_t i = 0; i < readings; ++i) series.add(rules::Value::json(reading), static_cast<int64_t>(i) * 1000);
  return row;
}

TEST(RowComputer, ComputesElsewhereInOrder) {
  std::vector<uint64_t> numbers;
  std::vector<std::string> results;
  std::vector<std::thread::id> threads;
  std::promise<void> all;
  RowComputer computer;
  constexpr uint64_t kRows = 20;
  for (uint64_t number = 1; number <= kRows; ++number) {
    rules::LateRow row = row_of(number, 200);
    ASSERT_TRUE(computer.compute(row, [&](const rules::LateRow& computed) {
      numbers.push_back(computed.number);
      results.emplace_back(computed.emission.accumulators.front().result().view());
      threads.push_back(std::this_thread::get_id());
      if (computed.number == kRows) all.set_value();
    }));
  }
  all.get_future().wait();
  for (uint64_t number = 1; number <= kRows; ++number) {
    EXPECT_EQ(numbers[number - 1], number);
    EXPECT_NE(threads[number - 1], std::this_thread::get_id());
    const rules::LateRow here = row_of(number, 200);
    EXPECT_EQ(results[number - 1], here.emission.accumulators.front().result().view());
  }
}

TEST(RowComputer, WhatFindsNoRoomIsLeftAsItWas) {
  const size_t of_one = row_of(1, 100).bytes();
  std::promise<void> begun;
  std::promise<void> go_on;
  std::promise<void> ended;
  RowComputer computer(2 * of_one);
  rules::LateRow first = row_of(1, 100);
  ASSERT_TRUE(computer.compute(first, [&](const rules::LateRow&) {
    begun.set_value();
    go_on.get_future().wait();
  }));
  begun.get_future().wait();
  rules::LateRow second = row_of(2, 100);
  ASSERT_TRUE(computer.compute(second, [&](const rules::LateRow&) { ended.set_value(); }));
  rules::LateRow third = row_of(3, 100);
  EXPECT_FALSE(computer.compute(third, [](const rules::LateRow&) { FAIL() << "there was no room"; }));
  EXPECT_EQ(third.emission.accumulators.front().result().view(),
            row_of(3, 100).emission.accumulators.front().result().view());
  go_on.set_value();
  ended.get_future().wait();
}

TEST(RowComputer, EndsWhileRowsWait) {
  std::promise<void> begun;
  int computed = 0;
  {
    RowComputer computer;
    for (uint64_t number = 1; number <= 50; ++number) {
      rules::LateRow row = row_of(number, 2000);
      ASSERT_TRUE(computer.compute(row, [&](const rules::LateRow&) {
        if (++computed == 1) begun.set_value();
      }));
    }
    begun.get_future().wait();
  }
  EXPECT_GE(computed, 1);
}

}  // namespace
}  // namespace verge::node
