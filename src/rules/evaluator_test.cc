// Rules over messages: what is performed, and in which order.
#include "rules/evaluator.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/topic.h"
#include "rules/recording_effects.h"

namespace verge::rules {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(RuleActions, AWorkerIsGivenTheMessageOrTheRow) {
  Bench bench({{.name = "whole", .sql = "SELECT * FROM 't/a'", .actions = {CallSource{.worker = "w"}}},
               {.name = "row", .sql = "SELECT x + 1 AS y FROM 't/a'", .actions = {CallSource{.worker = "v"}}}});
  bench.send("t/a", R"({"x": 1})");
  EXPECT_THAT(bench.effects.done, testing::ElementsAre(R"(whole: call w t/a {"x": 1})", R"(row: call v t/a {"y":2})"));
}

TEST(RuleActions, AsksWithTheRowAndAFallback) {
  Bench bench({{.name = "near",
                .sql = "SELECT device, d, d / 10 AS urgency FROM 'car/+/lidar' WHERE d < 50",
                .actions = {AskSource{.question = "plan",
                                      .topic = "car/${device}/drive",
                                      .otherwise = R"({"slow":${d}})",
                                      .level = AskLevel::kPlaced},
                            AskSource{.question = "other", .topic = "out/${d}", .otherwise = {}}}}});
  bench.send("car/7/lidar", R"({"d": 5})");
  bench.send("car/7/lidar", R"({"d": 60})");
  EXPECT_THAT(
      bench.effects.done,
      ElementsAre(
          R"(near: ask plan [car/7/lidar] 7 {"device":"7","d":5,"urgency":0.5}, decide car/7/drive otherwise {"slow":5})",
          R"(near: ask other [car/7/lidar] 7 {"device":"7","d":5,"urgency":0.5}, decide out/5 otherwise -)"));
  EXPECT_THAT(bench.effects.urgencies, ElementsAre(0.5, -1)) << "only where it is placed by them";
}

TEST(RuleActions, AnswersWhoAsksItByName) {
  Bench bench({{.name = "plan",
                .sql = "SELECT d * 2 AS twice FROM 'car/+/lidar' WHERE d < 50",
                .actions = {AnswerSource{}, PublishSource{.topic = "seen"}}},
               {.name = "deaf", .sql = "SELECT d FROM 'car/+/lidar'", .actions = {PublishSource{.topic = "deaf"}}}});
  const auto answer = [&](std::string_view rule, std::string_view topic, std::string_view payload) -> std::string {
    const Payload bytes(payload);
    const auto said =
        bench.evaluator.answer(rule, {.topic = topic, .device = "c", .payload = bytes, .received = {kSecond}});
    if (!said) return std::string(said.error().code);
    return *said ? std::string((*said)->view()) : "nothing";
  };
  EXPECT_EQ(answer("plan", "car/7/lidar", R"({"d": 5})"), R"({"twice":10})");
  EXPECT_EQ(answer("plan", "car/7/lidar", R"({"d": 60})"), "nothing");
  EXPECT_EQ(answer("plan", "car/7/lidar", "no JSON"), "nothing") << "nothing is left of the message before";
  EXPECT_EQ(answer("plan", "car/7/radar", R"({"d": 5})"), "nothing");
  EXPECT_EQ(answer("deaf", "car/7/lidar", R"({"d": 5})"), "rules.unknown");
  EXPECT_EQ(answer("nobody", "car/7/lidar", R"({"d": 5})"), "rules.unknown");
  EXPECT_THAT(bench.effects.done, IsEmpty()) << "asking does nothing";
  EXPECT_EQ(bench.evaluator.counters(0).fired.value(), 1U);
}

TEST(Evaluator, ARowThatTakesLongMayBeComputedElsewhere) {
  const auto rules = [](std::string_view topic) {
    return std::vector<RuleSource>{
        {.name = "series",
         .sql = "SELECT device, reduced(x, 0) AS x, count(*) AS n FROM 'oven/+' GROUP BY device, COUNT(3)",
         .actions = {UploadSource{.priority = Priority::kLow}, PublishSource{.topic = std::string(topic)}}},
        {.name = "mean", .sql = "SELECT avg(x) AS x FROM 'oven/+' GROUP BY COUNT(3)", .actions = {UploadSource{}}}};
  };
  Bench here(rules("a"));
  Bench bench(rules("a"));
  RecordingEffects& effects = bench.effects;
  effects.takes_late = true;
  const auto send = [&](double x) {
    for (Bench* each : {&here, &bench}) each->send("oven/d", fmt::format(R"({{"device":"d","x":{}}})", x));
  };
  for (const double x : {1.0, 2.0, 4.0}) send(x);
  ASSERT_EQ(here.effects.done.size(), 3U);
  EXPECT_THAT(effects.done, ElementsAre(here.effects.done[2])) << "what does not take long has not waited";
  ASSERT_EQ(effects.late_rows.size(), 1U);
  EXPECT_EQ(bench.evaluator.counters(0).fired.value(), 0U);
  std::thread([&] { effects.late_rows.front().compute(); }).join();
  bench.evaluator.take(effects.late_rows.front(), effects);
  EXPECT_THAT(effects.done, ElementsAre(here.effects.done[2], here.effects.done[0], here.effects.done[1]));
  EXPECT_EQ(bench.evaluator.counters(0).fired.value(), 1U);

  effects.late_rows.clear();
  effects.done.clear();
  for (const double x : {1.0, 2.0, 4.0}) send(x);
  bench.evaluator.replace(compiled(rules("b")));
  EXPECT_THAT(bench.evaluator.replaced_rules(), IsEmpty());
  bench.evaluator.emit_replaced(effects);
  effects.done.clear();
  bench.evaluator.take(effects.late_rows.front(), effects);
  EXPECT_THAT(effects.done, ElementsAre(here.effects.done[0], here.effects.done[1])) << "by the rule that made it";
}

TEST(Evaluator, ShutsDownAHotOven) {
  Bench bench(
      {{.name = "oven",
        .sql = "SELECT device, temperature FROM 'plant/+/oven' WHERE temperature > 100",
        .actions = {PublishSource{
                        .topic = "plant/${device}/command", .payload = R"({"action":"SHUTDOWN_EQUIPMENT"})", .qos = 1},
                    UploadSource{.priority = Priority::kCritical}}}});
  bench.send("plant/line1/oven", R"({"temperature": 100})");
  bench.send("plant/line1/oven", R"({"temperature": "hot"})");
  bench.send("plant/line1/fridge", R"({"temperature": 200})");
  EXPECT_THAT(bench.effects.done, IsEmpty());
  bench.send("plant/line1/oven", R"({"temperature": 100.5})");
  EXPECT_THAT(bench.effects.done,
              ElementsAre(R"(oven: publish plant/line1/command {"action":"SHUTDOWN_EQUIPMENT"} qos1)",
                          R"(oven: upload selection critical plant/line1/oven [line1] )"
                          R"({"device":"line1","temperature":100.5})"));
  EXPECT_EQ(bench.evaluator.matched(0), 3U);
  EXPECT_EQ(bench.evaluator.counters(0).fired.value(), 1U);
  EXPECT_EQ(bench.evaluator.counters(0).errors.value(), 0U);
}

TEST(Evaluator, PurgesWhatAMessageNames) {
  Bench bench({{.name = "changed",
                .sql = "SELECT sku, path FROM 'shop/#'",
                .actions = {PurgeSource{.what = "product-${sku}"},
                            PurgeSource{.what = "http://shop${path}", .scope = PurgeScope::kPrefix, .softly = true}}}});
  bench.send("shop/changes", R"({"sku":17,"path":"/p/a+#/"})");
  EXPECT_THAT(bench.effects.done,
              ElementsAre("changed: purge tag product-17", "changed: purge prefix http://shop/p/a+#/ softly"));
  EXPECT_EQ(bench.evaluator.counters(0).errors.value(), 0U);
}

TEST(Evaluator, StoresByImportance) {
  Bench bench(
      {{.name = "r", .sql = "SELECT v, w AS importance FROM 'x'", .actions = {StoreSource{.by_importance = true}}},
       {.name = "h",
        .sql = "SELECT * FROM 'x' WHERE w > 0.8",
        .actions = {StoreSource{.is_hot = true, .topic = "k/${v}"}}}});
  for (const char* importance : {"0.81", "0.8", "0.5", "null"}) {
    bench.send("x", fmt::format(R"({{"v":1,"w":{}}})", importance));
  }
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: store hot x [client] {"v":1,"importance":0.81})",
                                              R"(h: store hot k/1 [client] {"v":1,"w":0.81})",
                                              R"(r: store batch x [client] {"v":1,"importance":0.8})",
                                              R"(r: store batch x [client] {"v":1,"importance":null})"));
}

