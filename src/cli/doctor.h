// What `verge doctor` looks at: the machine, a node's configuration and directory, and the node itself where it runs.
//
// Each check has an id that stays, so that scripts may rely on it; what it found is a Finding. A check changes nothing;
// where a remedy is safe (nothing is lost by it, nothing opened), the finding carries it, and `--fix` applies it.
#pragma once

#include <chrono>
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
  node::Config config;                // a key that is at fault has its default
  node::ConfigProblems problems;      // of the file, --set and the credentials
  bool is_configured = true;          // false: the file could not be read, and `config` says nothing of the node
  std::optional<std::string> status;  // what the node says at /v1/status, JSON; none: it does not answer
  std::string admin;                  // where it was asked
  std::string stranger;               // who answers there instead of it, in a sentence; empty: nobody
  std::string unasked_fix;            // not empty: it could not be asked, for that; `stranger` says why
};

// Takes what was answered at `admin` to /v1/status: as the node's word, if it has the id that the data directory has,
// or the configured name where there is none to be read. `http_status` is that of the answer.
void take_answer(Patient& patient, int http_status, const std::string& body);

struct Check {
  std::string_view id;
  std::string_view about;
  std::vector<Finding> (*look)(const Patient& patient);  // not empty; takes a few seconds at most
  bool needs_configuration = true;
};

// What the check finds; where it needs a configuration that could not be read, that it is skipped.
std::vector<Finding> findings_of(const Check& check, const Patient& patient);

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
// Each once, as name:port: of parents, origins, bridges, webhooks, NATS servers and who collects traces.
std::vector<std::string> names_called(const node::Config& config);
std::vector<Finding> check_parent(const Patient& patient);
std::vector<Finding> check_store(const Patient& patient);
std::vector<Finding> check_certificates(const Patient& patient);
std::vector<Finding> check_delivery(const Patient& patient);

// The configured directory itself: not what it is a link to.
std::string data_directory_of(const Patient& patient);

// How long that is, as certificates are spoken of: "3 minutes", "1 hour", "47 hours", "2 days".
std::string rounded_time(std::chrono::seconds time);

}  // namespace verge::cli
