#include "spool/delivery.h"

#include <deque>
#include <map>
#include <set>

#include <gtest/gtest.h>

namespace verge::spool {
namespace {

using std::chrono::minutes;

constexpr uint32_t kAttempts = 3;

// A parent that will not have some records, and the log that they come from: each record has one byte.
class Refusing : public testing::Test, public Delivery::Effects {
 protected:
  void prepare(Lane lane, const SendPlan::Stretch& stretch, const BatchLimits& /*limits*/) override {
    auto batch = std::make_unique<PreparedBatch>();
    batch->stretch = stretch;
    if (unreadable.contains(stretch.stream)) batch->error = Error{"storage.io", "a bad sector", {}};
    for (batch->end = stretch.sequences.begin; batch->end < stretch.sequences.end; ++batch->end) {
      if (expired.contains(batch->end)) {
        ++batch->expired;
      } else if (batch->records == stretch.records_max) {
        break;
      } else if (batch->records++ == 0) {
        batch->first_record = batch->end;
      }
    }
    batch->event_bytes = batch->records;
    batch->body = Payload("x");
    if (batch->error) batch->records = 0;
    todo.push_back([this, lane, made = std::make_shared<std::unique_ptr<PreparedBatch>>(std::move(batch))] {
      if ((*made)->records > 0) sent[static_cast<size_t>(lane)].push_back({(*made)->first_record, (*made)->end});
      streams[static_cast<size_t>(lane)] = (*made)->stretch.stream;
      delivery->prepared(lane, std::move(*made));
    });
  }
  void send(Lane lane, const Payload& /*body*/, Duration /*timeout*/) override {
    todo.push_back([this, lane] {
      const IntervalSet::Interval batch = sent[static_cast<size_t>(lane)].front();
      sent[static_cast<size_t>(lane)].erase(sent[static_cast<size_t>(lane)].begin());
      ParentAnswer answer{.meaning = ParentAnswer::Meaning::kDurable};
      if (held_off.contains(streams[static_cast<size_t>(lane)])) {
        answer = {.meaning = ParentAnswer::Meaning::kHeldOff, .is_parents_word = true};
        return delivery->answered(lane, answer, std::chrono::milliseconds(1));
      }
      for (uint64_t record = batch.begin; record < batch.end; ++record) {
        if (!bad.contains(record)) continue;
        answer.meaning = ParentAnswer::Meaning::kRefused;
        answer.is_parents_word = true;
        if (is_alone_in(batch)) ++offered[record];
      }
      delivery->answered(lane, answer, std::chrono::milliseconds(1));
    });
  }
  void delivered(Priority /*stream*/, IntervalSet::Interval sequences) override { done.insert(sequences); }
  void bury(DeadLetter letter) override {
    buried[letter.sequence] = offered[letter.sequence];
    todo.push_back([this, letter = std::move(letter)] {
      if (letters_are_full) {
        return delivery->buried(letter.stream, letter.sequence, fail("spool.dead-letters-full", "full"));
      }
      done.insert(letter.sequence);
      delivery->buried(letter.stream, letter.sequence, {});
    });
  }
  void age(bool running) override { ages = running; }

  [[nodiscard]] bool is_alone_in(IntervalSet::Interval batch) const {
    uint64_t live = 0;
    for (uint64_t record = batch.begin; record < batch.end && live < 2; ++record) {
      live += expired.contains(record) ? 0 : 1;
    }
    return live == 1;
  }

  void take_turns() {
    while (!todo.empty()) {
      const std::function<void()> next = std::move(todo.front());
      todo.pop_front();
      next();
    }
  }

  // Of the critical stream, all below `end`.
  void run_for(Duration time, uint64_t end) {
    make();
    delivery->observe(Priority::kCritical, end, end);
    delivery->look();
    const MonotonicTime until = clock.monotonic() + time;
    for (take_turns(); delivery->look_again() < until; take_turns()) {
      clock.advance(std::max(delivery->look_again() - clock.monotonic(), Duration(0)));
      delivery->look();
    }
  }

  void make() {
    DeliveryOptions options;
    options.attempts.fill(kAttempts);
    delivery = std::make_unique<Delivery>(*this, clock, 1, "parent", std::array<SendPlan::Start, kPriorities.size()>{},
                                          options, counters);
  }

  void run(uint64_t end) {
    make();
    delivery->observe(Priority::kCritical, end, end);
    delivery->look();
    for (int step = 0; step < 10'000'000; ++step) {
      if (!todo.empty()) {
        const std::function<void()> next = std::move(todo.front());
        todo.pop_front();
        next();
        deferred_most = std::max(deferred_most, delivery->plan().deferred(Priority::kCritical));
        continue;
      }
      if (delivery->look_again() == MonotonicTime::max()) return;
      clock.advance(std::max(delivery->look_again() - clock.monotonic(), Duration(0)));
      delivery->look();
    }
    ADD_FAILURE() << "it does not end";
  }

