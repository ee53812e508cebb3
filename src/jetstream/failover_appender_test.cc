#include "jetstream/failover_appender.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "jetstream/known_set.h"
#include "tests/support/simulated_stream.h"
#include "tests/support/value_of.h"

namespace verge::jetstream {
namespace {

using Fate = Batch::Fate;

// Bodies here: "priority/floor:1,2,3,", so that they can be read without their subject.
Batch batch_of(Priority stream, const std::vector<uint64_t>& sequences, uint64_t floor) {
  Batch batch{.stream = stream, .floor = floor};
  for (const uint64_t sequence : sequences) batch.records.push_back({sequence, "event"});
  batch.encode = [stream](std::span<const Batch::Record* const> records, uint64_t stated) {
    return fmt::format("{}/{}", static_cast<int>(stream), tests::list_sequences(records, stated));
  };
  return batch;
}

std::string_view list_in(std::string_view body) { return body.substr(2); }

Result<Batch> decode(std::string_view body) {
  if (body.size() < 2 || body[1] != '/') return fail("uplink.malformed", "no batch");
  const auto stream = static_cast<Priority>(body[0] - '0');
  return batch_of(stream, tests::sequences_in(list_in(body)), tests::floor_of(list_in(body)));
}

size_t count(const Batch& batch, Fate fate) { return static_cast<size_t>(std::ranges::count(batch.fates, fate)); }

struct Killed {};

// The cluster that all parents use, and what is known of rules that ran.
struct World {
  explicit World(uint64_t seed = 1, bool faults = false) : random(seed), cluster(random, clock, faults) {
    overflow.faults = faults;
  }

  ManualClock clock;
  Random random;
  tests::SimulatedCluster cluster;
  tests::SimulatedOverflow overflow;
  std::map<Priority, std::map<uint64_t, int>> evaluated;  // how often rules ran over a record
  int writers = 0;

  void evaluate(const Batch& batch) {
    for (size_t i = 0; i < batch.records.size(); ++i) {
      if (batch.fates[i] == Fate::kAppended) ++evaluated[batch.stream][batch.records[i].sequence];
    }
  }
};

// One process. It ends, by an exception, at the step that `steps_left` says.
struct Parent {
  explicit Parent(World& of)
      : world(of),
        stream(world.cluster),
        overflow(world.overflow, world.random, world.clock, [this] { step(); }),
        appender(stream, &overflow, world.clock,
                 {.stream = "S",
                  .overflow = "S_OVERFLOW",
                  .writer = fmt::format("w{}", ++world.writers),
                  .subjects_max = 10,
                  .seed = world.random.next()}) {
    stream.step = [this] { step(); };
  }

  void step() {
    if (steps_left > 0 && --steps_left == 0) throw Killed();
  }
  Batch append(Batch batch, Duration timeout = std::chrono::seconds(8)) {
    appender.append(batch, world.clock.monotonic() + timeout);
    world.evaluate(batch);
    return batch;
  }
  bool move(size_t messages = 100) {
    return appender.move(messages, decode, [this](const Batch& batch) { world.evaluate(batch); });
  }

