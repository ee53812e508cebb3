// verge: one binary, many commands. Each command is registered here and lives in a file of its own.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/mqtt_commands.h"
#include "cli/rules_command.h"

namespace {

int run(int argc, char** argv) {
  using namespace verge::cli;
  CLI::App app;
  Command program(app);
  Outcome outcome;
  describe_program(program);
  program.require_subcommand(1);
  add_node(program, outcome);
  add_check(program, outcome);
  add_events(program, outcome);
  add_spool(program, outcome);
  add_cache(program, outcome);
  add_worker(program, outcome);
  add_kv(program, outcome);
  add_queue(program, outcome);
  add_rules(program, outcome);
  add_detect(program, outcome);
  add_reduce(program, outcome);
  add_restore(program, outcome);
  add_demo(program, outcome);
  add_bench(program, outcome);
  add_mqtt(program, outcome);
  add_twin(program, outcome);
  add_import(program, outcome);
  add_passwd(program, outcome);
  add_pub(program, outcome);
  add_sub(program, outcome);
  add_plan(program, outcome);
  add_top(program, outcome);
  add_doctor(program, outcome);
  add_explain(program, outcome);
  add_request(program, outcome);
  add_completion(program, outcome);
  add_manual(program, outcome);
  add_version(program, outcome);
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