  ManualClock clock;
  UplinkCounters counters;
  std::unique_ptr<Delivery> delivery;
  std::deque<std::function<void()>> todo;
  std::array<std::vector<IntervalSet::Interval>, kLanes> sent;
  std::array<Priority, kLanes> streams{};  // of what was sent last
  std::set<uint64_t> bad;
  bool letters_are_full = false;
  std::set<Priority> held_off;
  std::set<Priority> unreadable;
  std::set<uint64_t> expired;            // passed over
  std::map<uint64_t, uint32_t> offered;  // alone
  std::map<uint64_t, uint32_t> buried;   // after how many offers
  IntervalSet done;
  size_t deferred_most = 0;
  bool ages = true;
};

TEST_F(Refusing, EachOfThousandsHasItsAttempts) {
  constexpr uint64_t kEnd = 4001;
  for (uint64_t record = 1; record < kEnd; ++record) {
    if (record % 4 != 0) bad.insert(record);
  }
  run(kEnd);
  EXPECT_EQ(done.missing(1, kEnd), 0U);
  EXPECT_EQ(buried.size(), bad.size());
  for (const auto& [record, offers] : buried) EXPECT_GE(offers, kAttempts) << record;
  EXPECT_LE(deferred_most, Delivery::kRefusedMax);
}

TEST_F(Refusing, WhereDeadLettersAreFullARecordStays) {
  bad = {3};
  letters_are_full = true;
  run_for(minutes(10), 8);
  EXPECT_GT(buried.size(), 0U);
  EXPECT_EQ(done.missing(1, 8), 1U) << "all others";
  EXPECT_EQ(counters.buried.value(), 0U);
}

// As a parent whose spool is full but for its reserve.
TEST_F(Refusing, AStreamThatIsHeldOffHoldsUpNoOther) {
  make();
  held_off = {Priority::kNormal};
  delivery->observe(Priority::kNormal, 100, 100);
  clock.advance(minutes(2));
  for (uint64_t end = 2; end <= 20; ++end) {
    delivery->observe(Priority::kCritical, end, end);
    delivery->look();
    take_turns();
    EXPECT_EQ(done.missing(1, end), 0U) << "at once";
  }
  EXPECT_EQ(counters.records.value(), 19U);
  held_off.clear();
  clock.advance(minutes(1));
  delivery->look();
  take_turns();
  EXPECT_EQ(counters.records.value(), 19U + 99U);
}

// As where a sector of a disk has gone bad.
TEST_F(Refusing, AStreamThatCannotBeReadHoldsUpNoOther) {
  make();
  unreadable = {Priority::kNormal};
  delivery->observe(Priority::kNormal, 100, 100);
  clock.advance(minutes(2));
  for (uint64_t end = 2; end <= 20; ++end) {
    delivery->observe(Priority::kCritical, end, end);
    delivery->look();
    take_turns();
    EXPECT_EQ(counters.records.value(), end - 1) << "at once";
  }
  unreadable.clear();
  clock.advance(minutes(1));
  delivery->look();
  take_turns();
  EXPECT_EQ(counters.records.value(), 19U + 99U);
}

TEST_F(Refusing, WhatHasExpiredIsCountedOnce) {
  make();
  held_off = {Priority::kNormal};
  expired = {1, 3, 4, 7, 9};
  delivery->observe(Priority::kNormal, 10, 10);
  for (int i = 0; i < 20; ++i) {
    clock.advance(minutes(2));
    delivery->look();
    take_turns();
  }
  EXPECT_EQ(counters.expired.value(), 0U);
  held_off.clear();
  clock.advance(minutes(2));
  delivery->look();
  take_turns();
  EXPECT_EQ(counters.expired.value(), 5U);
}

TEST_F(Refusing, WhatHasExpiredBesideARefusedRecordIsCountedOnce) {
  bad = {5, 12};
  expired = {1, 2, 4, 6, 7, 11, 13, 14};
  run_for(minutes(60), 16);
  EXPECT_EQ(buried.size(), 2U);
  EXPECT_EQ(done.missing(1, 16), 0U);
  EXPECT_EQ(counters.expired.value(), expired.size());
  EXPECT_EQ(counters.records.value() + counters.buried.value() + counters.expired.value(), 15U);
}

// As where the dead letters are full: what is refused stays, others go on, and the parent is asked seldom.
TEST_F(Refusing, FullDeadLettersHoldUpNothing) {
  constexpr uint64_t kEnd = 3001;
  make();
  for (uint64_t record = 1; record < kEnd; ++record) {
    if (record % 2 != 0) bad.insert(record);
  }
  letters_are_full = true;
  delivery->observe(Priority::kCritical, kEnd, kEnd);
  const auto run_until_quiet = [&](Duration time) {
    delivery->look();
    const MonotonicTime until = clock.monotonic() + time;
    for (take_turns(); delivery->look_again() < until; take_turns()) {
      clock.advance(std::max(delivery->look_again() - clock.monotonic(), Duration(0)));
      delivery->look();
    }
    clock.advance(std::max(until - clock.monotonic(), Duration(0)));
  };
  run_until_quiet(minutes(60));
  EXPECT_EQ(counters.records.value(), (kEnd - 1) / 2) << "all the others";
  const uint64_t refusals = counters.refusals.value();
  run_until_quiet(minutes(60));
  EXPECT_LE(counters.refusals.value() - refusals, 121U) << "one each half minute";
  letters_are_full = false;
  run_until_quiet(minutes(60));
  EXPECT_EQ(done.missing(1, kEnd), 0U);
  EXPECT_EQ(counters.buried.value(), bad.size());
}

TEST_F(Refusing, RecordsGrowOldOnceTheParentIsKnownToBeThere) {
  make();
  delivery->look();
  EXPECT_FALSE(ages);
  held_off = {Priority::kNormal};
  bad = {1};
  delivery->observe(Priority::kNormal, 2, 2);
  delivery->observe(Priority::kCritical, 2, 2);
  delivery->look();
  take_turns();
  EXPECT_TRUE(ages);
}

}  // namespace
}  // namespace verge::spool
