// verge explain: what an error code means and what to do about it.
#include <cstdio>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/error_catalogue.h"

namespace verge::cli {
namespace {

std::string json_of(const ErrorExplanation& error) {
  return fmt::format(R"({{"code":{},"when":{},"fix":{}}})", json_string(error.code), json_string(error.when),
                     json_string(error.fix));
}

void print_errors(const std::vector<ErrorExplanation>& errors, bool json) {
  for (const ErrorExplanation& error : errors) {
    if (json) {
      fmt::print("{}\n", json_of(error));
    } else {
      fmt::print("{}\n  when  {}\n  fix   {}\n", error.code, error.when, error.fix);
    }
  }
}

int explain_code(std::string_view wanted, bool json) {
  std::vector<ErrorExplanation> catalogue = error_catalogue(kErrorCatalogueText);
  std::vector<std::string> codes;
  for (const ErrorExplanation& error : catalogue) codes.push_back(error.code);
  // A whole area ("config"), or one code; copied from a log it may still have its brackets.
  while (wanted.starts_with('[')) wanted.remove_prefix(1);
  while (wanted.ends_with(']')) wanted.remove_suffix(1);
  const std::string area = std::string(wanted) + ".";
  std::erase_if(catalogue, [&](const ErrorExplanation& error) {
    return !wanted.empty() && error.code != wanted && !error.code.starts_with(area);
  });
  if (!catalogue.empty()) {
    print_errors(catalogue, json);
    return kSuccess;
  }
  const std::string guess = nearest(wanted, codes);
  fmt::print(stderr, "verge: no error has the code '{}'; {}\n", printable(wanted),
             guess.empty() ? "'verge explain' lists them all" : "did you mean '" + guess + "'?");
  return kUsage;
}

}  // namespace

void add_explain(Command& app, Outcome& outcome) {
  Command* command = app.add_command("explain", "Say what an error code means and what to do about it");
  command->group(kGroupNode);
  const auto code = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  command->add_option("code", *code, "The code, as in [spool.full]; or an area, as in spool; none: all")
      ->type_name("CODE");
  command->add_flag("--json", *json, "One JSON object a line: code, when, fix");
  set_examples(*command,
               "  verge explain config.unknown-key\n"
               "  verge explain spool --json");
  command->callback([&outcome, code, json] { outcome.run = [code, json] { return explain_code(*code, *json); }; });
}

}  // namespace verge::cli
