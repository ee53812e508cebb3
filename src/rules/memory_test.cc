// What rules remember: windows of all kinds, event time, joins, functions, tables, bounds, and state as bytes.
#include "rules/memory.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/text.h"
#include "rules/recording_effects.h"
#include "rules/restored_series.h"
#include "series/reduced_series.h"
#include "tests/support/value_of.h"

namespace verge::rules {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using tests::value_of;

RuleSource rule(std::string sql) {
  return {.name = "r", .sql = std::move(sql), .actions = {PublishSource{.topic = "o"}}};
}

// Sends {"v":…} for each reading, at that second, and gives the rows without what all begin with.
std::vector<std::string> rows(const std::string& sql, std::initializer_list<std::pair<double, std::string>> readings,
                              bool drained = true) {
  Bench bench({rule(sql)});
  for (const auto& [second, fields] : readings) {
    const auto at_us = static_cast<int64_t>(second * kSecond);
    bench.evaluator.advance({at_us}, bench.effects);
    bench.send("x/d", "{" + fields + "}", at_us);
  }
  if (drained) bench.evaluator.drain(bench.effects);
  for (std::string& done : bench.effects.done) done.erase(0, std::string_view("r: publish o ").size());
  return bench.effects.done;
}

TEST(Memory, HoppingWindowsShareReadings) {
  EXPECT_THAT(
      rows("SELECT sum(v) AS s, window_start AS a FROM 'x/+' GROUP BY HOPPING(10 s, 5 s)",
           {{101, "\"v\":1"}, {106, "\"v\":2"}, {112, "\"v\":4"}}),
      ElementsAre(R"({"s":1,"a":95000})", R"({"s":3,"a":100000})", R"({"s":6,"a":105000})", R"({"s":4,"a":110000})"));
}

TEST(Memory, SlidingWindowsEndWithEachReading) {
  EXPECT_THAT(rows("SELECT count(*) AS n, max(v) AS m FROM 'x/+' GROUP BY SLIDING(10 s)",
                   {{100, "\"v\":5"}, {105, "\"v\":1"}, {110, "\"v\":2"}}),
              ElementsAre(R"({"n":1,"m":5})", R"({"n":2,"m":5})", R"({"n":2,"m":2})"));
}

TEST(Memory, SessionsEndWithAGap) {
  EXPECT_THAT(rows("SELECT count(*) AS n, window_start AS a, window_end AS b FROM 'x/+' GROUP BY SESSION(3 s)",
                   {{100, "\"v\":1"}, {102, "\"v\":1"}, {106, "\"v\":1"}}),
              ElementsAre(R"({"n":2,"a":100000,"b":105000})", R"({"n":1,"a":106000,"b":109000})"));
  EXPECT_THAT(rows("SELECT count(*) AS n FROM 'x/+' GROUP BY SESSION(3 s, 4 s)",
                   {{100, ""}, {102, ""}, {103.5, ""}, {105, ""}}),
              ElementsAre(R"({"n":3})", R"({"n":1})"));
}

TEST(Memory, CountWindows) {
  EXPECT_THAT(rows("SELECT sum(v) AS s FROM 'x/+' GROUP BY COUNT(2)", {{1, "\"v\":1"}, {2, "\"v\":2"}, {3, "\"v\":3"}}),
              ElementsAre(R"({"s":3})", R"({"s":3})"));
  EXPECT_THAT(rows("SELECT sum(v) AS s FROM 'x/+' GROUP BY COUNT(3, 1)",
                   {{1, "\"v\":1"}, {2, "\"v\":2"}, {3, "\"v\":3"}, {4, "\"v\":4"}}, /*drained=*/false),
              ElementsAre(R"({"s":6})", R"({"s":9})"));
}

TEST(Memory, AggregatesOfAllKinds) {
  EXPECT_THAT(
      rows("SELECT round(stddev(v), 6) AS s, stddev_pop(v) AS p, round(variance(v), 9) AS q, median(v) AS m, "
           "percentile(v, 0.9) AS h, round(slope(v), 9) AS up, count(DISTINCT w) AS d FROM 'x/+' GROUP BY TUMBLING(1 "
           "min)",
           {{60, R"("v":1,"w":"a")"}, {61, R"("v":2,"w":"b")"}, {62, R"("v":3,"w":"a")"}, {63, R"("v":4,"w":null)"}}),
      ElementsAre(R"({"s":1.290994,"p":1.118033988749895,"q":1.666666667,"m":2,"h":4,"up":1,"d":2})"));
}

TEST(Memory, HavingChoosesRows) {
  EXPECT_THAT(rows("SELECT k, count(*) AS n FROM 'x/+' GROUP BY k, TUMBLING(1 s) HAVING count(*) > 1 AND max(v) < 9",
                   {{1, R"("k":"a","v":1)"}, {1.1, R"("k":"b","v":1)"}, {1.2, R"("k":"a","v":2)"}}),
              ElementsAre(R"({"k":"a","n":2})"));
}

TEST(Memory, EventTimeOrdersReadingsAndDropsLateOnes) {
  const std::string sql =
      "SELECT first(v) AS f, last(v) AS l, count(*) AS n FROM 'x/+' TIMESTAMP BY ts DELAY 2 s GROUP BY TUMBLING(10 s)";
  EXPECT_THAT(rows(sql,
                   {{1000, R"("v":2,"ts":103000)"},
                    {1000, R"("v":1,"ts":102000)"},
                    {1000, R"("v":3,"ts":109000)"},
                    {1000, R"("v":9,"ts":101000)"},  // its time has passed
                    {1000, R"("v":4,"ts":112000)"}},
                   /*drained=*/false),
              ElementsAre(R"({"f":1,"l":3,"n":3})"));
  EXPECT_THAT(rows("SELECT count(*) AS n FROM 'x/+' TIMESTAMP BY ts LATE CURRENT GROUP BY TUMBLING(10 s)",
                   {{1000, R"("ts":109000)"}, {1000, R"("ts":111000)"}, {1000, R"("ts":105000)"}}),
              ElementsAre(R"({"n":1})", R"({"n":2})"));
}

TEST(Memory, CountsWhatIsLateOrImpossible) {
  Bench bench({rule("SELECT count(*) AS n FROM 'x/+' TIMESTAMP BY ts GROUP BY TUMBLING(10 s)")});
  for (const char* const ts : {"100000", "90000", "\"no time\"", "1e14"}) {
    bench.send("x/d", fmt::format(R"({{"ts":{}}})", ts), 200 * kSecond);
  }
  const RuleCounters& counters = bench.evaluator.counters(0);
  EXPECT_EQ(counters.late.value(), 1U);
  EXPECT_EQ(counters.errors.value(), 1U);
  EXPECT_EQ(counters.refused.value(), 1U) << "a time years ahead";
}

TEST(Memory, AStreamThatFallsSilentStillEndsItsWindows) {
  Bench bench({rule("SELECT count(*) AS n FROM 'x/+' TIMESTAMP BY ts GROUP BY TUMBLING(5 s)")});
  bench.send("x/d", R"({"ts":100000})", 500 * kSecond);
  bench.evaluator.advance({509 * kSecond}, bench.effects);
  EXPECT_THAT(bench.effects.done, IsEmpty());
  bench.evaluator.advance({510 * kSecond}, bench.effects);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"n":1})"));
}

