#include "cli/doctor.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace verge::cli {
namespace {

class Doctor : public testing::Test {
 protected:
  void SetUp() override {
    std::string place = testing::TempDir() + "doctor.XXXXXX";
    directory_ = mkdtemp(place.data());
    patient_.config.node.data_dir = directory_;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string file(const std::string& name, mode_t mode) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << "secret\n";
    chmod(path.c_str(), mode);
    return path;
  }

  std::string directory_;
  Patient patient_;
};

TEST_F(Doctor, EveryCheckFindsSomethingAndHasItsOwnName) {
  std::vector<std::string_view> ids;
  for (const Check& check : checks()) {
    ids.push_back(check.id);
    EXPECT_FALSE(check.look(patient_).empty()) << check.id;
  }
  std::ranges::sort(ids);
  EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end());
}

TEST_F(Doctor, ASecretThatOthersCanReadIsClosed) {
  const std::string path = file("token", 0644);
  patient_.config.parent.token = node::SecretSource{.name = path};
  std::vector<Finding> findings = check_secrets(patient_);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].health, Health::kFailure);
  ASSERT_TRUE(findings[0].remedy());
  EXPECT_EQ(check_secrets(patient_)[0].health, Health::kGood);
  struct stat status{};
  stat(path.c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0640U);
}

TEST_F(Doctor, ADirectoryThatOthersCanWriteIsClosed) {
  chmod(directory_.c_str(), 0777);
  std::vector<Finding> findings = check_data_directory(patient_);
  ASSERT_EQ(findings[0].health, Health::kFailure);
  ASSERT_TRUE(findings[0].remedy());
  EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kGood);
}

TEST_F(Doctor, ADirectoryThatIsNotANodesAloneIsLeftAsItIs) {
  chmod(directory_.c_str(), 01777);  // as /tmp
  std::vector<Finding> findings = check_data_directory(patient_);
  EXPECT_EQ(findings[0].health, Health::kFailure);
  EXPECT_FALSE(findings[0].remedy);
  file("somebody's", 0600);
  chmod(directory_.c_str(), 0777);
  findings = check_data_directory(patient_);
  EXPECT_EQ(findings[0].health, Health::kFailure);
  EXPECT_FALSE(findings[0].remedy);
}

TEST_F(Doctor, SecretsAreLookedForWhereverOneCanBe) {
  node::Config& config = patient_.config;
  const auto secret = [&](const std::string& name) { return node::SecretSource{.name = file(name, 0644)}; };
  config.admin.tokens = {secret("admin")};
  config.workers_limits.deploy_tokens = {secret("deploy")};
  config.traces.token = secret("traces");
  config.mqtt.password_file = file("passwords", 0644);
  config.mqtt.bridges.emplace_back().password = secret("bridge");
  config.sites.emplace_back().signing_keys = {{.id = "a", .file = file("signing", 0644)}};
  config.workers.emplace_back().secrets = {{"KEY", secret("worker")}};
  EXPECT_EQ(check_secrets(patient_).size(), 7U);
}

TEST_F(Doctor, KnowsEveryNameThatTheNodeCalls) {
  EXPECT_EQ(check_names(patient_)[0].what, "no names are configured");
  node::Config& config = patient_.config;
  config.parent.url = "http://a.test:1";
  config.sites.emplace_back().origins.emplace_back().url = "http://b.test:2";
  config.traces.endpoint = "http://c.test:3/v1/traces";
  config.mqtt.bridges.emplace_back().address = "d.test:4";
  config.rules.push_back(
      {.name = "r", .sql = {}, .actions = {rules::WebhookSource{.url = "http://e.test:5/hook?a=b", .payload = {}}}});
  EXPECT_EQ(names_called(config),
            (std::vector<std::string>{"a.test:1", "b.test:2", "c.test:3", "d.test:4", "e.test:5"}));
  config.parent.url = "http://127.0.0.1:1";
  EXPECT_EQ(names_called(config).size(), 4U);
}

TEST_F(Doctor, ADirectoryThatCannotBe) {
  patient_.config.node.data_dir = file("plain", 0600);
  EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kFailure);
  patient_.config.node.data_dir = file("plain", 0600) + "/below";
  EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kFailure);
}

TEST_F(Doctor, ASpoolThatDoesNotFitOnTheDisk) {
  patient_.config.spool.bytes_max = 1ULL << 60;
  EXPECT_EQ(check_disk_space(patient_)[0].health, Health::kWarning);
  patient_.config.spool.bytes_max = 1ULL << 20;
  EXPECT_EQ(check_disk_space(patient_)[0].health, Health::kGood);
}

TEST_F(Doctor, LeavesNothingOnTheDiskItMeasures) {
  EXPECT_NE(check_disk_speed(patient_)[0].health, Health::kFailure);
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(Doctor, WhatIsNotDelivered) {
  EXPECT_EQ(check_delivery(patient_)[0].health, Health::kSkipped);
  patient_.refused = 404;
  EXPECT_TRUE(check_delivery(patient_)[0].what.ends_with("says 404 to /v1/status")) << "somebody else's listener";
  patient_.refused = 0;
  patient_.status = R"({"spool":{"dead_letters":0},"uplink":null})";
  EXPECT_EQ(check_delivery(patient_)[0].health, Health::kGood);
  patient_.status = R"({"spool":{"high":{"oldest_ms":5001},"dead_letters":0},"uplink":{"reached":false}})";
  EXPECT_EQ(check_delivery(patient_)[0].health, Health::kFailure);
  patient_.status =
      R"({"spool":{"high":{"oldest_ms":5001},"dead_letters":0},"uplink":{"connected":false,"reached":true}})";
  EXPECT_EQ(check_delivery(patient_)[0].what, "0 records were delivered, none yet") << "its first batch is not due";
  patient_.status =
      R"({"spool":{"dead_letters":0},"uplink":{"reached":true,"records":7,"last_delivery_ms":1000000000000}})";
  EXPECT_TRUE(check_delivery(patient_)[0].what.starts_with("7 records were delivered, the last "));
  patient_.status = R"({"spool":{"high":{"oldest_ms":900000},"dead_letters":2},"uplink":{"reached":true}})";
  const std::vector<Finding> findings = check_delivery(patient_);
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(findings[1].health, Health::kWarning);
}

}  // namespace
}  // namespace verge::cli
