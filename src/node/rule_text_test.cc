#include "node/rule_text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "node/created_rules.h"

namespace verge::node {
namespace {

// Read again, it is the same: so written, it is what was read.
TEST(RuleText, SaysActionsAsTheyAreWritten) {
  for (const std::string_view action :
       {R"({"publish":"o/${x}","payload":"{\"v\":1}","qos":1,"retain":true})",
        R"({"publish":"o"})",
        R"({"upload":"critical","topic":"t"})",
        R"({"upload":"importance"})",
        R"({"upload":"low"})",
        R"({"drop":true})",
        R"({"purge":"a-${x}","by":"prefix","soft":true})",
        R"({"purge":"a"})",
        R"({"purge":"u","by":"url"})",
        R"({"purge":"h","by":"host"})",
        R"({"webhook":"https://h.example/x","payload":"p","timeout":"2s","attempts":3})",
        R"({"webhook":"https://h.example/x"})",
        R"({"worker":"w"})",
        R"({"ask":"q","publish":"d/${x}","otherwise":"stop","level":"fog","deadline":"50ms","qos":1,"retain":true})",
        R"({"ask":"q","publish":"d","level":"edge"})",
        R"({"ask":"q","publish":"d","level":"cloud"})",
        R"({"ask":"q","publish":"d","level":"placed"})",
        R"({"ask":"q","publish":"d"})",
        R"({"answer":true})",
        R"({"insight":"hot","of":"v","priority":"critical","topic":"i"})",
        R"({"store":"hot","topic":"s"})",
        R"({"store":"batch"})",
        R"({"store":"importance"})"}) {
    const Result<rules::RuleSource> rule = read_rule(fmt::format(R"({{"name":"a","sql":"s","do":[{}]}})", action));
    ASSERT_TRUE(rule.has_value()) << action << rule.error().line();
    EXPECT_EQ(actions_json(*rule), fmt::format("[{}]", action));
  }
}

TEST(RuleText, SaysTheReport) {
  for (const std::string_view word : {"critical", "high", "normal", "low", "none"}) {
    const Result<rules::RuleSource> rule = read_rule(
        fmt::format(R"({{"name":"a","sql":"s","report":"{}","do":[{{"drop":true}},{{"upload":"low"}}]}})", word));
    ASSERT_TRUE(rule.has_value()) << rule.error().line();
    EXPECT_EQ(report_word(*rule), word);
    EXPECT_EQ(actions_json(*rule), R"([{"drop":true},{"upload":"low"}])");
  }
}

}  // namespace
}  // namespace verge::node
