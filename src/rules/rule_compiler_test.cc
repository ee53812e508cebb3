// What the compiler refuses, where, and what it suggests.
#include "rules/rule_compiler.h"

#include <gtest/gtest.h>

#include "rules/statement_parser.h"

namespace verge::rules {
namespace {

RuleProblem problem_of(std::string sql, std::vector<ActionSource> actions = {DropSource{}}) {
  const auto rule = compile_rule({.name = "r", .sql = std::move(sql), .actions = std::move(actions)}, {});
  return rule ? RuleProblem{} : rule.error();
}

struct Refusal {
  std::string sql;
  std::string code;
  std::string at;   // the text that the offset must point to; empty: the end
  std::string fix;  // what the fix must contain
};

TEST(RuleCompiler, AnAnswerDoesNotWait) {
  const std::vector<ActionSource> answer = {AnswerSource{}};
  EXPECT_EQ(problem_of("SELECT a FROM 'x'", answer).error.code, "");
  EXPECT_EQ(problem_of("SELECT lag(a) FROM 'x'", answer).error.code, "rule.actions");
  EXPECT_EQ(problem_of("SELECT count(*) FROM 'x' GROUP BY TUMBLING(1 s)", answer).error.code, "rule.actions");
}

TEST(RuleCompiler, ChecksWhereADecisionGoes) {
  const auto problem = [](AskSource ask) { return problem_of("SELECT a FROM 'x'", {std::move(ask)}); };
  EXPECT_EQ(problem({.question = "q", .topic = "t/${a}", .otherwise = "${a}"}).error.code, "");
  EXPECT_EQ(problem({.question = "q", .topic = "t/#", .otherwise = {}}).part, RuleProblem::Part::kTopic);
  EXPECT_EQ(problem({.question = "q", .topic = "t", .otherwise = "${"}).part, RuleProblem::Part::kPayload);
  EXPECT_EQ(problem({.question = "q", .topic = "t", .otherwise = {}, .qos = 2}).error.code, "rule.actions");
}

TEST(RuleCompiler, ChecksInsights) {
  const auto problem = [](std::string sql, std::string of) {
    return problem_of(std::move(sql), {InsightSource{.type = "t", .of = std::move(of)}}).error.code;
  };
  EXPECT_EQ(problem("SELECT a FROM 'x'", "a"), "");
  EXPECT_EQ(problem("SELECT * FROM 'x'", "a.b * 2"), "");
  EXPECT_EQ(problem("SELECT a FROM 'x'", "a b"), "rule.actions");
  EXPECT_EQ(problem("SELECT a FROM 'x'", "a, b"), "rule.actions");
  EXPECT_EQ(problem("SELECT a FROM 'x'", "a FROM 'y' WHERE b"), "rule.actions");
  EXPECT_EQ(problem("SELECT a FROM 'x'", "*"), "rule.actions");
  EXPECT_EQ(problem("SELECT count(*) FROM 'x' GROUP BY TUMBLING(1 s)", "a"), "rule.actions");
}

TEST(RuleCompiler, RefusesWithPositionAndSuggestion) {
  const Refusal refusals[] = {
      {"", "rule.syntax", "", ""},
      {"SELCT a FROM 'x'", "rule.syntax", "SELCT", "SELECT"},
      {"SELECT a FORM 'x'", "rule.syntax", "FORM", "FROM"},
      {"SELECT a", "rule.syntax", "", ""},
      {"SELECT a FROM 'x' WHER a > 1", "rule.syntax", "WHER", "WHERE"},
      {"SELECT a FROM 'x' WHERE a > 1 ADN b", "rule.syntax", "ADN", "AND"},
      {"SELECT count(*) FROM 'x' GRUOP BY TUMBLING(1 s)", "rule.syntax", "GRUOP", "GROUP"},
      {"SELECT count(*) FROM 'x' GROUP BY TUMBLNG(1 s)", "rule.unknown-function", "TUMBLNG", "TUMBLING"},
      {"SELECT count(*) FROM 'x' GROUP BY a", "rule.window", "GROUP", "TUMBLING(10 s)"},
      {"SELECT count(*) FROM 'x' GROUP BY TUMBLING(99 ms)", "rule.window", "99", "100 ms"},
      {"SELECT count(*) FROM 'x' GROUP BY TUMBLING(25 h)", "rule.window", "25", "24 h"},
      {"SELECT count(*) FROM 'x' GROUP BY TUMBLING(1 s), TUMBLING(1 s)", "rule.window", "TUMBLING(1 s)", ""},
      {"SELECT count(*) FROM 'x' GROUP BY TUMBLING(10 parsec)", "rule.syntax", "parsec", ""},
      {"SELECT rond(a) FROM 'x'", "rule.unknown-function", "rond", "round"},
      {"SELECT power(a) FROM 'x'", "rule.arguments", "power", ""},
      {"SELECT now(1) FROM 'x'", "rule.arguments", "now", ""},
      {"SELECT avg(a) FROM 'x'", "rule.aggregate", "avg", "TUMBLING"},
      {"SELECT count(*) FROM 'x' WHERE avg(a) > 1 GROUP BY TUMBLING(1 s)", "rule.aggregate", "avg", ""},
      {"SELECT avg(max(a)) FROM 'x' GROUP BY TUMBLING(1 s)", "rule.aggregate", "max", ""},
      {"SELECT b, count(*) FROM 'x' GROUP BY a, TUMBLING(1 s)", "rule.not-grouped", "b,", "GROUP BY"},
      {"SELECT * FROM 'x' GROUP BY TUMBLING(1 s)", "rule.not-grouped", "*", ""},
      {"SELECT topic(1) FROM 'x' GROUP BY TUMBLING(1 s)", "rule.not-grouped", "topic(1)", ""},
      {"SELECT a FROM 'x/#/y'", "rule.topic-filter", "'x/#/y'", ""},
      {"SELECT a FROM \"x\"", "rule.syntax", "\"x\"", ""},
      {"SELECT a FROM 'x' WHERE 'b", "rule.syntax", "'b", ""},
      {"SELECT a FROM 'x' WHERE a ; b", "rule.syntax", ";", ""},
      {"SELECT a, a FROM 'x'", "rule.duplicate-column", "a FROM", "AS"},
      {"SELECT FROM 'x'", "rule.syntax", "FROM", ""},
      {"SELECT CASE WHN a THEN 1 END FROM 'x'", "rule.syntax", "WHN", "WHEN"},
      {"SELECT CASE WHEN a THN 1 END FROM 'x'", "rule.syntax", "THN", "THEN"},
      {"SELECT a FROM 'x' WHERE (a", "rule.syntax", "", ""},
      {"SELECT a[70000] FROM 'x'", "rule.syntax", "70000", ""},
      {"SELECT 1e999 FROM 'x'", "rule.syntax", "1e999", ""},
      {"SELECT cast(a AS INTGER) FROM 'x'", "rule.syntax", "INTGER", "INTEGER"},
      {"SELECT lagg(a) FROM 'x'", "rule.unknown-function", "lagg", "lag"},
      {"SELECT fuse(a, 8, 0, 1) FROM 'x'", "rule.arguments", "8", "least, largest, noise"},
      {"SELECT fuse(a, 0, 8, 1, b, 3, 3, 1) FROM 'x'", "rule.arguments", "3, 3", "least, largest, noise"},
      {"SELECT fuse(a, 0, 8, -1) FROM 'x'", "rule.arguments", "-1", "least, largest, noise"},
      {"SELECT fuse(a, 0, 8, 0) FROM 'x'", "rule.arguments", "0) FROM", "least, largest, noise"},
      {"SELECT fuse(a, 0, 8, 1e200) FROM 'x'", "rule.arguments", "1e200", "least, largest, noise"},
      {"SELECT fuse(a, 0, 8, 1, 20) FROM 'x'", "rule.arguments", "fuse", "array(20, 50)"},
      {"SELECT fuse(a, 0, 8, 1, array(20, 50)) FROM 'x'", "rule.arguments", "fuse", "array(20, 50)"},
      {"SELECT fuse(a, 0, 8, 1, array(-20)) FROM 'x'", "rule.arguments", "-20", "array(20, 50)"},
      {"SELECT fuse(a, 0, 8, 1, b) FROM 'x'", "rule.arguments", "fuse", "array(20, 50)"},
      {"SELECT fuse(a, 0, 8, 1, b, 2) FROM 'x'", "rule.arguments", "fuse", "array(20, 50)"},
      {"SELECT bounded(a, 0, 8, 1) FROM 'x'", "rule.arguments", "bounded", ""},
      {"SELECT bounded(a, 8, 0, 1, 4) FROM 'x'", "rule.arguments", "8", "bounded(x, 0, 100, 20, 0)"},
      {"SELECT bounded(a, 0, 8, 0, 4) FROM 'x'", "rule.arguments", "0, 4", "bounded(x, 0, 100, 20, 0)"},
      {"SELECT bounded(a, 0, 8, 1, -4) FROM 'x'", "rule.arguments", "-4", "bounded(x, 0, 100, 20, 0)"},
      {"SELECT reduced(a, 2) FROM 'x' GROUP BY TUMBLING(1 s)", "rule.arguments", "2", "0.01"},
      {"SELECT reduced(a, 100, 0) FROM 'x' GROUP BY TUMBLING(1 s)", "rule.arguments", "100", "9600"},
      {"SELECT reduced(a, 0.1) FROM 'x' GROUP BY SLIDING(1 s)", "rule.window", "reduced", "TUMBLING"},
      {"SELECT reduced(a, 0.1) FROM 'x' GROUP BY COUNT(10, 5)", "rule.window", "reduced", "COUNT"},
      {"SELECT reduced(a) FROM 'x' GROUP BY TUMBLING(1 s)", "rule.arguments", "reduced", ""},
      {"SELECT reduced(a, 0.1) FROM 'x'", "rule.aggregate", "reduced", "TUMBLING"},
      {"SELECT percentile(a, 5) FROM 'x' GROUP BY TUMBLING(1 s)", "rule.arguments", "5", "0.95"},
      {"SELECT count(*) FROM 'x' GROUP BY HOPPING(1 s)", "rule.syntax", ")", ""},
      {"SELECT count(*) FROM 'x' GROUP BY HOPPING(1 s, 2 s)", "rule.window", "HOPPING", "step"},
      {"SELECT count(*) FROM 'x' GROUP BY COUNT(0)", "rule.syntax", "0", ""},
      {"SELECT a FROM 'x' HAVING a > 1", "rule.window", "HAVING", "WHERE"},
      {"SELECT a FROM 'x' JOIN 'y' AS b ON a.i = b.i WITHIN 1 s", "rule.join", "'y'", "AS a"},
      {"SELECT a.v FROM 'x' AS a JOIN 'y' AS b ON a.i < b.i WITHIN 1 s", "rule.join", "a.i", "WHERE"},
      {"SELECT v FROM 'x' AS a JOIN 'y' AS b ON a.i = b.i WITHIN 1 s", "rule.join", "v FROM", "a.v"},
      {"SELECT * FROM 'x' AS a JOIN 'y' AS b ON a.i = b.i WITHIN 1 s", "rule.join", "*", "a.x"},
      {"SELECT t.v FROM 'x' JOIN TABLE t ON t.id = device", "rule.table", "t ON", "[[table]]"},
      {"SELECT lag(a) FROM 'x' GROUP BY TUMBLING(1 s)", "rule.not-grouped", "lag", "max()"},
      {"SELECT count(*) FROM 'x' GROUP BY lag(a), TUMBLING(1 s)", "rule.memory", "lag", "SELECT"},
      {"SELECT a FROM 'x' PARTITION BY b", "rule.memory", "b", "lag()"},
      {"SELECT a FROM 'x' TIMESTAMP BY ts LATE MAYBE", "rule.syntax", "MAYBE", ""},
      {"SELECT a FROM 'x' WHERE a > 1 FOR 3 parsec", "rule.syntax", "parsec", ""},
      {"SELECT avrage(a) FROM 'x' GROUP BY TUMBLING(1 s)", "rule.unknown-function", "avrage", "did you mean avg?"},
      {"SELECT count_distinct(a) FROM 'x' GROUP BY TUMBLING(1 s)", "rule.unknown-function", "count_distinct",
       "count(DISTINCT x)"},
      {"SELECT qqqqqqqq(a) FROM 'x'", "rule.unknown-function", "qqqqqqqq", "docs/rules.md"},
      {"SELECT devise, count(*) FROM 'x' GROUP BY device, TUMBLING(1 s)", "rule.not-grouped", "devise",
       "did you mean device?"},
      {"SELECT max(a) AS most FROM 'x' GROUP BY TUMBLING(1 s) HAVING mots > 1", "rule.not-grouped", "mots",
       "did you mean most?"},
      {"SELECT a.v FROM 'x' AS a JOIN 'y' AS b ON a.i = b.i WITHIN 1 s WHERE c.v > 1", "rule.join", "c.v",
       "the streams are a and b; write a.v, or a.c.v where c is a field"},
      {"SELECT lookup('machines', device, 'hall') FROM 'x'", "rule.table", "'machines'", "[[table]]"},
      {"SELECT a FROM 'x' WHERE in_table('machines', device)", "rule.table", "'machines'", "[[table]]"},
      {"SELECT in_table(1, device) FROM 'x'", "rule.arguments", "1", "quotes"},
      {"SELECT date_trunc('moth', time) FROM 'x'", "rule.arguments", "'moth'", "did you mean month?"},
      {"SELECT extract('qqqqqqqq', time) FROM 'x'", "rule.arguments", "'qqqqqqqq'", "choose second, minute"},
      {"SELECT extract('week', time) FROM 'x'", "rule.arguments", "'week'", ""},
      {"SELECT lag(a, 2000) FROM 'x'", "rule.arguments", "2000", "lag(x, 1)"},
      {"SELECT lag(a, -1) FROM 'x'", "rule.arguments", "-1", "lag(x, 1)"},
      {"SELECT lag(a, 1.0) FROM 'x'", "rule.arguments", "1.0", "lag(x, 1)"},
      {"SELECT a FROM 'x' WHERE lag(a, NULL) > 1", "rule.arguments", "NULL", "lag(x, 1)"},
      {"SELECT hysteresis(a, 1, 5) FROM 'x'", "rule.arguments", "1, 5", "hysteresis(x, 5, 1)"},
      {"SELECT hysteresis(a, 'high', 5) FROM 'x'", "rule.arguments", "'high'", "on_above"},
      {"SELECT fuse(a, 0, 8) FROM 'x'", "rule.arguments", "fuse", ""},
      {"SELECT fuse(a, 8, 0, 1) FROM 'x'", "rule.arguments", "8", "four arguments a sensor"},
      {"SELECT fuse(a, 0, 8, 0) FROM 'x'", "rule.arguments", "0)", "four arguments a sensor"},
      {"SELECT topic(0) FROM 'x'", "rule.arguments", "0", "topic(1)"},
  };
  for (const Refusal& refusal : refusals) {
    SCOPED_TRACE(refusal.sql);
    const RuleProblem problem = problem_of(refusal.sql);
    EXPECT_EQ(problem.error.code, refusal.code) << problem.error.line();
    EXPECT_EQ(problem.part, RuleProblem::Part::kSql);
    ASSERT_LE(problem.offset, refusal.sql.size());
    const std::string_view rest = std::string_view(refusal.sql).substr(problem.offset);
    EXPECT_TRUE(refusal.at.empty() ? rest.empty() : rest.starts_with(refusal.at)) << rest;
    EXPECT_NE(problem.error.fix.find(refusal.fix), std::string::npos) << problem.error.line();
  }
}

// What is known only of each message is left to it.
TEST(RuleCompiler, TakesArgumentsThatMayBeRight) {
  for (const std::string sql :
       {"SELECT lookup(t, device, 'hall'), lag(a, n), lag(a, 1000), lag(a, 1), hysteresis(a, 5, 5) FROM 'x'",
        "SELECT date_trunc('MONTH', time), date_trunc(u, time), extract('weekday', time), topic(n), topic() FROM 'x'",
        "SELECT hysteresis(a, -1, -5), hysteresis(a, n, 5), fuse(a, 0, 8, n), fuse(a, -1, 1, 0.5) FROM 'x'"}) {
    EXPECT_EQ(problem_of(sql, {UploadSource{}}).error.line(), RuleProblem{}.error.line()) << sql;
  }
}

TEST(RuleCompiler, HavingNamesColumns) {
  for (const std::string sql :
       {"SELECT max(v) AS mx FROM 'x' GROUP BY TUMBLING(1 s) HAVING mx > 10 AND mx < 2 * count(*)",
        "SELECT device AS d, avg(v) AS v FROM 'x' GROUP BY device, TUMBLING(1 s) HAVING d = 'a' AND max(v) > v",
        "SELECT anomaly(v) AS a FROM 'x' GROUP BY TUMBLING(1 s) HAVING a > 0.5"}) {
    EXPECT_EQ(problem_of(sql).error.line(), RuleProblem{}.error.line()) << sql;
  }
  std::string sum = "1";
  for (int i = 0; i < 300; ++i) sum += "+1";
  const std::string sql = "SELECT " + sum + " AS s, count(*) FROM 'x' GROUP BY TUMBLING(1 s) HAVING s > 1";
  EXPECT_EQ(problem_of(sql).error.code, "");
  EXPECT_EQ(problem_of(sql + " AND 0 < s+" + sum).error.code, "rule.too-deep");
}

TEST(RuleCompiler, WarnsOfColumnsThatAreNotMeant) {
  const auto warned = [](const std::string& sql) {
    const auto rule = compile_rule({.name = "r", .sql = sql, .actions = {UploadSource{}}}, {});
    EXPECT_TRUE(rule.has_value()) << sql;
    std::vector<std::string> at;
    if (!rule) return at;
    for (const Fault& warning : rule->warnings) {
      EXPECT_EQ(warning.error.code, "rule.column");
      at.push_back(sql.substr(warning.offset));
    }
    return at;
  };
  using Places = std::vector<std::string>;
  EXPECT_EQ(warned("SELECT t * 2 AS f FROM 'x' WHERE f > 3"), Places{"f > 3"});
  EXPECT_EQ(warned("SELECT *, t * 2 AS f FROM 'x' WHERE t > 1 AND f > 3"), Places{"f > 3"});
  EXPECT_EQ(warned("SELECT anomaly(t) AS significance FROM 'x' PARTITION BY significance"), Places{"significance"});
  EXPECT_EQ(warned("SELECT count(*) AS n FROM 'x' GROUP BY n, TUMBLING(1 s)"), Places{"n, TUMBLING(1 s)"});
  EXPECT_EQ(warned("SELECT f FROM 'x' WHERE f > 3"), Places{});
  EXPECT_EQ(warned("SELECT f * 2 AS f FROM 'x' WHERE f > 3"), Places{});
  EXPECT_EQ(warned("SELECT o.t * 2 AS f FROM 'x' AS o WHERE o.f > 3"), Places{});
  EXPECT_EQ(warned("SELECT upper(device) AS device FROM 'x' WHERE device = 'a'"), Places{});
  EXPECT_EQ(warned("SELECT max(v) AS m FROM 'x' GROUP BY TUMBLING(1 s) HAVING m > 3"), Places{});
}

TEST(RuleCompiler, BoundsNestingLengthAndFields) {
  const auto nested = [](size_t depth) {
    return "SELECT " + std::string(depth, '(') + "a" + std::string(depth, ')') + " FROM 'x'";
  };
  EXPECT_EQ(problem_of(nested(63)).error.code, "");
  EXPECT_EQ(problem_of(nested(64)).error.code, "rule.too-deep");
  EXPECT_EQ(problem_of(nested(20'000)).error.code, "rule.too-deep");
  std::string nots = "SELECT ";
  for (int i = 0; i < 10'000; ++i) nots += "NOT ";
  EXPECT_EQ(problem_of(nots + "a FROM 'x'").error.code, "rule.too-deep");
  std::string chain = "SELECT a";
  for (int i = 0; i < 20'000; ++i) chain += "+a";
  EXPECT_EQ(problem_of(chain + " FROM 'x'").error.code, "rule.too-deep");
  EXPECT_EQ(problem_of("SELECT '" + std::string(kSqlBytesMax, 'a') + "' FROM 'x'").error.code, "rule.too-long");

  std::string many = "SELECT f0";
  for (int i = 1; i < 256; ++i) many += ",f" + std::to_string(i);
  EXPECT_EQ(problem_of(many + " FROM 'x'").error.code, "");
  EXPECT_EQ(problem_of(many + ",f256 FROM 'x'").error.code, "rule.fields");
}

TEST(RuleCompiler, RefusesTemplates) {
  const auto publish = [](std::string topic, std::optional<std::string> payload = std::nullopt) {
    return std::vector<ActionSource>{DropSource{},
                                     PublishSource{.topic = std::move(topic), .payload = std::move(payload)}};
  };
  const std::string sql = "SELECT a FROM 'x'";
  RuleProblem problem = problem_of(sql, publish("t/${a"));
  EXPECT_EQ(problem.error.code, "rule.template");
  EXPECT_EQ(problem.part, RuleProblem::Part::kTopic);
  EXPECT_EQ(problem.action, 1U);
  EXPECT_EQ(problem.offset, 2U);
  problem = problem_of(sql, publish("t", "{\"v\": ${a + 1}}"));
  EXPECT_EQ(problem.part, RuleProblem::Part::kPayload);
  EXPECT_EQ(problem.offset, 10U);
  EXPECT_EQ(problem_of(sql, publish("t/${}")).error.code, "rule.template");
  EXPECT_EQ(problem_of(sql, publish("t/+")).error.code, "rule.topic");
  EXPECT_EQ(problem_of(sql, publish("")).error.code, "rule.topic");
  for (const char* const topic : {"$verge/actions/forged", "$SYS/${a}"}) {
    EXPECT_EQ(problem_of(sql, publish(topic)).error.code, "rule.topic");
    EXPECT_EQ(problem_of(sql, {UploadSource{.topic = topic}}).error.code, "rule.topic");
  }
  EXPECT_EQ(problem_of(sql, {}).error.code, "rule.actions");
  EXPECT_EQ(problem_of(sql, {PublishSource{.topic = "t", .qos = 2}}).error.code, "rule.actions");

  problem = problem_of("SELECT avg(a) AS mean FROM 'x' GROUP BY TUMBLING(1 s)", publish("t", "${meen}"));
  EXPECT_EQ(problem.error.code, "rule.template");
  EXPECT_NE(problem.error.fix.find("mean"), std::string::npos);
  EXPECT_EQ(problem.offset, 2U);
}

TEST(RuleCompiler, RefusesNames) {
  for (const std::string& name : {std::string(), std::string("a/b"), std::string("a+"), std::string(129, 'a')}) {
    const auto rule = compile_rule({.name = name, .sql = "SELECT * FROM 'x'", .actions = {DropSource{}}}, {});
    ASSERT_FALSE(rule.has_value()) << name;
    EXPECT_EQ(rule.error().part, RuleProblem::Part::kName);
  }
}

}  // namespace
}  // namespace verge::rules
