// The index against a loop over all rules: what fires must be the same, whatever the conditions and the payloads.
#include "rules/predicate_index.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "rules/recording_effects.h"

namespace verge::rules {
namespace {

std::string constant(Random& random) {
  switch (random.below(5)) {
    case 0:
      return fmt::format("{}", static_cast<int64_t>(random.below(9)) - 4);
    case 1:
      return fmt::format("{}.5", random.below(5));
    case 2:
      return fmt::format("'t{}'", random.below(3));
    case 3:
      return "9007199254740993";
    default:
      return fmt::format("-{}", random.below(4));
  }
}

std::string condition(Random& random) {
  const std::string field = fmt::format("f{}", random.below(4));
  switch (random.below(7)) {
    case 0:
      return fmt::format("{} BETWEEN {} AND {}", field, constant(random), constant(random));
    case 1:
      return fmt::format("{} IN ({}, {})", field, constant(random), constant(random));
    case 2:
      return fmt::format("{} < {}", constant(random), field);
    case 3:
      return fmt::format("{} AND {}", condition(random), condition(random));
    case 4:
      return fmt::format("({}) OR {} = {}", condition(random), field, constant(random));
    default: {
      static constexpr std::string_view kOperators[] = {"=", "<>", "<", "<=", ">", ">="};
      return fmt::format("{} {} {}", field, kOperators[random.below(6)], constant(random));
    }
  }
}

TEST(PredicateIndex, FindsWhatALoopOverAllRulesFinds) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Random random(seed);
  for (int round = 0; round < 30 && !testing::Test::HasFailure(); ++round) {
    std::vector<RuleSource> sources;
    std::vector<std::unique_ptr<Bench>> alone;  // the same condition where no index can see it
    for (int i = 0; i < 40; ++i) {
      const std::string where = condition(random);
      sources.push_back({.name = fmt::format("r{}", i),
                         .sql = fmt::format("SELECT 1 AS one FROM 'x' WHERE {}", where),
                         .actions = {PublishSource{.topic = "o"}}});
      RuleSource hidden = sources.back();
      hidden.sql = fmt::format("SELECT 1 AS one FROM 'x' WHERE coalesce({}, FALSE)", where);
      alone.push_back(std::make_unique<Bench>(std::vector{hidden}));
    }
    Bench together(sources);
    for (int message = 0; message < 40; ++message) {
      std::string payload = "{";
      for (int field = 0; field < 4; ++field) {
        if (random.chance(0.2)) continue;
        std::string value = constant(random);
        if (value.starts_with('\'')) value = fmt::format("\"{}\"", value.substr(1, value.size() - 2));
        payload += fmt::format("{}\"f{}\":{}", payload.size() > 1 ? "," : "", field, value);
      }
      payload += "}";
      std::vector<std::string> wanted;
      for (const auto& bench : alone) {
        bench->send("x", payload);
        wanted.insert(wanted.end(), bench->effects.done.begin(), bench->effects.done.end());
        bench->effects.done.clear();
      }
      together.effects.done.clear();
      together.send("x", payload);
      EXPECT_EQ(together.effects.done, wanted) << payload;
    }
  }
}

}  // namespace
}  // namespace verge::rules
