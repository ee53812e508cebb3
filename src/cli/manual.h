// Manual pages (man(7)), written from the commands themselves so that they cannot fall behind them.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace verge::cli {

struct ManualPage {
  std::string name;  // "verge-spool-stat", the file's name without ".1"
  std::string text;  // roff
};

// A page for the program and one for each command, however deep; those above come first.
std::vector<ManualPage> manual_pages(const CLI::App& app);

// Text as roff shows it unchanged: no escapes, no requests, ASCII hyphens.
std::string roff(std::string_view text);

}  // namespace verge::cli