TEST(Memory, FunctionsRemember) {
  EXPECT_THAT(rows("SELECT v, lag(v) AS l, lag(v, 2, 0) AS m, delta(v) AS d FROM 'x/+'",
                   {{1, "\"v\":3"}, {2, "\"v\":5"}, {3, "\"v\":4"}}),
              ElementsAre(R"({"v":3,"l":null,"m":0,"d":null})", R"({"v":5,"l":3,"m":0,"d":2})",
                          R"({"v":4,"l":5,"m":3,"d":-1})"));
  EXPECT_THAT(rows("SELECT v FROM 'x/+' WHERE changed(v, 0.5)",
                   {{1, "\"v\":3"}, {2, "\"v\":3.4"}, {3, "\"v\":3.6"}, {4, "\"v\":3.2"}}),
              ElementsAre(R"({"v":3})", R"({"v":3.6})"));
  EXPECT_THAT(rows("SELECT v FROM 'x/+' WHERE changed(s)",
                   {{1, R"("v":1,"s":"a")"}, {2, R"("v":2,"s":"a")"}, {3, R"("v":3,"s":null)"}}),
              ElementsAre(R"({"v":1})", R"({"v":3})"));
  EXPECT_THAT(rows("SELECT hysteresis(v, 80, 60) AS on FROM 'x/+'",
                   {{1, "\"v\":70"}, {2, "\"v\":81"}, {3, "\"v\":70"}, {4, "\"v\":59"}}),
              ElementsAre(R"({"on":false})", R"({"on":true})", R"({"on":true})", R"({"on":false})"));
}

TEST(Memory, AConditionHoldsFor) {
  EXPECT_THAT(
      rows("SELECT time AS t FROM 'x/+' WHERE v > 10 FOR 5 s",
           {{1, "\"v\":11"}, {5, "\"v\":12"}, {6, "\"v\":12"}, {7, "\"v\":9"}, {8, "\"v\":12"}, {12, "\"v\":12"}}),
      ElementsAre(R"({"t":6000})"));
}

TEST(Memory, AConditionHoldsForByTheClockToo) {
  const char* const sql = "SELECT v, device FROM 'x/+' WHERE v > 10 FOR 5 s";
  Bench bench({rule(sql)});
  const auto advance = [&](double second) {
    bench.evaluator.advance({static_cast<int64_t>(second * kSecond)}, bench.effects);
    return std::exchange(bench.effects.done, {});
  };
  bench.send("x/a", R"({"v":11})", 1 * kSecond);
  bench.send("x/b", R"({"v":12})", 2 * kSecond);
  bench.send("x/b", R"({"v":3})", 3 * kSecond);
  EXPECT_EQ(value_of(bench.evaluator.next_close()).microseconds, 6 * kSecond + 1);
  EXPECT_THAT(advance(6), IsEmpty());  // a message of that time may come
  EXPECT_THAT(advance(6.1), ElementsAre(R"(r: publish o {"v":11,"device":"a"})"));
  EXPECT_FALSE(bench.evaluator.next_close());
  EXPECT_THAT(advance(60), IsEmpty());  // once
  bench.send("x/a", R"({"v":13})", 61 * kSecond);
  EXPECT_THAT(advance(61), ElementsAre(R"(r: publish o {"v":13,"device":"a"})"));
  // The clock comes before a message that ends the condition, though nobody has looked at it in between.
  bench.send("x/b", R"({"v":14})", 70 * kSecond);
  bench.send("x/b", R"({"v":1})", 80 * kSecond);
  EXPECT_THAT(advance(80), ElementsAre(R"(r: publish o {"v":14,"device":"b"})"));
}

