#include "node/config_position.h"

#include <gtest/gtest.h>

#include "node/config.h"

namespace verge::node {
namespace {

using Part = rules::RuleProblem::Part;

Config read(std::string_view text, const std::vector<std::string>& overrides = {}) {
  auto result = parse_config(text, "f.toml", overrides);
  EXPECT_TRUE(result) << result.error().front().line();
  return result ? *std::move(result) : Config{};
}

// Where the first "@" of the text's SQL is said to stand.
std::string place_of_mark(const Config& config) {
  return config.place_of(
      rules::RuleProblem{.error = {}, .rule = 0, .part = Part::kSql, .offset = config.rules.at(0).sql.find('@')});
}

// Where the first "@" of the text stands.
std::string mark(std::string_view text) {
  const Position position = position_in_text(text, text.find('@'));
  return "f.toml:" + std::to_string(position.line) + ":" + std::to_string(position.column);
}

TEST(ConfigPosition, CountsLinesAndCodePoints) {
  EXPECT_EQ(position_in_text("ab\ncd", 4), (Position{2, 2}));
  EXPECT_EQ(position_in_text("ü€x", 5), (Position{1, 3}));
  EXPECT_EQ(position_in_text("ü€x", 3), (Position{1, 2}));
  EXPECT_EQ(position_in_text("ab", 99), (Position{1, 3}));
  EXPECT_EQ(position_in_text("", 0), (Position{1, 1}));
}

TEST(ConfigPosition, OfAMarkInEveryFormOfString) {
  const std::string_view texts[] = {
      "[[rule]]\nname = 'a'\nsql = \"SELECT @\"\n",
      "[[rule]]\nname = 'a'\nsql = \"@\"\n",
      "[[rule]]\nname = 'a'\n  sql   =   'SELECT \\n @'\n",
      "[[rule]]\nname = 'a'\nsql = \"a\\tb\\n\\\"c\\\\ \\u00fc \\U0001F600 @\"\n",
      "[[rule]]\nname = 'a'\nsql = \"ü€😀 @\"\n",
      "[[rule]]\nname = 'ü'\nsql = \"\"\"\nSELECT *\n  FROM @\n\"\"\"\n",
      "[[rule]]\nname = 'a'\nsql = \"\"\"SELECT *\r\n  FROM @\r\n\"\"\"\r\n",
      "[[rule]]\nname = 'a'\nsql = \"\"\"\r\nSELECT \\\n\n     \t  FROM @ \"\"\"\n",
      "[[rule]]\nname = 'a'\nsql = \"\"\"a \"\" b \"@\"\"\"\"\"\n",
      "[[rule]]\nname = 'a'\nsql = '''\n\nSELECT \\ ' '' @'''''\n",
      "\xef\xbb\xbf[[rule]]\nname = 'a'\nsql = 'a @'\n",
      "\xef\xbb\xbfrule = [{name = 'ü', sql = \"ü @\"}]\n",
  };
  for (const std::string_view text : texts) EXPECT_EQ(place_of_mark(read(text)), mark(text)) << text;
}

TEST(ConfigPosition, OfTheEndAndOfEscapes) {
  const Config c = read("[[rule]]\nname = 'a'\nsql = \"x\\u00fcy\"\n");
  const auto at = [&c](size_t offset) { return c.place_of(rules::RuleProblem{.error = {}, .offset = offset}); };
  EXPECT_EQ(at(0), "f.toml:3:8");
  EXPECT_EQ(at(1), "f.toml:3:9");
  EXPECT_EQ(at(2), "f.toml:3:9");  // the second byte of ü
  EXPECT_EQ(at(3), "f.toml:3:15");
  EXPECT_EQ(at(4), "f.toml:3:16");
  EXPECT_EQ(at(99), "f.toml:3:16");
}

TEST(ConfigPosition, OfEveryPartOfARule) {
  const Config c = read(R"([[rule]]
name = 'a'
sql = 'b'
[[rule]]
name = 'first'
sql = 's'
do = [ { publish = 'a/${x}', payload = "p\t${y}" },
       { upload = 'high', topic = 'u/${z}' }, { publish = 't' } ]
)");
  const auto at = [&c](Part part, size_t action, size_t offset) {
    return c.place_of(rules::RuleProblem{.error = {}, .rule = 1, .part = part, .action = action, .offset = offset});
  };
  EXPECT_EQ(at(Part::kName, 0, 0), "f.toml:5:9");
  EXPECT_EQ(at(Part::kSql, 0, 0), "f.toml:6:8");
  EXPECT_EQ(at(Part::kTopic, 0, 2), "f.toml:7:23");
  EXPECT_EQ(at(Part::kPayload, 0, 2), "f.toml:7:44");
  EXPECT_EQ(at(Part::kTopic, 1, 2), "f.toml:8:38");
  EXPECT_EQ(at(Part::kPayload, 2, 0), "f.toml:8:47");
  EXPECT_EQ(at(Part::kActions, 0, 0), "f.toml:7:6");
  EXPECT_EQ(at(Part::kTopic, 9, 0), "f.toml:7:6");
  EXPECT_EQ(c.place_of(rules::RuleProblem{.error = {}, .rule = 9}), "");
}

TEST(ConfigPosition, OfOverrides) {
  EXPECT_EQ(place_of_mark(read("", {"rule.0.name=a", "rule.0.sql=SELECT\n  @"})), "--set rule.0.sql:2:3");
  EXPECT_EQ(place_of_mark(read("", {"rule.0.name=a", "rule.0.sql='a @'"})), "--set rule.0.sql:1:4");
  EXPECT_EQ(place_of_mark(read("", {"rule=[{name='a', sql=\"\\t@\"}]"})), "--set rule:1:20");
}

}  // namespace
}  // namespace verge::node
