#include "jetstream/appender.h"

#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "jetstream/known_set.h"
#include "tests/support/simulated_stream.h"
#include "tests/support/value_of.h"

namespace verge::jetstream {
namespace {

using tests::list_sequences;
using tests::sequences_in;
using Cluster = tests::SimulatedCluster;
using ClusterStream = tests::SimulatedStream;

bool always() { return true; }

struct Fixture {
  explicit Fixture(uint64_t seed = 1, bool faults = false) : random(seed), cluster(random, clock, faults) {}

  static Batch batch_of(uint64_t first, uint64_t end, uint64_t floor = 0) {
    Batch batch{.floor = floor};
    for (uint64_t sequence = first; sequence < end; ++sequence) batch.records.push_back({sequence, "event"});
    batch.encode = list_sequences;
    return batch;
  }
  [[nodiscard]] MonotonicTime soon() const { return clock.monotonic() + std::chrono::seconds(8); }

  ManualClock clock;
  Random random;
  Cluster cluster;
};

size_t count(const Batch& batch, Batch::Fate fate) {
  return static_cast<size_t>(std::ranges::count(batch.fates, fate));
}

TEST(Appender, AppendsWhatIsNewAndReadsOnce) {
  Fixture fixture;
  ClusterStream stream(fixture.cluster);
  Appender appender(stream, fixture.clock, "S", "a", 10);
  Batch first = Fixture::batch_of(1, 11);
  appender.append(first, fixture.soon(), always);
  EXPECT_EQ(count(first, Batch::Fate::kAppended), 10U);
  Batch second = Fixture::batch_of(6, 21, 3);
  appender.append(second, fixture.soon(), always);
  EXPECT_EQ(count(second, Batch::Fate::kKnown), 5U);
  EXPECT_EQ(count(second, Batch::Fate::kAppended), 10U);
  EXPECT_EQ(stream.readings, 1);
  ASSERT_EQ(fixture.cluster.stored().size(), 2U);
  EXPECT_EQ(fixture.cluster.stored()[0].message.known, "1-10");
  EXPECT_EQ(fixture.cluster.stored()[1].message.known, "1-20");
  EXPECT_EQ(fixture.cluster.stored()[1].message.after, 1U);
  EXPECT_EQ(fixture.cluster.stored()[1].message.body, "3:11,12,13,14,15,16,17,18,19,20,");
  EXPECT_TRUE(fixture.cluster.stored()[1].message.subject.starts_with("S.000000"))
      << "stream.node.incarnation.priority";
  EXPECT_TRUE(fixture.cluster.stored()[1].message.subject.ends_with(".normal"));
}

TEST(Appender, AnotherParentKnowsFromTheStoredMessage) {
  Fixture fixture;
  ClusterStream stream(fixture.cluster);
  Appender one(stream, fixture.clock, "S", "a", 10);
  Appender other(stream, fixture.clock, "S", "b", 10);
  Batch batch = Fixture::batch_of(1, 11);
  one.append(batch, fixture.soon(), always);
  Batch again = Fixture::batch_of(1, 11);
  other.append(again, fixture.soon(), always);
  EXPECT_EQ(count(again, Batch::Fate::kKnown), 10U);
  Batch next = Fixture::batch_of(11, 12);
  other.append(next, fixture.soon(), always);
  // What the first knows is old by now.
  Batch both = Fixture::batch_of(11, 13);
  one.append(both, fixture.soon(), always);
  EXPECT_EQ(both.fates, (std::vector{Batch::Fate::kKnown, Batch::Fate::kAppended}));
  EXPECT_EQ(fixture.cluster.stored().back().message.known, "1-12");
}

TEST(Appender, DividesWhatIsTooLargeForAMessage) {
  Fixture fixture;
  ClusterStream stream(fixture.cluster);
  stream.bytes_max = 1024 + 100;
  Appender appender(stream, fixture.clock, "S", "a", 10);
  Batch batch = Fixture::batch_of(1000, 1100);
  appender.append(batch, fixture.soon(), always);
  EXPECT_EQ(count(batch, Batch::Fate::kAppended), 100U);
  EXPECT_GT(fixture.cluster.stored().size(), 4U);
  uint64_t expected = 1000;
  for (const Cluster::Stored& stored : fixture.cluster.stored()) {
    for (const uint64_t sequence : sequences_in(stored.message.body)) EXPECT_EQ(sequence, expected++);
    EXPECT_EQ(stored.message.known, fmt::format("1000-{}", expected - 1));
  }
  EXPECT_EQ(expected, 1100U);
  stream.bytes_max = 1024;
  Batch never = Fixture::batch_of(2000, 2002);
  appender.append(never, fixture.soon(), always);
  EXPECT_EQ(count(never, Batch::Fate::kRefused), 2U);
  EXPECT_EQ(never.error.code, "jetstream.too-large");
}

TEST(Appender, HolesHaveABound) {
  Fixture fixture;
  ClusterStream stream(fixture.cluster);
  Appender appender(stream, fixture.clock, "S", "a", 10);
  Batch holes{.encode = list_sequences};
  for (uint64_t i = 0; i <= kKnownRangesMax; ++i) holes.records.push_back({2 * i + 2, "event"});
  appender.append(holes, fixture.soon(), always);
  EXPECT_EQ(holes.error.code, "jetstream.holes");
  // A floor closes them.
  holes.floor = 1000;
  appender.append(holes, fixture.soon(), always);
  EXPECT_EQ(count(holes, Batch::Fate::kRefused), 0U) << holes.error.line();
  Batch wild = Fixture::batch_of(1ULL << 63, (1ULL << 63) + 1);
  appender.append(wild, fixture.soon(), always);
  EXPECT_EQ(wild.error.code, "jetstream.holes");
}

TEST(Appender, RefusesASubjectThatOthersWriteTo) {
  Fixture fixture;
  ClusterStream stream(fixture.cluster);
  Appender appender(stream, fixture.clock, "S", "a", 10);
  Batch batch = Fixture::batch_of(1, 2);
  (void)fixture.cluster.publish({.subject = Appender::subject_of("S", batch), .body = "hello"}, Duration(0));
  appender.append(batch, fixture.soon(), always);
  EXPECT_EQ(batch.error.code, "jetstream.foreign");
  EXPECT_EQ(count(batch, Batch::Fate::kRefused), 1U);
}

TEST(Appender, BelievesAPurgeOnlyAfterAWhile) {
  Fixture fixture;
  ClusterStream stream(fixture.cluster);
  Appender appender(stream, fixture.clock, "S", "a", 10);
  Batch batch = Fixture::batch_of(1, 2);
  appender.append(batch, fixture.soon(), always);
  fixture.cluster.purge();
  Batch next = Fixture::batch_of(2, 3);
  appender.append(next, fixture.soon(), always);
  EXPECT_EQ(next.error.code, "jetstream.behind") << "a leader that has not caught up would look like this";
  fixture.clock.advance(Appender::kBehindMax);
  appender.append(next, fixture.soon(), always);
  EXPECT_EQ(count(next, Batch::Fate::kAppended), 1U);
}

TEST(Appender, ForgetsTheLongestUnusedSubject) {
  Fixture fixture;
  ClusterStream stream(fixture.cluster);
  Appender appender(stream, fixture.clock, "S", "a", 2);
  for (const Priority priority : {Priority::kCritical, Priority::kHigh, Priority::kNormal, Priority::kCritical}) {
    Batch batch = Fixture::batch_of(1, 3);
    batch.stream = priority;
    appender.append(batch, fixture.soon(), always);
    EXPECT_EQ(count(batch, Batch::Fate::kRefused), 0U);
  }
  EXPECT_EQ(stream.readings, 4);
  EXPECT_EQ(fixture.cluster.stored().size(), 3U);
}

// Children send to one of three parents by chance, again and again until they are answered, and sometimes to another
// one although they were; parents are replaced by fresh ones. Whatever happens: each record is stored once, in order,
// each message says what is known after it, and what was answered is there.
TEST(Appender, StoresOnceWhateverHappens) {
  for (uint64_t round = 0; round < 60; ++round) {
    const uint64_t seed = system_seed();
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Fixture fixture(seed, true);
    ClusterStream stream(fixture.cluster);
    stream.bytes_max = 1024 + 60;
    std::vector<std::unique_ptr<Appender>> parents;
    int writers = 0;
    const auto fresh = [&] {
      return std::make_unique<Appender>(stream, fixture.clock, "S", fmt::format("w{}", ++writers), 10);
    };
    for (int i = 0; i < 3; ++i) parents.push_back(fresh());
    std::map<Priority, uint64_t> next = {{Priority::kHigh, 1}, {Priority::kLow, 1}};
    std::map<Priority, std::map<uint64_t, int>> appended;
    for (int step = 0; step < 150; ++step) {
      const Priority priority = fixture.random.chance(0.5) ? Priority::kHigh : Priority::kLow;
      uint64_t& from = next[priority];
      const uint64_t begin = from > 5 && fixture.random.chance(0.3) ? from - fixture.random.below(5) : from;
      const uint64_t end = from + 1 + fixture.random.below(30);
      std::unique_ptr<Appender>& parent = parents[fixture.random.below(parents.size())];
      if (fixture.random.chance(0.1)) parent = fresh();
      Batch batch = Fixture::batch_of(begin, end, begin == from ? from : 0);
      batch.stream = priority;
      parent->append(batch, fixture.clock.monotonic() + std::chrono::seconds(fixture.random.below(8)), always);
      for (size_t i = 0; i < batch.records.size(); ++i) {
        if (batch.fates[i] == Batch::Fate::kAppended) ++appended[priority][batch.records[i].sequence];
      }
      if (count(batch, Batch::Fate::kRefused) == 0) from = end;
    }
    fixture.cluster.settle();
    std::map<std::string, std::pair<uint64_t, uint64_t>> chains;  // subject → last message, next sequence
    for (const Cluster::Stored& stored : fixture.cluster.stored()) {
      auto& [last, sequence] = chains.try_emplace(stored.message.subject, 0, 1).first->second;
      EXPECT_EQ(stored.message.after, last);
      for (const uint64_t found : sequences_in(stored.message.body)) EXPECT_EQ(found, sequence++);
      ASSERT_FALSE(testing::Test::HasFailure());
      const IntervalSet known = tests::value_of(read_known(stored.message.known));
      EXPECT_EQ(known.intervals().size(), 1U);
      EXPECT_EQ(known.intervals().back().end, sequence);
      last = stored.sequence;
    }
    for (const auto& [priority, from] : next) {
      Batch name{.stream = priority};
      EXPECT_GE(chains[Appender::subject_of("S", name)].second, from) << "what was answered is there";
      EXPECT_GT(from, 100U) << "the faults leave room for progress";
      for (const auto& [sequence, times] : appended[priority]) EXPECT_EQ(times, 1) << sequence;
    }
  }
}

}  // namespace
}  // namespace verge::jetstream
