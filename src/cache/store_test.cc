#include "cache/store.h"

#include <thread>

#include <gtest/gtest.h>

#include "base/random.h"

namespace verge::cache {
namespace {

using Fields = std::vector<net::HttpField>;

Store::AnswerPointer answer(std::string url, size_t size, const Fields& fields = {}, const Fields& request = {},
                            uint64_t fetched_at = 1) {
  return std::make_shared<const Answer>(AnswerParts{.status = 200,
                                                    .reason = {},
                                                    .fields = OwnedFields(fields),
                                                    .freshness = {},
                                                    .selectors = selectors_of(fields, request),
                                                    .range = std::nullopt,
                                                    .body = Body::of(Payload(std::string(size, 'x'))),
                                                    .url = std::move(url),
                                                    .tags = {},
                                                    .fetched_at = fetched_at,
                                                    .stored_because = "test"});
}

struct Storing : testing::Test {
  Purges purges;
  Store store{{.bytes_max = 1U << 20, .variants_max = 3}, purges, 7};
};

TEST_F(Storing, VariantsOfAUrl) {
  const auto one = answer("http://a/", 10, {{"Vary", "foo"}}, {{"foo", "1"}});
  const auto two = answer("http://a/", 10, {{"Vary", "foo"}}, {{"foo", "2"}});
  store.insert(one);
  store.insert(two);
  EXPECT_EQ(store.find("http://a/", Fields{{"foo", "1"}}).answer, one);
  EXPECT_EQ(store.find("http://a/", Fields{{"foo", "2"}}).answer, two);
  EXPECT_EQ(store.find("http://a/", Fields{}).answer, nullptr);
  EXPECT_EQ(store.find("http://b/", Fields{{"foo", "1"}}).answer, nullptr);
  EXPECT_EQ(store.variants("http://a/", 5).size(), 2U);
  const auto again = answer("http://a/", 20, {{"Vary", "foo"}}, {{"foo", "1"}});
  store.insert(again);
  EXPECT_EQ(store.find("http://a/", Fields{{"foo", "1"}}).answer, again);
  EXPECT_EQ(store.counters().answers, 2U);
  for (const std::string_view value : {"3", "4", "5"}) {
    store.insert(answer("http://a/", 10, {{"Vary", "foo"}}, {{"foo", value}}));
  }
  EXPECT_EQ(store.counters().answers, 3U) << "so many variants and no more";
  store.erase(store.find("http://a/", Fields{{"foo", "5"}}).answer);
  EXPECT_EQ(store.counters().answers, 2U);
}

TEST_F(Storing, PartsOfAUrl) {
  std::vector<Store::AnswerPointer> parts;
  for (const uint64_t first : {0, 100, 0}) {
    AnswerParts made = answer("http://a/", 10)->parts();
    made.url = "http://a/";
    made.range = ContentRange{.range = {first, first + 9}, .length = 1000};
    parts.push_back(std::make_shared<const Answer>(std::move(made)));
    store.insert(parts.back());
  }
  const std::vector<Store::Found> found = store.find_all("http://a/", Fields{});
  ASSERT_EQ(found.size(), 2U) << "of the same range the newest only";
  EXPECT_EQ(found[0].answer, parts[2]);
  EXPECT_EQ(found[1].answer, parts[1]);
  purges.purge_prefix("http://a/", false);
  EXPECT_TRUE(store.find_all("http://a/", Fields{}).empty());
  EXPECT_EQ(store.counters().answers, 0U);
}

TEST_F(Storing, WhatIsPurgedIsNotFound) {
  store.insert(answer("http://a/x", 10));
  store.insert(answer("http://a/y", 10));
  purges.purge_prefix("http://a/x", true);
  EXPECT_TRUE(store.find("http://a/x", Fields{}).is_softly_purged);
  purges.purge_prefix("http://a/x", false);
  EXPECT_EQ(store.find("http://a/x", Fields{}).answer, nullptr);
  EXPECT_EQ(store.counters().answers, 1U);
  EXPECT_NE(store.find("http://a/y", Fields{}).answer, nullptr);
}

TEST_F(Storing, TheBoundHoldsAndTheUsedStay) {
  for (int i = 0; i < 20; ++i) store.insert(answer("http://hot/" + std::to_string(i), 10'000));
  for (int round = 0; round < 3000; ++round) {
    for (int i = 0; i < 20; ++i) static_cast<void>(store.find("http://hot/" + std::to_string(i), Fields{}));
    store.insert(answer("http://scan/" + std::to_string(round), 10'000));
    ASSERT_LE(store.counters().bytes, 1U << 20);
  }
  for (int i = 0; i < 20; ++i) EXPECT_NE(store.find("http://hot/" + std::to_string(i), Fields{}).answer, nullptr);
  EXPECT_GT(store.counters().evicted, 2800U);
}

TEST_F(Storing, WhatIsLargerThanTheStoreGoesAtOnce) {
  store.insert(answer("http://a/", 2U << 20));
  EXPECT_EQ(store.find("http://a/", Fields{}).answer, nullptr);
  EXPECT_EQ(store.counters().bytes, 0U);
}

TEST_F(Storing, ABodyThatGrowsIsCountedWhenItSettles) {
  auto body = std::make_shared<Body>();
  const auto growing = std::make_shared<const Answer>(AnswerParts{.fields = {}, .body = body, .url = "http://a/"});
  store.insert(growing);
  const uint64_t before = store.counters().bytes;
  body->append(Payload(std::string(5000, 'x')));
  body->complete();
  store.settle(growing);
  EXPECT_EQ(store.counters().bytes, before + 5000);
  const auto validated = std::make_shared<const Answer>(AnswerParts{.fields = {}, .body = body, .url = "http://a/"});
  store.replace(growing, validated);
  EXPECT_EQ(store.find("http://a/", Fields{}).answer, validated);
}

TEST_F(Storing, WhatStillArrivesTakesHalfOfItAtMost) {
  EXPECT_TRUE(store.grow(1U << 18));
  EXPECT_TRUE(store.grow(1U << 18));
  EXPECT_FALSE(store.grow(1));
  store.give_back(1U << 18);
  EXPECT_TRUE(store.grow(1));
}

TEST_F(Storing, Unsharable) {
  store.note_unsharable("http://a/", 1000, "private");
  EXPECT_EQ(store.why_unsharable("http://a/"), "private");
  EXPECT_TRUE(store.is_unsharable("http://a/", 999));
  EXPECT_FALSE(store.is_unsharable("http://a/", 1000));
  store.insert(answer("http://a/", 1));
  EXPECT_FALSE(store.is_unsharable("http://a/", 0));
}

TEST_F(Storing, WhatWasInvalidatedMeanwhileIsNotStored) {
  const uint64_t started = store.begin_fetch();
  store.insert(answer("http://a/", 1));
  EXPECT_TRUE(store.invalidate("http://a/"));
  EXPECT_FALSE(store.invalidate("http://a/"));
  EXPECT_EQ(store.find("http://a/", Fields{}).answer, nullptr);
  EXPECT_FALSE(store.insert(answer("http://a/", 1), started));
  EXPECT_EQ(store.find("http://a/", Fields{}).answer, nullptr);
  EXPECT_TRUE(store.insert(answer("http://b/", 1), started));
  EXPECT_TRUE(store.insert(answer("http://a/", 1), store.begin_fetch()));
  for (int i = 0; i < 300'000; ++i) store.invalidate("http://c/" + std::to_string(i));
  EXPECT_FALSE(store.insert(answer("http://d/", 1), started))
      << "not remembered for each: too much rather than too little";
  EXPECT_NE(store.find("http://b/", Fields{}).answer, nullptr);
}

TEST_F(Storing, ManyThreads) {
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      Random random(seed);
      for (int i = 0; i < 20'000; ++i) {
        const std::string url = "http://a/" + std::to_string(random.below(300));
        const Store::Found found = store.find(url, Fields{});
        if (found.answer) {
          EXPECT_EQ(found.answer->url(), url);
          if (random.chance(0.05)) store.erase(found.answer);
          if (random.chance(0.05)) store.replace(found.answer, answer(url, random.below(9000)));
        } else {
          store.insert(answer(url, random.below(20'000)));
        }
        if (random.chance(0.001)) purges.purge_prefix(url, false);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(store.counters().bytes, 1U << 20);
  uint64_t left = 0;
  for (int i = 0; i < 300; ++i) left += store.variants("http://a/" + std::to_string(i), 9).size();
  EXPECT_LE(left, store.counters().answers);
  EXPECT_GT(left, 0U);
}

}  // namespace
}  // namespace verge::cache
