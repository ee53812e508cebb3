#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "overview/goals.h"
#include "overview/insights.h"
#include "overview/node_report.h"
#include "tests/support/value_of.h"

namespace verge::overview {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using tests::value_of;

NodeId id(char letter) {
  NodeId made;
  made.bytes.fill(letter);
  return made;
}

MonotonicTime at(Duration since_start) { return MonotonicTime(std::chrono::hours(100) + since_start); }

NodeReport node(char letter, std::string name) {
  NodeReport made;
  made.id = id(letter);
  made.name = std::move(name);
  made.version = "1.2.3";
  return made;
}

Report report_of(std::vector<NodeReport> nodes) {
  return {.every = seconds(2), .sent = {1'000'000'000}, .nodes = std::move(nodes)};
}

State state_of(const Roster& roster, char letter) { return roster.nodes().at(id(letter)).report.state; }

TEST(Report, IsReadAsItWasWritten) {
  NodeReport fog = node('f', "fog-1");
  fog.tier = Tier::kFog;
  fog.site = "Halle 3";
  fog.position = {51.5, 11.97};
  fog.uptime_s = 77;
  fog.round_trip_ms = 1.25;
  fog.figures[Figure::kEventsPerSecond] = 2500;
  NodeReport edge = node('e', "edge");
  edge.parent = id('f');
  edge.state = State::kOffline;
  edge.age = seconds(12);
  const Result<Report> parsed = parse_report(report_json(report_of({fog, edge})));
  ASSERT_TRUE(parsed) << parsed.error().line();
  const Report& read = *parsed;
  EXPECT_EQ(read.every, seconds(2));
  EXPECT_EQ(read.sent.microseconds, 1'000'000'000);
  ASSERT_EQ(read.nodes.size(), 2U);
  EXPECT_EQ(read.nodes[0].id, id('f'));
  EXPECT_EQ(read.nodes[0].name, "fog-1");
  EXPECT_EQ(read.nodes[0].tier, Tier::kFog);
  EXPECT_EQ(read.nodes[0].site, "Halle 3");
  EXPECT_EQ(value_of(read.nodes[0].position).longitude, 11.97);
  EXPECT_EQ(read.nodes[0].round_trip_ms, 1.25);
  EXPECT_EQ(read.nodes[0].figures[Figure::kEventsPerSecond], 2500);
  EXPECT_TRUE(std::isnan(read.nodes[0].figures[Figure::kRequestP99]));
  EXPECT_EQ(read.nodes[1].parent, id('f'));
  EXPECT_EQ(read.nodes[1].state, State::kOffline);
  EXPECT_EQ(read.nodes[1].age, seconds(12));
  EXPECT_FALSE(read.nodes[1].position);
}

TEST(Report, WhatIsNoneIsRefused) {
  const std::string good = report_json(report_of({node('a', "a")}));
  ASSERT_TRUE(parse_report(good));
  for (const std::string& bad : {std::string(), std::string("[]"), std::string(R"({"every_ms":2000,"nodes":[]})"),
                                 std::string(R"({"every_ms":0,"nodes":[{}]})"),
                                 std::string(R"({"every_ms":2000,"nodes":[{"id":"x","name":"a","tier":"edge"}]})"),
                                 good.substr(0, good.size() - 1), std::string(Report::kBytesMax + 1, ' ')}) {
    EXPECT_FALSE(parse_report(bad)) << bad.substr(0, 100);
  }
  std::vector<NodeReport> many(Report::kNodesMax + 1, node('a', "a"));
  EXPECT_FALSE(parse_report(report_json(report_of(many))));
}

TEST(Report, WhatCannotBeIsNotTaken) {
  NodeReport fog = node('f', "fog");
  fog.round_trip_ms = -5;
  fog.skew_ms = 1e300;
  fog.figures[Figure::kCacheHitRatio] = -5;
  fog.figures[Figure::kDecisionsUnder1ms] = 1.01;
  fog.figures[Figure::kEventsPerSecond] = -1;
  fog.figures[Figure::kRequestP99] = 1e300;
  fog.figures[Figure::kCpu] = 0.5;
  const Result<Report> parsed = parse_report(report_json(report_of({fog})));
  ASSERT_TRUE(parsed) << parsed.error().line();
  const NodeReport& read = parsed->nodes.front();
  EXPECT_TRUE(std::isnan(read.round_trip_ms));
  EXPECT_TRUE(std::isnan(read.skew_ms));
  for (const Figure figure :
       {Figure::kCacheHitRatio, Figure::kDecisionsUnder1ms, Figure::kEventsPerSecond, Figure::kRequestP99}) {
    EXPECT_TRUE(std::isnan(read.figures[figure])) << kFigureNames[static_cast<size_t>(figure)].name;
  }
  EXPECT_EQ(read.figures[Figure::kCpu], 0.5) << "the rest is as it was sent";
}

TEST(Report, NamesAreThoseThatNodesHave) {
  for (const std::string& name : {std::string("press 7"), std::string("<b>"), std::string("a\nb"), std::string("ü"),
                                  std::string(64, 'a'), std::string()}) {
    EXPECT_FALSE(parse_report(report_json(report_of({node('a', name)})))) << name;
  }
  EXPECT_TRUE(parse_report(report_json(report_of({node('a', std::string(63, 'a'))}))));
  EXPECT_TRUE(parse_report(report_json(report_of({node('a', "Press_7.hall-3")}))));
}

TEST(Report, NoBytesDoHarm) {
  const std::string good = report_json(report_of({node('a', "a"), node('b', "b")}));
  Random random(5);
  for (int i = 0; i < 5'000; ++i) {
    std::string bytes = good;
    for (uint64_t n = 1 + random.below(4); n > 0; --n) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
    parse_report(bytes);
    parse_answer(bytes);
  }
}

TEST(Roster, AChildThatIsSilentIsStaleThenOffline) {
  Roster roster(id('s'), {});
  ASSERT_TRUE(roster.receive(report_of({node('a', "a")}), at(seconds(0)), {1'000'000'000}));
  for (const auto& [silence, state] :
       {std::pair{milliseconds(3000), State::kLive}, std::pair{milliseconds(3001), State::kStale},
        std::pair{milliseconds(4000), State::kStale}, std::pair{milliseconds(4001), State::kOffline}}) {
    roster.look(at(silence));
    EXPECT_EQ(state_of(roster, 'a'), state) << silence.count();
  }
  const uint64_t change = roster.change();
  roster.look(at(seconds(5)));
  EXPECT_EQ(roster.change(), change) << "nothing changed";
  ASSERT_TRUE(roster.receive(report_of({node('a', "a")}), at(seconds(60)), {1'060'000'000}));
  roster.look(at(seconds(60)));
  EXPECT_EQ(state_of(roster, 'a'), State::kLive);
  EXPECT_GT(roster.change(), change);
}

TEST(Roster, WhatIsDeeperIsKnownAsLongAsItsTellerIsLive) {
  Roster roster(id('s'), {});
  const auto told = [](State of_edge) {
    NodeReport edge = node('e', "edge");
    edge.parent = id('f');
    edge.state = of_edge;
    edge.age = seconds(1);
    return report_of({node('f', "fog"), edge});
  };
  ASSERT_TRUE(roster.receive(told(State::kLive), at(seconds(0)), {}));
  roster.look(at(seconds(1)));
  EXPECT_EQ(state_of(roster, 'e'), State::kLive);
  roster.look(at(seconds(6)));
  EXPECT_EQ(state_of(roster, 'f'), State::kOffline);
  EXPECT_EQ(state_of(roster, 'e'), State::kStale) << "nobody can say";
  ASSERT_TRUE(roster.receive(report_of({node('f', "fog")}), at(seconds(8)), {}));
  roster.look(at(seconds(8)));
  EXPECT_EQ(state_of(roster, 'e'), State::kLive) << "its teller is back";
  ASSERT_TRUE(roster.receive(told(State::kOffline), at(seconds(10)), {}));
  roster.look(at(seconds(10)));
  EXPECT_EQ(state_of(roster, 'e'), State::kOffline);
  EXPECT_EQ(roster.nodes().at(id('f')).report.parent, id('s'));
}

TEST(Roster, ANodeThatMovedIsBelowItsNewParent) {
  Roster roster(id('s'), {});
  NodeReport edge = node('e', "edge");
  edge.parent = id('f');
  edge.age = seconds(1);
  ASSERT_TRUE(roster.receive(report_of({node('f', "fog"), edge}), at(seconds(0)), {}));
  ASSERT_TRUE(roster.receive(report_of({node('e', "edge")}), at(seconds(5)), {}));
  edge.state = State::kOffline;
  edge.age = seconds(6);
  ASSERT_TRUE(roster.receive(report_of({node('f', "fog"), edge}), at(seconds(6)), {}));
  roster.look(at(seconds(6)));
  EXPECT_EQ(state_of(roster, 'e'), State::kLive) << "its own word is newer";
  EXPECT_EQ(roster.nodes().at(id('e')).report.parent, id('s'));
}

TEST(Roster, ANodeThatWasInstalledAnewReplacesItself) {
  Roster roster(id('s'), {});
  NodeReport deeper = node('d', "press");
  deeper.parent = id('x');
  ASSERT_TRUE(roster.receive(report_of({node('a', "press")}), at(seconds(0)), {}));
  ASSERT_TRUE(roster.receive(report_of({node('x', "other"), deeper}), at(seconds(0)), {}));
  ASSERT_TRUE(roster.receive(report_of({node('b', "press")}), at(seconds(1)), {}));
  roster.look(at(seconds(1)));
  EXPECT_TRUE(roster.nodes().contains(id('a'))) << "both are live: nobody knows which is meant";
  ASSERT_TRUE(roster.receive(report_of({node('b', "press")}), at(seconds(30)), {}));
  roster.look(at(seconds(30)));
  EXPECT_FALSE(roster.nodes().contains(id('a')));
  EXPECT_TRUE(roster.nodes().contains(id('b')));
  EXPECT_TRUE(roster.nodes().contains(id('d'))) << "of that name, below another node";
  EXPECT_EQ(roster.removals(), 1U);
}

TEST(Roster, IsBounded) {
  Roster roster(id('s'), {});
  Random random(3);
  const auto another = [&](size_t number) {
    NodeReport made = node('x', "n" + std::to_string(number));
    made.id = NodeId::draw(random);
    return report_of({made});
  };
  for (size_t i = 0; i < Roster::kNodesMax; ++i) ASSERT_TRUE(roster.receive(another(i), at(seconds(0)), {}));
  roster.look(at(seconds(0)));
  ASSERT_TRUE(roster.receive(another(5'000), at(seconds(0)), {}));
  EXPECT_EQ(roster.nodes().size(), Roster::kNodesMax);
  EXPECT_EQ(roster.left_out(), 1U) << "all are there";
  roster.look(at(seconds(30)));
  ASSERT_TRUE(roster.receive(another(5'001), at(seconds(30)), {}));
  EXPECT_EQ(roster.nodes().size(), Roster::kNodesMax);
  EXPECT_EQ(roster.left_out(), 1U) << "one that is offline made room";
  EXPECT_EQ(roster.removals(), 1U);
  roster.look(at(Roster::kForgotten + seconds(40)));
  EXPECT_THAT(roster.nodes(), IsEmpty());
}

TEST(Roster, TellsWhoWasExpectedAndNeverCame) {
  Roster roster(id('s'), {"a", "b"});
  EXPECT_EQ(roster.never_seen(), (std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(roster.receive(report_of({node('a', "a")}), at(seconds(0)), {}));
  EXPECT_EQ(roster.never_seen(), (std::vector<std::string>{"b"}));
  EXPECT_EQ(roster.receive(report_of({node('s', "self")}), at(seconds(0)), {}).error().code, "report.loop");
}

TEST(History, KeepsAnHourAndThinsItOut) {
  History history;
  Figures figures;
  for (size_t i = 0; i < History::kSamples + 500; ++i) {
    figures[Figure::kEventsPerSecond] = static_cast<double>(i);
    history.add(at(seconds(2 * static_cast<int64_t>(i))), {static_cast<int64_t>(i) * 2'000'000}, figures);
  }
  EXPECT_EQ(history.size(), History::kSamples);
  EXPECT_EQ(history.value(Figure::kEventsPerSecond, 0), History::kSamples + 499);
  EXPECT_EQ(history.value(Figure::kEventsPerSecond, History::kSamples - 1), 500);
  EXPECT_EQ(history.within(seconds(20)), 11U);
  EXPECT_EQ(history.json(std::array{Figure::kEventsPerSecond, Figure::kCpu}, seconds(10), 3),
            R"({"every_ms":4000,"times_ms":[4590000,4594000,4598000],"series":{"events_per_s":[2294.5,2296.5,2298.5],)"
            R"("cpu_cores":[null,null,null]}})");
}

TEST(History, IsWholeWhereTheClockWasSet) {
  constexpr int64_t kThen = 1'700'000'000'000'000;
  History history;
  Figures figures;
  for (int i = 0; i < 4; ++i)
    history.add(at(seconds(2 * i)), {2'000'000LL * i}, figures);  // a clock that was never set
  for (int i = 4; i < 6; ++i) history.add(at(seconds(2 * i)), {kThen + 2'000'000LL * i}, figures);
  EXPECT_EQ(history.within(seconds(10)), 6U);
  EXPECT_EQ(history.time(5).microseconds, kThen);
  history.add(at(seconds(12)), {2'000'000LL * 6}, figures);  // and was set back
  EXPECT_EQ(history.within(seconds(12)), 7U);
  EXPECT_EQ(history.time(6).microseconds, 0);
}

class Insights : public testing::Test {
 protected:
  std::vector<Insight> all() {
    return insights_of({.self = self,
                        .history = history,
                        .roster = roster,
                        .workers = workers,
                        .parent_away = parent_away,
                        .spool_full = spool_full,
                        .requests = requests,
                        .failures = failures,
                        .certificate_ends_s = certificate_ends,
                        .certificate_begins_s = certificate_begins,
                        .now_s = 1'000'000});
  }
  std::string ids() {
    std::string text;
    for (const Insight& each : all()) text.append(name_of(each.level)).append(" ").append(each.id).append("; ");
    return text;
  }

  NodeReport self = node('s', "self");
  History history;
  Roster roster{id('s'), {}};
  std::vector<WorkerCalls> workers;
  std::string parent_away;
  bool spool_full = false;
  uint64_t requests = 0, failures = 0;
  int64_t certificate_ends = 0;
  int64_t certificate_begins = 0;
};

TEST_F(Insights, AreNoneWhereAllIsWell) {
  self.figures[Figure::kRequestP99] = 100;
  self.figures[Figure::kCacheHitRatio] = 0.9;
  EXPECT_EQ(ids(), "");
}

TEST_F(Insights, NameWhatIsBeyondItsThreshold) {
  self.figures[Figure::kRequestP99] = 100.5;
  self.figures[Figure::kCacheHitRatio] = 0.89;
  certificate_ends = 1'000'000 + 13 * 86'400;
  ASSERT_TRUE(roster.receive(report_of({node('a', "press-7")}), at(seconds(0)), {}));
  NodeReport child = node('b', "press-8");
  child.figures[Figure::kRequestP99] = 250;
  ASSERT_TRUE(roster.receive(report_of({child}), at(seconds(9)), {1'000'000'000 + 3'000'000}));
  roster.look(at(seconds(9)));
  EXPECT_EQ(ids(),
            "warning nodes-offline; warning certificate; warning clock-skew; medium request-p99; medium request-p99; "
            "info hit-ratio; ");
  EXPECT_THAT(all().front().message, HasSubstr("press-7"));
  EXPECT_THAT(insights_json(all()), HasSubstr("3.0 s behind"));
}

TEST_F(Insights, NameACertificateThatHasNotBegun) {
  certificate_ends = 1'000'000 + 100 * 86'400;
  certificate_begins = 1'000'000;
  EXPECT_EQ(ids(), "");
  certificate_begins = 1'000'000 + 7'000;
  EXPECT_EQ(ids(), "warning certificate; ");
  EXPECT_THAT(all().front().message, HasSubstr("begins in 2 hours"));
}

TEST_F(Insights, SayWhereEventsGetNoFurther) {
  parent_away = "http://fog:1884";
  spool_full = true;
  self.figures[Figure::kDeadLetters] = 2;
  EXPECT_EQ(ids(), "warning parent-away; warning spool-full; medium dead-letters; ");
  EXPECT_THAT(all().front().message, HasSubstr("does not reach its parent http://fog:1884"));
}

TEST_F(Insights, SeeADiskThatHasLittleLeft) {
  self.figures[Figure::kDiskFreeBytes] = 0;
  EXPECT_EQ(ids(), "warning disk-low; ");
}

TEST_F(Insights, NameRequestsThatFail) {
  requests = 1000;
  failures = 9;
  EXPECT_EQ(ids(), "");
  requests = failures = 2;
  EXPECT_EQ(ids(), "") << "two say little";
  requests = failures = 3;
  EXPECT_EQ(ids(), "warning request-failures; ");
  EXPECT_THAT(all().front().message, HasSubstr("3 of the last 3 requests at self"));
}

TEST_F(Insights, NameWorkersThatFail) {
  workers = {{.name = "once", .calls = 2, .errors = 2}, {.name = "seldom", .calls = 1000, .errors = 9}};
  EXPECT_EQ(ids(), "");
  workers.push_back({.name = "shop", .calls = 50, .errors = 30});
  EXPECT_EQ(ids(), "warning worker-errors; ");
  EXPECT_THAT(all().front().message, HasSubstr("worker shop failed in 30 of its last 50 calls at self (60 %)"));
  EXPECT_THAT(all().front().recommendation, HasSubstr("verge worker tail shop"));
}

TEST_F(Insights, SeeABacklogThatGrows) {
  Figures figures;
  for (int i = 0; i < 160; ++i) {
    figures[Figure::kWaitingRecords] = 10.0 * i;
    history.add(at(seconds(2 * i)), {i * 2'000'000LL}, figures);
  }
  EXPECT_EQ(ids(), "medium backlog; ");
  for (int i = 160; i < 320; ++i) history.add(at(seconds(2 * i)), {i * 2'000'000LL}, figures);
  EXPECT_EQ(ids(), "") << "it stands still";
}

TEST_F(Insights, SeeADiskThatFills) {
  Figures figures;
  const double gib = 1U << 30;
  for (int i = 0; i < 900; ++i) {
    figures[Figure::kDiskFreeBytes] = (10 - 6.0 * i / 1800) * gib;  // 6 GiB an hour
    history.add(at(seconds(2 * i)), {i * 2'000'000LL}, figures);
  }
  EXPECT_NEAR(value_of(hours_until_full(history)), 7.0 / 6, 0.02);
  EXPECT_EQ(ids(), "warning disk-full; ");
}

TEST(Goals, SayWhatIsMetAndWhatIsNotKnown) {
  Measured measured;
  measured.request_p50_ms = 3.5;
  measured.edge_hit_ratio = 0.5;
  measured.request_cost_us = 12;
  const std::string json = goals_json(measured);
  EXPECT_THAT(json, HasSubstr(R"("id":"request-p50","name":"Half of all requests answered within","unit":"ms",)"
                              R"("goal":20,"is":"below","measured":3.5,"met":true)"));
  EXPECT_THAT(json, HasSubstr(R"("goal":0.95,"is":"above","measured":0.5,"met":false)"));
  EXPECT_THAT(json, HasSubstr(R"("goal":0.999,"is":"above","measured":null,"met":null)"));
  EXPECT_THAT(json, HasSubstr(R"("goal":null,"is":null,"measured":12,"met":null)"));
}

}  // namespace
}  // namespace verge::overview
