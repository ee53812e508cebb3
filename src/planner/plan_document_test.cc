#include "planner/plan_document.h"

#include <gtest/gtest.h>

#include "planner/csv.h"
#include "planner/drawing.h"
#include "planner/json_text.h"
#include "planner/plan_latencies.h"

namespace verge::planner {
namespace {

Result<PlanDocument> plan_of(std::string_view csv) {
  const Result<std::vector<Record>> records = parse_csv_records(csv, "p.csv", "");
  if (!records) return std::unexpected(records.error());
  return read_plan(*records);
}

constexpr std::string_view kHeader = "kind,name,lat,lon,place,zone,cpu,weight,data,users,from,to,ms,load\n";

TEST(PlanDocument, OfCsv) {
  const auto plan = plan_of(std::string(kHeader) +
                            "node,n1,50,8,,z,4,,,,,,,0.5\nnode,n2,,,Berlin,,,,,,,,,\nuser,u,49,9,,,,7,,,,,,\n"
                            "workload,w,,,,,2,,n1;n2,u,,,,\nmeasured,,,,,,,,,,u,n1,20,\n");
  ASSERT_TRUE(plan) << plan.error().line();
  EXPECT_EQ(plan->nodes.size(), 2U);
  EXPECT_EQ(plan->nodes[1].zone, "n2");
  EXPECT_NEAR(plan->nodes[1].at.latitude, 52.5, 0.1);
  EXPECT_EQ(plan->workloads[0].data, (std::vector<std::string>{"n1", "n2"}));
  EXPECT_EQ(plan->users[0].weight, 7);
  const PlanLatencies latencies(*plan);
  EXPECT_EQ(latencies.between_user_and_node(0, 0).milliseconds, 20);
  EXPECT_TRUE(latencies.between_user_and_node(0, 0).is_measured);
  EXPECT_FALSE(latencies.between_user_and_node(0, 1).is_measured);
}

TEST(PlanDocument, WhatIsWrongIsNamedWithItsLineAndAFix) {
  struct Case {
    const char* row;
    const char* code;
  };
  for (const Case& bad :
       {Case{"node,x,91,8,,,,,,,,,,", "plan.coordinates"}, Case{"node,x,50,-181,,,,,,,,,,", "plan.coordinates"},
        Case{"node,x,nan,8,,,,,,,,,,", "plan.coordinates"}, Case{"node,x,,,Atlantis,,,,,,,,,", "plan.coordinates"},
        Case{"node,x,50,8,,,-4,,,,,,,", "plan.value"}, Case{"node,x,50,8,,,many,,,,,,,", "plan.value"},
        Case{"node,ok,50,8,,,,,,,,,,", "plan.name-twice"}, Case{"node,,50,8,,,,,,,,,,", "plan.missing"},
        Case{"planet,x,50,8,,,,,,,,,,", "plan.kind"}, Case{"user,x,50,8,,,3,,,,,,,", "plan.unknown-key"},
        Case{"workload,w,,,,,,,okk,,,,,", "plan.unknown-node"},
        Case{"workload,w,,,,,,,,nobody,,,,", "plan.unknown-user"}, Case{"measured,,,,,,,,,,ok,u,1,", "plan.impossible"},
        Case{"measured,,,,,,,,,,ok,zz,100,", "plan.unknown-node"}, Case{"node,x,50,,,,,,,,,,,", "plan.coordinates"},
        Case{"user,London,,9,,,,,,,,,,", "plan.coordinates"}}) {
    const auto plan =
        plan_of(std::string(kHeader) + "node,ok,50,8,,,,,,,,,,\nuser,u,10,9,,,,,,,,,,\n" + bad.row + "\n");
    ASSERT_FALSE(plan) << bad.row;
    EXPECT_EQ(plan.error().code, bad.code) << bad.row;
    EXPECT_TRUE(plan.error().what.starts_with("p.csv:4:")) << plan.error().what;
    EXPECT_FALSE(plan.error().fix.empty()) << bad.row;
  }
}

TEST(PlanDocument, OfGeoJson) {
  const std::string text =
      "{\"type\":\"FeatureCollection\",\"features\":[\n{\"type\":\"Feature\",\"properties\":{\"kind\":\"node\","
      "\"name\":\"a\",\"cpu\":3},"
      "\"geometry\":{\"type\":\"Point\",\"coordinates\":[8,50]}},\n{\"type\":\"Feature\",\"geometry\":{\"type\":"
      "\"Point\","
      "\"coordinates\":[9,95]},\"properties\":{\"kind\":\"node\",\"name\":\"b\"}}]}";
  const auto records = parse_geojson_records(text, "g.json", "");
  ASSERT_TRUE(records) << records.error().line();
  ASSERT_EQ(records->size(), 2U);
  EXPECT_EQ((*records)[0].line, 2U);
  const auto plan = read_plan(*records);
  ASSERT_FALSE(plan);
  EXPECT_TRUE(plan.error().what.starts_with("g.json:3:")) << plan.error().what;
  for (const char* bad :
       {"", "[]", "{", "{\"features\":3}", "{\"features\":[3]}",
        "{\"features\":[{\"geometry\":{\"coordinates\":[1]}}]}",
        "{\"features\":[{\"geometry\":{\"coordinates\":[\"x\",1]}}]}", "{\"features\":[{\"geometry\":3}]}",
        "{\"features\":[{\"properties\":{\"users\":[3]}}]}", "{\"features\":[{\"properties\":{\"users\":{}}}]}"}) {
    EXPECT_FALSE(parse_geojson_records(bad, "g", "node")) << bad;
  }
}

TEST(PlanDocument, AnyFormatSaysAllThatAPlanHolds) {
  // RFC 7946: a feature without a place has the geometry null; lists are arrays.
  const auto records = parse_geojson_records(
      "{\"features\":[{\"geometry\":{\"type\":\"Point\",\"coordinates\":[8,50]},\"properties\":{\"kind\":\"node\","
      "\"name\":\"n\"}},\n{\"geometry\":{\"type\":\"Point\",\"coordinates\":[9,50]},\"properties\":{\"kind\":\"user\","
      "\"name\":\"u\"}},\n{\"geometry\":null,\"properties\":{\"kind\":\"workload\",\"name\":\"w\",\"users\":[\"u\"],"
      "\"data\":[\"n\"],\"spread_over_zones\":true}}]}",
      "g.json", "");
  ASSERT_TRUE(records) << records.error().line();
  const auto plan = read_plan(*records);
  ASSERT_TRUE(plan) << plan.error().line();
  EXPECT_EQ(plan->workloads[0].users, (std::vector<std::string>{"u"}));
  EXPECT_EQ(plan->workloads[0].data, (std::vector<std::string>{"n"}));
  EXPECT_TRUE(plan->workloads[0].spread_over_zones);
  // In CSV a name is a name, whatever it looks like.
  const auto named = plan_of("kind,name,lat,lon\nnode,true,50,8\nnode,a;b,50,9\nnode,12,50,10\n");
  ASSERT_TRUE(named) << named.error().line();
  EXPECT_EQ(named->nodes[0].name, "true");
  EXPECT_EQ(named->nodes[1].name, "a;b");
  EXPECT_EQ(named->nodes[2].name, "12");
  const auto twice = plan_of("kind,name,lat,lon,lat\nnode,a,50,8,51\n");
  ASSERT_FALSE(twice);
  EXPECT_TRUE(twice.error().what.starts_with("p.csv:1: two columns")) << twice.error().what;
}

TEST(PlanDocument, WhatIsMissingIsNamedWithTheFiles) {
  PlanDocument plan;
  EXPECT_EQ(plan.missing("node to select", "f").what, "no plan was given, and there is no node to select");
  plan.source = "a.toml";
  EXPECT_EQ(plan.missing("node to select", "f").what, "a.toml: there is no node to select in it");
}

TEST(Csv, QuotesAndLines) {
  const auto rows = parse_csv("\xef\xbb\xbf# note\na, \"b, \"\"c\"\"\n d\" ,e\r\n\n1,2", "x");
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[0].cells, (std::vector<std::string>{"a", "b, \"c\"\n d", "e"}));
  EXPECT_EQ((*rows)[1].line, 5U);
  EXPECT_FALSE(parse_csv("a,\"b", "x"));
}

TEST(JsonText, WhatIsNotFiniteIsNull) {
  JsonText json;
  json.open('{')
      .member("a", 1.5)
      .member("b", std::nan(""))
      .member("c", 1 / 0.0)
      .key("d")
      .open('[')
      .value(1)
      .value("x\"")
      .close(']')
      .close('}');
  EXPECT_EQ(json.text(), "{\"a\":1.5,\"b\":null,\"c\":null,\"d\":[1,\"x\\\"\"]}");
}

TEST(Drawing, LabelsAreEscaped) {
  const std::string svg = draw_map("<a & b>", {{{0, 0}, "\"x\"<"}}, {{{0, 0}, {1, 1}}});
  EXPECT_NE(svg.find("&lt;a &amp; b&gt;"), std::string::npos);
  EXPECT_EQ(svg.find("\"x\"<"), std::string::npos);
  EXPECT_TRUE(draw_bars("t", "ms", {{"infinite", 1 / 0.0}, {"one", 1}}).ends_with("</svg>\n"));
}

}  // namespace
}  // namespace verge::planner
