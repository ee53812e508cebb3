// Completion scripts, written from the tree of commands itself so that they cannot fall behind it.
#pragma once

#include <string>
#include <vector>

namespace verge::cli {

struct CompletionWord {
  std::string text;
  std::string letter;  // "h" of -h, of an option; else empty
  std::string description;
  bool takes_value = false;         // of an option
  std::vector<std::string> values;  // which it may have, where they are known
};

// One command: the words that lead to it and what may follow.
struct CompletionNode {
  std::vector<std::string> path;  // without the program's name; empty for the program itself
  std::vector<CompletionWord> commands;
  std::vector<CompletionWord> options;  // long spellings
  std::vector<std::string> values;      // which its arguments may have, where they are known
  bool takes_arguments = false;         // else nothing but options and commands follows: no file
};

// Parents come before their children in `nodes`.
std::string bash_completion(const std::vector<CompletionNode>& nodes);
std::string zsh_completion(const std::vector<CompletionNode>& nodes);
std::string fish_completion(const std::vector<CompletionNode>& nodes);

}  // namespace verge::cli
