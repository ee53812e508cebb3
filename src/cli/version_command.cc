#include <cstdio>

#include "base/version.h"
#include "cli/command_line.h"
#include "cli/commands.h"

namespace verge::cli {

void add_version(Command& app, Outcome& outcome) {
  Command* command = app.add_command("version", "Print the version of this program");
  command->group(kGroupShell);
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "One JSON object");
  set_examples(*command, "  verge version --json");
  command->callback([&outcome, json] {
    outcome.run = [json] {
      fmt::print("{}{}{}\n", *json ? "{\"version\":\"" : "verge ", kVersion, *json ? "\"}" : "");
      return kSuccess;
    };
  });
}

}  // namespace verge::cli
