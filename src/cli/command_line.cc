#include "cli/command_line.h"

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "base/version.h"
#include "net/address.h"

namespace verge::cli {
namespace {

// The command named last on the command line: "verge bench decide".
const CLI::App& innermost(const CLI::App& app) {
  const std::vector<CLI::App*> named = app.get_subcommands();
  return named.empty() ? app : innermost(*named.back());
}

std::string path_of(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : path_of(*parent) + " " + command.get_name();
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::string unknown_word(const CLI::App& command, const std::string& word) {
  const bool is_option = word.starts_with('-');
  const std::string spelled = word.substr(0, word.find('='));
  const std::vector<std::string> known = is_option ? option_spellings(command) : command_names(command);
  const std::string path = path_of(command);
  std::string text;
  if (!is_option && known.empty()) {
    text = fmt::format("'{}' takes no further argument '{}'", path, word);
  } else {
    text = fmt::format("'{}' has no {} '{}'", path, is_option ? "option" : "command", spelled);
  }
  const std::string guess = nearest(spelled, known);
  if (!guess.empty()) return fmt::format("{}; did you mean '{}'?", text, guess);
  return fmt::format("{}; '{} --help' lists what there is", text, path);
}

}  // namespace

void describe_program(Command& program) {
  CLI::App& app = program.app();
  app.name("verge");
  app.description(
      "verge - an edge node: devices publish over MQTT or HTTP, rules written in SQL decide\n"
      "in under a millisecond, and results climb a tree of equal nodes, edge to cloud,\n"
      "durable and exactly once.");
  app.set_version_flag("--version", std::string("verge ").append(kVersion));
  app.get_formatter()->column_width(34);
  set_examples(program,
               "  verge demo                           see it work: three nodes, 200 machines, 40 seconds\n"
               "  verge node --config node.toml        run a node\n"
               "  verge check node.toml                is this configuration right?\n"
               "  verge events query --topic 'plant/#' what does a node hold?\n"
               "  verge bench decide --help            measure this or any other MQTT broker\n"
               "  verge plan place city.toml --explain where should workloads run?\n"
               "\n"
               "Environment:\n"
               "  TMPDIR      where 'verge demo' keeps its files, unless --dir says so\n"
               "  NO_COLOR    not empty: no colours on a terminal\n"
               "  VERGE_ADMIN_TOKEN_FILE  the file with the token that a node on another machine wants\n"
               "\n"
               "Exit status:\n"
               "  0  done, and the answer is good\n"
               "  1  it ran, but failed or found what is wrong\n"
               "  2  the command line or the configuration is wrong; nothing was started\n"
               "\n"
               "What a command yields goes to standard output, what it has to say to standard error.");
}

void set_examples(Command& command, const std::string& text) { command.app().footer("Examples:\n" + text); }

std::string no_address(const std::string& value) {
  const Result<net::Address> address = net::Address::parse(value);
  // A name is none that can be told without asking.
  if (address || address.error().code != "net.address") return {};
  return fmt::format("{}; {}", address.error().what, address.error().fix);
}

std::vector<std::string> option_spellings(const CLI::App& command) {
  std::vector<std::string> spellings;
  for (const CLI::Option* option : command.get_options([](const CLI::Option*) { return true; })) {
    for (const std::string& name : option->get_snames()) spellings.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) spellings.push_back("--" + name);
  }
  return spellings;
}

std::string explain(const CLI::App& app, const CLI::ParseError& problem) {
  const CLI::App& command = innermost(app);
  // A command that is missing hides the word that was to be one.
  const std::vector<std::string> unknown = app.remaining(true);
  if (!unknown.empty()) return unknown_word(command, unknown.front());
  if (dynamic_cast<const CLI::RequiredError*>(&problem) != nullptr && !command_names(command).empty()) {
    return fmt::format("'{}' needs a command: {}", path_of(command), fmt::join(command_names(command), ", "));
  }
  return fmt::format("{} ('{} --help' says more)", problem.what(), path_of(command));
}

}  // namespace verge::cli
