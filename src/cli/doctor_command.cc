// verge doctor: what could keep a node from doing its work, and what to do about it.
#include <cstdio>

#include <unistd.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/terminal_text.h"
#include "node/prepared_config.h"

namespace verge::cli {
namespace {

constexpr auto kPatience = std::chrono::seconds(3);

struct DoctorOptions {
  std::string config;
  std::vector<std::string> overrides;
  std::string admin;  // empty: where the configuration says
  std::vector<std::string> only;
  bool fix = false;
  bool list = false;
  bool json = false;
};

Patient examine(const DoctorOptions& options) {
  const auto file = options.config.empty() ? std::nullopt : std::optional<std::filesystem::path>(options.config);
  node::ConfigReading reading = node::read_config(file, options.overrides);
  Patient patient{.config = reading.config,
                  .problems = reading.problems,
                  .is_configured = reading.is_readable,
                  .status = {},
                  .admin = options.admin,
                  .stranger = {},
                  .unasked_fix = {}};
  if (const auto prepared = node::prepare_config(std::move(reading), true); !prepared) {
    patient.problems = prepared.error();
  }
  if (!patient.is_configured) return patient;  // whom to ask is not known, nor who should answer
  if (patient.admin.empty() && !patient.config.admin.listen.empty())
    patient.admin = patient.config.admin.listen.front();
  if (patient.admin.empty()) return patient;
  if (const auto answer = admin_get(patient.admin, "/v1/status", kPatience)) {
    take_answer(patient, answer->status, answer->body);
  } else if (answer.error().code == "admin.unauthorized" || answer.error().code == "config.secret") {
    patient.stranger = answer.error().what;
    patient.unasked_fix = answer.error().fix;
  } else if (answer.error().code == "http.bad-answer") {
    take_answer(patient, 0, {});
  }
  return patient;
}

// Whether what was found is now as it should be.
bool apply_remedy(Finding& finding) {
  const Result<void> done = finding.remedy();
  if (!done) {
    fmt::print(stderr, "verge doctor: {}\n", done.error().line());
    return false;
  }
  return true;
}

void print_finding(std::string_view id, const Finding& finding, bool is_mended, bool json) {
  if (json) {
    fmt::print(R"({{"id":{},"health":{},"what":{},"fix":{},"mended":{}}})"
               "\n",
               json_string(id), json_string(name_of(finding.health)), json_string(finding.what),
               json_string(finding.fix), is_mended);
    return;
  }
  static const bool colours = isatty(STDOUT_FILENO) == 1 && wants_colours();
  const auto coloured = [](std::string_view text, int colour) {
    return colours ? fmt::format("\x1b[{}m{:<8}\x1b[0m", colour, text) : fmt::format("{:<8}", text);
  };
  const int colour = is_mended || finding.health == Health::kGood ? 32
                     : finding.health == Health::kWarning         ? 33
                     : finding.health == Health::kFailure         ? 31
                                                                  : 2;
  fmt::print("{} {:<13} {}\n", coloured(is_mended ? "mended" : name_of(finding.health), colour), id,
             printable(finding.what));
  if (!finding.fix.empty() && !is_mended) fmt::print("{:<8} {:<13} -> {}\n", "", "", printable(finding.fix));
}

bool is_wanted(const DoctorOptions& options, const Check& check) {
  return options.only.empty() || std::ranges::find(options.only, check.id) != options.only.end();
}

int list_checks(bool json) {
  for (const Check& check : checks()) {
    if (json) {
      fmt::print("{{\"id\":{},\"about\":{}}}\n", json_string(check.id), json_string(check.about));
    } else {
      fmt::print("{:<13} {}\n", check.id, check.about);
    }
  }
  return kSuccess;
}

int run_doctor(const DoctorOptions& options) {
  if (options.list) return list_checks(options.json);
  const Patient patient = examine(options);
  size_t failures = 0;
  size_t warnings = 0;
  bool can_mend = false;
  for (const Check& check : checks()) {
    if (!is_wanted(options, check)) continue;
    for (Finding& finding : findings_of(check, patient)) {
      const bool is_mended = options.fix && finding.remedy && apply_remedy(finding);
      print_finding(check.id, finding, is_mended, options.json);
      std::fflush(stdout);
      if (is_mended) continue;
      can_mend |= finding.remedy != nullptr;
      failures += finding.health == Health::kFailure ? 1 : 0;
      warnings += finding.health == Health::kWarning ? 1 : 0;
    }
  }
  if (!options.json) {
    const auto counted = [](size_t count, std::string_view what) {
      return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
    };
    fmt::print(stderr, "{}, {}{}\n", counted(failures, "failure"), counted(warnings, "warning"),
               can_mend && !options.fix ? "; --fix mends what can be mended safely" : "");
  }
  return failures == 0 ? kSuccess : kFailure;
}

}  // namespace

void add_doctor(Command& app, Outcome& outcome) {
  Command* command = app.add_command("doctor", "Find what could keep a node from its work, and say what to do");
  command->group(kGroupNode);
  const auto options = std::make_shared<DoctorOptions>();
  command->add_option("--config", options->config, "The node's TOML file; without one the defaults are looked at")
      ->type_name("FILE");
  command->add_option("--set", options->overrides, "Override one key, as for verge node; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--admin", options->admin, "Admin listener of the node, if not as configured")
      ->type_name("HOST:PORT")
      ->check(no_address);
  std::vector<std::string> ids;
  for (const Check& check : checks()) ids.emplace_back(check.id);
  command->add_option("--only", options->only, "Run this check alone; repeatable")
      ->type_name("ID")
      ->allow_extra_args(false)
      ->check(one_of(ids));
  command->add_flag("--list", options->list, "List the checks");
  command->add_flag("--fix", options->fix, "Mend what can be mended safely: the modes of directories and secret files");
  command->add_flag("--json", options->json, "One JSON object a line: id, health, what, fix, mended");
  set_examples(*command,
               "  verge doctor --config /etc/verge/verge.toml\n"
               "  verge doctor --only disk-speed --json\n\n"
               "Exit status 1 if a check failed; warnings do not count. The ids of checks do not change.");
  command->callback([&outcome, options] { outcome.run = [options] { return run_doctor(*options); }; });
}

}  // namespace verge::cli
