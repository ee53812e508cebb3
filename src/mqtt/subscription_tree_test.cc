#include "mqtt/subscription_tree.h"

#include <set>

#include <gtest/gtest.h>

#include "base/random.h"
#include "model/topic.h"
#include "mqtt/retained_messages.h"
#include "tests/support/value_of.h"

namespace verge::mqtt {
namespace {

Session* session_number(size_t i) { return reinterpret_cast<Session*>(i * 16); }

std::string random_levels(Random& random, bool wildcards) {
  std::string text;
  const uint64_t depth = 1 + random.below(4);
  for (uint64_t i = 0; i < depth; ++i) {
    if (i > 0) text.push_back('/');
    const uint64_t pick = random.below(wildcards ? 7 : 4);
    if (pick == 6 && i + 1 == depth) {
      text.push_back('#');
    } else if (pick >= 4) {
      text.push_back('+');
    } else {
      text.append(pick == 3 ? "" : std::string(1, static_cast<char>('a' + pick)));
    }
  }
  return text.empty() ? "a" : text;
}

// The tree against topic_matches() over a plain list.
TEST(SubscriptionTree, MatchesWhatAListMatches) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  SubscriptionTree tree;
  std::set<std::pair<std::string, size_t>> list;
  for (int round = 0; round < 3000; ++round) {
    const std::string filter = random_levels(random, true);
    const size_t session = 1 + random.below(5);
    if (random.chance(0.6)) {
      EXPECT_EQ(tree.add(filter, {.session = session_number(session)}), list.emplace(filter, session).second);
    } else {
      EXPECT_EQ(tree.remove(filter, session_number(session)), list.erase({filter, session}) == 1);
    }
    ASSERT_EQ(tree.size(), list.size());
    const std::string topic = random.chance(0.1) ? "$" + random_levels(random, false) : random_levels(random, false);
    SubscriptionTree::Matches matches;
    tree.match(topic, matches);
    std::multiset<Session*> expected;
    for (const auto& [held, number] : list) {
      if (topic_matches(held, topic)) expected.insert(session_number(number));
    }
    std::multiset<Session*> found;
    for (const Subscription* subscription : matches.local) found.insert(subscription->session);
    ASSERT_EQ(found, expected) << topic;
  }
}

TEST(SubscriptionTree, RemoteShardsAreCounted) {
  SubscriptionTree tree;
  tree.add_remote("a/+", 3);
  tree.add_remote("a/+", 3);
  tree.remove_remote("a/+", 3);
  SubscriptionTree::Matches matches;
  tree.match("a/b", matches);
  EXPECT_EQ(matches.remote_shards, 1U << 3);
  tree.remove_remote("a/+", 3);
  matches.clear();
  tree.match("a/b", matches);
  EXPECT_EQ(matches.remote_shards, 0U);
}

TEST(RetainedMessages, MatchesWhatAListMatches) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  RetainedMessages retained(10'000, 64U << 20);
  std::set<std::string> topics;
  for (int round = 0; round < 2000; ++round) {
    const std::string topic = random.chance(0.1) ? "$x/" + random_levels(random, false) : random_levels(random, false);
    const bool clear = random.chance(0.3);
    if (clear) {
      topics.erase(topic);
    } else {
      topics.insert(topic);
    }
    retained.set(std::make_shared<Message>(Message{.topic = topic, .payload = clear ? Payload() : Payload("x")}));
    ASSERT_EQ(retained.size(), topics.size());
    const std::string filter = random_levels(random, true);
    std::set<std::string> expected;
    for (const std::string& held : topics) {
      if (topic_matches(filter, held)) expected.insert(held);
    }
    // By pages of any size.
    std::vector<MessagePointer> found;
    const RetainedMessages::PageLimits limits{.messages_max = 1 + random.below(4), .visits_max = 2 + random.below(8)};
    RetainedMessages::Page page{.messages = {}, .through = {}, .complete = false};
    while (!page.complete) {
      page = retained.page(filter, page.through, limits, MonotonicTime{});
      ASSERT_LE(page.messages.size(), limits.messages_max);
      found.insert(found.end(), page.messages.begin(), page.messages.end());
    }
    std::set<std::string> found_topics;
    for (const MessagePointer& message : found) found_topics.insert(message->topic);
    ASSERT_EQ(found_topics, expected) << filter;
    ASSERT_EQ(found.size(), expected.size());
  }
}

TEST(RetainedMessages, AreBounded) {
  RetainedMessages retained(2, 1U << 20);
  const auto set = [&](const char* topic) {
    return retained.set(std::make_shared<Message>(Message{.topic = topic, .payload = Payload("x")}));
  };
  EXPECT_TRUE(set("a"));
  EXPECT_TRUE(set("b"));
  EXPECT_FALSE(set("c"));
  EXPECT_TRUE(set("a"));
}

TEST(RetainedMessages, AllThatAMessageTakesCounts) {
  RetainedMessages retained(1'000'000, 1U << 20);
  const auto set = [&](const std::string& topic, std::string_view payload, std::string properties = {}) {
    return retained.set(std::make_shared<Message>(
        Message{.topic = topic, .payload = Payload(payload), .properties = std::move(properties)}));
  };
  EXPECT_FALSE(set(std::string(60'000, 'a') + "/1", "x", std::string(1U << 20, 'p'))) << "properties";
  size_t kept = 0;
  while (set(fmt::format("{}/{}", std::string(60'000, 'a'), kept), "x")) ++kept;
  EXPECT_LT(kept, 20U) << "topics";
  for (size_t i = 0; i < kept; ++i) set(fmt::format("{}/{}", std::string(60'000, 'a'), i), "");
  EXPECT_EQ(retained.bytes(), 0U);
  kept = 0;
  while (set(fmt::format("{}", kept), "x")) ++kept;
  EXPECT_LT(kept, 4'000U) << "what keeps them";
  EXPECT_TRUE(set("0", "y")) << "one that is there is replaced";
  for (size_t i = 0; i < kept; ++i) set(fmt::format("{}", i), "");
  EXPECT_EQ(retained.bytes(), 0U);
  EXPECT_EQ(retained.size(), 0U);
}

TEST(SubscriptionTree, SharedFiltersHaveANameAndAFilter) {
  EXPECT_EQ(tests::value_of(split_shared_filter("$share/g/a/#")).filter, "a/#");
  EXPECT_EQ(tests::value_of(split_shared_filter("$share/g//")).filter, "/");
  for (const char* bad : {"$share/g", "$share//a", "$share/g/", "$share/g+/a", "$share/#/a", "$share/g/a#", "a"}) {
    EXPECT_FALSE(split_shared_filter(bad).has_value()) << bad;
  }
}

TEST(SubscriptionTree, AGroupIsFoundByTopicAndByFilterUntilItsLastMemberLeaves) {
  SubscriptionTree tree;
  const std::string filter = "$share/g/a/+";
  EXPECT_TRUE(tree.add(filter, {.session = session_number(1)}));
  EXPECT_FALSE(tree.add(filter, {.session = session_number(1)}));
  tree.add_remote(filter, 3);
  tree.add_remote(filter, 3);
  EXPECT_TRUE(tree.add("$share/h/a/+", {.session = session_number(1)}));
  SubscriptionTree::Matches matches;
  tree.match("a/b", matches);
  ASSERT_EQ(matches.groups.size(), 2U);
  EXPECT_TRUE(matches.local.empty());
  EXPECT_EQ(matches.remote_shards, 0U);
  const SubscriptionTree::Group* group = tree.find_group(filter);
  ASSERT_NE(group, nullptr);
  EXPECT_EQ(group->members.local.size(), 1U);
  ASSERT_EQ(group->members.remote.size(), 1U);
  EXPECT_EQ(group->members.remote[0].count, 2U);
  EXPECT_FALSE(tree.remove("$share/g/a/#", session_number(1)));
  EXPECT_TRUE(tree.remove(filter, session_number(1)));
  EXPECT_NE(tree.find_group(filter), nullptr);
  tree.remove_remote(filter, 3);
  tree.remove_remote(filter, 3);
  EXPECT_EQ(tree.find_group(filter), nullptr);
  EXPECT_NE(tree.find_group("$share/h/a/+"), nullptr);
  EXPECT_EQ(tree.size(), 1U);
}

}  // namespace
}  // namespace verge::mqtt