  World& world;
  int steps_left = 0;
  tests::SimulatedStream stream;
  tests::SimulatedOverflowStream overflow;
  FailoverAppender appender;
};

TEST(FailoverAppender, OverflowsWhileThereIsNoLeaderAndMovesAfterwards) {
  World world;
  Parent parent(world);
  EXPECT_EQ(count(parent.append(batch_of(Priority::kHigh, {1, 2}, 1)), Fate::kAppended), 2U);
  world.cluster.has_leader = false;
  const MonotonicTime begin = world.clock.monotonic();
  EXPECT_EQ(count(parent.append(batch_of(Priority::kHigh, {3, 4}, 3)), Fate::kOverflowed), 2U);
  EXPECT_LE(world.clock.monotonic() - begin, FailoverAppender::kPatience + Appender::kPause);
  const MonotonicTime diverted = world.clock.monotonic();
  EXPECT_EQ(count(parent.append(batch_of(Priority::kHigh, {5}, 5)), Fate::kOverflowed), 1U);
  EXPECT_EQ(world.clock.monotonic(), diverted) << "the stream is not waited for again";
  EXPECT_TRUE(parent.appender.diverted());
  EXPECT_FALSE(parent.move());
  EXPECT_EQ(world.overflow.messages.size(), 2U);
  EXPECT_EQ(world.evaluated[Priority::kHigh].size(), 2U) << "rules wait for the stream";

  world.cluster.has_leader = true;
  world.clock.advance(std::chrono::seconds(5));
  EXPECT_EQ(count(parent.append(batch_of(Priority::kHigh, {6}, 6)), Fate::kAppended), 1U);
  EXPECT_EQ(world.cluster.stored().back().message.known, "1-2,6") << "the floor does not say what is in the stream";
  EXPECT_EQ(world.cluster.stored().back().message.body, "1/3:6,");
  parent.move();
  EXPECT_TRUE(world.overflow.messages.empty());
  EXPECT_EQ(world.cluster.stored().back().message.known, "1-6");
  EXPECT_EQ(world.evaluated[Priority::kHigh].size(), 6U);
  EXPECT_EQ(parent.appender.counters()->moved.value(), 3U);
}

TEST(FailoverAppender, WithoutAnOverflowItWaits) {
  World world;
  tests::SimulatedStream stream(world.cluster);
  FailoverAppender appender(stream, nullptr, world.clock, {.stream = "S", .writer = "w"});
  world.cluster.has_leader = false;
  Batch batch = batch_of(Priority::kHigh, {1}, 1);
  const MonotonicTime begin = world.clock.monotonic();
  appender.append(batch, begin + std::chrono::seconds(8));
  EXPECT_EQ(batch.error.code, "jetstream.unreachable");
  EXPECT_GT(world.clock.monotonic() - begin, std::chrono::seconds(6));
}

TEST(FailoverAppender, WithNeitherABatchIsTriedUntilItsDeadline) {
  World world;
  Parent parent(world);
  world.cluster.has_leader = false;
  world.overflow.has_leader = false;
  const MonotonicTime begin = world.clock.monotonic();
  const Batch batch = parent.append(batch_of(Priority::kHigh, {1}, 1));
  EXPECT_EQ(batch.fates, std::vector{Fate::kRefused});
  EXPECT_EQ(batch.error.code, "jetstream.unreachable");
  EXPECT_GT(world.clock.monotonic() - begin, std::chrono::seconds(6));
  world.overflow.has_leader = true;
  EXPECT_EQ(count(parent.append(batch_of(Priority::kHigh, {1}, 1)), Fate::kOverflowed), 1U);
}

TEST(FailoverAppender, WhatTheStreamDoesNotWantIsNotPutElsewhere) {
  World world;
  Parent parent(world);
  Batch foreign = batch_of(Priority::kHigh, {1}, 1);
  (void)world.cluster.publish({.subject = Appender::subject_of("S", foreign), .body = "hello"}, Duration(0));
  EXPECT_EQ(parent.append(std::move(foreign)).error.code, "jetstream.foreign");
  EXPECT_TRUE(world.overflow.messages.empty());
}

TEST(FailoverAppender, OthersMoveWhatADeadOneLeftBehind) {
  World world;
  auto dead = std::make_unique<Parent>(world);
  world.cluster.has_leader = false;
  for (uint64_t i = 1; i <= 200; ++i) (void)dead->append(batch_of(Priority::kLow, {i}, 1));
  dead.reset();
  world.cluster.has_leader = true;
  Parent other(world);
  other.move();
  world.clock.advance(std::chrono::seconds(5));
  other.move();
  EXPECT_EQ(world.overflow.messages.size(), 200U) << "its own parent may still move it";
  world.clock.advance(std::chrono::seconds(15));
  for (int i = 0; i < 10 && !world.overflow.messages.empty(); ++i) {
    other.move();
    other.move();
    world.clock.advance(std::chrono::milliseconds(500));
  }
  EXPECT_TRUE(world.overflow.messages.empty());
  EXPECT_EQ(world.evaluated[Priority::kLow].size(), 200U);
}

TEST(FailoverAppender, WhatIsNoBatchIsLeftAloneAndKeepsNothing) {
  World world;
  Parent parent(world);
  world.overflow.messages.emplace(++world.overflow.last, std::pair("S_OVERFLOW.x", "hello"));
  world.cluster.has_leader = false;
  (void)parent.append(batch_of(Priority::kLow, {1}, 1));
  world.cluster.has_leader = true;
  world.clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(parent.appender.prepare().has_value());
  for (int i = 0; i < 5; ++i) {
    world.clock.advance(std::chrono::seconds(20));
    parent.move();
  }
  EXPECT_EQ(world.overflow.messages.size(), 1U);
  EXPECT_EQ(world.evaluated[Priority::kLow].size(), 1U);
}

// A floor says that the child was told; not that it is in the stream.
TEST(FailoverAppender, HolesAreNotClosedOverWhatIsInTheOverflow) {
  World world;
  Parent parent(world);
  world.cluster.has_leader = false;
  EXPECT_EQ(count(parent.append(batch_of(Priority::kLow, {1, 2}, 1)), Fate::kOverflowed), 2U);
  world.cluster.has_leader = true;
  world.clock.advance(std::chrono::seconds(1));
  // Every other record was dropped by the child: more holes than are kept.
  std::vector<uint64_t> sequences;
  for (uint64_t i = 0; i < 2 * Appender::kHolesKept; ++i) sequences.push_back(4 + 2 * i);
  const uint64_t end = sequences.back() + 2;
  EXPECT_EQ(count(parent.append(batch_of(Priority::kLow, sequences, 4)), Fate::kRefused), 0U);
  EXPECT_EQ(count(parent.append(batch_of(Priority::kLow, {end}, end)), Fate::kRefused), 0U);
  IntervalSet known = tests::value_of(read_known(world.cluster.stored().back().message.known));
  EXPECT_FALSE(known.contains(1));
  parent.move();
  EXPECT_TRUE(world.overflow.messages.empty());
  known = tests::value_of(read_known(world.cluster.stored().back().message.known));
  EXPECT_EQ(known.intervals().front().begin, 1U);
  (void)parent.append(batch_of(Priority::kLow, {end + 1}, end + 1));
  known = tests::value_of(read_known(world.cluster.stored().back().message.known));
  EXPECT_EQ(known.intervals().size(), Appender::kHolesKept) << "then the oldest are";
}

// A child of two streams, which sends each batch again until it was answered, to any parent, and sometimes one that it
// need not send again; which drops records now and then.
struct Child {
  struct Stream {
    uint64_t next = 1;
    uint64_t floor = 1;
    std::vector<uint64_t> sending;
    std::set<uint64_t> told;
    std::vector<std::pair<std::vector<uint64_t>, uint64_t>> sent;  // batches and their floors
  };
  std::map<Priority, Stream> streams;

