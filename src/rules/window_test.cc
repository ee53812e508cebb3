#include "rules/window.h"

#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rules/recording_effects.h"

namespace verge::rules {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

RuleSource mean_rule() {
  return {.name = "mean",
          .sql =
              "SELECT device, avg(t) AS mean, count(*) AS n, window_start FROM 'd/+/t' WHERE t IS NOT NULL "
              "GROUP BY device, TUMBLING(10 s)",
          .actions = {UploadSource{}, PublishSource{.topic = "mean/${device}", .payload = "${mean} ${window_end}"}}};
}

TEST(Window, EmitsEachGroupOnceWhenItCloses) {
  Bench bench({mean_rule()});
  bench.send("d/a/t", R"({"t":1})", 1001 * kSecond);
  bench.send("d/b/t", R"({"t":10})", 1002 * kSecond);
  bench.send("d/a/t", R"({"t":2})", 1009 * kSecond);
  bench.send("d/a/t", R"({"x":2})", 1009 * kSecond);
  bench.send("d/a/t", R"({"t":7})", 1010 * kSecond);
  EXPECT_EQ(bench.evaluator.next_close(), WallTime{1010 * kSecond});
  bench.evaluator.advance({1010 * kSecond - 1}, bench.effects);
  EXPECT_THAT(bench.effects.done, IsEmpty());
  bench.evaluator.advance({1010 * kSecond}, bench.effects);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(mean: upload selection normal windows/mean [a] )"
                                              R"({"device":"a","mean":1.5,"n":2,"window_start":1000000})",
                                              "mean: publish mean/a 1.5 1010000",
                                              R"(mean: upload selection normal windows/mean [b] )"
                                              R"({"device":"b","mean":10,"n":1,"window_start":1000000})",
                                              "mean: publish mean/b 10 1010000"));
  EXPECT_THAT(bench.effects.times, ElementsAre(1010 * kSecond, 1010 * kSecond));
  bench.effects.done.clear();
  bench.evaluator.drain(bench.effects);
  EXPECT_EQ(bench.effects.done.size(), 2U);
  EXPECT_EQ(bench.evaluator.next_close(), std::nullopt);
  EXPECT_EQ(bench.evaluator.counters(0).fired.value(), 3U);
}

TEST(Window, Aggregates) {
  Bench bench({{.name = "w",
                .sql = "SELECT count(v) AS n, sum(v) AS s, min(v) AS low, max(v) AS high, first(v) AS f, last(v) AS l, "
                       "max(v) - min(v) AS span, round(avg(v), 2) AS a, max(s) AS text FROM 'x' "
                       "GROUP BY TUMBLING(1 min)",
                .actions = {PublishSource{.topic = "out"}, DropSource{}}}});
  for (const char* const payload :
       {R"({"v":3,"s":"b"})", R"({"v":1,"s":"c"})", R"({"v":4,"s":"a"})", R"({"v":"no"})", "{}"}) {
    bench.send("x", payload);
  }
  EXPECT_EQ(bench.effects.done.size(), 5U);  // the drops
  bench.effects.done.clear();
  bench.evaluator.drain(bench.effects);
  EXPECT_THAT(
      bench.effects.done,
      ElementsAre(R"(w: publish out {"n":4,"s":8,"low":1,"high":4,"f":3,"l":"no","span":3,"a":2.67,"text":"c"})"));
}

TEST(Window, GroupsEqualNumbersAndByExpressions) {
  Bench bench(
      {{.name = "w",
        .sql = "SELECT floor(v / 10) * 10 AS from_v, count(*) AS n FROM 'x' GROUP BY floor(v / 10), TUMBLING(1 h)",
        .actions = {PublishSource{.topic = "out"}}}});
  for (const char* const v : {"3", "4.5", "12", "19.0", "null"}) bench.send("x", fmt::format(R"({{"v":{}}})", v));
  bench.evaluator.drain(bench.effects);
  EXPECT_THAT(bench.effects.done,
              ElementsAre(R"(w: publish out {"from_v":0,"n":2})", R"(w: publish out {"from_v":10,"n":2})",
                          R"(w: publish out {"from_v":null,"n":1})"));
}

// Adds a reading of one group at that time; false when it was refused.
bool add(Window& window, int64_t time_us, int64_t now_us, std::string_view key = "k") {
  std::vector<Emission> emitted;
  const Value value = Value::integer(1);
  return window.add({.time_us = time_us, .key = key, .values = {&value, 1}}, now_us, /*has_room=*/true, emitted);
}

std::vector<Emission> advance(Window& window, int64_t now_us) {
  std::vector<Emission> emitted;
  window.advance(now_us, emitted);
  return emitted;
}

std::unique_ptr<Window> counting(WindowSpec spec) { return make_window(spec, {{.aggregate = Aggregate::kCount}}); }

WindowSpec tumbling() { return {.kind = WindowKind::kTumbling, .size_us = 10 * kSecond, .hop_us = 10 * kSecond}; }

