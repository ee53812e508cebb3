// The commands for what speaks MQTT with a node.
#pragma once

#include "cli/commands.h"

namespace verge::cli {

void add_import(Command& app, Outcome& outcome);
void add_mqtt(Command& app, Outcome& outcome);
void add_passwd(Command& app, Outcome& outcome);
void add_pub(Command& app, Outcome& outcome);
void add_sub(Command& app, Outcome& outcome);
void add_twin(Command& app, Outcome& outcome);
// `verge twin watch`, which is a subscription.
void add_twin_watch(Command& twin, Outcome& outcome);

}  // namespace verge::cli
