// TopScreen: what `verge top` shows, made of a node's answers: a few lines of figures, what needs a look, the nodes.
#pragma once

#include <string>
#include <string_view>

namespace verge::cli {

struct TopAnswers {
  std::string now;       // of /v1/now
  std::string tree;      // of /v1/tree
  std::string insights;  // of /v1/insights
};

struct TopLook {
  size_t columns = 100;
  size_t lines = 30;  // 0: as many as there are
  bool colours = false;
};

// Lines with their ends; none is longer than the columns. Empty where an answer is none.
std::string top_screen(const TopAnswers& answers, const TopLook& look);

}  // namespace verge::cli
