// verge explain: what an error code means and what to do about it.
#include <algorithm>
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

bool is_of_codes(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// As it was copied, from a log or a sentence: in brackets, with a comma behind it, in capitals.
std::string code_in(std::string_view text) {
  std::string code = lower(text);
  while (!code.empty() && !is_of_codes(code.back())) code.pop_back();
  code.erase(code.begin(), std::ranges::find_if(code, is_of_codes));
  return code;
}

// A whole area ("config", "config."), or one code; empty: all.
int explain_code(std::string_view text, bool json) {
  std::vector<ErrorExplanation> catalogue = error_catalogue(kErrorCatalogueText);
  std::vector<std::string> codes;
  for (const ErrorExplanation& error : catalogue) codes.push_back(error.code);
  const std::string wanted = code_in(text);
  const std::string area = wanted + ".";
  std::erase_if(catalogue, [&](const ErrorExplanation& error) {
    return !text.empty() && error.code != wanted && !error.code.starts_with(area);
  });
  if (!catalogue.empty()) {
    print_errors(catalogue, json);
    return kSuccess;
  }
  const std::string guess = nearest(wanted, codes);
  fmt::print(stderr, "verge: no error has the code '{}'; {}\n", printable(text),
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