TEST(Memory, WhatIsMadeOfAForFollowsTheClock) {
  Bench bench(
      {rule("SELECT device, (v > 10 FOR 5 s) AS hot, lag(v) AS before FROM 'x/+' WHERE changed(v > 10 FOR 5 s)")});
  bench.send("x/a", R"({"v":11})", 1 * kSecond);
  bench.send("x/a", R"({"v":12})", 2 * kSecond);
  bench.evaluator.advance({10 * kSecond}, bench.effects);
  bench.send("x/a", R"({"v":13})", 11 * kSecond);
  bench.send("x/a", R"({"v":1})", 12 * kSecond);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"device":"a","hot":false,"before":null})",
                                              R"(r: publish o {"device":"a","hot":true,"before":11})",
                                              R"(r: publish o {"device":"a","hot":false,"before":13})"));
}

TEST(Memory, AForFollowsTheTimeThatTheMessagesSay) {
  EXPECT_THAT(rows("SELECT v FROM 'x/+' TIMESTAMP BY ts DELAY 1 s WHERE v > 10 FOR 5 s PARTITION BY k",
                   {{100, R"("v":11,"k":1,"ts":1000)"},
                    {101, R"("v":5,"k":2,"ts":7000)"},   // it may still be 6 s
                    {102, R"("v":12,"k":1,"ts":6500)"},  // and is TRUE here as well
                    {103, R"("v":5,"k":2,"ts":9000)"}}),
              ElementsAre(R"({"v":11})", R"({"v":12})"));
}

TEST(Memory, WhatAForKeepsIsBounded) {
  Bench bench({rule("SELECT * FROM 'x/+' WHERE v > 10 FOR 1 h PARTITION BY k")});
  bench.budget.rule_max = 1'000'000;
  const std::string text(10'000, 'x');
  for (int i = 0; i < 1000; ++i) bench.send("x/d", fmt::format(R"({{"v":11,"k":{},"s":"{}"}})", i, text));
  EXPECT_GT(bench.evaluator.counters(0).refused.value(), 0U);
  EXPECT_LT(bench.budget.used.load(), 1'100'000U);
}

TEST(Memory, PartitionsAreApart) {
  Bench bench({rule("SELECT device, lag(v) AS l FROM 'x/+'"),
               {.name = "p",
                .sql = "SELECT lag(v) AS l FROM 'x/+' PARTITION BY kind",
                .actions = {PublishSource{.topic = "o"}}}});
  bench.send("x/a", R"({"v":1,"kind":"k"})");
  bench.send("x/b", R"({"v":2,"kind":"k"})");
  bench.send("x/a", R"({"v":3,"kind":"k"})");
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"device":"a","l":null})", R"(p: publish o {"l":null})",
                                              R"(r: publish o {"device":"b","l":null})", R"(p: publish o {"l":1})",
                                              R"(r: publish o {"device":"a","l":1})", R"(p: publish o {"l":2})"));
}

TEST(Memory, CarriesTheMessageBesideWhatItRemembers) {
  Bench bench({{.name = "r", .sql = "SELECT * FROM 'x/+' WHERE changed(v)", .actions = {UploadSource{}}},
               {.name = "s", .sql = "SELECT *, delta(v) AS d FROM 'x/+'", .actions = {UploadSource{}}}});
  bench.send("x/a", R"({"v":1, "w":2})");
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: upload message normal x/a [client] {"v":1, "w":2})",
                                              R"(s: upload selection normal x/a [client] {"v":1,"w":2,"d":null})"));
}

TEST(Memory, JoinsStreamsWithinASpan) {
  Bench bench(
      {rule("SELECT a.id, a.v AS left_v, b.w AS right_w FROM 'l/+' AS a JOIN 'r/+' AS b ON a.id = b.id "
            "WITHIN 5 s WHERE a.v < b.w")});
  bench.send("l/1", R"({"id":1,"v":10})", 100 * kSecond);
  bench.send("r/1", R"({"id":1,"w":20})", 103 * kSecond);
  bench.send("r/1", R"({"id":2,"w":20})", 103 * kSecond);
  bench.send("r/1", R"({"id":1,"w":5})", 104 * kSecond);
  bench.send("l/1", R"({"id":null,"v":1})", 104 * kSecond);
  bench.send("r/1", R"({"id":1,"w":30})", 106 * kSecond);  // the first is out of the span
  bench.send("l/1", R"({"id":1,"v":11})", 107 * kSecond);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"id":1,"left_v":10,"right_w":20})",
                                              R"(r: publish o {"id":1,"left_v":11,"right_w":20})",
                                              R"(r: publish o {"id":1,"left_v":11,"right_w":30})"));
}

TEST(Memory, KeepsWhatFindsNothingInALeftJoin) {
  Bench bench(
      {rule("SELECT a.id, a.v AS left_v, b.w AS right_w FROM 'l/+' AS a LEFT JOIN 'r/+' AS b ON a.id = b.id "
            "WITHIN 5 s")});
  bench.send("l/1", R"({"id":1,"v":10})", 100 * kSecond);
  bench.send("l/1", R"({"id":2,"v":20})", 101 * kSecond);
  bench.send("l/1", R"({"id":null,"v":30})", 101 * kSecond);
  bench.send("r/1", R"({"id":3,"w":1})", 102 * kSecond);
  bench.send("r/1", R"({"id":null,"w":2})", 102 * kSecond);
  bench.send("r/1", R"({"id":1,"w":3})", 105 * kSecond);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"id":1,"left_v":10,"right_w":3})"));
  EXPECT_EQ(bench.evaluator.memory(0)->next_due_us(), 105 * kSecond + 1)
      << "the first was matched: nothing comes of it";
  bench.evaluator.advance({106 * kSecond + 2}, bench.effects);
  bench.send("l/1", R"({"id":3,"v":40})", 107 * kSecond);  // what came before it counts as well
  bench.evaluator.drain(bench.effects);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"id":1,"left_v":10,"right_w":3})",
                                              R"(r: publish o {"id":2,"left_v":20,"right_w":null})",
                                              R"(r: publish o {"id":null,"left_v":30,"right_w":null})",
                                              R"(r: publish o {"id":3,"left_v":40,"right_w":1})"));
  EXPECT_TRUE(bench.evaluator.memory(0)->is_empty());
}

