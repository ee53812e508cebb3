#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/plan_commands.h"

namespace verge::cli {

void add_plan(Command& app, Outcome& outcome) {
  Command* command = app.add_command(
      "plan", "Where things should be: latency, selection, replicas, placement, protocols, money (no node is needed)");
  command->group(kGroupPlan);
  command->require_subcommand(1);
  add_plan_latency(*command, outcome);
  add_plan_select(*command, outcome);
  add_plan_replicate(*command, outcome);
  add_plan_place(*command, outcome);
  add_plan_protocol(*command, outcome);
  add_plan_roi(*command, outcome);
  add_plan_advise(*command, outcome);
  set_examples(*command,
               "  verge plan latency --from London --to eu-west-1\n"
               "  verge plan select examples/plan/city.toml --json\n"
               "  verge plan place examples/plan/city.toml --explain --svg placement.svg\n"
               "  verge plan protocol --matrix examples/plan/round-trips.csv --protocol epaxos\n"
               "  verge plan roi --nodes 20 --latency-gain-ms 30 --use-case industrial\n");
}

}  // namespace verge::cli