TEST(Window, TakesLateReadingsIntoTheCurrentWindow) {
  const auto window = counting(tumbling());
  ASSERT_TRUE(add(*window, 5 * kSecond, 5 * kSecond));
  ASSERT_EQ(advance(*window, 10 * kSecond).size(), 1U);
  ASSERT_TRUE(add(*window, 9 * kSecond, 11 * kSecond));
  EXPECT_THAT(advance(*window, 11 * kSecond), IsEmpty());
  const auto closed = advance(*window, 20 * kSecond);
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].start_us, 10 * kSecond);
}

TEST(Window, SurvivesAClockSetBack) {
  const auto window = counting(tumbling());
  ASSERT_TRUE(add(*window, 1'000'000 * kSecond, 1'000'000 * kSecond));
  ASSERT_TRUE(add(*window, 21 * kSecond, 19 * kSecond));  // a loop whose clock is read a little later
  const auto closed = advance(*window, 19 * kSecond);
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].start_us, 1'000'000 * kSecond);
  EXPECT_EQ(advance(*window, 30 * kSecond).size(), 1U);
}

TEST(Window, RefusesGroupsBeyondTheBound) {
  const auto window = counting(tumbling());
  for (size_t i = 0; i < kWindowGroupsMax; ++i) ASSERT_TRUE(add(*window, 0, 0, std::to_string(i)));
  EXPECT_FALSE(add(*window, 0, 0, "another"));
  EXPECT_TRUE(add(*window, 0, 0, "7"));
  EXPECT_EQ(advance(*window, 10 * kSecond).size(), kWindowGroupsMax);
  EXPECT_EQ(window->bytes(), 0U);
  EXPECT_TRUE(add(*window, 10 * kSecond, 10 * kSecond, "another"));
}

TEST(Window, KeepsItsStateOverAReload) {
  Bench bench({mean_rule()});
  bench.send("d/a/t", R"({"t":1})");
  const RuleSource other{.name = "other", .sql = "SELECT * FROM 'o'", .actions = {DropSource{}}};
  bench.evaluator.replace(compiled({other, mean_rule()}));
  bench.send("d/a/t", R"({"t":3})");
  EXPECT_EQ(bench.evaluator.matched(1), 2U);
  bench.evaluator.drain(bench.effects);
  EXPECT_EQ(bench.effects.done.size(), 2U);
  EXPECT_EQ(bench.effects.done.at(1), "mean: publish mean/a 2 1010000");

  bench.send("d/a/t", R"({"t":3})");
  RuleSource changed = mean_rule();
  changed.sql += " ";
  bench.evaluator.replace(compiled({changed}));
  EXPECT_EQ(bench.evaluator.next_close(), std::nullopt);
  EXPECT_EQ(bench.evaluator.matched(0), 3U);
}

TEST(Window, ARuleThatChangesEmitsItsOpenWindowsAsItWas) {
  Bench bench({mean_rule()});
  bench.send("d/a/t", R"({"t":1})");
  const Payload late(std::string_view(R"({"t":3})"));
  bench.evaluator.evaluate({.topic = "d/a/t", .device = "client", .payload = late, .received = {1'000 * kSecond}},
                           bench.effects);
  RuleSource changed = mean_rule();
  changed.sql = "SELECT device, max(t) AS mean, window_end FROM 'd/+/t' GROUP BY device, TUMBLING(10 s)";
  bench.evaluator.replace(compiled({changed}));
  EXPECT_THAT(bench.evaluator.replaced_rules(), ElementsAre("mean"));
  bench.send("d/a/t", R"({"t":50})");
  EXPECT_THAT(bench.effects.inputs, IsEmpty()) << "the reading on its way, and one for the new rule, were accepted";
  bench.evaluator.emit_replaced(bench.effects);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(mean: upload selection normal windows/mean [a] )"
                                              R"({"device":"a","mean":2,"n":2,"window_start":1000000})",
                                              "mean: publish mean/a 2 1010000"));
  EXPECT_THAT(bench.evaluator.replaced_rules(), IsEmpty());
  bench.effects.done.clear();
  bench.evaluator.drain(bench.effects);
  EXPECT_THAT(bench.effects.done, testing::Contains("mean: publish mean/a 50 1010000"));
  EXPECT_EQ(bench.evaluator.counters(0).fired.value(), 2U) << "both count for the rule of that name";
}

TEST(Window, ARuleThatIsTakenOutEmitsItsOpenWindows) {
  Bench bench({mean_rule()});
  bench.send("d/a/t", R"({"t":4})");
  bench.evaluator.replace(compiled({{.name = "other", .sql = "SELECT * FROM 'o'", .actions = {DropSource{}}}}));
  bench.evaluator.emit_replaced(bench.effects);
  EXPECT_EQ(bench.effects.done.size(), 2U);
  EXPECT_EQ(bench.evaluator.counters(0).fired.value(), 0U);
}

TEST(Window, RefusesLongKeys) {
  Bench bench(
      {{.name = "w", .sql = "SELECT count(*) FROM 'x' GROUP BY k, TUMBLING(1 s)", .actions = {UploadSource{}}}});
  bench.send("x", fmt::format(R"({{"k":"{}"}})", std::string(kKeyBytesMax, 'k')));
  EXPECT_EQ(bench.evaluator.next_close(), std::nullopt);
  EXPECT_EQ(bench.evaluator.counters(0).errors.value(), 1U);
}

}  // namespace
}  // namespace verge::rules