TEST(Memory, CountsWhatFindsNothingInAWindow) {
  Bench bench(
      {rule("SELECT count(*) AS n, count(b.w) AS found FROM 'l/+' AS a LEFT JOIN 'r/+' AS b ON a.id = b.id WITHIN 2 s "
            "GROUP BY TUMBLING(10 s)")});
  for (int i = 0; i < 10; ++i) bench.send("l/1", fmt::format(R"({{"id":{}}})", i), (100 + i) * kSecond);
  bench.send("r/1", R"({"id":9,"w":1})", 109 * kSecond);
  bench.evaluator.drain(bench.effects);
  // Those of the last two seconds are over in the next window.
  int all = 0;
  int found = 0;
  for (const std::string& row : bench.effects.done) {
    int n = 0;
    int f = 0;
    ASSERT_EQ(std::sscanf(row.c_str(), R"(r: publish o {"n":%d,"found":%d})", &n, &f), 2) << row;
    all += n;
    found += f;
  }
  EXPECT_EQ(all, 10);
  EXPECT_EQ(found, 1);
}

TEST(Memory, ChoosesByTheClockWhatEntersAWindow) {
  Bench bench({rule("SELECT count(*) AS n FROM 'x/+' WHERE v > 5 FOR 3 s GROUP BY TUMBLING(10 s)")});
  bench.send("x/a", R"({"v":9})", 100 * kSecond);
  bench.evaluator.advance({102 * kSecond}, bench.effects);
  EXPECT_EQ(bench.evaluator.memory(0)->next_due_us(), 103 * kSecond + 1);
  bench.evaluator.advance({104 * kSecond}, bench.effects);  // no message says so, but it has lasted
  bench.send("x/a", R"({"v":9})", 105 * kSecond);
  bench.send("x/a", R"({"v":1})", 106 * kSecond);
  bench.send("x/a", R"({"v":9})", 107 * kSecond);
  bench.evaluator.advance({111 * kSecond}, bench.effects);  // it lasts until the next window
  bench.evaluator.advance({120 * kSecond}, bench.effects);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"n":2})", R"(r: publish o {"n":1})"));
}

TEST(Memory, AClockChangesNothingThatAWindowHasTaken) {
  Bench bench(
      {rule("SELECT count(*) AS n, max(CASE WHEN v > 5 FOR 3 s THEN 1 ELSE 0 END) AS held FROM 'x/+' "
            "GROUP BY TUMBLING(10 s)")});
  bench.send("x/a", R"({"v":9})", 100 * kSecond);
  bench.evaluator.advance({120 * kSecond}, bench.effects);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"n":1,"held":0})"));
}

TEST(Memory, AggregatesJoinedStreams) {
  Bench bench(
      {rule("SELECT a.zone, count(*) AS n, max(b.w) AS w FROM 'l/+' AS a JOIN 'r/+' AS b ON a.id = b.id "
            "WITHIN 5 s GROUP BY a.zone, TUMBLING(10 s)")});
  bench.send("l/1", R"({"id":1,"zone":"n"})", 100 * kSecond);
  bench.send("l/1", R"({"id":2,"zone":"n"})", 101 * kSecond);
  bench.send("r/1", R"({"id":1,"w":3})", 102 * kSecond);
  bench.send("r/1", R"({"id":2,"w":7})", 102 * kSecond);
  bench.evaluator.drain(bench.effects);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"zone":"n","n":2,"w":7})"));
}

TEST(Memory, LooksValuesUpInTables) {
  const auto tables = std::make_shared<Tables>();
  tables->emplace(
      "sites",
      *Table::read({.name = "sites", .key = "id", .rows = "id,zone,limit\na,north,10\n\"b\",\"so\"\"uth\",\n"}));
  Bench bench({rule("SELECT device, s.zone, lookup('sites', device, 'limit') AS m FROM 'x/+' JOIN TABLE sites AS s ON "
                    "s.id = device"),
               {.name = "l",
                .sql = "SELECT device, sites.zone FROM 'x/+' LEFT JOIN TABLE sites ON device = sites.id",
                .actions = {PublishSource{.topic = "o"}}}},
              tables);
  for (const char* const device : {"a", "b", "c"}) bench.send(fmt::format("x/{}", device), "{}");
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"device":"a","zone":"north","m":10})",
                                              R"(l: publish o {"device":"a","zone":"north"})",
                                              R"(r: publish o {"device":"b","zone":"so\"uth","m":null})",
                                              R"(l: publish o {"device":"b","zone":"so\"uth"})",
                                              R"(l: publish o {"device":"c","zone":null})"));
}

