#include "node/created_rules.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::node {
namespace {

constexpr std::string_view kRule =
    R"({"name":"a","sql":"SELECT \"x y\" FROM 't'","report":"none",)"
    R"("do":[{"publish":"o/${x}","qos":1,"retain":true},{"upload":"high"},{"drop":true}]})";

TEST(CreatedRules, AreReadAsTheFileIs) {
  const Result<rules::RuleSource> rule = read_rule(kRule);
  ASSERT_TRUE(rule.has_value()) << rule.error().line();
  EXPECT_EQ(rule->sql, "SELECT \"x y\" FROM 't'");
  EXPECT_EQ(rule->report, std::nullopt);
  ASSERT_EQ(rule->actions.size(), 3U);
  EXPECT_TRUE(std::get<rules::PublishSource>(rule->actions[0]).retain);
  for (const std::string_view bad :
       {"", "[]", "{", R"({"name":"a"})", R"({"name":"a","sql":"s","do":[{"publsh":"x"}]})", R"({"name":1,"sql":"s"})",
        R"({"name":"a","name":"b","sql":"s"})"}) {
    EXPECT_FALSE(read_rule(bad).has_value()) << bad;
  }
}

TEST(CreatedRules, AreThereAgain) {
  std::string directory = testing::TempDir() + "verge-created-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  storage::PosixFileSystem file_system("");
  const std::vector<rules::RuleSource> configured = {{.name = "c", .sql = "s"}};
  CreatedRules rules(file_system, directory + "/created.json");
  ASSERT_TRUE(rules.load().has_value());
  ASSERT_TRUE(rules.create(kRule, configured).has_value());
  EXPECT_EQ(rules.create(kRule, configured).error().code, "rules.exists");
  EXPECT_EQ(rules.remove("c", configured).error().code, "rules.configured");
  EXPECT_EQ(rules.stop("b", configured).error().code, "rules.unknown");
  ASSERT_TRUE(rules.stop("c", configured).has_value());
  ASSERT_TRUE(rules.save().has_value());
  const std::string other = R"({"name":"a","sql":"SELECT z FROM 't'","do":[{"drop":true}]})";
  EXPECT_EQ(rules.replace("b", other, configured).error().code, "rules.unknown");
  EXPECT_EQ(rules.replace("c", other, configured).error().code, "rules.configured");
  EXPECT_EQ(rules.replace("a", R"({"name":"b","sql":"s","do":[{"drop":true}]})", configured).error().code,
            "rules.name");
  EXPECT_EQ(rules.replace("a", "{", configured).error().code, "rules.json");
  EXPECT_EQ(rules.all(configured)[1].sql, "SELECT \"x y\" FROM 't'");
  ASSERT_TRUE(rules.replace("a", other, configured).has_value());
  EXPECT_EQ(rules.all(configured)[1].sql, "SELECT z FROM 't'");
  ASSERT_TRUE(rules.save().has_value());
  CreatedRules again(file_system, directory + "/created.json");
  ASSERT_TRUE(again.load().has_value());
  EXPECT_TRUE(again.is_created("a"));
  ASSERT_EQ(again.running(configured).size(), 1U);
  EXPECT_EQ(again.running(configured)[0].name, "a");
  ASSERT_TRUE(again.start("c", configured).has_value());
  EXPECT_EQ(again.running(configured).size(), 2U);
  ASSERT_TRUE(again.remove("a", configured).has_value());
  EXPECT_TRUE(again.is_empty());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace verge::node
