#include "cli/doctor.h"

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/socket_file.h"
#include "storage/data_directory.h"

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

  // To a user of its own, as root can: then it is known whom the node runs as.
  static void give_away(const std::string& path) {
    if (geteuid() == 0) ASSERT_EQ(chown(path.c_str(), 12345, 54321), 0);
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

// "up to 1048576, 1536 are configured": the second.
uint64_t descriptors_configured(const Patient& patient) {
  const std::vector<Finding> findings = check_descriptors(patient);
  uint64_t limit = 0, wanted = 0;
  EXPECT_EQ(std::sscanf(findings.at(0).what.c_str(), "up to %lu, %lu are", &limit, &wanted), 2) << findings[0].what;
  return wanted;
}

TEST_F(Doctor, EachLoopHasItsConnectionsToEachOrigin) {
  patient_.config.mqtt.connections_max = 100;
  patient_.config.http.connections_max = 100;
  patient_.config.runtime.loops = 3;
  const uint64_t before = descriptors_configured(patient_);
  node::SiteConfig site;
  site.origins.resize(2);
  site.connections_max = 10;
  patient_.config.sites = {site, site};
  EXPECT_EQ(descriptors_configured(patient_) - before, 2U * 2 * 10 * 3);
}

TEST_F(Doctor, ASecretThatOthersCanReadIsClosed) {
  give_away(directory_);
  const std::string path = file("token", 0644);
  patient_.config.parent.token = node::SecretSource{.name = path};
  std::vector<Finding> findings = check_secrets(patient_);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].health, Health::kFailure);
  if (geteuid() == 0) {
    EXPECT_FALSE(findings[0].remedy) << "the node's user reads it by everybody's rights";
    EXPECT_TRUE(findings[0].fix.starts_with("give it to the node's user alone: chown "));
    give_away(path);
    findings = check_secrets(patient_);
  }
  ASSERT_TRUE(findings[0].remedy);
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
  if (geteuid() == 0) {
    EXPECT_FALSE(findings[0].remedy) << "as whom the node runs is not known";
    give_away(directory_);
    findings = check_data_directory(patient_);
  }
  ASSERT_TRUE(findings[0].remedy);
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

// What a node leaves behind that ran once as root, where its user is another; for who is not root, a file of its own
// that was closed.
TEST_F(Doctor, FilesThatTheNodesUserMayNotWrite) {
  const bool is_root = geteuid() == 0;
  const auto give_to_user = [&](const std::string& path) { return !is_root || chown(path.c_str(), 12345, 54321) == 0; };
  std::filesystem::create_directories(directory_ + "/spool/normal");
  for (const std::string& path :
       {directory_, directory_ + "/spool", directory_ + "/spool/normal", file("lock", 0640)}) {
    ASSERT_TRUE(give_to_user(path));
  }
  std::filesystem::create_directory(directory_ + "/lost+found");
  chmod((directory_ + "/lost+found").c_str(), 0);
  EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kGood) << "what is not the node's is passed over";
  chmod((directory_ + "/lost+found").c_str(), 0700);
  const std::string segment = file("spool/normal/1.log", is_root ? 0640 : 0);
  const std::vector<Finding> findings = check_data_directory(patient_);
  EXPECT_EQ(findings[0].health, Health::kFailure);
  EXPECT_TRUE(findings[0].what.starts_with(segment)) << findings[0].what;
  EXPECT_TRUE(findings[0].fix.starts_with(is_root ? "chown -R 12345:54321 /" : "chmod -R u+rwX /")) << findings[0].fix;
  if (!is_root) return;
  chmod(segment.c_str(), 0666);
  EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kGood) << "whom a file belongs to matters to nobody";
  chmod((directory_ + "/spool").c_str(), 0500);
  EXPECT_TRUE(check_data_directory(patient_)[0].fix.starts_with("chmod -R u+rwX /"));
  ASSERT_EQ(chown(directory_.c_str(), 0, 0), 0);
  EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kWarning) << "the node may run as root, or not";
}

TEST_F(Doctor, ADirectoryThatAProcessHolds) {
  patient_.admin = "127.0.0.1:9180";
  {
    const Result<storage::DataDirectory> held = storage::DataDirectory::open(directory_);
    ASSERT_TRUE(held);
    const std::string self = fmt::format("process {}", getpid());
    EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kFailure);
    EXPECT_TRUE(check_data_directory(patient_)[0].what.contains(self));
    patient_.status = R"({"node":{"pid":1}})";
    EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kFailure) << "another one answers";
    patient_.status = fmt::format(R"({{"node":{{"pid":{}}}}})", getpid());
    EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kGood);
    EXPECT_TRUE(check_data_directory(patient_)[0].what.contains(self));
    patient_.status.reset();
    patient_.admin.clear();
    EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kWarning) << "there is nobody to ask";
  }
  EXPECT_EQ(check_data_directory(patient_)[0].health, Health::kGood) << "the lock is left behind, and nobody holds it";
}

