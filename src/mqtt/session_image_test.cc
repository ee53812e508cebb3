#include "mqtt/session_image.h"

#include <limits>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/random.h"

namespace verge::mqtt {
namespace {

constexpr Clocks kNow{.wall_us = 1'700'000'000'000'000, .monotonic = MonotonicTime(std::chrono::hours(1))};

StoredSession session(uint64_t name, const std::string& client_id) {
  StoredSession made;
  made.session = name;
  made.client_id = client_id;
  made.user = "user";
  made.expiry_s = 60;
  return made;
}

MessagePointer message(const std::string& topic, const std::string& payload) {
  return std::make_shared<const Message>(
      Message{.topic = topic, .payload = Payload(payload), .qos = 2, .properties = {}});
}

std::vector<std::string> snapshot_of(SessionImage& image, size_t batch_bytes) {
  std::vector<std::string> batches;
  image.snapshot(batch_bytes, kNow, [&](std::string_view batch) {
    batches.emplace_back(batch);
    return true;
  });
  return batches;
}

// All that is to survive, as text.
std::string text_of(const SessionImage& image) {
  std::map<uint64_t, std::string> sessions;
  for (const auto& [name, held] : image.sessions()) {
    std::string& text = sessions[name];
    text = fmt::format("{} {} v{} {}s left {} last {}:", held.client_id, held.user, static_cast<int>(held.version),
                       held.expiry_s, held.left_us, held.last_number);
    for (const auto& [filter, subscription] : held.subscriptions) {
      text += fmt::format(" {}@{}{}{}{}#{}", filter, subscription.options.qos, subscription.options.no_local ? "n" : "",
                          subscription.options.retain_as_published ? "r" : "", subscription.options.retain_handling,
                          subscription.identifier);
    }
    for (const auto& [number, waiting] : held.waiting) {
      text += fmt::format(" {}@{}{}{}", number, waiting.qos, waiting.retain ? "r" : "", waiting.received ? "R" : "");
      if (waiting.message) text += "=" + waiting.message->topic + ":" + std::string(waiting.message->payload.view());
      for (const uint32_t identifier : waiting.identifiers) text += fmt::format("+{}", identifier);
    }
    for (const uint16_t receipt : held.receipts) text += fmt::format(" <{}>", receipt);
    if (held.will) {
      text += fmt::format(" will {}:{} {}s expiry {}", held.will->message.topic, held.will->message.payload.view(),
                          held.will->delay_s, held.will->expiry_s.value_or(0));
    }
  }
  std::map<std::string, std::string> retained;
  for (const MessagePointer& each : image.retained()) retained[each->topic] = each->payload.view();
  std::string all;
  for (const auto& [name, text] : sessions) all += fmt::format("{}: {}\n", name, text);
  for (const auto& [topic, text] : retained) all += fmt::format("{} = {}\n", topic, text);
  return all;
}

// Random records of few sessions, numbered as sessions number.
class Story {
 public:
  explicit Story(uint64_t seed) : random_(seed) {}
  // One record, with its message if it has one.
  std::string next(std::vector<MessagePointer>& messages) {
    std::string records;
    const uint64_t name = 1 + random_.below(4);
    switch (random_.below(12)) {
      case 0:
        append_opened(records, session(name, fmt::format("client-{}", name)));
        break;
      case 1:
        append_left(records, name, static_cast<uint32_t>(random_.below(100)),
                    1 + static_cast<int64_t>(random_.below(9)));
        break;
      case 2:
        if (random_.chance(0.1)) append_ended(records, name);
        break;
      case 3:
        append_subscribed(records, name, fmt::format("f/{}", random_.below(3)),
                          {.options = {.qos = static_cast<uint8_t>(random_.below(3)),
                                       .no_local = random_.chance(0.5),
                                       .retain_handling = static_cast<uint8_t>(random_.below(3))},
                           .identifier = static_cast<uint32_t>(random_.below(2))});
        break;
      case 4:
        append_unsubscribed(records, name, fmt::format("f/{}", random_.below(3)));
        break;
      case 5: {
        std::vector<StoredTarget> targets;
        for (uint64_t other = 1; other <= 4; ++other) {
          if (random_.chance(0.5)) continue;
          targets.push_back({.session = other,
                             .number = ++numbers_[other],
                             .qos = 2,
                             .retain = random_.chance(0.5),
                             .identifiers = std::vector<uint32_t>(random_.below(3), 300)});
        }
        std::vector<const StoredTarget*> all;
        for (const StoredTarget& target : targets) all.push_back(&target);
        messages.push_back(message("topic", fmt::format("payload {}", random_.below(1000))));
        append_published(records, *messages.back(), all, random_.chance(0.5) ? name : 0,
                         static_cast<uint16_t>(1 + random_.below(5)), kNow);
        break;
      }
      case 6:
        if (numbers_[name] > 0) append_received(records, name, 1 + random_.below(numbers_[name]));
        break;
      case 7:
        if (numbers_[name] > 0) append_done(records, name, 1 + random_.below(numbers_[name]));
        break;
      case 8:
        append_will(records, name, *message("will", fmt::format("{}", random_.below(9))),
                    static_cast<uint32_t>(random_.below(9)), random_.chance(0.5) ? std::optional(7U) : std::nullopt);
        break;
      case 9:
        append_will_gone(records, name);
        break;
      case 10:
        messages.push_back(message(fmt::format("retained/{}", random_.below(5)),
                                   random_.chance(0.3) ? "" : fmt::format("{}", random_.below(1000))));
        append_retained(records, *messages.back(), kNow);
        break;
      default:
        append_released(records, name, static_cast<uint16_t>(1 + random_.below(5)));
    }
    return records;
  }

 private:
  Random random_;
  std::map<uint64_t, uint64_t> numbers_;
};

TEST(SessionImage, ASnapshotMakesTheSameImageAlsoOverTheOneBefore) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Story story(seed);
  SessionImage image;
  for (int i = 0; i < 2000; ++i) {
    std::vector<MessagePointer> messages;
    const std::string records = story.next(messages);
    ASSERT_TRUE(image.apply(records, messages, kNow));
    if (i % 50 != 0) continue;
    SessionImage copy;
    SessionImage twice;
    for (const std::string& batch : snapshot_of(image, 64)) {
      ASSERT_TRUE(copy.apply(batch, {}, kNow));
      ASSERT_TRUE(twice.apply(batch, {}, kNow));
    }
    ASSERT_EQ(text_of(copy), text_of(image));
    for (const std::string& batch : snapshot_of(image, 1U << 20)) ASSERT_TRUE(twice.apply(batch, {}, kNow));
    ASSERT_EQ(text_of(twice), text_of(image));
  }
}

TEST(SessionImage, WhatIsNoRecordIsRefusedAndWhatNamesNobodyChangesNothing) {
  SessionImage image;
  std::vector<MessagePointer> messages;
  Story story(7);
  std::string all;
  for (int i = 0; i < 200; ++i) all += story.next(messages);
  for (size_t cut = 0; cut < all.size(); ++cut) {
    SessionImage of_part;
    of_part.apply(std::string_view(all).substr(0, cut), {}, kNow);
  }
  EXPECT_FALSE(image.apply(std::string("\x63zzzzzzzz", 9), {}, kNow));
  std::string records;
  append_done(records, 9, 1);
  append_received(records, 9, 1);
  append_released(records, 9, 1);
  append_left(records, 9, 1, 1);
  append_subscribed(records, 9, "a", {});
  EXPECT_TRUE(image.apply(records, {}, kNow));
  append_will(records, 9, *message("a", "b"), 0, {});
  append_will_gone(records, 9);
  append_retained(records, *message("a", ""), kNow);
  EXPECT_TRUE(image.apply(records, {}, kNow));
  EXPECT_TRUE(image.sessions().empty());
  EXPECT_TRUE(image.retained().empty());
}

TEST(SessionImage, AMessageThatExpiresDoesSoOnTheWallsClock) {
  Message expiring{.topic = "a", .payload = Payload("x"), .qos = 1, .properties = {}};
  expiring.expires = kNow.monotonic + std::chrono::seconds(10);
  std::string records;
  append_opened(records, session(1, "client"));
  const StoredTarget target{.session = 1, .number = 1, .qos = 1, .retain = false, .identifiers = {}};
  const StoredTarget* const targets[] = {&target};
  append_published(records, expiring, targets, 0, 0, kNow);
  SessionImage image;
  const Clocks later{.wall_us = kNow.wall_us + 4'000'000, .monotonic = MonotonicTime(std::chrono::seconds(1))};
  ASSERT_TRUE(image.apply(records, {}, later));
  EXPECT_EQ(image.sessions().at(1).waiting.at(1).message->expires, later.monotonic + std::chrono::seconds(6));
}

TEST(SessionImage, OneMessageATopicIsRetainedUntilItIsClearedOrExpires) {
  Message expiring{.topic = "b", .payload = Payload("x"), .qos = 0, .retain = true, .properties = {}};
  expiring.expires = kNow.monotonic + std::chrono::seconds(10);
  std::string records;
  append_retained(records, *message("a", "1"), kNow);
  append_retained(records, *message("a", "2"), kNow);
  append_retained(records, expiring, kNow);
  append_retained(records, *message("c", "3"), kNow);
  append_retained(records, *message("c", ""), kNow);
  SessionImage image;
  ASSERT_TRUE(image.apply(records, {}, kNow));
  EXPECT_EQ(text_of(image), "a = 2\nb = x\n");
  image.snapshot(1000, {.wall_us = 0, .monotonic = expiring.expires}, [](std::string_view) { return true; });
  EXPECT_EQ(text_of(image), "a = 2\n");
}

TEST(SessionImage, TimesThatNothingCanHaveMeantAreNeverAndLongAgo) {
  Message expiring{.topic = "a", .payload = Payload("x"), .qos = 0, .retain = true, .properties = {}};
  expiring.expires = kNow.monotonic + std::chrono::seconds(10);
  std::string records;
  append_retained(records, expiring, kNow);
  std::string time;
  append_fixed(time, static_cast<uint64_t>(kNow.wall_us) + 10'000'000);
  const size_t at = records.find(time);
  ASSERT_NE(at, std::string::npos);
  for (const int64_t far : {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::min() / 2,
                            std::numeric_limits<int64_t>::max() / 2, std::numeric_limits<int64_t>::max()}) {
    time.clear();
    append_fixed(time, static_cast<uint64_t>(far));
    SessionImage image;
    ASSERT_TRUE(image.apply(std::string(records).replace(at, time.size(), time), {}, kNow));
    const MonotonicTime expires = (*image.retained().begin())->expires;
    EXPECT_TRUE(far < 0 ? expires < kNow.monotonic : expires == MonotonicTime::max()) << far;
  }
}

TEST(SessionImage, MessagesThatAreGivenAreShared) {
  const std::vector<MessagePointer> given{message("a", "1"), message("b", ""), message("c", "2")};
  std::string records;
  for (const MessagePointer& each : given) append_retained(records, *each, kNow);
  SessionImage image;
  ASSERT_TRUE(image.apply(records, given, kNow));
  ASSERT_EQ(image.retained().size(), 2U);
  EXPECT_EQ(*image.retained().find(std::string_view("a")), given[0]);
  EXPECT_EQ(*image.retained().find(std::string_view("c")), given[2]);
}

}  // namespace
}  // namespace verge::mqtt