TEST(Evaluator, UploadsByImportance) {
  Bench bench({{.name = "r",
                .sql = "SELECT v, w AS importance FROM 'x'",
                .actions = {UploadSource{.priority = std::nullopt, .topic = std::nullopt}}}});
  for (const char* importance : {"0.81", "0.8", "0.5", "null"}) {
    bench.send("x", fmt::format(R"({{"v":1,"w":{}}})", importance));
  }
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: upload selection high x [client] {"v":1,"importance":0.81})",
                                              R"(r: upload selection low x [client] {"v":1,"importance":0.8})",
                                              R"(r: upload selection normal x [client] {"v":1,"importance":null})"));
  EXPECT_EQ(bench.evaluator.counters(0).errors.value(), 0U);
  // A window has no fields: the column must be there.
  const auto set = RuleSet::compile({{.name = "w",
                                      .sql = "SELECT count(*) AS n FROM 'x' GROUP BY TUMBLING(1 s)",
                                      .actions = {UploadSource{.priority = std::nullopt, .topic = std::nullopt}}}});
  EXPECT_FALSE(set);
}

TEST(Evaluator, CallsWebhooks) {
  Bench bench({{.name = "hot",
                .sql = "SELECT t, s FROM 'oven'",
                .actions = {WebhookSource{.url = "http://hooks:8080/a", .payload = R"({"text":"${s}"})"},
                            WebhookSource{.url = "https://hooks/b", .payload = std::nullopt}}}});
  bench.send("oven", R"({"t":7,"s":"a\"b"})");
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(hot: webhook http://hooks:8080/a {"text":"a\"b"})",
                                              R"(hot: webhook https://hooks/b {"t":7,"s":"a\"b"} json)"));
}

