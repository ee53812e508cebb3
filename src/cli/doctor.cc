#include "cli/doctor.h"

#include <fmt/format.h>

#include "cli/data_owner.h"
#include "cli/json_lookup.h"

namespace verge::cli {

std::string_view name_of(Health health) {
  switch (health) {
    case Health::kGood:
      return "good";
    case Health::kWarning:
      return "warning";
    case Health::kFailure:
      return "failure";
    case Health::kSkipped:
      return "skipped";
  }
  return "";
}

const std::vector<Check>& checks() {
  static const std::vector<Check> all = {
      {"config", "is the configuration right?", check_configuration, /*needs_configuration=*/false},
      {"clock", "is the clock kept right by something?", check_clock, /*needs_configuration=*/false},
      {"data-dir", "is the data directory there, the node's alone, and free?", check_data_directory},
      {"disk-space", "do the spool and the cache fit on the disk?", check_disk_space},
      {"disk-speed", "how long does a durable write take?", check_disk_speed},
      {"secrets", "can others read keys and tokens?", check_secrets},
      {"descriptors", "may the process have as many connections as are configured?", check_descriptors},
      {"kernel", "do the kernel's limits fit?", check_kernel, /*needs_configuration=*/false},
      {"memory", "is there memory for what is configured?", check_memory},
      {"sandbox", "can workers be locked in?", check_sandbox, /*needs_configuration=*/false},
      {"ports", "are the addresses to listen on free?", check_ports},
      {"dns", "can what is named be resolved: parent, origins, bridges, webhooks, servers, traces?", check_names},
      {"parent", "can the parent be reached?", check_parent},
      {"store", "are the servers that keep what children send reached?", check_store},
      {"certificates", "how long are certificates good for?", check_certificates},
      {"delivery", "does what is stored arrive at the parent?", check_delivery},
  };
  return all;
}

std::vector<Finding> findings_of(const Check& check, const Patient& patient) {
  if (patient.is_configured || !check.needs_configuration) return check.look(patient);
  return {{.health = Health::kSkipped, .what = "the configuration could not be read", .fix = {}, .remedy = {}}};
}

void take_answer(Patient& patient, int http_status, const std::string& body) {
  if (text_at(body, {"error", "code"}).starts_with("admin.")) {
    patient.stranger = fmt::format("{} does not say who it is: {}", patient.admin, text_at(body, {"error", "what"}));
    return;
  }
  const std::string id = http_status == 200 ? text_at(body, {"node", "id"}) : "";
  if (!NodeId::parse(id)) {
    patient.stranger = fmt::format("something that is no node answers at {}", patient.admin);
    return;
  }
  storage::PosixFileSystem file_system(data_directory_of(patient));
  const NodeId own = owner_of(file_system, data_directory_of(patient)).id;
  const std::string name = text_at(body, {"node", "name"});
  if (own.is_zero() ? name == patient.config.node.name : id == own.text()) {
    patient.status = body;
  } else {
    patient.stranger = fmt::format("another node, {}, answers at {}", name, patient.admin);
  }
}

std::vector<Finding> check_configuration(const Patient& patient) {
  std::vector<Finding> findings;
  for (const node::ConfigProblem& problem : patient.problems) {
    const std::string place = problem.place.empty() ? "" : problem.place + ": ";
    findings.push_back({.health = Health::kFailure,
                        .what = fmt::format("{}{} [{}]", place, problem.error.what, problem.error.code),
                        .fix = problem.error.fix,
                        .remedy = {}});
  }
  if (findings.empty()) {
    findings.push_back(
        {.what = fmt::format("good: {} rules, {} sites", patient.config.rules.size(), patient.config.sites.size()),
         .fix = {},
         .remedy = {}});
  }
  return findings;
}

}  // namespace verge::cli
