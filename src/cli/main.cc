// verge: one binary, many commands. Each command is registered here and lives in a file of its own.
#include <cerrno>
#include <cstdio>
#include <cstring>
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
  add_kv(app, outcome);
  add_rules(app, outcome);
  add_detect(app, outcome);
  add_reduce(app, outcome);
  add_restore(app, outcome);
  add_demo(app, outcome);
  add_bench(app, outcome);
  add_mqtt(app, outcome);
  add_twin(app, outcome);
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
  const int status = outcome.run ? outcome.run() : kUsage;
  // What was printed may still be on its way to a disk that is full.
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  if (errno != EPIPE) {
    fmt::print(stderr, "verge: what was printed could not be written: {}; print it where there is space [cli.output]\n",
               std::strerror(errno));
  }
  return status == kSuccess ? kFailure : status;
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