TEST(Evaluator, APurgeThatWouldCoverMoreThanIsMeantIsNotMade) {
  Bench bench({{.name = "changed",
                .sql = "SELECT sku FROM 'shop'",
                .actions = {PurgeSource{.what = "http://shop/${sku}", .scope = PurgeScope::kPrefix}}}});
  const std::string long_one = fmt::format(R"({{"sku":"{}"}})", std::string(kPurgeBytesMax, 'x'));
  for (const std::string_view payload :
       {std::string_view("{}"), std::string_view(R"({"sku":""})"), std::string_view(R"({"sku":null})"),
        std::string_view(R"({"sku":["a"]})"), std::string_view("no JSON"), std::string_view(long_one)}) {
    bench.send("shop", payload);
  }
  EXPECT_THAT(bench.effects.done, IsEmpty());
  EXPECT_EQ(bench.evaluator.counters(0).errors.value(), 6U);
}

TEST(Evaluator, ADeviceThatIsNoNameIsNotTakenFromThePayload) {
  Bench bench({{.name = "r", .sql = "SELECT device, t FROM 'a'", .actions = {UploadSource{.topic = "up"}}},
               {.name = "w",
                .sql = "SELECT last(device) AS device, max(t) AS t FROM 'a' GROUP BY TUMBLING(1 s)",
                .actions = {UploadSource{}}}});
  for (const std::string& device : {std::string("p\\u00007"), std::string(1025, 'x')}) {
    bench.effects.done.clear();
    bench.send("a", fmt::format(R"({{"device":"{}","t":1}})", device));
    ASSERT_EQ(bench.effects.done.size(), 1U);
    EXPECT_TRUE(bench.effects.done[0].starts_with("r: upload selection normal up [client] ")) << bench.effects.done[0];
    bench.effects.done.clear();
    bench.evaluator.drain(bench.effects);
    ASSERT_EQ(bench.effects.done.size(), 1U);
    EXPECT_TRUE(bench.effects.done[0].starts_with("w: upload selection normal windows/w [] ")) << bench.effects.done[0];
  }
  bench.effects.done.clear();
  bench.send("a", fmt::format(R"({{"device":"{}","t":1}})", std::string(1024, 'x')));
  EXPECT_TRUE(bench.effects.done[0].contains("[xxxx"));
}

