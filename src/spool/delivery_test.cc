#include "spool/delivery.h"

#include <deque>
#include <map>
#include <set>

#include <gtest/gtest.h>

namespace verge::spool {
namespace {

constexpr uint32_t kAttempts = 3;

// A parent that will not have some records, and the log that they come from: each record has one byte.
class Refusing : public testing::Test, public Delivery::Effects {
 protected:
  void prepare(Lane lane, const SendPlan::Stretch& stretch, const BatchLimits& /*limits*/) override {
    auto batch = std::make_unique<PreparedBatch>();
    batch->stretch = stretch;
    batch->records = std::min(stretch.sequences.end - stretch.sequences.begin, stretch.records_max);
    batch->end = stretch.sequences.begin + batch->records;
    batch->first_record = stretch.sequences.begin;
    batch->event_bytes = batch->records;
    batch->body = Payload("x");
    todo.push_back([this, lane, made = std::make_shared<std::unique_ptr<PreparedBatch>>(std::move(batch))] {
      sent[static_cast<size_t>(lane)].push_back({(*made)->first_record, (*made)->end});
      delivery->prepared(lane, std::move(*made));
    });
  }
  void send(Lane lane, const Payload& /*body*/, Duration /*timeout*/) override {
    todo.push_back([this, lane] {
      const IntervalSet::Interval batch = sent[static_cast<size_t>(lane)].front();
      sent[static_cast<size_t>(lane)].erase(sent[static_cast<size_t>(lane)].begin());
      ParentAnswer answer{.meaning = ParentAnswer::Meaning::kDurable};
      for (uint64_t record = batch.begin; record < batch.end; ++record) {
        if (!bad.contains(record)) continue;
        answer.meaning = ParentAnswer::Meaning::kRefused;
        if (batch.end == batch.begin + 1) ++offered[record];
      }
      delivery->answered(lane, answer, std::chrono::milliseconds(1));
    });
  }
  void delivered(Priority /*stream*/, IntervalSet::Interval sequences) override { done.insert(sequences); }
  void bury(DeadLetter letter) override {
    buried[letter.sequence] = offered[letter.sequence];
    todo.push_back([this, letter = std::move(letter)] {
      done.insert(letter.sequence);
      delivery->buried(letter.stream, letter.sequence, {});
    });
  }
  void age(bool /*running*/) override {}

  void run(uint64_t end) {
    DeliveryOptions options;
    options.attempts.fill(kAttempts);
    delivery = std::make_unique<Delivery>(*this, clock, 1, "parent", std::array<SendPlan::Start, kPriorities.size()>{},
                                          options, counters);
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
  std::set<uint64_t> bad;
  std::map<uint64_t, uint32_t> offered;  // alone
  std::map<uint64_t, uint32_t> buried;   // after how many offers
  IntervalSet done;
  size_t deferred_most = 0;
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
  EXPECT_LE(deferred_most, 1024U);
}

}  // namespace
}  // namespace verge::spool