TEST_F(Doctor, WhoAnswersIsTheNodeOrSomebodyElse) {
  constexpr std::string_view kId = "0123456789abcdef0123456789abcdef";
  patient_.admin = "127.0.0.1:9180";
  patient_.config.node.name = "press-7";
  const auto answer = [](std::string_view id, std::string_view name) {
    return fmt::format(R"({{"node":{{"id":"{}","name":"{}"}}}})", id, name);
  };
  const auto stranger = [&](int http_status, const std::string& body) {
    Patient patient = patient_;
    take_answer(patient, http_status, body);
    EXPECT_NE(patient.status.has_value(), !patient.stranger.empty());
    if (!patient.status) {
      EXPECT_EQ(check_delivery(patient)[0].health, Health::kSkipped);
      EXPECT_EQ(check_delivery(patient)[0].what, patient.stranger);
    }
    return patient.stranger;
  };
  const std::string no_node = "something that is no node answers at 127.0.0.1:9180";
  EXPECT_EQ(stranger(404, answer(kId, "press-7")), no_node);
  EXPECT_EQ(stranger(200, "<html>"), no_node);
  EXPECT_EQ(stranger(403, R"({"error":{"code":"admin.host","what":"edge is a name","fix":""}})"),
            "127.0.0.1:9180 does not say who it is: edge is a name");
  EXPECT_EQ(stranger(200, R"({"node":{"name":"press-7"}})"), no_node);
  EXPECT_EQ(stranger(200, answer(kId, "press-7")), "") << "there is no identity here, and the name is right";
  EXPECT_EQ(stranger(200, answer(kId, "press-8")), "another node, press-8, answers at 127.0.0.1:9180");
  std::filesystem::create_directory(directory_ + "/identity");
  std::ofstream(directory_ + "/identity/node-id") << kId << "\n";
  EXPECT_EQ(stranger(200, answer(kId, "press-8")), "") << "it was given another name, and not started again";
  EXPECT_EQ(stranger(200, answer("f123456789abcdef0123456789abcdef", "press-7")),
            "another node, press-7, answers at 127.0.0.1:9180");
}

TEST_F(Doctor, WithoutAConfigurationNothingIsSaidOfIt) {
  patient_.is_configured = false;
  for (const Check& check : checks()) {
    const std::vector<Finding> findings = findings_of(check, patient_);
    const bool is_skipped = findings[0].what == "the configuration could not be read";
    EXPECT_EQ(is_skipped, check.needs_configuration) << check.id;
    EXPECT_EQ(findings[0].health == Health::kSkipped, check.needs_configuration) << check.id;
  }
}

TEST_F(Doctor, UnixSocketsOnWhichItCannotListen) {
  node::Config& config = patient_.config;
  for (auto* listen : {&config.mqtt.listen, &config.http.listen, &config.admin.listen}) listen->clear();
  const std::string path = directory_ + "/mqtt.sock";
  config.mqtt.unix_listen = {path};
  EXPECT_EQ(check_ports(patient_)[0].what, "1 are free");
  {
    const Result<net::SocketFile> other = net::SocketFile::listen(path, 0600);
    ASSERT_TRUE(other);
    ASSERT_EQ(check_ports(patient_)[0].health, Health::kFailure);
    EXPECT_TRUE(check_ports(patient_)[0].what.contains("another program listens on " + path));
  }
  EXPECT_EQ(check_ports(patient_)[0].health, Health::kGood);
  config.mqtt.unix_listen = {directory_ + "/none/mqtt.sock"};
  EXPECT_TRUE(check_ports(patient_)[0].what.ends_with(directory_ + "/none is no directory"));
  config.mqtt.unix_listen = {file("plain", 0600)};
  EXPECT_EQ(check_ports(patient_)[0].health, Health::kFailure) << "the node replaces no file that is no socket";
  config.mqtt.unix_listen = {directory_ + "/closed/mqtt.sock"};
  std::filesystem::create_directory(directory_ + "/closed");
  chmod((directory_ + "/closed").c_str(), 0555);
  ASSERT_TRUE(geteuid() != 0 || chown(directory_.c_str(), 12345, 54321) == 0) << "the node's user";
  EXPECT_TRUE(check_ports(patient_)[0].what.contains("/closed may not be written by "));
}

TEST_F(Doctor, TimesAreRounded) {
  using std::chrono::seconds, std::chrono::hours;
  EXPECT_EQ(rounded_time(seconds(59)), "0 minutes");
  EXPECT_EQ(rounded_time(seconds(119)), "1 minute");
  EXPECT_EQ(rounded_time(hours(1)), "1 hour");
  EXPECT_EQ(rounded_time(hours(48) - seconds(1)), "47 hours");
  EXPECT_EQ(rounded_time(hours(48)), "2 days");
}

TEST_F(Doctor, ADiskIsNotMeasuredAtAFile) {
  patient_.config.node.data_dir = file("plain", 0600);
  EXPECT_EQ(check_disk_speed(patient_)[0].health, Health::kSkipped);
  EXPECT_TRUE(check_disk_speed(patient_)[0].what.ends_with("plain is no directory"));
}

TEST_F(Doctor, LeavesNothingOnTheDiskItMeasures) {
  EXPECT_NE(check_disk_speed(patient_)[0].health, Health::kFailure);
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(Doctor, WhatIsNotDelivered) {
  EXPECT_EQ(check_delivery(patient_)[0].health, Health::kSkipped);
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