TEST(Evaluator, NoTemplateMakesATopicOfTheNodesOwn) {
  Bench bench({{.name = "r",
                .sql = "SELECT a FROM 'x'",
                .actions = {PublishSource{.topic = "${a}/actions/forged"}, UploadSource{.topic = "${a}/status"}}}});
  bench.send("x", R"({"a":"$verge"})");
  bench.send("x", R"({"a":"$SYS"})");
  EXPECT_THAT(bench.effects.done, IsEmpty());
  EXPECT_EQ(bench.evaluator.counters(0).errors.value(), 4U);
  ASSERT_EQ(bench.effects.refused.size(), 4U);
  EXPECT_TRUE(bench.effects.refused[1].starts_with(
      "r: action 2: its topic cannot be made of the row: \"$verge/status\" is no topic"))
      << bench.effects.refused[1];
  bench.send("x", R"({"a":"$other"})");
  EXPECT_EQ(bench.effects.done.size(), 2U);
}

TEST(Evaluator, DecidesOnLidarDistances) {
  Bench bench({{.name = "lidar",
                .sql = "SELECT CASE WHEN distance < 10 THEN 'EMERGENCY_BRAKE' WHEN distance < 30 THEN 'SLOW_DOWN' "
                       "ELSE 'CONTINUE' END AS action FROM 'vehicle/+/lidar'",
                .actions = {PublishSource{.topic = "vehicle/${device}/drive", .payload = "${action}"}}}});
  for (const char* const distance : {"9.9", "10", "29", "30"}) {
    bench.send("vehicle/v1/lidar", fmt::format(R"({{"distance":{}}})", distance));
  }
  EXPECT_THAT(
      bench.effects.done,
      ElementsAre("lidar: publish vehicle/v1/drive EMERGENCY_BRAKE", "lidar: publish vehicle/v1/drive SLOW_DOWN",
                  "lidar: publish vehicle/v1/drive SLOW_DOWN", "lidar: publish vehicle/v1/drive CONTINUE"));
}

TEST(Evaluator, CarriesAnyPayloadUnchanged) {
  Bench bench({{.name = "all", .sql = "SELECT * FROM '#'", .actions = {UploadSource{}, DropSource{}}},
               {.name = "hot", .sql = "SELECT * FROM '#' WHERE t > 1", .actions = {UploadSource{}}},
               {.name = "void", .sql = "SELECT t FROM '#' WHERE t IS NULL", .actions = {UploadSource{}}}});
  bench.send("a", "{\"t\":5, broken");
  EXPECT_THAT(bench.effects.done, ElementsAre("all: upload message normal a [client] {\"t\":5, broken", "all: drop",
                                              "void: upload selection normal a [client] {\"t\":null}"));
  bench.effects.done.clear();
  bench.send("a", "");
  EXPECT_EQ(bench.effects.done.size(), 3U);
  bench.send("$SYS/x", "{\"t\":5}");
  EXPECT_EQ(bench.effects.done.size(), 3U);
}

TEST(Evaluator, AddsColumnsToTheMessage) {
  Bench bench({{.name = "f",
                .sql = "SELECT *, t * 9 / 5 + 32 AS fahrenheit, 'C' AS unit FROM 'a'",
                .actions = {PublishSource{.topic = "out"}}}});
  bench.send("a", R"({"t":100,"unit":"K","deep":{"x":[1,null]}})");
  bench.send("a", "no json");
  EXPECT_THAT(bench.effects.done,
              ElementsAre(R"(f: publish out {"t":100,"deep":{"x":[1,null]},"fahrenheit":212,"unit":"C"})",
                          R"(f: publish out {"fahrenheit":null,"unit":"C"})"));
}

