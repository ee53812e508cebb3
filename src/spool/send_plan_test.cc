#include "spool/send_plan.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/support/value_of.h"

namespace verge::spool {
namespace {

using tests::value_of;

using Starts = std::array<SendPlan::Start, kPriorities.size()>;

constexpr MonotonicTime kStart{};
constexpr Duration kAge = std::chrono::seconds(60);
constexpr size_t kBatch = 1000;

class Planning : public testing::Test {
 protected:
  explicit Planning(Starts starts = {}) : plan({.batch_bytes_max = kBatch, .batch_age_max = kAge}, std::move(starts)) {}

  std::optional<SendPlan::Stretch> next(Lane lane, bool draining = false) {
    look_again = MonotonicTime::max();
    return plan.next(lane, now, draining, look_again);
  }
  void append(Priority stream, uint64_t end, uint64_t bytes = 0) { plan.observe(stream, end, bytes, now); }

  SendPlan plan;
  MonotonicTime now = kStart;
  MonotonicTime look_again;
};

TEST_F(Planning, CriticalAtOnceTheRestByAgeOrSize) {
  append(Priority::kNormal, 11);
  EXPECT_FALSE(next(Lane::kBulk));
  EXPECT_EQ(look_again, now + kAge);
  append(Priority::kCritical, 2);
  const SendPlan::Stretch critical = value_of(next(Lane::kExpress));
  EXPECT_EQ(critical.stream, Priority::kCritical);
  EXPECT_FALSE(next(Lane::kExpress)) << "it is claimed";
  now += kAge;
  const SendPlan::Stretch aged = value_of(next(Lane::kBulk));
  EXPECT_EQ(aged.sequences, (IntervalSet::Interval{1, 11}));
  append(Priority::kLow, 5, kBatch);
  const SendPlan::Stretch full = value_of(next(Lane::kBulk));  // a batch is full
  EXPECT_EQ(full.stream, Priority::kLow);
}

TEST_F(Planning, WhatDidNotFitFollowsAtOnce) {
  append(Priority::kNormal, 101);
  now += kAge;
  SendPlan::Stretch first = value_of(next(Lane::kBulk));
  plan.shorten(first, 41, kBatch);
  const SendPlan::Stretch second = value_of(next(Lane::kBulk));
  EXPECT_EQ(second.sequences, (IntervalSet::Interval{41, 101}));
}

class PlanningBacklog : public Planning {
 protected:
  PlanningBacklog() : Planning(Starts{{{{}, 101}, {{}, 101}, {{}, 101}, {{}, 101}}}) {}
};

TEST_F(PlanningBacklog, RefusedRecordsTakeTurnsWithOthers) {
  for (const Priority stream : kPriorities) append(stream, 101);
  for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
    SendPlan::Stretch poison = value_of(next(Lane::kBulk));
    if (plan.deferred(Priority::kCritical) > 0 && poison.sequences.begin != sequence) {
      EXPECT_LT(poison.sequences.begin, sequence);
      plan.defer(poison, poison.sequences.begin, now);
      poison = value_of(next(Lane::kBulk));
    }
    ASSERT_EQ(poison.sequences.begin, sequence);
    plan.shorten(poison, sequence + 1, 1);
    plan.defer(poison, sequence, now);  // due at once, always
  }
  std::vector<Priority> fresh;
  std::set<uint64_t> again;
  for (int i = 0; i < 8; ++i) {
    const SendPlan::Stretch each = value_of(next(Lane::kBulk));
    EXPECT_EQ(each.stream == Priority::kCritical && each.sequences.begin <= 3, i % 2 == 0) << "in turn";
    if (i % 2 == 0) {
      again.insert(each.sequences.begin);
      now += std::chrono::milliseconds(1);
      plan.defer(each, each.sequences.begin, now);
    } else {
      fresh.push_back(each.stream);
      plan.delivered(Lane::kBulk, each, 1);
    }
  }
  EXPECT_EQ(fresh, (std::vector{Priority::kCritical, Priority::kHigh, Priority::kNormal, Priority::kLow}));
  EXPECT_EQ(again.size(), 3U) << "and among each other";
  EXPECT_EQ(value_of(next(Lane::kBulk)).stream, Priority::kCritical);
  EXPECT_EQ(value_of(next(Lane::kBulk)).stream, Priority::kCritical) << "nothing else is left";
}

TEST_F(PlanningBacklog, BacklogByImportanceLiveBesideIt) {
  for (const Priority stream : kPriorities) append(stream, 101);
  EXPECT_FALSE(next(Lane::kExpress)) << "nothing is live yet";
  append(Priority::kCritical, 103);
  const SendPlan::Stretch live = value_of(next(Lane::kExpress));
  EXPECT_EQ(live.sequences, (IntervalSet::Interval{101, 103}));
  for (const Priority stream : kPriorities) {
    const SendPlan::Stretch old = value_of(next(Lane::kBulk));
    EXPECT_EQ(old.stream, stream);
    EXPECT_EQ(old.sequences, (IntervalSet::Interval{1, 101}));
    plan.delivered(Lane::kBulk, old, 100);
  }
  plan.delivered(Lane::kExpress, live, 10);
  EXPECT_EQ(plan.floor(Priority::kCritical), 103U);
}

// While backlog waits, the express lane takes its part and no more.
TEST_F(PlanningBacklog, TheBacklogKeepsItsShare) {
  uint64_t express = 0, bulk = 0, end = 101;
  for (int round = 0; round < 2000; ++round) {
    append(Priority::kCritical, ++end);
    if (const auto live = next(Lane::kExpress)) {
      plan.delivered(Lane::kExpress, *live, kBatch);
      express += kBatch;
      continue;
    }
    auto old = next(Lane::kBulk);
    if (!old) break;
    plan.shorten(*old, old->sequences.begin + 1, kBatch);
    plan.delivered(Lane::kBulk, *old, kBatch);
    bulk += kBatch;
  }
  EXPECT_NEAR(static_cast<double>(bulk) / static_cast<double>(bulk + express), 0.2, 0.02);
}

TEST_F(PlanningBacklog, ABrokenLineMakesAllOfItBacklog) {
  append(Priority::kCritical, 111);
  const SendPlan::Stretch live = value_of(next(Lane::kExpress));
  plan.released(live, 0);
  plan.line_broke();
  EXPECT_FALSE(next(Lane::kExpress));
  const SendPlan::Stretch old = value_of(next(Lane::kBulk));
  EXPECT_EQ(old.sequences, (IntervalSet::Interval{1, 111}));
}

TEST_F(Planning, WhatGathersWhileTheLineIsDownDoesNotOvertakeWhatGatheredBefore) {
  append(Priority::kCritical, 5);
  const SendPlan::Stretch before = value_of(next(Lane::kExpress));
  plan.released(before, 0);
  plan.line_broke();
  append(Priority::kCritical, 11);
  EXPECT_FALSE(next(Lane::kExpress));
  const SendPlan::Stretch all = value_of(next(Lane::kBulk));
  EXPECT_EQ(all.sequences, (IntervalSet::Interval{1, 11}));
  plan.line_stands();
  plan.delivered(Lane::kBulk, all, 0);
  append(Priority::kCritical, 12);
  const SendPlan::Stretch live = value_of(next(Lane::kExpress));
  EXPECT_EQ(live.sequences, (IntervalSet::Interval{11, 12}));
}

TEST_F(Planning, ARefusedBatchIsTriedInHalvesAndTheRestGoesOn) {
  constexpr uint64_t kPoison = 37, kEnd = 101;
  append(Priority::kNormal, kEnd);
  int refusals = 0;
  IntervalSet delivered;
  for (int step = 0; step < 200; ++step) {
    auto stretch = next(Lane::kBulk, /*draining=*/true);
    if (!stretch) break;
    const uint64_t records = std::min(stretch->sequences.end - stretch->sequences.begin, stretch->records_max);
    const uint64_t end = stretch->sequences.begin + records;
    plan.shorten(*stretch, end, 0);
    if (stretch->sequences.begin <= kPoison && kPoison < end) {
      ++refusals;
      if (records > 1) {
        plan.halve(*stretch, records, 0);
      } else {
        plan.defer(*stretch, kPoison, now + std::chrono::seconds(5));
      }
      continue;
    }
    plan.delivered(Lane::kBulk, *stretch, 0);
    delivered.insert(stretch->sequences);
  }
  EXPECT_LE(refusals, 9);
  EXPECT_EQ(delivered.missing(1, kEnd), 1U);
  EXPECT_EQ(look_again, now + std::chrono::seconds(5));
  now += std::chrono::seconds(5);
  const SendPlan::Stretch again = value_of(next(Lane::kBulk));
  EXPECT_EQ(again.sequences, (IntervalSet::Interval{kPoison, kPoison + 1}));
}

// A spool that holds less than a batch would wait for age while it refuses what is new.
TEST_F(Planning, NothingWaitsForAFullBatchWhileSpaceIsShort) {
  append(Priority::kNormal, 11, kBatch / 2);
  EXPECT_FALSE(next(Lane::kBulk));
  plan.set_short_of_space(true);
  const SendPlan::Stretch all = value_of(next(Lane::kBulk));
  EXPECT_EQ(all.sequences, (IntervalSet::Interval{1, 11}));
  plan.delivered(Lane::kBulk, all, kBatch / 2);
  plan.set_short_of_space(false);
  append(Priority::kNormal, 12, kBatch / 2);
  EXPECT_FALSE(next(Lane::kBulk));
}

TEST_F(Planning, ARecordWaitsFromWhenItWasFirstSeen) {
  EXPECT_EQ(plan.waiting_since(Priority::kNormal), std::nullopt);
  append(Priority::kNormal, 11);
  for (int attempt = 0; attempt < 5; ++attempt) {
    now += kAge;
    append(Priority::kNormal, 11 + static_cast<uint64_t>(attempt));
    const SendPlan::Stretch sent = value_of(next(Lane::kBulk));
    EXPECT_EQ(plan.waiting_since(Priority::kNormal), kStart) << "under way, not delivered";
    plan.released(sent, 0);
    plan.line_broke();
    append(Priority::kNormal, 11 + static_cast<uint64_t>(attempt));
    EXPECT_EQ(plan.waiting_since(Priority::kNormal), kStart) << attempt;
  }
  SendPlan::Stretch first = value_of(next(Lane::kBulk));
  plan.shorten(first, 11, 0);
  plan.delivered(Lane::kBulk, first, 0);
  EXPECT_EQ(plan.waiting_since(Priority::kNormal), kStart + 2 * kAge) << "the next one came then";
  plan.delivered(Lane::kBulk, value_of(next(Lane::kBulk)), 0);
  EXPECT_EQ(plan.waiting_since(Priority::kNormal), std::nullopt);
}

// Marks are few: then a record counts as older than it is, never as younger.
TEST_F(Planning, AMillionSightingsTakeLittle) {
  for (uint64_t i = 0; i < 1'000'000; ++i, now += std::chrono::milliseconds(1)) append(Priority::kNormal, i + 2);
  EXPECT_EQ(plan.waiting_since(Priority::kNormal), kStart);
  SendPlan::Stretch half = value_of(next(Lane::kBulk));
  plan.shorten(half, 500'000, 0);
  plan.delivered(Lane::kBulk, half, 0);
  const MonotonicTime since = value_of(plan.waiting_since(Priority::kNormal));
  EXPECT_LE(since, kStart + std::chrono::milliseconds(500'000));
  EXPECT_GE(since, kStart + std::chrono::milliseconds(400'000));
}

TEST_F(Planning, WhatIsHeldWaitsAndWhatIsDeferredGoesOn) {
  append(Priority::kNormal, 101);
  const auto offer = [&](uint64_t expected) {
    SendPlan::Stretch stretch = value_of(next(Lane::kBulk, /*draining=*/true));
    EXPECT_EQ(stretch.sequences.begin, expected);
    plan.shorten(stretch, expected + 1, 1);
    return stretch;
  };
  plan.defer(offer(1), 1, now + std::chrono::seconds(1));
  plan.hold(offer(2), 1, now + std::chrono::seconds(5));
  EXPECT_FALSE(next(Lane::kBulk, /*draining=*/true));
  EXPECT_EQ(look_again, now + std::chrono::seconds(1));
  now += std::chrono::seconds(1);
  const SendPlan::Stretch again = offer(1);
  EXPECT_EQ(again.records_max, 1U);
  EXPECT_FALSE(next(Lane::kBulk, /*draining=*/true)) << "it is under way";
  EXPECT_EQ(look_again, kStart + std::chrono::seconds(5));
  plan.released(again, 1);
  plan.delivered(Lane::kBulk, offer(1), 1);
  EXPECT_FALSE(next(Lane::kBulk, /*draining=*/true));
  now += std::chrono::seconds(4);
  offer(2);
}

// Whatever happens, no sequence is under way twice, and in the end all are delivered.
TEST(SendPlan, NeverClaimsTwiceAndForgetsNothing) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int run = 0; run < 200; ++run) {
    Starts starts;
    std::array<uint64_t, kPriorities.size()> ends{};
    for (size_t i = 0; i < starts.size(); ++i) ends[i] = starts[i].end = 1 + random.below(50);
    SendPlan plan({.batch_bytes_max = kBatch, .batch_age_max = kAge}, starts);
    MonotonicTime now = kStart;
    struct Sent {
      Lane lane;
      SendPlan::Stretch stretch;
    };
    std::vector<Sent> under_way;
    std::array<IntervalSet, kPriorities.size()> claimed;
    const auto finish = [&](size_t index, bool good) {
      const Sent sent = under_way[index];
      under_way.erase(under_way.begin() + static_cast<ptrdiff_t>(index));
      if (good) {
        plan.line_stands();
        return plan.delivered(sent.lane, sent.stretch, 10);
      }
      claimed[static_cast<size_t>(sent.stretch.stream)].erase(sent.stretch.sequences);
      plan.released(sent.stretch, 10);
      plan.line_broke();
    };
    for (int step = 0; step < 400 || !under_way.empty(); ++step) {
      const bool ending = step >= 300;
      now += std::chrono::milliseconds(random.below(3000));
      for (const Priority stream : kPriorities) {
        uint64_t& end = ends[static_cast<size_t>(stream)];
        if (!ending && random.chance(0.3)) end += random.below(20);
        plan.observe(stream, end, end * 10, now);
      }
      if (!under_way.empty() && random.chance(0.5))
        finish(random.below(under_way.size()), ending || random.chance(0.7));
      MonotonicTime look_again = MonotonicTime::max();
      const Lane lane = random.chance(0.5) ? Lane::kExpress : Lane::kBulk;
      auto stretch = plan.next(lane, now, ending, look_again);
      if (!stretch) continue;
      IntervalSet& mine = claimed[static_cast<size_t>(stretch->stream)];
      const uint64_t length = stretch->sequences.end - stretch->sequences.begin;
      plan.shorten(*stretch, stretch->sequences.begin + 1 + random.below(length), 10);
      ASSERT_EQ(mine.missing(stretch->sequences.begin, stretch->sequences.end),
                stretch->sequences.end - stretch->sequences.begin);
      mine.insert(stretch->sequences);
      under_way.push_back({lane, *stretch});
    }
    for (int step = 0; step < 5000; ++step) {
      MonotonicTime look_again = MonotonicTime::max();
      bool some = false;
      for (const Lane lane : {Lane::kExpress, Lane::kBulk}) {
        if (auto stretch = plan.next(lane, now, true, look_again)) {
          plan.delivered(lane, *stretch, 10);
          some = true;
        }
      }
      if (!some) break;
    }
    for (const Priority stream : kPriorities) EXPECT_EQ(plan.floor(stream), ends[static_cast<size_t>(stream)]);
  }
}

}  // namespace
}  // namespace verge::spool