TEST(Memory, ScoresAnomaliesInAWindow) {
  std::vector<std::string> done;
  Bench bench(
      {rule("SELECT max(anomaly(v)) AS worst, zscore(v) AS z, information(v) AS i FROM 'x/+' "
            "GROUP BY TUMBLING(1 h)")});
  for (int i = 0; i < 600; ++i) {
    const double value = i == 500 ? 900 : 20 + i % 5;
    bench.send("x/d", fmt::format(R"({{"v":{}}})", value), 3600 * kSecond + i * kSecond);
  }
  bench.evaluator.drain(bench.effects);
  ASSERT_EQ(bench.effects.done.size(), 1U);
  double worst = 0;
  double z = 0;
  double information = 0;
  ASSERT_EQ(std::sscanf(bench.effects.done[0].c_str(), R"(r: publish o {"worst":%lf,"z":%lf,"i":%lf})", &worst, &z,
                        &information),
            3)
      << bench.effects.done[0];
  EXPECT_GT(worst, 0.5);
  EXPECT_GT(z, 0.9);
  EXPECT_GT(information, 0);
  EXPECT_LT(information, 1);
}

// The record of the row's reduced series.
series::Restored restored(const std::string& row) {
  const size_t begin = row.find(R"("reduced":")") + 11;
  const std::string record = value_of(from_base64(row.substr(begin, row.find('"', begin) - begin)));
  std::string_view rest = record;
  const Result<series::Restored> result = series::restore(rest);
  EXPECT_TRUE(result.has_value()) << row;
  EXPECT_TRUE(rest.empty());
  return result ? *result : series::Restored{};
}

TEST(Memory, ReducesTheReadingsOfAWindow) {
  Random random(11);
  Bench bench({rule("SELECT device, reduced(v, 0.01) AS v FROM 'x/+' GROUP BY device, TUMBLING(1 h)"),
               {.name = "line",
                .sql = "SELECT reduced(v, 4800, 1000) AS v FROM 'x/+' GROUP BY TUMBLING(1 h)",
                .actions = {PublishSource{.topic = "o"}}}});
  std::vector<double> values;
  for (int i = 0; i < 2000; ++i) {
    values.push_back(i == 1500 ? 500.0 : std::round((20 + 5 * std::sin(i / 50.0) + random.normal() / 10) * 100) / 100);
    bench.send("x/d", fmt::format(R"({{"v":{}}})", values.back()), 3600 * kSecond + i * kSecond);
  }
  bench.send("x/d", R"({"v":"text"})", 3600 * kSecond + 2000 * kSecond);
  bench.evaluator.drain(bench.effects);
  ASSERT_EQ(bench.effects.done.size(), 2U);
  for (const std::string& row : bench.effects.done) {
    const series::Restored series = restored(row);
    ASSERT_EQ(series.window.values.size(), values.size());
    EXPECT_EQ(series.window.times.text(7), "3607000");
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_LE(std::fabs(series.window.values[i] - values[i]), series.error_bound * (1 + 1e-9)) << i;
    }
    EXPECT_EQ(series.window.values[1500], 500.0) << "what is anomalous is as it was";
    EXPECT_TRUE(std::ranges::binary_search(series.exact, 1500U) || series.error_bound == 0);
  }
  const series::Restored by_error = restored(bench.effects.done[0]);
  EXPECT_LE(by_error.error_bound, 0.01 * series::range_of(values) * (1 + 1e-9));
  EXPECT_GT(by_error.error_bound, 0);
  EXPECT_NE(bench.effects.done[1].find(R"("arrives":true)"), std::string::npos) << bench.effects.done[1];
}

TEST(Memory, WhatIsNoReducedSeriesIsNotRestored) {
  Bench bench({rule("SELECT reduced(v, 0.1) AS v FROM 'x' GROUP BY COUNT(20)")});
  for (int i = 0; i < 20; ++i) bench.send("x", fmt::format(R"({{"v":{}}})", i % 3), (3600 + i) * kSecond);
  const std::string& row = bench.effects.done.at(0);
  const size_t begin = row.find(R"("reduced":")") + 11;
  const std::string record = value_of(from_base64(row.substr(begin, row.find('"', begin) - begin)));
  const RestoredSeries series = value_of(restore_series(record));
  ASSERT_EQ(series.readings.size(), 20U);
  EXPECT_EQ(series.readings[3].time_us, 3603 * kSecond);
  for (size_t end = 0; end < record.size(); ++end) EXPECT_FALSE(restore_series(record.substr(0, end)).has_value());
  EXPECT_FALSE(restore_series(record + "x").has_value());
}

