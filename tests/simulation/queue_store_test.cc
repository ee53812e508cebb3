// Queues over a disk that loses power and fails: nothing that was answered is lost.
#include "queues/queue_store.h"

#include <future>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/simulated_disk.h"
#include "tests/support/value_of.h"

namespace verge::queues {
namespace {

class Queues : public ::testing::Test {
 protected:
  Queues() { open(); }
  // Power is cut, and comes back.
  void crash() {
    store.reset();
    disk.crash();
    open();
  }
  void open() {
    store.reset();
    auto opened = QueueStore::open(disk, "/queues", keys, clock, log_bytes_min);
    ASSERT_TRUE(opened) << opened.error().line();
    store = std::move(*opened);
    store->configure({{"jobs", options}, {"dead", {}}});
  }
  Result<void> send(std::vector<NewMessage> messages, std::string_view queue = "jobs") {
    std::promise<Result<void>> answer;
    store->send(queue, std::move(messages), [&](Result<void> done) { answer.set_value(std::move(done)); });
    return answer.get_future().get();
  }
  // What was settled before is committed, since commits are in order.
  void settle(std::vector<Outcome> outcomes, std::string_view queue = "jobs") {
    store->settle(queue, std::move(outcomes));
    ASSERT_TRUE(send({}, "dead"));
  }
  std::string take(size_t most = 100, std::string_view queue = "jobs") {
    std::string bodies;
    taken = store->take(queue, most, QueueStore::kBatchBytesMax).messages;
    for (const Message& message : taken) bodies.append(*message.body).append(fmt::format("/{} ", message.attempts));
    return bodies;
  }

