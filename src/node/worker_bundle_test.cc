#include "node/worker_bundle.h"

#include <gtest/gtest.h>

namespace verge::node {
namespace {

TEST(WorkerBundle, HasTheKeysOfAWorkerItsModulesAndSecrets) {
  const auto spec = read_worker_bundle(
      R"({"worker":{"name":"shop","routes":["shop.test/*"],"position":"before","fallback":"origin","cpu":"50ms",)"
      R"("env":{"A":"1"},"cron":"@hourly"},"secrets":{"T":"hidden \"x\""},)"
      R"("modules":[{"name":"app.js","source":"export default {}"},{"name":"b.bin","type":"bytes","base64":"AAEC"},)"
      R"({"name":"c.txt","type":"text","source":"ü"}]})");
  ASSERT_TRUE(spec.has_value()) << spec.error().line();
  EXPECT_EQ(spec->config.name, "shop");
  EXPECT_EQ(spec->config.routes, std::vector<std::string>{"shop.test/*"});
  EXPECT_EQ(spec->config.position, cache::CodePosition::kBefore);
  EXPECT_TRUE(spec->config.falls_back);
  EXPECT_EQ(spec->config.cpu, std::chrono::milliseconds(50));
  EXPECT_EQ(spec->config.cron, std::vector<std::string>{"@hourly"});
  ASSERT_EQ(spec->modules.size(), 3U);
  EXPECT_EQ(spec->modules[0].name, "app.js");
  EXPECT_EQ(spec->modules[1].source, std::string("\0\1\2", 3));
  EXPECT_EQ(spec->modules[1].type, calls::ModuleType::kBytes);
  EXPECT_EQ(spec->modules[2].source, "ü");
  EXPECT_EQ(spec->variables, (std::vector<std::pair<std::string, std::string>>{{"A", "1"}, {"T", "hidden \"x\""}}));
}

TEST(WorkerBundle, WhatIsNoneIsRefused) {
  const std::string modules = R"("modules":[{"name":"a.js","source":""}])";
  const std::pair<std::string, std::string_view> cases[] = {
      {"", "workers.bundle"},
      {"[]", "workers.bundle"},
      {"{" + modules + "}", "workers.bundle"},
      {R"({"worker":{"name":"a"}})", "workers.bundle"},
      {R"({"worker":{"name":"a"},"modules":[]})", "workers.bundle"},
      {R"({"worker":{"name":"a"},"modules":[{"source":""}]})", "workers.bundle"},
      {R"({"worker":{"name":"a"},"modules":[{"name":"a.js"}]})", "workers.bundle"},
      {R"({"worker":{"name":"a"},"modules":[{"name":"a.js","base64":"?"}]})", "workers.bundle"},
      {R"({"worker":{"name":"a"},"modules":[{"name":"a.js","type":"x","source":""}]})", "workers.bundle"},
      {R"({"worker":{"name":"a","env":{"T":"1"}},"secrets":{"T":"2"},)" + modules + "}", "workers.bundle"},
      {R"({"worker":{"name":"a"},"secrets":{"T":2},)" + modules + "}", "workers.bundle"},
      {R"({"worker":[],)" + modules + "}", "workers.bundle"},
      {R"({"worker":{},)" + modules + "}", "config.missing"},
      {R"({"worker":{"name":"a","nam":1},)" + modules + "}", "config.unknown-key"},
      {R"({"worker":{"name":"a/b"},)" + modules + "}", "config.range"},
      {R"({"worker":{"name":"a","routes":["https://x/"]},)" + modules + "}", "config.value"},
      // A secret's place is the node's own business.
      {R"({"worker":{"name":"a","secrets":{"T":{"file":"/etc/shadow"}}},)" + modules + "}", "config.override"},
  };
  for (const auto& [json, code] : cases) {
    const auto spec = read_worker_bundle(json);
    ASSERT_FALSE(spec.has_value()) << json;
    EXPECT_EQ(spec.error().code, code) << json;
  }
}

}  // namespace
}  // namespace verge::node
