#include "cli/manual.h"

#include <CLI/CLI.hpp>

#include "base/version.h"

namespace verge::cli {
namespace {

const auto kAll = [](const auto*) { return true; };

std::vector<const CLI::App*> commands_of(const CLI::App& command) { return command.get_subcommands(kAll); }

// "verge-spool-stat" with '-', "verge spool stat" with ' '.
std::string name_of(const CLI::App& command, char separator) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : name_of(*parent, separator) + separator + command.get_name();
}

std::string first_line(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  while (line.ends_with('.') || line.ends_with(',')) line.pop_back();
  return line;
}

// The program describes itself as "verge - what it is", as a NAME section does.
std::string purpose_of(const CLI::App& command) {
  const std::string line = first_line(command.get_description());
  const size_t dash = line.find(" - ");
  return dash == std::string::npos ? line : line.substr(dash + 3);
}

// A list of words may go on in the next line behind each comma.
std::string breakable(std::string text) {
  for (size_t at = text.find(','); at != std::string::npos; at = text.find(',', at + 1)) text.insert(at + 1, " ");
  return text;
}

std::string spelling_of(const CLI::Option& option) {
  std::string out;
  for (const std::string& name : option.get_snames())
    out += (out.empty() ? "\\fB\\-" : ", \\fB\\-") + roff(name) + "\\fR";
  for (const std::string& name : option.get_lnames()) {
    out += (out.empty() ? "\\fB\\-\\-" : ", \\fB\\-\\-") + roff(name) + "\\fR";
  }
  if (out.empty()) return "\\fI" + roff(option.get_name()) + "\\fR";
  if (option.get_items_expected_max() > 0) out += " \\fI" + breakable(roff(option.get_type_name())) + "\\fR";
  return out;
}

std::string synopsis_of(const CLI::App& command) {
  std::string out = ".B " + roff(name_of(command, ' ')) + "\n";
  bool has_options = false;
  for (const CLI::Option* option : command.get_options(kAll)) {
    if (!option->get_positional()) {
      has_options = true;
    }
  }
  if (has_options) out += "[\\fIOPTIONS\\fR]\n";
  for (const CLI::Option* option : command.get_options(kAll)) {
    if (!option->get_positional()) continue;
    const std::string name = "\\fI" + roff(option->get_name()) + "\\fR";
    const std::string more = option->get_items_expected_max() > 1 ? "..." : "";
    out += (option->get_required() ? name + more : "[" + name + more + "]") + "\n";
  }
  if (!commands_of(command).empty()) out += "\\fICOMMAND\\fR\n";
  return out;
}

std::string options_of(const CLI::App& command) {
  std::string out;
  for (const CLI::Option* option : command.get_options(kAll)) {
    out += ".TP\n" + spelling_of(*option) + "\n" + roff(option->get_description());
    if (!option->get_default_str().empty()) out += " (default: " + roff(option->get_default_str()) + ")";
    out += "\n";
  }
  return out.empty() ? out : ".SH OPTIONS\n" + out;
}

std::string list_of_commands(const CLI::App& command) {
  std::string out;
  for (const CLI::App* child : commands_of(command)) {
    out += ".TP\n\\fB" + roff(child->get_name()) + "\\fR\n" + roff(child->get_description()) + "\n";
  }
  return out.empty() ? out : ".SH COMMANDS\n" + out;
}

// The footer has headings of its own at the left margin, "Examples:", with indented lines below them; other lines at
// the margin are sentences.
std::string footer_of(const CLI::App& command) {
  std::string out;
  std::string footer = command.get_footer();
  bool is_literal = false;
  const auto literal = [&](bool now) {
    if (std::exchange(is_literal, now) != now) out += now ? ".nf\n" : ".fi\n";
  };
  while (!footer.empty()) {
    const std::string line = footer.substr(0, footer.find('\n'));
    footer.erase(0, line.size() + 1);
    if (line.starts_with(' ')) {
      literal(true);
      out += roff(line) + "\n";
      continue;
    }
    literal(false);
    if (line.ends_with(':')) {
      std::string heading = line.substr(0, line.size() - 1);
      std::ranges::transform(heading, heading.begin(),
                             [](char c) { return std::toupper(static_cast<unsigned char>(c)); });
      out += ".SH " + roff(heading) + "\n";
    } else {
      out += line.empty() ? ".PP\n" : roff(line) + "\n";
    }
  }
  literal(false);
  // A paragraph that ends a section, or a page, is empty.
  for (size_t at = 0; (at = out.find(".PP\n.SH", at)) != std::string::npos;) out.erase(at, 4);
  while (out.ends_with(".PP\n")) out.erase(out.size() - 4);
  return out;
}

std::string see_also(const CLI::App& command) {
  std::vector<std::string> others;
  if (command.get_parent() != nullptr) others.push_back(name_of(*command.get_parent(), '-'));
  for (const CLI::App* child : commands_of(command)) others.push_back(name_of(*child, '-'));
  std::string out;
  for (const std::string& other : others) out += (out.empty() ? "" : ",\n") + (".BR " + roff(other) + " (1)");
  return out.empty() ? out : ".SH SEE ALSO\n" + out + "\n";
}

ManualPage page_of(const CLI::App& command) {
  const std::string name = name_of(command, '-');
  std::string upper = name;
  std::ranges::transform(upper, upper.begin(), [](char c) { return std::toupper(static_cast<unsigned char>(c)); });
  std::string text = fmt::format(".TH \"{}\" 1 \"\" \"verge {}\" \"User Commands\"\n", roff(upper), kVersion);
  text += fmt::format(".SH NAME\n{} \\- {}\n", roff(name), roff(purpose_of(command)));
  text += ".SH SYNOPSIS\n" + synopsis_of(command);
  text += ".SH DESCRIPTION\n" + roff(command.get_description()) + "\n";
  text += list_of_commands(command) + options_of(command) + footer_of(command) + see_also(command);
  return {name, std::move(text)};
}

void collect(const CLI::App& command, std::vector<ManualPage>& pages) {
  pages.push_back(page_of(command));
  for (const CLI::App* child : commands_of(command)) collect(*child, pages);
}

}  // namespace

std::string roff(std::string_view text) {
  std::string out;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) out += "\\&";
    at_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::vector<ManualPage> manual_pages(const CLI::App& app) {
  std::vector<ManualPage> pages;
  collect(app, pages);
  return pages;
}

}  // namespace verge::cli
