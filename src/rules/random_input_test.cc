// Whatever text arrives as SQL or payload, compiling and evaluating ends, within bounds, without a crash.
#include <gtest/gtest.h>

#include "base/random.h"
#include "rules/recording_effects.h"

namespace verge::rules {
namespace {

constexpr std::string_view kSeeds[] = {
    "SELECT * FROM 'a/b' WHERE t > 1",
    "SELECT device, a.b[0].c AS x, concat(s, 'it''s', \"q q\") FROM 'a/+' WHERE t BETWEEN 1 AND 9.5e1 OR NOT s LIKE "
    "'a%_'",
    "SELECT CASE t WHEN 1 THEN 'x' ELSE -t % 3 END AS v, *, coalesce(n, round(t, 1)) FROM '#' WHERE x IN (1, 'b', "
    "NULL)",
    "SELECT device, avg(t) AS m, count(*), max(s) - min(t), window_end FROM 'a/#' GROUP BY device, TUMBLING(100 ms)",
    "SELECT stddev(t), percentile(t, 0.9), count(DISTINCT s), slope(t), max(zscore(t)) FROM 'a/+' TIMESTAMP BY t DELAY "
    "1 s "
    "GROUP BY s, HOPPING(2 s, 500 ms) HAVING count(*) > 0",
    "SELECT sum(t) FROM 'a/+' GROUP BY s, SLIDING(1 s)",
    "SELECT count(*), window_end FROM 'a/#' TIMESTAMP BY time LATE CURRENT GROUP BY SESSION(200 ms, 1 s)",
    "SELECT last(s) FROM 'a/+' GROUP BY COUNT(3, 1)",
    "SELECT *, lag(t, 2, 0), delta(t), hysteresis(t, 5, 2) FROM '#' WHERE changed(s) OR t > 1 FOR 500 ms PARTITION BY "
    "x",
    "SELECT a.t, b.s FROM 'a/b' AS a JOIN 'a/+' AS b ON a.x = b.x AND a.t = b.t WITHIN 2 s WHERE a.s < b.s",
    "SELECT cast(t AS text) || s, extract('hour', t), json_value(a, '$.b[0].c'), array_sum(a.b), substr(s, t, 2) FROM "
    "'#'",
};
constexpr std::string_view kPieces[] = {
    "SELECT ", " FROM ",       "(",        ")",        "'",     "\"",
    ",",       " AND ",        " NOT ",    "CASE ",    " END ", "9223372036854775808",
    "-",       "[0]",          ".",        " AS x",    "\xff",  "TUMBLING(1 s)",
    "sum(",    "SESSION(1 s)", "COUNT(2)", " FOR 1 s", "lag(",  " JOIN ",
    " ON ",    " HAVING ",     "||",       "cast("};
constexpr std::string_view kPayloads[] = {R"({"t":5,"s":"abc","a":{"b":[{"c":1}]},"x":"b"})", R"([1,{"t":2}])", "5",
                                          R"({"t":)", ""};

std::string mutated(std::string text, Random& random) {
  for (uint64_t count = 1 + random.below(4); count > 0; --count) {
    const size_t at = random.below(text.size() + 1);
    switch (random.below(4)) {
      case 0:
        text.insert(at, kPieces[random.below(std::size(kPieces))]);
        break;
      case 1:
        text.erase(at, random.below(8));
        break;
      case 2:
        text.insert(at, 1, static_cast<char>(random.next()));
        break;
      default:
        text.insert(at, text.substr(random.below(text.size() + 1), random.below(20)));
        break;
    }
  }
  return text;
}

void try_rule(const std::string& sql, std::string_view payload) {
  const auto set = RuleSet::compile(
      {{.name = "r", .sql = sql, .actions = {PublishSource{.topic = "o"}, UploadSource{}, DropSource{}}}});
  if (!set) {
    ASSERT_EQ(set.error().size(), 1U) << sql;
    EXPECT_LE(set.error()[0].offset, sql.size()) << sql;
    EXPECT_FALSE(set.error()[0].error.what.empty());
    return;
  }
  MemoryBudget budget;
  Evaluator evaluator(*set, budget);
  RecordingEffects effects;
  const Payload bytes(payload);
  evaluator.evaluate({.topic = "a/b", .device = "d", .payload = bytes, .received = {5 * kSecond}}, effects);
  for (const RuleInput& input : std::exchange(effects.inputs, {})) evaluator.accept(input, {5 * kSecond}, effects);
  evaluator.advance({6 * kSecond}, effects);
  if (Memory* memory = evaluator.memory(0)) {
    std::string state;
    memory->append_to(state);
    Evaluator again(*set, budget);
    ByteReader whole(state);
    EXPECT_TRUE(again.memory(0)->read(whole, [](std::string_view) { return true; })) << sql;
    again.drain(effects);
    // Whatever was written down, reading it ends.
    if (!state.empty()) state[state.size() / 2] = static_cast<char>(state[state.size() / 2] ^ 0x55);
    Evaluator damaged(*set, budget);
    ByteReader half(state);
    static_cast<void>(damaged.memory(0)->read(half, [](std::string_view) { return true; }));
    damaged.drain(effects);
  }
  evaluator.drain(effects);
}

TEST(RandomInput, NeverCrashes) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int i = 0; i < 8000; ++i) {
    std::string payload(kPayloads[random.below(std::size(kPayloads))]);
    if (random.chance(0.3)) payload = mutated(payload, random);
    try_rule(mutated(std::string(kSeeds[random.below(std::size(kSeeds))]), random), payload);
  }
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random.below(64), '\0');
    for (char& c : bytes) c = static_cast<char>(random.next());
    try_rule(bytes, bytes);
    try_rule("SELECT t, s FROM '#'", bytes);
  }
}

}  // namespace
}  // namespace verge::rules