TEST(Evaluator, TemplatesCannotBeEscaped) {
  Bench bench(
      {{.name = "r",
        .sql = "SELECT id FROM 'in'",
        .actions = {PublishSource{.topic = "d/${id}", .payload = R"({"id":"${id}","x":${a.b},"y":"$${id}"})"}}}});
  bench.send("in", R"({"id":"a\",\"admin\":\"1","a":{"b":[true]}})");
  EXPECT_THAT(bench.effects.done,
              ElementsAre(R"(r: publish d/a","admin":"1 {"id":"a\",\"admin\":\"1","x":[true],"y":"${id}"})"));
  bench.effects.done.clear();
  for (const char* const id : {R"("a/b")", R"("+")", R"("x#")", R"("a\u0000b")", R"("")", "null", "{}", "[1]"}) {
    bench.send("in", fmt::format(R"({{"id":{}}})", id));
  }
  EXPECT_THAT(bench.effects.done, IsEmpty());
  EXPECT_EQ(bench.evaluator.counters(0).errors.value(), 8U);
  bench.send("in", R"({"id":12})");
  EXPECT_THAT(bench.effects.done, ElementsAre(R"(r: publish d/12 {"id":"12","x":null,"y":"${id}"})"));
}

TEST(Evaluator, PerformsNoActionWithAPayloadTooLarge) {
  Bench bench({{.name = "r",
                .sql = "SELECT s, s AS a, s AS b FROM 'in'",
                .actions = {UploadSource{}, PublishSource{.topic = "o", .payload = "${s}${s}${s}"},
                            PublishSource{.topic = "o", .payload = "small"}}}});
  bench.send("in", R"({"s":")" + std::string(6U << 20, 's') + R"("})");
  EXPECT_THAT(bench.effects.done, ElementsAre("r: publish o small"));
  EXPECT_EQ(bench.evaluator.counters(0).errors.value(), 2U);
}

TEST(Evaluator, FindsTheRulesThatTopicMatchingFinds) {
  const std::string filters[] = {"#",     "+",    "a",  "a/#", "a/+",    "a/b",  "+/b",
                                 "+/+/c", "a//c", "/#", "+/#", "$SYS/#", "a/b/c"};
  std::vector<RuleSource> sources;
  for (const std::string& filter : filters) {
    sources.push_back({.name = "r" + std::to_string(sources.size()),
                       .sql = "SELECT * FROM '" + filter + "'",
                       .actions = {DropSource{}}});
  }
  const auto set = compiled(sources);
  for (const char* const topic : {"a", "b", "a/", "/", "a/b", "a/b/c", "a//c", "/b", "$SYS/a", "$SYS", "x/y/c"}) {
    std::vector<uint32_t> wanted;
    for (uint32_t i = 0; i < std::size(filters); ++i) {
      if (topic_matches(filters[i], topic)) wanted.push_back(i);
    }
    std::vector<uint32_t> found;
    set->match(topic, found);  // each filter is a group of its own, in the same order
    EXPECT_EQ(found, wanted) << topic;
  }
}

TEST(Evaluator, NamesTheFirstProblemOfEachRule) {
  const RuleSource good{.name = "good", .sql = "SELECT * FROM 'a'", .actions = {DropSource{}}};
  const RuleSource bad{.name = "bad", .sql = "SELECT * FORM 'a'", .actions = {DropSource{}}};
  const RuleSource worse{.name = "worse", .sql = "SELECT", .actions = {DropSource{}}};
  const auto set = RuleSet::compile({bad, good, worse});
  ASSERT_FALSE(set.has_value());
  ASSERT_EQ(set.error().size(), 2U);
  EXPECT_EQ(set.error()[0].rule, 0U);
  EXPECT_EQ(set.error()[1].rule, 2U);
}

TEST(Evaluator, RefusesTheSameNameTwice) {
  const RuleSource rule{.name = "r", .sql = "SELECT * FROM 'a'", .actions = {DropSource{}}};
  const auto set = RuleSet::compile({rule, rule});
  ASSERT_FALSE(set.has_value());
  ASSERT_EQ(set.error().size(), 1U);
  EXPECT_EQ(set.error()[0].error.code, "rule.duplicate-name");
  EXPECT_EQ(set.error()[0].rule, 1U);
}

}  // namespace
}  // namespace verge::rules