TEST(Memory, TellsInsights) {
  std::vector<ActionSource> actions = {InsightSource{.type = "overheating", .of = "t", .priority = Priority::kCritical},
                                       InsightSource{.type = "rise", .of = "t", .topic = "rises/${device}"}};
  Bench bench({{.name = "r", .sql = "SELECT device, t, t / 100 AS significance FROM 'x/+'", .actions = actions}});
  for (int i = 0; i < 100; ++i) {
    bench.send("x/a", fmt::format(R"({{"t":{}}})", 20 + i % 2), (1000 + i) * kSecond);
  }
  EXPECT_THAT(bench.effects.done, testing::IsEmpty()) << "nothing is significant";
  bench.send("x/a", R"({"t":71})", 1100 * kSecond);
  ASSERT_EQ(bench.effects.done.size(), 2U);
  const std::string critical = bench.effects.done[0];
  EXPECT_TRUE(critical.starts_with(
      R"(r: upload selection critical insights/r [a] {"type":"overheating","rule":"r","device":"a","topic":"x/a",)"
      R"("time_ms":1100000,"value":71,"prediction":)"))
      << critical;
  EXPECT_NE(critical.find(R"("significance":0.71,"statistics":{"count":64,"since_ms":1037000,"mean":)"),
            std::string::npos)
      << critical;
  EXPECT_NE(critical.find(R"("min":20,"max":71,"last":71},"readings":[[1037000,21],[1038000,20],)"), std::string::npos)
      << critical;
  EXPECT_TRUE(critical.ends_with("[1100000,71]]}")) << critical;
  const std::string other = bench.effects.done[1];
  EXPECT_TRUE(other.starts_with("r: upload selection high rises/a [a] ")) << other;
  EXPECT_EQ(other.find("readings"), std::string::npos) << "only what is critical carries them";
  // What follows is told once it is there, of the critical one only.
  bench.effects.done.clear();
  for (int i = 1; i <= 40; ++i) bench.send("x/a", fmt::format(R"({{"t":{}}})", i), (1100 + i) * kSecond);
  ASSERT_EQ(bench.effects.done.size(), 1U);
  EXPECT_TRUE(bench.effects.done[0].starts_with(
      R"(r: upload selection critical insights/r [a] {"type":"overheating","rule":"r","device":"a","topic":"x/a",)"
      R"("time_ms":1116000,"readings_after":[[1101000,1],[1102000,2],)"))
      << bench.effects.done[0];
  EXPECT_TRUE(bench.effects.done[0].ends_with("[1116000,16]]}")) << bench.effects.done[0];
  // What insights need is not in the row.
  EXPECT_EQ(bench.evaluator.rules().rules()[0].selected_columns, 3U);
}

TEST(Memory, AnAnomalyIsSignificantWhereTheRuleStatesNothing) {
  Bench bench(
      {{.name = "r", .sql = "SELECT device, t FROM 'x/+'", .actions = {InsightSource{.type = "odd", .of = "t"}}}});
  Random random(3);
  for (int i = 0; i < 1000; ++i) {
    bench.send("x/a", fmt::format(R"({{"t":{}}})", 20 + random.normal() / 10), (1000 + i * 60) * kSecond);
  }
  const size_t before = bench.effects.done.size();
  bench.send("x/a", R"({"t":2000})", (1000 + 1000 * 60) * kSecond);
  EXPECT_EQ(bench.effects.done.size(), before + 1);
  EXPECT_LT(before, 10U);
}

TEST(Memory, PredictsTheNextReading) {
  Bench bench(
      {rule("SELECT json_value(predict(v), '$.value') AS p, json_value(predict(v), '$.confidence') AS c FROM 'x'")});
  for (int i = 0; i < 300; ++i) bench.send("x", fmt::format(R"({{"v":{}}})", 3 * i), (1000 + i) * kSecond);
  double predicted = 0;
  double confidence = 0;
  ASSERT_EQ(
      std::sscanf(bench.effects.done.back().c_str(), R"(r: publish o {"p":%lf,"c":%lf})", &predicted, &confidence), 2)
      << bench.effects.done.back();
  EXPECT_NEAR(predicted, 900, 1);
  EXPECT_GT(confidence, 0.9);
}

TEST(Memory, RefusesWhatThereIsNoRoomFor) {
  Bench bench({rule("SELECT k, count(*) FROM 'x/+' GROUP BY k, TUMBLING(1 h)")});
  bench.budget.rule_max = 100'000;
  for (int i = 0; i < 2000; ++i) bench.send("x/d", fmt::format(R"({{"k":{}}})", i), 3600 * kSecond);
  EXPECT_GT(bench.evaluator.counters(0).refused.value(), 0U);
  EXPECT_LT(bench.budget.used.load(), 110'000U);
  EXPECT_EQ(bench.evaluator.counters(0).bytes.value(), bench.budget.used.load());
  bench.evaluator.drain(bench.effects);
  EXPECT_EQ(bench.budget.used.load(), 0U);
  EXPECT_EQ(bench.effects.done.size() + bench.evaluator.counters(0).refused.value(), 2000U);
}

// One reading far ahead ends thousands of windows of thousands of groups: their rows are made so many at a time, and
// what is remembered meanwhile is no more than before.
TEST(Memory, ManyWindowsThatEndAtOnceAreTakenInSteps) {
  const std::string sql = "SELECT k, sum(v) AS s FROM 'x/+' TIMESTAMP BY t AHEAD 2 h GROUP BY k, HOPPING(1 h, 10 s)";
  constexpr int kGroups = 50;
  constexpr size_t kWindows = 360;
  constexpr int64_t kStart = 1'800'000 * kSecond;
  Bench bench({rule(sql)});
  const auto send = [&](Bench& to, int k, int64_t second) {
    to.send("x/d", fmt::format(R"({{"k":{},"v":1,"t":{}}})", k, second * 1000), kStart);
  };
  for (int k = 0; k < kGroups; ++k) send(bench, k, 1'800'000);
  const size_t before = bench.evaluator.memory(0)->bytes();
  send(bench, 0, 1'800'000 + 3700);
  EXPECT_EQ(bench.effects.done.size(), kRowsAReading);
  EXPECT_LT(bench.evaluator.memory(0)->bytes(), before + 2 * kRowsAStep * 400);
  EXPECT_EQ(bench.evaluator.next_close(), WallTime{0}) << "at once";

  // What is open, what is over and what is made survive a restart in the middle of it.
  Bench after({rule(sql)});
  for (int step = 0; step < 5; ++step) {
    const size_t made = bench.effects.done.size();
    bench.evaluator.advance({kStart}, bench.effects);
    EXPECT_EQ(bench.effects.done.size(), made + kRowsAStep);
  }
  std::string bytes;
  bench.evaluator.memory(0)->append_to(bytes);
  ByteReader reader(bytes);
  ASSERT_TRUE(after.evaluator.memory(0)->read(reader, [](std::string_view) { return true; }));
  while (after.evaluator.next_close() == WallTime{0}) after.evaluator.advance({kStart}, after.effects);
  EXPECT_EQ(bench.effects.done.size() + after.effects.done.size(), kWindows * kGroups);
  after.evaluator.drain(after.effects);
  EXPECT_EQ(bench.effects.done.size() + after.effects.done.size(), kWindows * (kGroups + 1));
  EXPECT_EQ(after.budget.used.load(), 0U);
}

TEST(Memory, AClockThatIsAheadIsRefused) {
  for (const auto& [ahead, taken] : {std::pair{"", 599}, {" AHEAD 5 s", 5}, {" AHEAD 1 h", 3600}}) {
    Bench bench({rule(fmt::format("SELECT v FROM 'x/+' TIMESTAMP BY t{}", ahead))});
    bench.send("x/d", fmt::format(R"({{"v":1,"t":{}}})", (1000 + taken) * 1000), 1000 * kSecond);
    EXPECT_EQ(bench.evaluator.counters(0).refused.value(), 0U) << ahead;
    bench.send("x/d", fmt::format(R"({{"v":1,"t":{}}})", (1002 + taken) * 1000), 1000 * kSecond);
    EXPECT_EQ(bench.evaluator.counters(0).refused.value(), 1U) << ahead;
  }
}

TEST(Memory, WhatIsUnusedForLongMakesRoom) {
  Bench bench({rule("SELECT k, lag(v) AS l FROM 'x/+' PARTITION BY k")});
  bench.budget.rule_max = 100'000;
  const auto send = [&](int k, int64_t second) {
    bench.send("x/d", fmt::format(R"({{"k":{},"v":1}})", k), second * kSecond);
  };
  for (int k = 0; k < 1000; ++k) send(k, 1000);
  const uint64_t refused = bench.evaluator.counters(0).refused.value();
  EXPECT_GT(refused, 0U) << "what is in use is not pushed out";
  EXPECT_EQ(bench.evaluator.counters(0).forgotten.value(), 0U);
  send(0, 1500);
  bench.effects.done.clear();
  for (int k = 2000; k < 2050; ++k) send(k, 1601);
  EXPECT_EQ(bench.effects.done.size(), 50U);
  EXPECT_EQ(bench.evaluator.counters(0).refused.value(), refused);
  EXPECT_GE(bench.evaluator.counters(0).forgotten.value(), 49U);
  bench.effects.done.clear();
  send(0, 1602);
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"k":0,"l":1})")) << "it was used since";
  EXPECT_LT(bench.evaluator.memory(0)->bytes(), 102'000U);
}

