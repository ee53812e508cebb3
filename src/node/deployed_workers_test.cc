#include "node/deployed_workers.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "node/worker_bundle.h"

namespace verge::node {
namespace {

std::string bundle_of(std::string_view name, std::string_view source) {
  return fmt::format(R"({{"worker":{{"name":"{}"}},"modules":[{{"name":"a.js","source":"{}"}}]}})", name, source);
}

class DeployedWorkersTest : public testing::Test {
 protected:
  DeployedWorkersTest()
      : directory_(std::filesystem::temp_directory_path() / fmt::format("deployed-workers-{}", getpid())) {
    std::filesystem::remove_all(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  DeployedWorkers fresh() { return {files_, directory_.string()}; }
  uint64_t add(DeployedWorkers& workers, std::string_view name, std::string_view source) {
    const std::string bundle = bundle_of(name, source);
    auto spec = read_worker_bundle(bundle);
    EXPECT_TRUE(spec.has_value());
    const auto version = workers.add(std::move(*spec), bundle, {1'000'000});
    EXPECT_TRUE(version.has_value());
    return version.value_or(0);
  }
  static std::string source_of(const DeployedWorkers& workers, std::string_view name) {
    const auto found = workers.all().find(name);
    return found == workers.all().end() ? "none" : found->second.spec.modules.front().source;
  }

  std::filesystem::path directory_;
  storage::PosixFileSystem files_{""};
};

TEST_F(DeployedWorkersTest, ThereIsNothingAtFirst) {
  DeployedWorkers workers = fresh();
  ASSERT_TRUE(workers.load().has_value());
  EXPECT_TRUE(workers.all().empty());
  EXPECT_EQ(workers.roll_back("a", 0).error().code, "workers.unknown");
  EXPECT_EQ(workers.remove("a").error().code, "workers.unknown");
}

TEST_F(DeployedWorkersTest, VersionsRiseAndAreThereAgain) {
  DeployedWorkers workers = fresh();
  EXPECT_EQ(add(workers, "a", "one"), 1U);
  EXPECT_EQ(add(workers, "a", "two"), 2U);
  EXPECT_EQ(add(workers, "b", "other"), 1U);
  DeployedWorkers again = fresh();
  ASSERT_TRUE(again.load().has_value());
  EXPECT_EQ(source_of(again, "a"), "two");
  EXPECT_EQ(source_of(again, "b"), "other");
  EXPECT_EQ(again.all().at("a").spec.version, 2U);
  EXPECT_EQ(again.specs().size(), 2U);
}

TEST_F(DeployedWorkersTest, AVersionIsGoneBackTo) {
  DeployedWorkers workers = fresh();
  for (const std::string_view source : {"one", "two", "three"}) add(workers, "a", source);
  EXPECT_EQ(workers.roll_back("a", 0).value_or(0), 2U);
  EXPECT_EQ(source_of(workers, "a"), "two");
  EXPECT_EQ(workers.roll_back("a", 0).value_or(0), 1U);
  EXPECT_EQ(workers.roll_back("a", 0).error().code, "workers.version");
  EXPECT_EQ(workers.roll_back("a", 7).error().code, "workers.version");
  EXPECT_EQ(workers.roll_back("a", 3).value_or(0), 3U);
  EXPECT_EQ(source_of(workers, "a"), "three");
  // A number is never used twice.
  EXPECT_EQ(workers.roll_back("a", 1).value_or(0), 1U);
  EXPECT_EQ(add(workers, "a", "four"), 4U);
  DeployedWorkers again = fresh();
  ASSERT_TRUE(again.load().has_value());
  EXPECT_EQ(source_of(again, "a"), "four");
  ASSERT_TRUE(again.remove("a").has_value());
  DeployedWorkers third = fresh();
  ASSERT_TRUE(third.load().has_value());
  EXPECT_TRUE(third.all().empty());
}

TEST_F(DeployedWorkersTest, OnlyTheLastVersionsAreKept) {
  DeployedWorkers workers = fresh();
  for (int i = 0; i < 15; ++i) add(workers, "a", std::to_string(i));
  EXPECT_EQ(workers.all().at("a").versions.size(), DeployedWorkers::kVersionsMax);
  size_t files = 0;
  for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator(directory_)) ++files;
  EXPECT_EQ(files, DeployedWorkers::kVersionsMax + 1);
  EXPECT_EQ(workers.roll_back("a", 1).error().code, "workers.version");
}

TEST_F(DeployedWorkersTest, WhatIsDamagedIsSaid) {
  DeployedWorkers workers = fresh();
  add(workers, "a", "one");
  std::ofstream(directory_ / "a@1.json") << "{";
  DeployedWorkers again = fresh();
  EXPECT_EQ(again.load().error().code, "workers.deployed");
}

}  // namespace
}  // namespace verge::node
