#include <algorithm>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/error_catalogue.h"

namespace verge::cli {
namespace {

// Those of a check with one_of(), which CLI11 writes behind the type: "TEXT:{bash,zsh,fish}".
std::vector<std::string> values_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find(":{");
  if (begin == std::string::npos || !type.ends_with('}')) return {};
  return CLI::detail::split(type.substr(begin + 2, type.size() - begin - 3), ',');
}

void collect(const CLI::App& command, const std::vector<std::string>& path, std::vector<CompletionNode>& nodes) {
  CompletionNode node{.path = path};
  const std::vector<const CLI::App*> children = command.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* child : children)
    node.commands.push_back({.text = child->get_name(), .description = child->get_description()});
  for (const CLI::Option* option : command.get_options([](const CLI::Option*) { return true; })) {
    const std::vector<std::string>& letters = option->get_snames();
    for (const std::string& name : option->get_lnames()) {
      node.options.push_back({.text = "--" + name,
                              .letter = letters.empty() ? "" : letters.front(),
                              .description = option->get_description(),
                              .takes_value = option->get_items_expected_min() > 0,
                              .values = values_of(*option)});
    }
    if (option->get_positional()) {
      node.takes_arguments = true;
      const std::vector<std::string> values = values_of(*option);
      node.values.insert(node.values.end(), values.begin(), values.end());
    }
  }
  nodes.push_back(std::move(node));
  for (const CLI::App* child : children) {
    std::vector<std::string> deeper = path;
    deeper.push_back(child->get_name());
    collect(*child, deeper, nodes);
  }
}

}  // namespace

void add_completion(Command& app, Outcome& outcome) {
  Command* command = app.add_command("completion", "Print the completion script of a shell");
  command->group(kGroupShell);
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")->required()->check(one_of({"bash", "zsh", "fish"}));
  set_examples(*command,
               "  source <(verge completion bash)\n"
               "  verge completion fish > ~/.config/fish/completions/verge.fish");
  command->callback([&outcome, &app, shell] {
    outcome.run = [&app, shell] {
      std::vector<CompletionNode> nodes;
      collect(app.app(), {}, nodes);
      const auto explain = std::ranges::find(nodes, std::vector<std::string>{"explain"}, &CompletionNode::path);
      for (const ErrorExplanation& error : error_catalogue(kErrorCatalogueText)) explain->values.push_back(error.code);
      const auto write = *shell == "bash" ? bash_completion : *shell == "zsh" ? zsh_completion : fish_completion;
      fmt::print("{}", write(nodes));
      return kSuccess;
    };
  });
}

}  // namespace verge::cli
