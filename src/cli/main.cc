// verge: one binary, many commands. Each command is registered here and lives in a file of its own.
#include <cstdio>
#include <exception>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/mqtt_commands.h"
#include "cli/rules_command.h"

namespace {

int run(int argc, char** argv) {
  using namespace verge::cli;
  CLI::App app;
  Outcome outcome;
  describe_program(app);
  app.require_subcommand(1);
  add_node(app, outcome);
  add_check(app, outcome);
  add_events(app, outcome);
  add_spool(app, outcome);
  add_cache(app, outcome);
  add_worker(app, outcome);
  add_rules(app, outcome);
  add_detect(app, outcome);
  add_reduce(app, outcome);
  add_restore(app, outcome);
  add_demo(app, outcome);
  add_bench(app, outcome);
  add_mqtt(app, outcome);
  add_import(app, outcome);
  add_passwd(app, outcome);
  add_pub(app, outcome);
  add_sub(app, outcome);
  add_plan(app, outcome);
  add_top(app, outcome);
  add_doctor(app, outcome);
  add_explain(app, outcome);
  add_completion(app, outcome);
  add_manual(app, outcome);
  add_version(app, outcome);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& answer) {
    return app.exit(answer);
  } catch (const CLI::ParseError& problem) {
    fmt::print(stderr, "verge: {}\n", explain(app, problem));
    return kUsage;
  }
  return outcome.run ? outcome.run() : kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "verge: %s\n", problem.what());
    return verge::cli::kFailure;
  }
}
