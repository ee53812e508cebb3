#include "cli/top_screen.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::cli {
namespace {

using testing::HasSubstr;

TopAnswers answers() {
  return {
      .now = R"({"figures":{"events_per_s":2500,"decision_p99_us":88.5,"waiting_records":null,"cpu_cores":0.13,)"
             R"("edge_hit_ratio":0.975,"received_bytes_per_s":20480,"resident_bytes":31457280}})",
      .tree =
          R"({"self":{"id":"s","name":"fog","tier":"fog","version":"1.0","uptime_s":90,"site":"","figures":{}},)"
          R"("parent":{"url":"http://up","state":"offline"},"nodes":[)"
          R"({"id":"b","parent":"a","name":"deep","tier":"device","state":"live","site":"Halle","round_trip_ms":0.5,"figures":{"events_per_s":3}},)"
          R"({"id":"a","parent":"s","name":"edge\u001b[2J","tier":"edge","state":"stale","site":"","round_trip_ms":null,"figures":{}}],)"
          R"("never_seen":["ghost"]})",
      .insights = R"({"insights":[{"level":"warning","message":"1 node is offline: x"}]})"};
}

TEST(TopScreen, ShowsFiguresInsightsAndTheTree) {
  const std::string screen = top_screen(answers(), {.columns = 120, .lines = 0});
  EXPECT_THAT(screen, HasSubstr("fog  fog  version 1.0  up 90s  parent http://up offline"));
  EXPECT_THAT(screen, HasSubstr("2500/s in"));
  EXPECT_THAT(screen, HasSubstr("p99    88 us"));
  EXPECT_THAT(screen, HasSubstr("20.0 KiB/s"));
  EXPECT_THAT(screen, HasSubstr("edge 97.5 %"));
  EXPECT_THAT(screen, HasSubstr("30.0 MiB memory"));
  EXPECT_THAT(screen, HasSubstr("warning  1 node is offline: x"));
  EXPECT_LT(screen.find("\n  edge"), screen.find("\n    deep")) << "children below their parents";
  EXPECT_THAT(screen, HasSubstr("ghost"));
  EXPECT_EQ(screen.find('\033'), std::string::npos) << "nothing that a terminal would obey";
}

TEST(TopScreen, ShowsNodesWhoseParentsAreACircle) {
  TopAnswers circle = answers();
  circle.tree = R"({"self":{"id":"s","name":"fog","tier":"fog","figures":{}},"parent":null,"never_seen":[],"nodes":[)"
                R"({"id":"a","parent":"b","name":"first","tier":"edge","state":"live","figures":{}},)"
                R"({"id":"b","parent":"a","name":"second","tier":"edge","state":"live","figures":{}},)"
                R"({"id":"c","parent":"b","name":"third","tier":"edge","state":"live","figures":{}}]})";
  const std::string screen = top_screen(circle, {.columns = 120, .lines = 0});
  for (const std::string name : {"\n  first", "\n    second", "\n      third"}) {
    const size_t at = screen.find(name);
    ASSERT_NE(at, std::string::npos) << name << screen;
    EXPECT_EQ(screen.find(name, at + 1), std::string::npos) << "once";
  }
}

TEST(TopScreen, FitsTheTerminal) {
  const std::string screen = top_screen(answers(), {.columns = 40, .lines = 9});
  EXPECT_EQ(std::ranges::count(screen, '\n'), 9);
  for (size_t begin = 0; begin < screen.size(); begin = screen.find('\n', begin) + 1) {
    EXPECT_LE(screen.find('\n', begin) - begin, 40U);
  }
  EXPECT_THAT(top_screen(answers(), {.columns = 120, .lines = 0, .colours = true}), HasSubstr("\033[31mwarning"));
}

TEST(TopScreen, IsEmptyWhereAnAnswerIsNone) {
  EXPECT_EQ(top_screen({.now = "{", .tree = "{}", .insights = "{}"}, {}), "");
  EXPECT_EQ(top_screen({.now = "{}", .tree = "{}", .insights = "{}"}, {}), "");
}

}  // namespace
}  // namespace verge::cli