  Batch batch(Priority priority, Random& random, bool drops) {
    Stream& stream = streams[priority];
    if (!stream.sent.empty() && random.chance(0.15)) {
      const auto& [sequences, floor] = stream.sent[random.below(stream.sent.size())];
      return batch_of(priority, sequences, floor);
    }
    if (stream.sending.empty()) {
      const uint64_t size = 1 + random.below(20);
      while (stream.sending.size() < size) {
        if (!drops || random.chance(0.5)) stream.sending.push_back(stream.next);
        ++stream.next;
      }
      stream.sent.emplace_back(stream.sending, stream.floor);
    }
    return batch_of(priority, stream.sending, stream.floor);
  }
  void told(const Batch& batch) {
    Stream& stream = streams[batch.stream];
    for (const Batch::Record& record : batch.records) stream.told.insert(record.sequence);
    if (!stream.sending.empty() && stream.told.contains(stream.sending.back())) {
      stream.floor = stream.sending.back() + 1;
      stream.sending.clear();
    }
  }
};

void check_chains(const World& world, const Child& child) {
  struct Chain {
    uint64_t last = 0;
    uint64_t floor = 0;
    std::set<uint64_t> stored;
  };
  std::map<std::string, Chain> chains;
  for (const tests::SimulatedCluster::Stored& stored : world.cluster.stored()) {
    Chain& chain = chains[stored.message.subject];
    EXPECT_EQ(stored.message.after, std::exchange(chain.last, stored.sequence));
    const std::string_view list = list_in(stored.message.body);
    const IntervalSet known = tests::value_of(read_known(stored.message.known));
    for (const uint64_t sequence : tests::sequences_in(list)) {
      EXPECT_TRUE(chain.stored.insert(sequence).second) << sequence << " is stored twice";
      EXPECT_GE(sequence, chain.floor) << "a reader took it for known by an earlier floor";
      EXPECT_TRUE(known.contains(sequence));
    }
    chain.floor = std::max(chain.floor, tests::floor_of(list));
  }
  for (const auto& [priority, stream] : child.streams) {
    const Chain& chain = chains[Appender::subject_of("S", {.stream = priority})];
    for (const uint64_t sequence : stream.told) {
      EXPECT_TRUE(chain.stored.contains(sequence)) << sequence << " of " << name_of(priority) << " is lost";
    }
  }
  for (const auto& [priority, records] : world.evaluated) {
    for (const auto& [sequence, times] : records) EXPECT_EQ(times, 1) << sequence << ": how often rules ran over it";
  }
}

// Three parents; the stream and the overflow lose their leaders for a while, answers get lost, parents end at any step
// of what they do and others take their place. Whatever happens: what was answered is in the stream, each record once,
// rules run over it once at most, and the overflow is empty in the end.
TEST(FailoverAppender, StoresOnceWhateverHappens) {
  constexpr uint64_t kRounds = 150;
  uint64_t told = 0;
  uint64_t overflowed = 0;
  for (uint64_t round = 0; round < kRounds; ++round) {
    const uint64_t seed = system_seed();
    SCOPED_TRACE(fmt::format("seed {}", seed));
    World world(seed, true);
    Random& random = world.random;
    const bool drops = random.chance(0.5);
    std::vector<std::unique_ptr<Parent>> parents;
    for (int i = 0; i < 3; ++i) parents.push_back(std::make_unique<Parent>(world));
    Child child;
    for (int step = 0; step < 250; ++step) {
      world.clock.advance(std::chrono::milliseconds(random.below(300)));
      if (random.chance(0.05)) world.cluster.has_leader = !world.cluster.has_leader;
      if (random.chance(0.05)) world.overflow.has_leader = !world.overflow.has_leader;
      std::unique_ptr<Parent>& parent = parents[random.below(parents.size())];
      parent->steps_left = random.chance(0.15) ? static_cast<int>(1 + random.below(8)) : 0;
      try {
        if (random.chance(0.4)) {
          parent->move(random.below(6));
        } else {
          const Priority priority = random.chance(0.5) ? Priority::kHigh : Priority::kLow;
          const Batch batch =
              parent->append(child.batch(priority, random, drops), std::chrono::milliseconds(random.below(8000)));
          overflowed += count(batch, Fate::kOverflowed);
          const bool is_answer_lost = random.chance(0.1);
          if (count(batch, Fate::kRefused) == 0 && !is_answer_lost) child.told(batch);
        }
      } catch (const Killed&) {
        parent = std::make_unique<Parent>(world);
      }
    }
    world.cluster.settle();
    world.cluster.has_leader = true;
    world.overflow = {.messages = std::move(world.overflow.messages), .last = world.overflow.last};
    for (const auto& parent : parents) parent->steps_left = 0;
    for (int i = 0; i < 400 && !world.overflow.messages.empty(); ++i) {
      world.clock.advance(std::chrono::seconds(1));
      for (const auto& parent : parents) {
        EXPECT_TRUE(parent->appender.prepare().has_value());
        parent->move();
      }
    }
    EXPECT_TRUE(world.overflow.messages.empty());
    check_chains(world, child);
    ASSERT_FALSE(testing::Test::HasFailure());
    for (const auto& [priority, stream] : child.streams) told += stream.told.size();
  }
  EXPECT_GT(told, 100 * kRounds) << "the faults leave room for progress";
  EXPECT_GT(overflowed, 10 * kRounds);
}

}  // namespace
}  // namespace verge::jetstream
