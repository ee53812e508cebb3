#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/config.h"

namespace verge::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> refused(const std::vector<std::string>& overrides, std::string_view text = "") {
  std::vector<std::string> lines;
  const auto result = parse_config(text, "f.toml", overrides);
  if (!result) {
    for (const ConfigProblem& problem : result.error()) lines.push_back(problem.line());
  }
  return lines;
}

Config with(const std::vector<std::string>& overrides, std::string_view text = "") {
  auto result = parse_config(text, "f.toml", overrides);
  EXPECT_TRUE(result) << refused(overrides, text).front();
  return result ? *std::move(result) : Config{};
}

TEST(ConfigOverride, ByTheTypeOfTheKey) {
  const Config c = with({"mqtt.listen=127.0.0.1:0", "admin.listen=[\"127.0.0.1:1\", '[::1]:2']", "http.listen=[::1]:80",
                         "node.name=true", "node.tier=cloud", "node.data_dir=/tmp/a=b", "http.ingest=false",
                         "mqtt.inflight_max=12", "mqtt.packet_bytes_max=64 KiB", "mqtt.queue_bytes_max=4096",
                         "spool.bytes_max=\"1GiB\"", "parent.timeout=150ms", "parent.url='http://p:1'"});
  EXPECT_THAT(c.mqtt.listen, ElementsAre("127.0.0.1:0"));
  EXPECT_THAT(c.admin.listen, ElementsAre("127.0.0.1:1", "[::1]:2"));
  EXPECT_THAT(c.http.listen, ElementsAre("[::1]:80"));
  EXPECT_EQ(c.node.name, "true");
  EXPECT_EQ(c.node.tier, Tier::kCloud);
  EXPECT_EQ(c.node.data_dir, "/tmp/a=b");
  EXPECT_FALSE(c.http.ingest);
  EXPECT_EQ(c.mqtt.inflight_max, 12U);
  EXPECT_EQ(c.mqtt.packet_bytes_max, 64U << 10);
  EXPECT_EQ(c.mqtt.queue_bytes_max, 4096U);
  EXPECT_EQ(c.spool.bytes_max, 1U << 30);
  EXPECT_EQ(c.parent.timeout, std::chrono::milliseconds(150));
  EXPECT_EQ(c.parent.url, "http://p:1");
  EXPECT_EQ(c.place_of("mqtt.listen"), "--set mqtt.listen");
  EXPECT_THAT(with({"mqtt.listen="}).mqtt.listen, IsEmpty());
  EXPECT_THAT(with({"mqtt.listen=[]"}).mqtt.listen, IsEmpty());
}

TEST(ConfigOverride, OverridesTheFileAndTheLastOneWins) {
  constexpr std::string_view kText = "[log]\nlevel = 'debug'\nformat = 'json'\n";
  const Config c = with({"log.level=info", "log.level=error"}, kText);
  EXPECT_EQ(c.log.level, LogLevel::kError);
  EXPECT_EQ(c.log.format, LogFormat::kJson);
  EXPECT_EQ(with({"log={level='error'}"}, kText).log.format, LogFormat::kAutomatic);
}

TEST(ConfigOverride, IndexesAndAppends) {
  constexpr std::string_view kText = "[[rule]]\nname = 'a'\nsql = 'b'\ndo = [{drop = true}]\n";
  const Config c =
      with({"rule.0.name=x", "rule.1.name=y", "rule.1.sql=SELECT * FROM 'a'", "rule.2={name = 'z', sql = 's'}",
            "rule.0.do.1.publish=t", "rule.0.do.1.qos=1", "rule.1.do=[{upload = 'high'}]", "rule.1.report=none"},
           kText);
  ASSERT_EQ(c.rules.size(), 3U);
  EXPECT_EQ(c.rules[0].name, "x");
  EXPECT_EQ(c.rules[0].sql, "b");
  ASSERT_EQ(c.rules[0].actions.size(), 2U);
  EXPECT_EQ(std::get<rules::PublishSource>(c.rules[0].actions[1]).qos, 1);
  EXPECT_EQ(c.rules[1].sql, "SELECT * FROM 'a'");
  EXPECT_EQ(c.rules[1].actions.size(), 1U);
  EXPECT_EQ(c.rules[1].report, std::nullopt);
  EXPECT_EQ(c.rules[2].name, "z");
  EXPECT_EQ(with({"rule=[]"}, kText).rules.size(), 0U);
}

TEST(ConfigOverride, Refusals) {
  EXPECT_THAT(refused({"mqtt.lisen=x"}),
              ElementsAre("--set mqtt.lisen: unknown key \"lisen\" in mqtt; did you mean \"listen\"? "
                          "[config.unknown-key]"));
  EXPECT_THAT(refused({"mqt.listen=x"}),
              ElementsAre("--set mqt.listen: unknown table \"mqt\"; did you mean \"mqtt\"? [config.unknown-key]"));
  EXPECT_THAT(refused({"mqtt.listen"}),
              ElementsAre("--set mqtt.listen: there is no value; write --set KEY=VALUE [config.override]"));
  EXPECT_THAT(refused({""}), ElementsAre(HasSubstr("there is no value")));
  EXPECT_THAT(refused({"=1"}), ElementsAre(HasSubstr("unknown table \"\"")));
  EXPECT_THAT(refused({"mqtt.listen.0=x"}),
              ElementsAre("--set mqtt.listen.0: mqtt.listen is no table; set it as a whole [config.override]"));
  EXPECT_THAT(refused({"mqtt=x"}), ElementsAre(HasSubstr("mqtt must be a table such as")));
  EXPECT_THAT(refused({"rule=x"}), ElementsAre(HasSubstr("rule must be an array of tables such as")));
  EXPECT_THAT(refused({"rule.0=x"}), ElementsAre(HasSubstr("rule.0 must be a table such as")));
  EXPECT_THAT(
      refused({"rule.x.name=y"}),
      ElementsAre("--set rule.x.name: rule is indexed by number, not by \"x\"; write rule.0 [config.override]"));
  EXPECT_THAT(refused({"rule.1.name=y"}),
              ElementsAre("--set rule.1.name: rule has 0 elements, so there is no 1 to set; write rule.0 to append one "
                          "[config.override]"));
  EXPECT_THAT(refused({"rule.0.nam=y"}),
              ElementsAre("--set rule.0.nam: unknown key \"nam\" in rule.0; did you mean \"name\"? "
                          "[config.unknown-key]"));
  EXPECT_THAT(refused({"rule.0.name=y"}),
              ElementsAre("--set rule.0.name: rule.0 has no sql; give it one [config.missing]"));
  EXPECT_THAT(refused({"mqtt.inflight_max=many"}),
              ElementsAre("--set mqtt.inflight_max: mqtt.inflight_max must be an integer 1..65535, not the string "
                          "\"many\" [config.type]"));
  EXPECT_THAT(refused({"mqtt.inflight_max=1\nlisten=2"}), ElementsAre(HasSubstr("[config.type]")));
  EXPECT_THAT(refused({"node.data_dir=\xff"}), ElementsAre(HasSubstr("this is not UTF-8")));
  EXPECT_THAT(refused({"log.level=inf", "mqtt.listen=nowhere"}),
              ElementsAre(HasSubstr("did you mean \"info\"?"), HasSubstr("\"nowhere\" has no port")));
  EXPECT_THAT(refused({"mqtt.listen=1:2"}, "mqtt = 3\n"), ElementsAre(HasSubstr("f.toml:1:8: mqtt is the integer 3")));
}

}  // namespace
}  // namespace verge::node
