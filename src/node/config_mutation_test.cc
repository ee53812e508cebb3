// Damaged files are refused or read, never a crash, and what is read prints and reads back as the same.

#include <cstdlib>

#include <gtest/gtest.h>

#include "base/random.h"
#include "node/config.h"

namespace verge::node {
namespace {

constexpr std::string_view kText = R"([node]
name = "n"
tier = "edge"
[mqtt]
listen = ["127.0.0.1:1883", '[::1]:0']
packet_bytes_max = "1MiB"
[parent]
url = "http://p:1"
timeout = "10s"
[log]
level = "info"
[[rule]]
name = "a\u00fc"
sql = """
SELECT \
   x FROM 'a' """
do = [ { publish = "t/${x}", payload = '{}', qos = 1 }, { upload = "high" }, { drop = true } ]
[[rule]]
name = 'b'
sql = '''
SELECT * FROM 'c' '''
report = "none"
)";

constexpr std::string_view kPieces[] = {
    "[",          "]",    "{",  "}",     "\"",   "'''",        "\"\"\"",
    "\\",         "=",    "\n", "\r",    "\r\n", "#",          ",",
    ".",          "\\u",  "_",  "1e400", "true", "inf",        "-0x7f",
    "[[rule]]\n", "\xff", "ü",  " ",     "\t",   "1979-05-27", "999999999999999999999",
    "rule = []\n"};

std::string mutated(Random& random) {
  std::string text(kText);
  for (uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
    const size_t at = random.below(text.size() + 1);
    switch (random.below(4)) {
      case 0:
        text.erase(at, random.below(12));
        break;
      case 1:
        text.insert(at, kPieces[random.below(std::size(kPieces))]);
        break;
      case 2:
        text.insert(at, kText.substr(random.below(kText.size()), random.below(40)));
        break;
      default:
        if (at < text.size()) text[at] = static_cast<char>(random.below(256));
    }
  }
  return text;
}

TEST(ConfigMutation, NeverCrashes) {
  const char* given = std::getenv("VERGE_SEED");
  const uint64_t seed = given == nullptr ? system_seed() : std::strtoull(given, nullptr, 10);
  std::printf("VERGE_SEED=%llu repeats this run\n", static_cast<unsigned long long>(seed));
  RecordProperty("seed", std::to_string(seed));
  Random random(seed);
  int accepted = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = mutated(random);
    SCOPED_TRACE(text);
    const std::string override_text = mutated(random).substr(random.below(kText.size() / 2), random.below(60));
    const std::vector<std::string> overrides = {random.chance(0.1) ? "rule.0=" + override_text : "node.name=n"};
    const auto config = parse_config(text, "f.toml", overrides);
    if (!config) {
      ASSERT_FALSE(config.error().empty());
      for (const ConfigProblem& problem : config.error()) {
        ASSERT_FALSE(problem.place.empty());
        ASSERT_EQ(problem.line().find('\n'), std::string::npos);
      }
      continue;
    }
    ++accepted;
    for (size_t rule = 0; rule < config->rules.size(); ++rule) {
      const size_t offset = random.below(config->rules[rule].sql.size() + 1);
      ASSERT_NE(config->place_of(rules::RuleProblem{.error = {}, .rule = rule, .offset = offset}), "");
    }
    const std::string printed = print_config(*config);
    const auto again = parse_config(printed, "printed");
    ASSERT_TRUE(again) << again.error().front().line() << "\n" << printed;
    ASSERT_TRUE(same_settings(*config, *again)) << printed;
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace verge::node
