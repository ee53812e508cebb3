#include "net/output_queue.h"

#include <array>
#include <random>

#include <gtest/gtest.h>

namespace verge::net {
namespace {

std::string gathered(const OutputQueue& queue, size_t pieces_max) {
  std::array<iovec, 64> pieces;
  const size_t used = queue.gather(std::span(pieces).first(pieces_max));
  std::string bytes;
  for (const iovec& piece : std::span(pieces).first(used)) {
    EXPECT_GT(piece.iov_len, 0U);
    bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  return bytes;
}

// A payload of that size whose bytes tell places apart.
Payload numbered(size_t size) {
  std::string text;
  while (text.size() < size) text += fmt::format("{},", text.size());
  return Payload(std::string_view(text).substr(0, size));
}

TEST(OutputQueue, KeepsTheOrderOfTextAndPayloads) {
  OutputQueue queue;
  const Payload large = numbered(OutputQueue::kShareBytesMin);
  queue.text().append("a");
  queue.share(large, 0, large.size());
  queue.share(large, 1, 3);  // copied
  queue.text().append("b");
  const std::string all = fmt::format("a{}{}b", large.view(), large.view().substr(1, 3));
  EXPECT_EQ(queue.size(), all.size());
  EXPECT_FALSE(queue.is_text_only());
  EXPECT_EQ(gathered(queue, 64), all);
  EXPECT_EQ(gathered(queue, 2), all.substr(0, 1 + large.size()));
  EXPECT_EQ(queue.front(10), "a");
  queue.take(1);
  EXPECT_EQ(queue.front(10), all.substr(1, 10));
  queue.take(large.size());
  EXPECT_TRUE(queue.is_text_only());
  EXPECT_EQ(queue.front(10), all.substr(1 + large.size()));
}

TEST(OutputQueue, AgreesWithAPlainString) {
  std::mt19937 random(7);
  const auto below = [&](size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random); };
  const Payload large = numbered(64U << 10);
  OutputQueue queue;
  std::string expected;
  for (int i = 0; i < 20'000; ++i) {
    const size_t choice = below(5);
    if (choice < 2) {
      const std::string_view text = large.view().substr(below(1000), below(300));
      queue.text().append(text);
      expected.append(text);
    } else if (choice == 2) {
      const size_t offset = below(large.size());
      const size_t size = below(std::min<size_t>(large.size() - offset, 9000) + 1);
      queue.share(large, offset, size);
      expected.append(large.view().substr(offset, size));
    } else if (!expected.empty()) {
      const std::string_view front = queue.front(1 + below(20'000));
      ASSERT_EQ(front, std::string_view(expected).substr(0, front.size()));
      const std::string bytes = gathered(queue, 1 + below(8));
      ASSERT_EQ(bytes, std::string_view(expected).substr(0, bytes.size()));
      ASSERT_FALSE(front.empty() || bytes.empty());
      const size_t taken = below(std::min<size_t>(expected.size(), 12'000) + 1);
      queue.take(taken);
      expected.erase(0, taken);
      if (below(3) == 0) queue.compact();
      if (expected.empty() && below(2) == 0) queue.clear();
    }
    ASSERT_EQ(queue.size(), expected.size());
  }
}

}  // namespace
}  // namespace verge::net
