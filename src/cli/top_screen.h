// TopScreen: what `verge top` shows, made of a node's answers: a few lines of figures, what needs a look, the nodes;
// and where there is room, queues, goals, regions, workers, and what is asked for most.
#pragma once

#include <string>
#include <string_view>

#include "cli/top_answers.h"
#include "cli/top_layout.h"

namespace verge::cli {

// Lines with their ends; none is longer than the columns. `loss`: why nothing newer is known; the figures are shown as
// old ones, `age_s` seconds of age.
std::string top_screen(const TopAnswers& answers, const TopLook& look, std::string_view loss = {}, double age_s = 0);

// Where nothing is known yet; `loss` says why, and is empty while it is asked for the first time.
std::string top_without_answers(std::string_view admin, const TopLook& look, std::string_view loss);

}  // namespace verge::cli
