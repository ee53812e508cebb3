#include "queues/queue_image.h"

#include <gtest/gtest.h>

namespace verge::queues {
namespace {

Message message(uint64_t id) {
  return {.id = id, .sent_ms = 1, .due_ms = 2, .body = std::make_shared<const std::string>("body")};
}

TEST(QueueImage, ASnapshotMakesTheSame) {
  std::string records;
  append_sent(records, "a", message(1));
  append_sent(records, "b", message(2));
  append_delayed(records, "b", 2, 50, 3);
  append_sent(records, "a", message(7));
  append_settled(records, "a", 7);
  QueueImage image, again;
  ASSERT_TRUE(image.apply(records));
  image.snapshot(1, [&](std::string_view batch) { return again.apply(batch); });
  EXPECT_EQ(again.bytes(), 2 * (QueueImage::kMessageBytes + 4));
  EXPECT_EQ(again.last_id(), 7U);
  ASSERT_NE(again.find("b"), nullptr);
  EXPECT_EQ(again.find("b")->messages.at(2).attempts, 3U);
  EXPECT_EQ(again.find("b")->due, (std::set<std::pair<int64_t, uint64_t>>{{50, 2}}));
}

TEST(QueueImage, NoQueueIsWithoutAName) {
  std::string records;
  append_sent(records, "", message(1));
  QueueImage image;
  EXPECT_FALSE(image.apply(records));
  EXPECT_EQ(image.bytes(), 0U);
  EXPECT_EQ(image.last_id(), 0U);
  // Only what says the highest number is of none.
  records.clear();
  append_settled(records, "", 9);
  EXPECT_TRUE(image.apply(records));
  EXPECT_EQ(image.last_id(), 9U);
}

}  // namespace
}  // namespace verge::queues
