#include "spool/redundant_paths.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::spool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tests::value_of;

constexpr Lane kLane = Lane::kBulk;
constexpr Duration kTimeout = seconds(10);
constexpr Duration kRetryMax = seconds(5);

ParentAnswer durable() { return {.meaning = ParentAnswer::Meaning::kDurable, .is_parents_word = true}; }
ParentAnswer refused(bool by_parent) {
  return {.meaning = ParentAnswer::Meaning::kRefused,
          .error = {"uplink.refused", "too large", {}},
          .is_parents_word = by_parent};
}
ParentAnswer failed(std::string_view code = "http.closed") {
  return {.error = {code, std::string(code), {}}, .timed_out = code == "http.timeout"};
}
ParentAnswer not_before(Duration pause) {
  ParentAnswer answer = failed("uplink.refused");
  answer.asked_pause = pause;
  return answer;
}

class Racing : public testing::Test, protected RedundantPaths::Effects {
 protected:
  void make(size_t count, size_t redundant) {
    std::vector<std::string> names;
    for (size_t path = 0; path < count; ++path) names.push_back("path " + std::to_string(path));
    counters = std::vector<PathCounters>(count);
    paths = std::make_unique<RedundantPaths>(static_cast<RedundantPaths::Effects&>(*this), clock, 1, names,
                                             RedundantPathsOptions{.redundant = redundant, .retry_max = kRetryMax},
                                             counters);
  }
  void send(Lane lane, size_t path, const Payload&, Duration) override {
    EXPECT_FALSE(is_under_way(lane, path)) << "one at a time";
    under_way.emplace_back(lane, path);
    sent.push_back(path);
  }
  void close(Lane, size_t path) override { closed.push_back(path); }

  [[nodiscard]] bool is_under_way(Lane lane, size_t path) const {
    return std::ranges::find(under_way, std::pair(lane, path)) != under_way.end();
  }
  // Since it was asked last.
  std::vector<size_t> take_sent() { return std::exchange(sent, {}); }
  void batch(Lane lane = kLane) { paths->send(lane, Payload("batch"), kTimeout); }
  void answer(size_t path, const ParentAnswer& answer, Lane lane = kLane) {
    ASSERT_TRUE(is_under_way(lane, path)) << path;
    std::erase(under_way, std::pair(lane, path));
    paths->answered(lane, path, answer, milliseconds(20));
  }
  void pass(Duration time) {
    clock.advance(time);
    paths->look();
  }
  // As a timer would.
  void pass_until_due() {
    ASSERT_NE(paths->look_again(), MonotonicTime::max());
    pass(paths->look_again() - clock.monotonic());
  }
  ParentAnswer outcome() { return value_of(paths->take_outcome()).answer; }
  bool is_decided() {
    const std::optional<RedundantPaths::Outcome> taken = paths->take_outcome();
    return taken && taken->answer.meaning == ParentAnswer::Meaning::kDurable;
  }

  ManualClock clock;
  std::vector<PathCounters> counters;
  std::unique_ptr<RedundantPaths> paths;
  std::vector<std::pair<Lane, size_t>> under_way;
  std::vector<size_t> sent;
  std::vector<size_t> closed;
};

using Paths = std::vector<size_t>;

TEST_F(Racing, AloneItIsAsIfItWereNotThere) {
  make(1, 1);
  batch();
  EXPECT_EQ(take_sent(), Paths({0}));
  answer(0, durable());
  EXPECT_EQ(outcome().meaning, ParentAnswer::Meaning::kDurable);
  // What it pauses for is for who sends to decide: a batch that is given goes out.
  for (int i = 0; i < 10; ++i) {
    batch();
    EXPECT_EQ(paths->look_again(), MonotonicTime::max());
    answer(0, not_before(seconds(3)));
    const ParentAnswer failure = outcome();
    EXPECT_EQ(failure.error.code, "uplink.refused");
    EXPECT_EQ(failure.asked_pause, seconds(3));
  }
  EXPECT_EQ(take_sent(), Paths(10, 0));
  EXPECT_EQ(closed, Paths(10, 0));
}

