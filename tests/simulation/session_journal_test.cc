// The journal of sessions over a disk that loses power and fails: what was answered is there afterwards.

#include "mqtt/session_journal.h"

#include <future>
#include <set>

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/support/simulated_disk.h"

namespace verge::mqtt {
namespace {

constexpr uint64_t kLogBytesMin = 64U << 10;  // so that it is written anew often

class SessionJournalTest : public testing::Test {
 protected:
  std::unique_ptr<SessionJournal> open(storage::FileSystem& disk) {
    auto journal = SessionJournal::open(disk, "sessions", keys_, clock_, kLogBytesMin);
    EXPECT_TRUE(journal.has_value()) << journal.error().line();
    return std::move(*journal);
  }

  // Waits for the answer.
  static bool submit(SessionJournal& journal, std::string records, std::vector<MessagePointer> messages) {
    std::promise<bool> answer;
    const bool is_publish = !messages.empty();
    journal.submit(
        {.records = std::move(records), .messages = std::move(messages), .is_publish = is_publish, .is_awaited = true},
        [&](bool durable) { answer.set_value(durable); });
    return answer.get_future().get();
  }

  std::string opened() const {
    StoredSession session;
    session.session = 1;
    session.client_id = "client";
    std::string records;
    append_opened(records, session);
    return records;
  }

  bool publish(SessionJournal& journal, uint64_t number, size_t bytes) const {
    const auto message = std::make_shared<const Message>(
        Message{.topic = "t", .payload = Payload(std::string(bytes, 'x')), .qos = 2, .properties = {}});
    const StoredTarget target{.session = 1, .number = number, .qos = 2, .retain = false, .identifiers = {}};
    const StoredTarget* const targets[] = {&target};
    std::string records;
    append_published(records, *message, targets, 1, static_cast<uint16_t>(number), {});
    return submit(journal, std::move(records), {message});
  }

  static std::set<uint64_t> waiting(const SessionJournal& journal) {
    std::set<uint64_t> numbers;
    const auto found = journal.image().sessions().find(1);
    if (found == journal.image().sessions().end()) return numbers;
    for (const auto& [number, message] : found->second.waiting) numbers.insert(number);
    return numbers;
  }

  storage::KeyRing keys_;
  ManualClock clock_;
};

TEST_F(SessionJournalTest, WhatWasAnsweredIsThereAfterAnyCrash) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 30; ++round) {
    tests::SimulatedDisk disk(random.next());
    std::set<uint64_t> there;    // must be
    std::set<uint64_t> perhaps;  // may be: no answer, or one that said no
    std::set<uint64_t> gone;     // must not be
    uint64_t number = 0;
    bool is_opened = false;
    for (int life = 0; life < 4; ++life) {
      auto journal = open(disk);
      const std::set<uint64_t> found = waiting(*journal);
      for (const uint64_t each : there) ASSERT_TRUE(found.contains(each)) << each << " in life " << life;
      for (const uint64_t each : gone) ASSERT_FALSE(found.contains(each)) << each << " in life " << life;
      for (const uint64_t each : found) ASSERT_TRUE(there.contains(each) || perhaps.contains(each)) << each;
      there = found;
      perhaps.clear();
      journal->start();
      if (!is_opened) is_opened = submit(*journal, opened(), {});
      disk.fail_operation(1 + random.below(400), random.chance(0.5) ? "storage.full" : "storage.io",
                          /*sticky=*/random.chance(0.7));
      for (int step = 0; step < 60 && is_opened; ++step) {
        if (!there.empty() && random.chance(0.5)) {
          const uint64_t done = *there.begin();
          std::string records;
          append_done(records, 1, done);
          there.erase(done);
          (submit(*journal, std::move(records), {}) ? gone : perhaps).insert(done);
        } else {
          ++number;
          (publish(*journal, number, random.below(4000)) ? there : perhaps).insert(number);
        }
      }
      journal.reset();
      disk.crash();
      disk.heal();
    }
  }
}

TEST_F(SessionJournalTest, TheLogStaysShort) {
  tests::SimulatedDisk disk(1);
  auto journal = open(disk);
  journal->start();
  ASSERT_TRUE(submit(*journal, opened(), {}));
  for (uint64_t number = 1; number <= 500; ++number) {
    ASSERT_TRUE(publish(*journal, number, 4000));
    if (number <= 10) continue;
    std::string records;
    append_done(records, 1, number - 10);
    ASSERT_TRUE(submit(*journal, std::move(records), {}));
  }
  EXPECT_GT(journal->snapshots().value(), 10U);
  journal.reset();
  journal = open(disk);
  EXPECT_EQ(waiting(*journal), (std::set<uint64_t>{491, 492, 493, 494, 495, 496, 497, 498, 499, 500}));
  EXPECT_EQ(journal->image().sessions().at(1).receipts.size(), 500U);
  EXPECT_EQ(journal->image().sessions().at(1).last_number, 500U);
}

}  // namespace
}  // namespace verge::mqtt
