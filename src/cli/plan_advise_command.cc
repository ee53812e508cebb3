// verge plan advise: edge or cloud, and the usual mistakes of plans.
#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/plan_commands.h"
#include "cli/plan_figures.h"
#include "cli/plan_output.h"
#include "planner/advice.h"
#include "planner/drawing.h"
#include "planner/json_text.h"

namespace verge::cli {

namespace {

struct AdviseOptions {
  std::vector<std::string> files;
  PlanOutput output;
  planner::AdviceInput input;
};

std::vector<Figure> figures_of(AdviseOptions& options) {
  planner::AdviceInput& input = options.input;
  return {{"latency_ms", "That is needed", &input.latency_ms},
          {"bandwidth_mbps", "That a site produces", &input.bandwidth_mbps},
          {"gigabytes_per_day", "That a site produces", &input.gigabytes_per_day},
          {"private", "The data must stay where it arises", &input.is_private},
          {"line_availability_percent", "Of the line to the cloud", &input.line_availability_percent, 0, 100},
          {"must_run_offline", "It goes on without the line", &input.must_run_offline},
          {"computing",
           "realtime, inference, general, batch or training",
           &input.computing,
           0,
           0,
           {"realtime", "inference", "general", "batch", "training"}},
          {"edge_utilisation", "Of the edge nodes that are planned, 0 to 1", &input.edge_utilisation, 0, 1},
          {"edge_nodes", "That are planned", &input.estimated_edge_nodes},
          {"operators", "People who run them", &input.operators},
          {"security_plan", "Identities, encryption and updates are planned", &input.has_security_plan},
          {"offline_strategy", "It is planned what happens without the line", &input.has_offline_strategy},
          {"services", "Parts of the workload that can be placed apart", &input.services}};
}

int run_advise(const AdviseOptions& options) {
  const planner::Advice advice = planner::advise(options.input);
  planner::JsonText json;
  json.open('{').member("where", advice.where).member("score", advice.score).key("factors").open('[');
  TextTable table({"factor", "towards the edge", "why"});
  std::vector<planner::Bar> bars;
  for (const planner::Factor& factor : advice.factors) {
    json.open('{')
        .member("name", factor.name)
        .member("weight", factor.weight)
        .member("reason", factor.reason)
        .close('}');
    table.add({factor.name, fmt::format("{:+.1f}", factor.weight), factor.reason});
    bars.push_back({factor.name, factor.weight, factor.weight >= 0 ? 0 : 1});
  }
  json.close(']').key("mistakes").open('[');
  std::string mistakes;
  for (const planner::Mistake& mistake : advice.mistakes) {
    json.open('{')
        .member("name", mistake.name)
        .member("evidence", mistake.evidence)
        .member("remedy", mistake.remedy)
        .close('}');
    mistakes += fmt::format("mistake: {} ({}): {}\n", mistake.name, mistake.evidence, mistake.remedy);
  }
  json.close(']').close('}');
  return print_plan(
      options.output,
      {.json = json.text(),
       .table = table.text() + fmt::format("\n{} ({:+.1f})\n", advice.where, advice.score) + mistakes,
       .explanation = "the sum of the factors: from +1 on the edge, from -1 down the cloud, between them both\n",
       .picture = [&] { return planner::draw_bars("Towards the edge (red: towards the cloud)", "", bars); }});
}

}  // namespace

void add_plan_advise(Command& plan, Outcome& outcome) {
  const auto options = std::make_shared<AdviseOptions>();
  Command* command = plan.add_command("advise", "Edge or cloud, and which of the usual mistakes the plan makes");
  command->add_option("PLAN", options->files, "Files with a table [advise]; options come after them");
  add_figures(*command, figures_of(*options));
  add_plan_output(*command, options->output);
  set_examples(*command,
               "  verge plan advise --latency-ms 5 --computing realtime --must-run-offline true\n"
               "  verge plan advise examples/plan/city.toml --explain\n");
  command->callback([&outcome, options, command] {
    outcome.run = [options, command] {
      AdviseOptions read;
      read.output = options->output;
      const std::vector<Figure> targets = figures_of(read);
      if (Result<void> done = read_figures(options->files, "advise", targets); !done)
        return print_plan_failure(done.error());
      apply_typed(*command, figures_of(*options), targets);
      return run_advise(read);
    };
  });
}

}  // namespace verge::cli