TEST(Memory, AFullCountWindowEndsWhatFellSilent) {
  for (const char* const window : {"COUNT(3)", "COUNT(3, 1)"}) {
    SCOPED_TRACE(window);
    Bench bench({rule(fmt::format("SELECT k, count(*) AS n FROM 'x/+' GROUP BY k, {}", window))});
    bench.budget.rule_max = 100'000;
    const auto send = [&](int k, int64_t second) {
      bench.send("x/d", fmt::format(R"({{"k":{}}})", k), second * kSecond);
    };
    for (int k = 0; k < 1000; ++k) send(k, 1000);
    EXPECT_GT(bench.evaluator.counters(0).refused.value(), 0U);
    EXPECT_THAT(bench.effects.done, IsEmpty());
    send(0, 1500);
    send(5000, 1600);
    EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish o {"k":1,"n":1})"));
    const uint64_t refused = bench.evaluator.counters(0).refused.value();
    for (int i = 0; i < 3; ++i) send(5000, 1601);
    EXPECT_EQ(bench.evaluator.counters(0).refused.value(), refused);
    EXPECT_THAT(bench.effects.done, Contains(R"(r: publish o {"k":5000,"n":3})"));
  }
}

// Their actions make rules remember too: fields that templates name, and what insights look at.
TEST(Memory, ARuleWhoseActionsRememberSomethingElseBeginsAnew) {
  const auto with = [](std::vector<ActionSource> actions, std::string sql) {
    return std::vector<RuleSource>{{.name = "r", .sql = std::move(sql), .actions = std::move(actions)}};
  };
  const std::string lag = "SELECT v, lag(v) AS l FROM 'x/+'";
  const std::vector<ActionSource> publish = {PublishSource{.topic = "o"}};
  const auto last_after = [&](std::vector<RuleSource> before, std::vector<RuleSource> then) {
    Bench bench(std::move(before));
    bench.send("x/d", R"({"v":1,"w":2,"x":"place"})");
    bench.evaluator.replace(compiled(std::move(then)));
    bench.evaluator.emit_replaced(bench.effects);
    bench.effects.done.clear();
    bench.send("x/d", R"({"v":3,"w":4,"x":"place"})");
    bench.send("x/d", R"({"v":5,"w":6,"x":"place"})");
    return bench.effects.done;
  };
  EXPECT_THAT(last_after(with(publish, lag), with({PublishSource{.topic = "p"}}, lag)),
              ElementsAre(R"(r: publish p {"v":3,"l":1})", R"(r: publish p {"v":5,"l":3})"));
  EXPECT_THAT(last_after(with(publish, lag), with({PublishSource{.topic = "o/${x}"}}, lag)),
              ElementsAre(R"(r: publish o/place {"v":3,"l":null})", R"(r: publish o/place {"v":5,"l":3})"));
  for (const Priority priority : {Priority::kHigh, Priority::kCritical}) {
    last_after(with(publish, lag), with({InsightSource{.type = "i", .of = "v", .priority = priority}}, lag));
    last_after(with({InsightSource{.type = "i", .of = "v", .priority = Priority::kHigh}}, lag),
               with({InsightSource{.type = "i", .of = "w", .priority = priority}}, lag));
  }
}

