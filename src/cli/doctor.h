// What `verge doctor` looks at: the machine, a node's configuration and directory, and the node itself where it runs.
//
// Each check has an id that stays, so that scripts may rely on it; what it found is a Finding. A check changes nothing;
// where a remedy is safe (nothing is lost by it, nothing opened), the finding carries it, and `--fix` applies it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "node/config.h"

namespace verge::cli {

enum class Health { kGood, kWarning, kFailure, kSkipped };

std::string_view name_of(Health health);  // "good", "warning", "failure", "skipped"

struct Finding {
  Health health = Health::kGood;
  std::string what;                      // one line
  std::string fix;                       // what to do; empty where there is nothing
  std::function<Result<void>()> remedy;  // none: `fix` is for a person
};

// Who is looked at.
struct Patient {
  node::Config config;                // the defaults where the file is at fault
  node::ConfigProblems problems;      // of the file, --set and the credentials
  std::optional<std::string> status;  // what a running node says at /v1/status, JSON; none: no node answered
  std::string admin;                  // where it was asked
  int refused = 0;                    // what was answered there instead: an HTTP status; 0: nothing
};

struct Check {
  std::string_view id;
  std::string_view about;
  std::vector<Finding> (*look)(const Patient& patient);  // not empty; takes a few seconds at most
};

// In the order in which they are shown: what else depends on comes first.
const std::vector<Check>& checks();

// The checks, by what they look at.
std::vector<Finding> check_configuration(const Patient& patient);
std::vector<Finding> check_clock(const Patient& patient);
std::vector<Finding> check_data_directory(const Patient& patient);
std::vector<Finding> check_disk_space(const Patient& patient);
std::vector<Finding> check_disk_speed(const Patient& patient);
std::vector<Finding> check_secrets(const Patient& patient);
std::vector<Finding> check_descriptors(const Patient& patient);
std::vector<Finding> check_kernel(const Patient& patient);
std::vector<Finding> check_memory(const Patient& patient);
std::vector<Finding> check_sandbox(const Patient& patient);
std::vector<Finding> check_ports(const Patient& patient);
std::vector<Finding> check_names(const Patient& patient);
// Each once, as name:port: of parents, origins, bridges, webhooks and who collects traces.
std::vector<std::string> names_called(const node::Config& config);
std::vector<Finding> check_parent(const Patient& patient);
std::vector<Finding> check_certificates(const Patient& patient);
std::vector<Finding> check_delivery(const Patient& patient);

// The configured directory itself: not what it is a link to.
std::string data_directory_of(const Patient& patient);

}  // namespace verge::cli
