// Figures that a command takes from a [table] of a plan's file and from options alike.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "planner/plan_document.h"

namespace verge::cli {

struct Figure {
  std::string key;  // bandwidth_mbps; the option is --bandwidth-mbps
  std::string words;
  std::variant<double*, bool*, std::string*> into;
  double least = 0;
  double most = 1e15;
  std::vector<std::string> words_allowed = {};  // of a string; empty: any
};

// Sets what the tables of that kind say. Errors: plan.unknown-key, plan.value, those of reading.
Result<void> read_figures(const std::vector<std::string>& files, const std::string& kind,
                          const std::vector<Figure>& figures);

// An option a figure.
void add_figures(Command& command, const std::vector<Figure>& figures);

// What was typed goes over what files say: from the figures that add_figures() was given to others of the same order.
void apply_typed(const Command& command, const std::vector<Figure>& typed, const std::vector<Figure>& into);

}  // namespace verge::cli