TEST_F(Racing, TheFirstValidAnswerCountsAndLaterOnesDoNot) {
  make(3, 2);
  batch();
  EXPECT_EQ(take_sent(), Paths({0, 1}));
  answer(1, durable());
  EXPECT_TRUE(is_decided());
  EXPECT_TRUE(closed.empty()) << "nobody is cut off for being slower";
  answer(0, durable());
  EXPECT_FALSE(paths->take_outcome());
  EXPECT_EQ(counters[0].sent.value(), 1U);
  EXPECT_EQ(counters[0].won.value(), 0U);
  EXPECT_EQ(counters[1].won.value(), 1U);
  EXPECT_EQ(counters[0].failures.value(), 0U);
}

TEST_F(Racing, WhoStillHasAnOldBatchJoinsInWhenItIsFree) {
  make(2, 2);
  batch();
  answer(1, durable());
  EXPECT_TRUE(is_decided());
  take_sent();
  batch();
  EXPECT_EQ(take_sent(), Paths({1})) << "the other has one under way";
  answer(0, durable());
  EXPECT_FALSE(paths->take_outcome()) << "that was for the batch before";
  EXPECT_EQ(take_sent(), Paths({0}));
  answer(0, durable());
  EXPECT_TRUE(is_decided());
}

TEST_F(Racing, AFailureLeavesItsPlaceToTheNext) {
  make(3, 2);
  batch();
  take_sent();
  answer(0, failed());
  EXPECT_EQ(closed, Paths({0}));
  EXPECT_EQ(take_sent(), Paths({2}));
  EXPECT_FALSE(counters[0].stands);
  answer(2, durable());
  EXPECT_TRUE(is_decided());
}

TEST_F(Racing, OnlyTheParentsWordCounts) {
  make(2, 2);
  batch();
  answer(0, failed("uplink.refused"));  // a page to sign in at, a redirect, a 5xx
  EXPECT_FALSE(paths->take_outcome());
  answer(1, durable());
  EXPECT_TRUE(is_decided());
  // A proxy's refusal may only be of what it will pass on.
  make(2, 2);
  under_way.clear();
  batch();
  answer(0, refused(/*by_parent=*/false));
  EXPECT_FALSE(paths->take_outcome());
  answer(1, durable());
  EXPECT_TRUE(is_decided());
}

TEST_F(Racing, ARefusalStandsWhenItIsTheParentsOrNobodyDoesBetter) {
  make(2, 2);
  batch();
  answer(0, refused(/*by_parent=*/true));
  EXPECT_EQ(outcome().meaning, ParentAnswer::Meaning::kRefused);
  answer(1, refused(/*by_parent=*/true));
  EXPECT_FALSE(paths->take_outcome()) << "once a batch";
  batch();
  answer(0, refused(/*by_parent=*/false));
  answer(1, failed());
  EXPECT_EQ(outcome().meaning, ParentAnswer::Meaning::kRefused);
}

TEST_F(Racing, NotDeliveredWhenEveryPathHasFailed) {
  make(3, 2);
  batch();
  answer(0, failed("http.timeout"));
  answer(1, failed());
  EXPECT_FALSE(paths->take_outcome());
  answer(2, not_before(seconds(7)));
  const ParentAnswer failure = outcome();
  EXPECT_EQ(failure.meaning, ParentAnswer::Meaning::kNotNow);
  EXPECT_EQ(failure.error.code, "uplink.no-path");
  EXPECT_NE(failure.error.what.find("path 0: http.timeout"), std::string::npos) << failure.error.what;
  EXPECT_TRUE(failure.timed_out);
  EXPECT_FALSE(failure.asked_pause) << "others may be tried before";
  EXPECT_TRUE(under_way.empty());
}

TEST_F(Racing, APathThatNeverAnswersHoldsUpNothing) {
  make(2, 2);
  for (int i = 0; i < 100; ++i) {
    batch();
    ASSERT_TRUE(is_under_way(kLane, 1));
    answer(1, durable());
    ASSERT_TRUE(is_decided());
  }
  EXPECT_EQ(counters[0].sent.value(), 1U);
  // Alone it does, but not for its whole time-out.
  make(2, 1);
  under_way.clear();
  take_sent();
  batch();
  EXPECT_EQ(take_sent(), Paths({0}));
  pass_until_due();
  EXPECT_LE(clock.monotonic() - MonotonicTime{}, kTimeout / 4);
  EXPECT_EQ(take_sent(), Paths({1}));
  answer(1, durable());
  EXPECT_TRUE(is_decided());
}

