#include "cache/body.h"

#include <condition_variable>
#include <thread>

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge::cache {
namespace {

std::string read_all(const Body& body) {
  std::string all;
  while (true) {
    const Body::Read read = body.read(all.size());
    if (read.piece.size == 0) return all;
    all.append(read.piece.bytes.view().substr(read.piece.offset, read.piece.size));
  }
}

TEST(Body, GrowsAndIsReadMeanwhile) {
  Body body;
  int woken = 0;
  const Body::ReaderId reader = body.join([&] { ++woken; });
  EXPECT_EQ(body.read(0).piece.size, 0U);
  EXPECT_EQ(body.read(0).state, Body::State::kGrowing);
  body.append(Payload("hello "));
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(read_all(body), "hello ");
  body.append(Payload("world"));
  EXPECT_EQ(body.lag(), 11U);
  body.advance(reader, 6);
  EXPECT_EQ(body.lag(), 5U);
  body.complete();
  EXPECT_EQ(woken, 3);
  EXPECT_EQ(read_all(body), "hello world");
  EXPECT_EQ(body.read(11).state, Body::State::kComplete);
  ASSERT_NE(body.whole(), nullptr);
  EXPECT_EQ(body.whole()->view(), "hello world");
}

TEST(Body, WhatPassesThroughIsLetGo) {
  Body body;
  const Body::ReaderId fast = body.join([] {}), slow = body.join([] {});
  for (int i = 0; i < 10; ++i) body.append(Payload(std::string(100, 'x')));
  body.forget_what_is_read();
  body.advance(fast, 1000);
  EXPECT_EQ(body.held_bytes(), 1000U);
  body.advance(slow, 250);
  EXPECT_EQ(body.held_bytes(), 800U) << "the piece that the slow one stands in stays";
  body.leave(slow);
  EXPECT_EQ(body.held_bytes(), 0U);
  EXPECT_EQ(body.read(0).state, Body::State::kBroken) << "too late";
  EXPECT_EQ(body.whole(), nullptr);
}

TEST(Body, BrokenOff) {
  Body body(100);
  body.append(Payload("abc"));
  body.break_off();
  body.complete();
  EXPECT_EQ(body.read(3).state, Body::State::kBroken);
  EXPECT_EQ(body.length(), 100U);
}

TEST(Body, LargeOnesStayInPieces) {
  Body body;
  std::string expected;
  Random random(system_seed());
  while (expected.size() < 3'000'000) {
    const std::string piece(1 + random.below(70'000), static_cast<char>('a' + random.below(26)));
    expected += piece;
    body.append(Payload(piece));
  }
  body.complete();
  EXPECT_EQ(body.whole(), nullptr);
  EXPECT_EQ(read_all(body), expected);
}

TEST(Body, ManyReadersOnOtherThreads) {
  Body body;
  std::vector<std::thread> threads;
  std::vector<std::string> seen(4);
  for (std::string& text : seen) {
    threads.emplace_back([&body, &text] {
      std::mutex mutex;
      std::condition_variable changed;
      uint64_t changes = 1;
      const Body::ReaderId reader = body.join([&] {
        const std::lock_guard lock(mutex);
        ++changes;
        changed.notify_one();
      });
      uint64_t handled = 0;
      while (true) {
        {
          std::unique_lock lock(mutex);
          changed.wait(lock, [&] { return changes != handled; });
          handled = changes;
        }
        while (true) {
          const Body::Read read = body.read(text.size());
          if (read.piece.size == 0) {
            if (read.state == Body::State::kComplete) return body.leave(reader);
            break;
          }
          text.append(read.piece.bytes.view().substr(read.piece.offset, read.piece.size));
          body.advance(reader, text.size());
        }
      }
    });
  }
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string piece = std::to_string(i) + ",";
    expected += piece;
    body.append(Payload(piece));
  }
  body.complete();
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : seen) EXPECT_EQ(text, expected);
}

}  // namespace
}  // namespace verge::cache
