// The commands for what speaks MQTT with a node.
#pragma once

#include "cli/commands.h"

namespace verge::cli {

void add_import(CLI::App& app, Outcome& outcome);
void add_mqtt(CLI::App& app, Outcome& outcome);
void add_passwd(CLI::App& app, Outcome& outcome);
void add_pub(CLI::App& app, Outcome& outcome);
void add_sub(CLI::App& app, Outcome& outcome);
void add_twin(CLI::App& app, Outcome& outcome);
// `verge twin watch`, which is a subscription.
void add_twin_watch(CLI::App& twin, Outcome& outcome);

}  // namespace verge::cli