TEST_F(Racing, APathThatFailedIsTriedBesideThoseThatDoWell) {
  make(3, 1);
  batch();
  answer(0, failed());
  answer(1, durable());
  EXPECT_TRUE(is_decided());
  take_sent();
  pass(kRetryMax);
  batch();
  EXPECT_EQ(take_sent(), Paths({1, 0})) << "on trial, it does not take another's place";
  answer(1, durable());
  EXPECT_TRUE(is_decided());
  batch();
  EXPECT_EQ(take_sent(), Paths({1}));
  answer(0, durable());
  EXPECT_TRUE(counters[0].stands);
  answer(1, durable());
  EXPECT_TRUE(is_decided());
  batch();
  EXPECT_EQ(take_sent(), Paths({0})) << "it is preferred again";
}

TEST_F(Racing, ItsPausesGrowAndAreItsOwn) {
  make(2, 2);
  int tried = 0;
  for (int ms = 0; ms < 60'000; ms += 10) {
    batch();
    if (is_under_way(kLane, 0)) {
      ++tried;
      answer(0, failed());
    }
    answer(1, durable());
    ASSERT_TRUE(is_decided());
    clock.advance(milliseconds(10));
  }
  EXPECT_GT(tried, 12) << "every " << kRetryMax.count() / 1'000'000'000 << " s at the latest";
  EXPECT_LT(tried, 60);
  EXPECT_EQ(counters[1].won.value(), 6000U);
  EXPECT_EQ(counters[1].failures.value(), 0U);
}

TEST_F(Racing, WhoIsAskedToWaitWaitsWhileOthersDoNot) {
  make(2, 2);
  batch();
  answer(0, not_before(seconds(60)));
  answer(1, durable());
  EXPECT_TRUE(is_decided());
  take_sent();
  for (int i = 0; i < 59; ++i) {
    pass(seconds(1));
    batch();
    answer(1, i % 2 == 0 ? durable() : failed());
    EXPECT_EQ(paths->take_outcome().has_value(), true);
  }
  EXPECT_EQ(counters[0].sent.value(), 1U);
  pass(seconds(1));
  batch();
  EXPECT_TRUE(is_under_way(kLane, 0));
}

TEST_F(Racing, WhileOneSaysNothingTheOthersAreTriedAgain) {
  make(2, 2);
  batch();
  answer(0, failed("http.connect-refused"));
  take_sent();
  pass_until_due();
  EXPECT_EQ(take_sent(), Paths({0})) << "path 1 may yet answer, or never";
  answer(0, failed("http.connect-refused"));
  answer(1, failed("http.timeout"));
  EXPECT_EQ(outcome().error.code, "uplink.no-path");
}

TEST_F(Racing, ABatchIsSettledInBoundedTime) {
  // Paths that say nothing, and fail one after the other: each is tried again only until all have failed.
  make(3, 2);
  batch();
  const MonotonicTime start = clock.monotonic();
  std::map<size_t, MonotonicTime> since;
  while (!paths->take_outcome()) {
    ASSERT_LT(clock.monotonic() - start, 4 * kTimeout);
    for (const auto& [lane, path] : under_way) since.try_emplace(path, clock.monotonic());
    MonotonicTime due = paths->look_again();
    for (const auto& [path, sent_at] : since) due = std::min(due, sent_at + kTimeout);
    ASSERT_NE(due, MonotonicTime::max());
    clock.advance(due - clock.monotonic());
    for (const auto& [path, sent_at] : std::map(since)) {
      if (sent_at + kTimeout > clock.monotonic()) continue;
      since.erase(path);
      answer(path, failed("http.timeout"));
    }
    paths->look();
  }
  EXPECT_TRUE(under_way.empty());
}

TEST_F(Racing, LanesDoNotWaitForEachOther) {
  make(2, 2);
  batch(Lane::kBulk);
  batch(Lane::kExpress);
  EXPECT_EQ(take_sent(), Paths({0, 1, 0, 1}));
  answer(1, durable(), Lane::kExpress);
  const RedundantPaths::Outcome done = value_of(paths->take_outcome());
  EXPECT_EQ(done.lane, Lane::kExpress);
  EXPECT_FALSE(paths->take_outcome());
}

}  // namespace
}  // namespace verge::spool
