#include "cli/top_screen.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/terminal_text.h"

namespace verge::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Bodies {
  std::string now =
      R"({"figures":{"events_per_s":2500,"decision_p99_us":88.5,"waiting_records":3,"cpu_cores":0.13,"line_bytes_per_s":1048576,)"
      R"("compression_level":3,"edge_hit_ratio":0.975,"received_bytes_per_s":20480,"resident_bytes":31457280},"queues":[)"
      R"({"priority":"critical","records":2,"bytes":2048,"oldest_ms":1500,"dropped":0},)"
      R"({"priority":"high","records":0,"bytes":0,"oldest_ms":0,"dropped":0},)"
      R"({"priority":"normal","records":1,"bytes":100,"oldest_ms":40,"dropped":7},)"
      R"({"priority":"low","records":0,"bytes":0,"oldest_ms":0,"dropped":0}],"has_parent":true,"has_sites":true})";
  std::string tree =
      R"({"self":{"id":"s","name":"fog","tier":"fog","version":"1.0","state":"live","uptime_s":90,"site":"","figures":{}},)"
      R"("parent":{"url":"http://up","state":"offline"},"nodes":[)"
      R"({"id":"b","parent":"a","name":"deep","tier":"device","version":"1.0","state":"live","site":"Halle","round_trip_ms":0.5,"figures":{"events_per_s":3}},)"
      R"({"id":"a","parent":"s","name":"edge\u001b[2J","tier":"edge","version":"1.0","state":"live","site":"","round_trip_ms":null,"figures":{}},)"
      R"({"id":"z","parent":"a","name":"zinc","tier":"device","version":"1.0","state":"offline","site":"Halle","round_trip_ms":null,"figures":{}}],)"
      R"("never_seen":["ghost"],"regions":[{"site":"","nodes":2,"live":2,"round_trip_ms":null},)"
      R"({"site":"Halle","nodes":2,"live":1,"round_trip_ms":0.5}],"left_out":0})";
  std::string insights =
      R"({"insights":[{"level":"warning","message":"1 node is offline: zinc","recommendation":"look whether the machine has power"}]})";
  std::string goals =
      R"({"goals":[{"id":"request-p99","name":"99 of 100 requests answered within","unit":"ms","goal":100,"is":"below","measured":20,"met":true,"over":"the last minute"},)"
      R"({"id":"edge-hits","name":"Requests answered here","unit":"ratio","goal":0.85,"is":"above","measured":0.5,"met":false,"over":"the last minute"},)"
      R"({"id":"cost","name":"CPU time for a request","unit":"us","goal":null,"is":null,"measured":null,"met":null,"over":"since the start"}]})";
  std::string requests =
      R"({"urls":[{"key":"http://shop.test/a","share":0.25}],"tags":[{"key":"product-17","share":0.125}]})";
  std::string workers =
      R"({"workers":[{"name":"thumbs","calls":4,"errors":1,"limited":0,"cpu_s":0.004,"memory_bytes":1048576,"p50_us":900,"p99_us":2000}]})";
};

std::expected<std::unique_ptr<TopAnswers>, std::string> read(const Bodies& bodies, int status = 200) {
  TopAnswers::Asked asked;
  const std::string* const all[] = {&bodies.now,   &bodies.tree,     &bodies.insights,
                                    &bodies.goals, &bodies.requests, &bodies.workers};
  for (size_t i = 0; i < TopAnswers::kParts; ++i) asked[i] = AdminAnswer{.status = status, .body = *all[i], .next = {}};
  return TopAnswers::read(asked);
}

std::string screen_of(const Bodies& bodies, const TopLook& look, std::string_view loss = {}, double age_s = 0) {
  const auto answers = read(bodies);
  return answers ? top_screen(**answers, look, loss, age_s) : answers.error();
}

std::vector<std::string> lines_of(const std::string& screen) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < screen.size();) {
    const size_t end = screen.find('\n', begin);
    lines.push_back(screen.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// So many live nodes below the root, and those of `tree`.
Bodies with_nodes(size_t live, std::string_view name = "edge-", size_t offline = 1) {
  Bodies bodies;
  bodies.tree =
      R"({"self":{"id":"s","name":"cloud","tier":"cloud","version":"0.1.0","state":"live","uptime_s":90,"site":"","figures":{}},"parent":null,"nodes":[)";
  for (size_t i = 0; i < live; ++i) {
    bodies.tree += fmt::format(
        R"({{"id":"l{0}","parent":"s","name":"{1}{0:03}","tier":"edge","version":"0.1.0","state":"live","site":"Halle","round_trip_ms":1.5,"figures":{{"events_per_s":1200,"decision_p99_us":90,"waiting_records":12,"cache_hit_ratio":0.91}}}},)",
        i, name);
  }
  for (size_t i = 0; i <= offline; ++i) {
    bodies.tree += fmt::format(
        R"({}{{"id":"z{}","parent":"l0","name":"z-{}","tier":"edge","version":"0.1.0","state":"{}","site":"Halle","round_trip_ms":null,"figures":{{}}}})",
        i == 0 ? "" : ",", i, i, i == 0 ? "stale" : "offline");
  }
  bodies.tree += R"(],"never_seen":["ghost"],"regions":[],"left_out":0})";
  return bodies;
}

TEST(TopScreen, ShowsFiguresInsightsAndTheTree) {
  const std::string screen = screen_of({}, {.columns = 120, .lines = 0});
  EXPECT_THAT(screen, HasSubstr("fog  fog  parent http://up offline  up 1 min  version 1.0\n"));
  EXPECT_THAT(screen, HasSubstr("2500/s in"));
  EXPECT_THAT(screen, HasSubstr("   88 us p99"));
  EXPECT_THAT(screen, HasSubstr("20.0 KiB/s in"));
  EXPECT_THAT(screen, HasSubstr(" 3 waiting")) << "records are counted in whole ones";
  EXPECT_THAT(screen, HasSubstr("97.5 % edge hits"));
  EXPECT_THAT(screen, HasSubstr("30.0 MiB memory"));
  EXPECT_THAT(screen, HasSubstr("warning   1 node is offline: zinc\n          look whether the machine has power\n"));
  EXPECT_LT(screen.find("\n  edge"), screen.find("\n    deep")) << "children below their parents";
  EXPECT_EQ(screen.find('\033'), std::string::npos) << "nothing that a terminal would obey";
}

TEST(TopScreen, ShowsWhatTheDashboardDoes) {
  const std::string screen = screen_of({}, {.columns = 120, .lines = 60});
  EXPECT_THAT(screen, testing::ContainsRegex("critical +2 +1\\.5 s +2\\.0 KiB +0\n"));
  EXPECT_THAT(screen, testing::ContainsRegex("high +0 +- "));
  EXPECT_THAT(screen, testing::ContainsRegex("normal +1 +40\\.0 ms +100 B +7\n"));
  EXPECT_THAT(screen, HasSubstr("line to the parent 1.0 MiB/s, compression level 3"));
  EXPECT_THAT(screen, testing::ContainsRegex("Requests answered here +> 85\\.0 % +50\\.0 % no +the last minute"));
  EXPECT_THAT(screen, testing::ContainsRegex("99 of 100 requests answered within +< 100\\.0 ms +20\\.0 ms yes"));
  EXPECT_LT(screen.find("Requests answered here"), screen.find("99 of 100")) << "what is missed comes first";
  EXPECT_THAT(screen, testing::ContainsRegex("Halle +2 +1 +500 us\n"));
  EXPECT_THAT(screen, HasSubstr("no site named"));
  EXPECT_THAT(screen, testing::ContainsRegex("thumbs +4 +1 +0 +1\\.0 ms +1\\.0 MiB +900 us +2\\.0 ms"));
  EXPECT_THAT(screen, HasSubstr("  25.0 %  http://shop.test/a\n"));
  EXPECT_THAT(screen, HasSubstr("  12.5 %  product-17\n"));
}

TEST(TopScreen, AtTheUsualSizeShowsTheEssential) {
  Bodies bodies = with_nodes(2);
  bodies.insights =
      R"({"insights":[{"level":"warning","message":"1 node is offline: z-1","recommendation":"r"},{"level":"medium","message":"m","recommendation":"r"}]})";
  const std::string screen = screen_of(bodies, {.columns = 80, .lines = 24});
  const std::vector<std::string> lines = lines_of(screen);
  EXPECT_LE(lines.size(), 24U);
  EXPECT_THAT(screen, Not(HasSubstr("…"))) << "nothing of it is cut";
  for (const std::string_view essential :
       {"2500/s in", "3 waiting", "1 node is offline", "z-1", "edge-001", "critical", "line to the parent 1.0 MiB/s"}) {
    EXPECT_THAT(screen, HasSubstr(essential));
  }
  const auto head = std::ranges::find_if(lines, [](const std::string& line) { return line.starts_with("NODE"); });
  ASSERT_NE(head, lines.end());
  for (const std::string_view column : {"STATE", "TIER", "RTT", "EVENTS", "DECIDED", "WAITING"}) {
    EXPECT_THAT(*head, HasSubstr(column));
  }
  EXPECT_THAT(*head, Not(HasSubstr("VERSION")));
  EXPECT_THAT(screen_of(bodies, {.columns = 160, .lines = 24}), HasSubstr("VERSION"));
}

TEST(TopScreen, LeavesSectionsOutFromTheLastOneUp) {
  const std::vector<std::string_view> order = {
      "events", "1 node is offline", "NODE", "QUEUE", "GOAL", "REGION", "WORKER", "URLS", "product-17"};
  for (size_t lines = 1; lines < 60; ++lines) {
    const std::string screen = screen_of({}, {.columns = 120, .lines = lines});
    EXPECT_LE(lines_of(screen).size(), lines);
    size_t shown = 0;
    while (shown < order.size() && screen.contains(order[shown])) ++shown;
    for (size_t i = shown; i < order.size(); ++i) EXPECT_THAT(screen, Not(HasSubstr(order[i]))) << lines;
    if (lines == 59) EXPECT_EQ(shown, order.size());
  }
}

TEST(TopScreen, ShowsFirstWhoIsNotLive) {
  const std::string few = screen_of({}, {.columns = 120, .lines = 0});
  EXPECT_LT(few.find("\n  zinc"), few.find("\n  edge"));
  EXPECT_LT(few.find("\n  ghost"), few.find("\n  edge"));
  const std::string many = screen_of(with_nodes(300), {.columns = 80, .lines = 24});
  EXPECT_LT(many.find("\n  z-1"), many.find("\n  ghost")) << "what is offline is graver";
  EXPECT_LT(many.find("\n  ghost"), many.find("\n  z-0"));
  EXPECT_LT(many.find("\n  z-0"), many.find("\n  edge-000"));
  EXPECT_THAT(many, HasSubstr("\n  and 298 more, all of them live\n"));
  const std::string grave = screen_of(with_nodes(300, "edge-", 20), {.columns = 80, .lines = 24});
  EXPECT_THAT(grave, testing::ContainsRegex("\n  and 317 more, 17 of them not live\n"));
  EXPECT_THAT(screen_of(with_nodes(300), {.columns = 80, .lines = 0}), HasSubstr("edge-299"));
}

TEST(TopScreen, SaysHowManyReportsHadNoRoom) {
  Bodies bodies = with_nodes(2);
  bodies.tree.replace(bodies.tree.find(R"("left_out":0)"), 12, R"("left_out":5)");
  EXPECT_THAT(screen_of(bodies, {.columns = 80, .lines = 40}), HasSubstr("no room for 5 reports"));
}

TEST(TopScreen, ShowsNodesWhoseParentsAreACircle) {
  Bodies circle;
  circle.tree = R"({"self":{"id":"s","name":"fog","tier":"fog","figures":{}},"parent":null,"never_seen":[],"nodes":[)"
                R"({"id":"a","parent":"b","name":"first","tier":"edge","state":"live","figures":{}},)"
                R"({"id":"b","parent":"a","name":"second","tier":"edge","state":"live","figures":{}},)"
                R"({"id":"c","parent":"b","name":"third","tier":"edge","state":"live","figures":{}}]})";
  const std::string screen = screen_of(circle, {.columns = 120, .lines = 0});
  for (const std::string name : {"\n  first", "\n    second", "\n      third"}) {
    const size_t at = screen.find(name);
    ASSERT_NE(at, std::string::npos) << name << screen;
    EXPECT_EQ(screen.find(name, at + 1), std::string::npos) << "once";
  }
}

TEST(TopScreen, FitsTheTerminal) {
  for (const std::string_view name : {"edge-", "東京の工場-", "a name that is longer than most of them are-"}) {
    for (size_t columns = 1; columns < 160; columns += 3) {
      for (const size_t rows : {1U, 2U, 9U, 24U, 60U}) {
        const std::vector<std::string> lines =
            lines_of(screen_of(with_nodes(9, name), {.columns = columns, .lines = rows}));
        EXPECT_LE(lines.size(), rows);
        for (const std::string& line : lines) EXPECT_LE(columns_of(line), columns) << line;
      }
    }
  }
  EXPECT_EQ(lines_of(screen_of({}, {.columns = 120, .lines = 1})).size(), 1U);
  EXPECT_THAT(screen_of({}, {.columns = 120, .lines = 0, .colours = true}), HasSubstr("\033[31mwarning"));
}

TEST(TopScreen, LinesUpNamesOfEastAsia) {
  const std::vector<std::string> lines = lines_of(screen_of(with_nodes(1, "東京"), {.columns = 120, .lines = 0}));
  const auto column_of = [&](std::string_view begin, std::string_view word) {
    const auto line = std::ranges::find_if(lines, [&](const std::string& each) { return each.starts_with(begin); });
    return line == lines.end() ? 0 : columns_of(std::string_view(*line).substr(0, line->find(word)));
  };
  EXPECT_EQ(column_of("  東京", "live"), column_of("NODE", "STATE"));
}

TEST(TopScreen, KeepsWhatWasKnownAndSaysThatItIsOld) {
  const std::string loss = "the node does not answer, and that in words which are far longer than the window is wide";
  const std::string screen = screen_of({}, {.columns = 60, .lines = 24, .colours = true}, loss, 75);
  const std::vector<std::string> lines = lines_of(screen);
  EXPECT_THAT(lines[0], HasSubstr("OLD: of 1 min ago"));
  EXPECT_THAT(screen, HasSubstr("wide")) << "it goes on in the next line";
  EXPECT_THAT(screen, HasSubstr("\033[2mevents"));
  EXPECT_THAT(screen, HasSubstr("2500/s in"));
  constexpr size_t kColourBytes = 9;
  for (const std::string& line : lines) EXPECT_LE(columns_of(line), 60 + kColourBytes) << line;
  const std::string nothing = top_without_answers("127.0.0.1:9180", {.columns = 30, .lines = 3}, loss);
  EXPECT_THAT(nothing, HasSubstr("nothing is known of the node"));
  EXPECT_LE(lines_of(nothing).size(), 3U);
  for (const std::string& line : lines_of(nothing)) EXPECT_LE(columns_of(line), 30U) << line;
}

TEST(TopAnswers, AreThereAsAWholeOrNotAtAll) {
  EXPECT_TRUE(read({}).has_value());
  for (std::string Bodies::* part :
       {&Bodies::now, &Bodies::tree, &Bodies::insights, &Bodies::goals, &Bodies::requests, &Bodies::workers}) {
    for (const std::string_view other : {"<html></html>", "{}", "[]", "{", "7", ""}) {
      Bodies bodies;
      bodies.*part = other;
      const auto answers = read(bodies);
      ASSERT_FALSE(answers.has_value()) << other;
      EXPECT_THAT(answers.error(), HasSubstr("no admin listener of a node"));
    }
  }
}

TEST(TopAnswers, AreOneObject) {
  const std::string json = (*read({}))->json();
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  ASSERT_EQ(parser.parse(json).get(object), simdjson::SUCCESS) << json;
  std::vector<std::string> names;
  for (const auto& [name, value] : object) names.emplace_back(name);
  EXPECT_THAT(names, testing::ElementsAre("now", "tree", "insights", "goals", "requests", "workers"));
}

TEST(TopAnswers, SayWhatTheNodeRefusedWith) {
  Bodies bodies;
  bodies.now = R"({"error":{"code":"admin.host","what":"box is a name","fix":"ask 127.0.0.1\u001b[2J"}})";
  const auto answers = read(bodies, 403);
  ASSERT_FALSE(answers.has_value());
  EXPECT_EQ(answers.error(), "box is a name; ask 127.0.0.1\\u{1b}[2J [admin.host]");
}

}  // namespace
}  // namespace verge::cli
