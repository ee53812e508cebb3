#include "node/prepared_config.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "node/compiled_rules.h"
#include "node/listeners.h"
#include "node/queue_names.h"

namespace verge::node {
namespace {

// What is at fault keeps its default, which nobody wrote: it must not be complained of. Those keys get values here that
// nothing is wrong with.
Config without_faults(const ConfigReading& reading) {
  Config config = reading.config;
  const auto is_at_fault = [&](std::string_view key) {
    const std::string place = config.origin.place_of_given(key);
    return !place.empty() &&
           std::ranges::find(reading.problems, place, &ConfigProblem::place) != reading.problems.end();
  };
  if (is_at_fault("mqtt.listen")) config.mqtt.listen.clear();
  if (is_at_fault("http.listen")) config.http.listen.clear();
  if (is_at_fault("admin.listen")) config.admin.listen.clear();
  if (is_at_fault("mqtt.tls_listen")) config.mqtt.tls_listen.clear();
  if (is_at_fault("mqtt.ws_listen")) config.mqtt.ws_listen.clear();
  if (is_at_fault("mqtt.ws_tls_listen")) config.mqtt.ws_tls_listen.clear();
  if (is_at_fault("http.tls_listen")) config.http.tls_listen.clear();
  if (is_at_fault("node.allow_anonymous")) config.node.allow_anonymous = true;
  for (size_t i = 0; i < config.rules.size(); ++i) {
    rules::RuleSource& rule = config.rules[i];
    if (rule.name.empty()) rule.name = fmt::format("rule {}", i);
    if (rule.sql.empty()) rule.sql = "SELECT * FROM 'x'";
  }
  return config;
}

// A worker may still be deployed while the node runs.
void warn_of_workers(const Config& config, size_t rule, ConfigProblems& warnings) {
  std::vector<std::string> known;
  for (const WorkerConfig& worker : config.workers) known.push_back(worker.name);
  const std::vector<rules::ActionSource>& actions = config.rules[rule].actions;
  for (size_t i = 0; i < actions.size(); ++i) {
    const auto* call = std::get_if<rules::CallSource>(&actions[i]);
    if (call == nullptr || std::ranges::find(known, call->worker) != known.end()) continue;
    const std::string near = nearest(call->worker, known);
    warnings.push_back({{"rule.worker", fmt::format("there is no worker {} in the configuration", call->worker),
                         near.empty() ? "declare it with [[worker]], or deploy it with verge worker deploy"
                                      : fmt::format("did you mean {}?", near)},
                        config.place_of(fmt::format("rule.{}.do.{}.worker", rule, i))});
  }
}

ConfigProblems warnings_of(const Config& config, const rules::RuleSet& rules) {
  ConfigProblems warnings;
  for (const rules::Rule& rule : rules.rules()) {
    for (const rules::Fault& warning : rule.warnings) {
      warnings.push_back({warning.error, config.place_of(rules::RuleProblem{
                                             .error = {}, .rule = rule.index, .offset = warning.offset})});
    }
    warn_of_workers(config, rule.index, warnings);
  }
  return warnings;
}

}  // namespace

std::expected<PreparedConfig, ConfigProblems> prepare_config(ConfigReading reading, bool with_credentials) {
  if (!reading.is_readable) return std::unexpected(std::move(reading.problems));
  const Config config = reading.problems.empty() ? reading.config : without_faults(reading);
  ConfigProblems problems = std::move(reading.problems);
  const size_t of_values = problems.size();
  const auto add = [&](ConfigProblem problem) {
    // Where a value is at fault, what follows from it says nothing new.
    const auto known = std::span(problems).first(of_values);
    const bool follows =
        !problem.place.empty() && std::ranges::find(known, problem.place, &ConfigProblem::place) != known.end();
    if (!follows) problems.push_back(std::move(problem));
  };
  for (ConfigProblem& problem : check_listeners(config)) add(std::move(problem));
  // What a queue's name was meant to be is not known where values are at fault.
  if (of_values == 0) {
    for (ConfigProblem& problem : check_queues(config)) add(std::move(problem));
  }
  auto rules = compile_rules(config);
  if (!rules) {
    for (ConfigProblem& problem : rules.error()) add(std::move(problem));
  }
  // Where values are at fault, what they name may not be meant.
  auto credentials = with_credentials && of_values == 0 ? load_credentials(config) : Credentials{};
  if (!credentials) {
    for (ConfigProblem& problem : credentials.error()) add(std::move(problem));
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  ConfigProblems warnings = warnings_of(config, **rules);
  return PreparedConfig{std::move(reading.config), std::move(*rules), std::move(*credentials), std::move(warnings)};
}

}  // namespace verge::node