TEST(Memory, ImportanceIsWhatAFieldTellsWhereNothingElseIsSaid) {
  Bench bench(
      {{.name = "r", .sql = "SELECT device, v FROM 'x/+'", .actions = {UploadSource{.priority = std::nullopt}}}});
  Random random(5);
  for (int i = 0; i < 600; ++i)
    bench.send("x/d", fmt::format(R"({{"v":{}}})", 20 + static_cast<double>(random.below(3))));
  bench.effects.done.clear();
  bench.send("x/d", R"({"v":21})");
  EXPECT_THAT(bench.effects.done, IsEmpty()) << "of three values, one more tells little";
  bench.send("x/d", R"({"v":9000})");
  bench.send("x/d", R"({"v":21,"importance":0.9})");
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: upload selection high x/d [d] {"device":"d","v":9000})",
                                              R"(r: upload selection high x/d [d] {"device":"d","v":21})"));
}

// Whatever the rule, cutting its life in two by writing its memory down and reading it again changes no row.
TEST(Memory, SurvivesAsBytes) {
  const char* const kStatements[] = {
      "SELECT k, sum(v) AS s, stddev(v) AS d, percentile(v, 0.5) AS p, first(v) AS f, last(s) AS l, count(DISTINCT v) "
      "AS c, slope(v) AS u, information(v) AS i, min(s) AS m FROM 'x/+' GROUP BY k, HOPPING(10 s, 5 s)",
      "SELECT k, count(*) AS n FROM 'x/+' GROUP BY k, SESSION(2 s)",
      "SELECT k, reduced(v, 0.02) AS r FROM 'x/+' GROUP BY k, HOPPING(10 s, 5 s)",
      "SELECT recent(v) AS r, summary(v) AS s, predict(v) AS p, aftermath(v / 11, v) AS a FROM 'x/+' PARTITION BY k",
      "SELECT k, sum(v) AS s FROM 'x/+' GROUP BY k, SLIDING(4 s)",
      "SELECT k, sum(v) AS s FROM 'x/+' GROUP BY k, COUNT(5)",
      "SELECT k, sum(v) AS s FROM 'x/+' GROUP BY k, COUNT(5, 2)",
      "SELECT k, sum(v) AS s FROM 'x/+' TIMESTAMP BY time - 700 * k DELAY 2 s GROUP BY k, TUMBLING(3 s)",
      "SELECT lag(v, 3) AS l, delta(v) AS d, changed(s) AS c, hysteresis(v, 6, 3) AS h, zscore(v) AS z, anomaly(v) AS "
      "a, "
      "ewma(v) AS e, cusum(v) AS u, forest(v) AS f, seasonal(v) AS n FROM 'x/+' PARTITION BY k",
      "SELECT round(json_value(fuse(v, 0, 10, 0.5, v + 1, 0, 20, 2), '$.value'), 9) AS f FROM 'x/+' PARTITION BY k",
      "SELECT v FROM 'x/+' WHERE v > 2 FOR 1 s PARTITION BY k",
      "SELECT v, s FROM 'x/+' TIMESTAMP BY time - 700 * k DELAY 2 s WHERE (v > 2 FOR 500 ms) AND k < 2 PARTITION BY k",
      "SELECT count(*) AS n FROM 'x/+' WHERE v > 2 FOR 1 s GROUP BY k, TUMBLING(3 s)",
      "SELECT a.v AS x, b.s AS y FROM 'x/+' AS a LEFT JOIN 'x/+' AS b ON a.v = b.k WITHIN 1 s",
      "SELECT a.v AS x, b.s AS y FROM 'x/+' AS a JOIN 'x/+' AS b ON a.v = b.v WITHIN 10 s WHERE a.k < b.k",
  };
  for (const char* const sql : kStatements) {
    SCOPED_TRACE(sql);
    Bench whole({rule(sql)});
    Bench first({rule(sql)});
    Bench second({rule(sql)});
    for (int i = 0; i < 200; ++i) {
      const std::string payload = fmt::format(R"({{"k":{},"v":{},"s":"t{}"}})", i % 3, (i * 7) % 11, (i / 4) % 5);
      const int64_t at_us = 1000 * kSecond + i * 300'000;
      Bench& half = i < 100 ? first : second;
      for (Bench* bench : {&whole, &half}) {
        bench->evaluator.advance({at_us}, bench->effects);
        bench->send("x/d", payload, at_us);
      }
      if (i != 99) continue;
      std::string bytes;
      first.evaluator.memory(0)->append_to(bytes);
      ByteReader reader(bytes);
      ASSERT_TRUE(second.evaluator.memory(0)->read(reader, [](std::string_view) { return true; }));
      EXPECT_TRUE(reader.empty());
      EXPECT_EQ(second.evaluator.memory(0)->bytes() > 0, first.evaluator.memory(0)->bytes() > 0);
    }
    whole.evaluator.drain(whole.effects);
    second.evaluator.drain(second.effects);
    std::vector<std::string> both = first.effects.done;
    both.insert(both.end(), second.effects.done.begin(), second.effects.done.end());
    EXPECT_THAT(both, testing::UnorderedElementsAreArray(whole.effects.done));
    EXPECT_FALSE(both.empty());
  }
}

}  // namespace
}  // namespace verge::rules