  const uint64_t seed = std::random_device()();
  storage::KeyRing keys;
  ManualClock clock;
  tests::SimulatedDisk disk{seed};
  QueueOptions options{
      .bytes_max = 10'000, .retries_max = 2, .retry_delay = std::chrono::seconds(5), .dead_letters = "dead"};
  uint64_t log_bytes_min = QueueStore::kLogBytesMin;
  std::unique_ptr<QueueStore> store;
  std::vector<Message> taken;
};

TEST_F(Queues, MessagesComeInOrderUntilTheyAreAcknowledged) {
  ASSERT_TRUE(send({{.body = "a"}, {.body = "b"}}));
  ASSERT_TRUE(send({{.kind = ContentKind::kBytes, .body = std::string("\0", 1)}}));
  EXPECT_EQ(take(2), "a/0 b/0 ");
  settle({{.id = taken[0].id}, {.id = taken[1].id}});
  EXPECT_EQ(take(), std::string("\0/0 ", 4));
  EXPECT_EQ(taken[0].kind, ContentKind::kBytes);
  EXPECT_EQ(take(), "") << "it is being delivered";
  settle({{.id = taken.empty() ? 3 : taken[0].id}});
  EXPECT_EQ(store->totals()[1].messages, 0U);
}

TEST_F(Queues, ADelayedMessageComesWhenItIsDue) {
  ASSERT_TRUE(send({{.body = "later", .delay = std::chrono::seconds(10)}, {.body = "now"}}));
  EXPECT_EQ(take(), "now/0 ");
  clock.advance(std::chrono::seconds(10));
  EXPECT_EQ(take(), "later/0 ");
}

TEST_F(Queues, WhatFailsComesAgainAndThenIsADeadLetter) {
  ASSERT_TRUE(send({{.body = "bad"}, {.body = "good"}}));
  EXPECT_EQ(take(), "bad/0 good/0 ");
  settle({{.id = taken[0].id, .again = true}, {.id = taken[1].id}});
  EXPECT_EQ(take(), "") << "after the queue's delay";
  clock.advance(std::chrono::seconds(5));
  EXPECT_EQ(take(), "bad/1 ");
  settle({{.id = taken[0].id, .again = true, .after = std::chrono::seconds(0)}});
  EXPECT_EQ(take(), "bad/2 ");
  settle({{.id = taken[0].id, .again = true}});
  clock.advance(std::chrono::hours(1));
  EXPECT_EQ(take(), "");
  EXPECT_EQ(take(100, "dead"), "bad/0 ");
}

TEST_F(Queues, AllIsThereAfterItIsOpenedAgain) {
  ASSERT_TRUE(send({{.body = "a"}, {.body = "b"}, {.body = "c"}}));
  EXPECT_EQ(take(), "a/0 b/0 c/0 ");
  settle({{.id = taken[1].id}, {.id = taken[2].id, .again = true, .after = std::chrono::seconds(0)}});
  open();
  EXPECT_EQ(take(), "a/0 c/1 ") << "what was being delivered comes again";
  const uint64_t last = taken.back().id;
  ASSERT_TRUE(send({{.body = "d"}}));
  EXPECT_EQ(take(), "d/0 ");
  EXPECT_GT(taken[0].id, last);
}

TEST_F(Queues, TheBoundHolds) {
  const std::string body(1000, 'x');
  size_t sent = 0;
  while (send({{.body = body}})) ++sent;
  EXPECT_EQ(sent, options.bytes_max / (1000 + QueueImage::kMessageBytes));
  EXPECT_EQ(send({{.body = body}}).error().code, "queues.full");
  static_cast<void>(take(1));
  settle({{.id = taken[0].id}});
  EXPECT_TRUE(send({{.body = body}}));
  EXPECT_EQ(send({{.body = std::string(QueueStore::kMessageBytesMax + 1, 'x')}}).error().code, "queues.message");
  EXPECT_EQ(send({{.body = "x"}}, "none").error().code, "queues.unknown");
}

TEST_F(Queues, DeadLettersMayBeTriedAgain) {
  ASSERT_TRUE(send({{.body = "a"}, {.body = "b"}}, "dead"));
  std::promise<Result<size_t>> answer;
  store->move_all("dead", "jobs", [&](Result<size_t> moved) { answer.set_value(std::move(moved)); });
  EXPECT_EQ(answer.get_future().get().value_or(0), 2U);
  EXPECT_EQ(take(100, "dead"), "");
  EXPECT_EQ(take(), "a/0 b/0 ");
}

TEST_F(Queues, ManyDeadLettersGoAsFarAsThereIsRoom) {
  const std::string body(100'000, 'x');
  constexpr size_t kCount = 50;  // more than a frame of the log holds
  options.bytes_max = 40 * (body.size() + QueueImage::kMessageBytes);
  open();
  for (size_t i = 0; i < kCount; ++i) ASSERT_TRUE(send({{.body = body}}, "dead"));
  const auto move = [&] {
    std::promise<Result<size_t>> answer;
    store->move_all("dead", "jobs", [&](Result<size_t> moved) { answer.set_value(std::move(moved)); });
    return answer.get_future().get();
  };
  EXPECT_EQ(move().value_or(0), 40U);
  EXPECT_EQ(move().error().code, "queues.full");
  crash();
  EXPECT_EQ(store->peek("dead", kCount).size(), 10U);
  EXPECT_EQ(store->peek("jobs", kCount).size(), 40U);
}

TEST_F(Queues, TheLogIsWrittenAnew) {
  log_bytes_min = 64 << 10;
  options.bytes_max = 1 << 20;
  open();
  ASSERT_TRUE(send({{.body = "kept"}}));
  for (int round = 0; round < 2000; ++round) {
    ASSERT_TRUE(send({{.body = std::string(500, 'x')}}));
    const std::string bodies = take(2);
    for (const Message& message : taken) {
      if (message.body->size() == 500) settle({{.id = message.id}});
    }
  }
  // Two million bytes went through it.
  uint64_t bytes = 0;
  for (const storage::SegmentFile& segment : storage::list_segments(disk, "/queues/journal").value()) {
    bytes += disk.open(segment.path, storage::OpenMode::kRead).value()->size().value();
  }
  EXPECT_LE(bytes, 16U << 20);
  open();
  EXPECT_EQ(take(), "kept/0 ");
}

TEST_F(Queues, NoneIsLostWhateverHappens) {
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  options = {.bytes_max = 1 << 20, .retries_max = 1, .dead_letters = "dead"};
  log_bytes_min = 16 << 10;
  open();
  std::set<std::string> sent, seen;
  for (int step = 0; step < 2000; ++step) {
    const unsigned what = random() % 100;
    if (what < 50) {
      const std::string body = fmt::format("{}", step);
      if (send({{.body = body}})) sent.insert(body);
    } else if (what < 95) {
      static_cast<void>(take(1 + random() % 10));
      std::vector<Outcome> outcomes;
      for (const Message& message : taken) {
        const bool again = random() % 3 == 0;
        outcomes.push_back({.id = message.id, .again = again});
        if (!again) seen.insert(*message.body);
      }
      settle(std::move(outcomes));
    } else {
      crash();
    }
  }
  crash();
  while (!take().empty()) {
    std::vector<Outcome> outcomes;
    for (const Message& message : taken) {
      outcomes.push_back({.id = message.id});
      seen.insert(*message.body);
    }
    settle(std::move(outcomes));
  }
  while (!take(100, "dead").empty()) {
    for (const Message& message : taken) seen.insert(*message.body);
  }
  EXPECT_EQ(seen, sent);
}

TEST_F(Queues, ADiskThatFailsRefusesAndGoesOn) {
  ASSERT_TRUE(send({{.body = "a"}}));
  EXPECT_EQ(take(), "a/0 ");
  disk.fail_operation(1, "storage.full", /*sticky=*/true);
  EXPECT_FALSE(send({{.body = "lost"}}));
  store->settle("jobs", {{.id = taken[0].id}});
  EXPECT_FALSE(send({{.body = "lost"}}));
  disk.heal();
  EXPECT_EQ(take(), "a/0 ") << "its acknowledgement could not be written";
  ASSERT_TRUE(send({{.body = "b"}}));
  settle({{.id = taken[0].id}});
  crash();
  EXPECT_EQ(take(), "b/0 ");
}

TEST(QueueRecords, CutOffTheyAreRefused) {
  std::string records;
  append_sent(records, "jobs", {.id = 1, .body = std::make_shared<const std::string>("body")});
  append_delayed(records, "jobs", 1, 5, 2);
  const size_t whole = records.size();
  append_settled(records, "jobs", 1);
  QueueImage image;
  ASSERT_TRUE(image.apply(std::string_view(records).substr(0, whole)));
  const QueueImage::Queue& queue = *image.find("jobs");
  EXPECT_EQ(queue.messages.at(1).attempts, 2U);
  EXPECT_EQ(queue.messages.at(1).due_ms, 5);
  EXPECT_EQ(queue.bytes, 4 + QueueImage::kMessageBytes);
  for (size_t size = whole + 1; size < records.size(); ++size) {
    EXPECT_FALSE(QueueImage().apply(std::string_view(records).substr(whole, size - whole)));
  }
  EXPECT_TRUE(image.apply(std::string_view(records).substr(whole)));
  EXPECT_EQ(queue.bytes, 0U);
}

}  // namespace
}  // namespace verge::queues
