#include "cli/error_catalogue.h"

#include "base/text.h"

namespace verge::cli {
namespace {

// [text](page.md#part) becomes "text (docs/page.md)", or the page alone where the text names it.
std::string link(std::string_view text, std::string_view target) {
  const std::string page = "docs/" + std::string(target.substr(0, target.find('#')));
  return page == "docs/" + std::string(text) ? page : std::string(text) + " (" + page + ")";
}

std::string plain(std::string_view markdown) {
  std::string out;
  while (!markdown.empty()) {
    const size_t middle = markdown.find("](");
    const size_t open = middle == std::string_view::npos ? middle : markdown.rfind('[', middle);
    const size_t close = open == std::string_view::npos ? open : markdown.find(')', middle);
    if (close == std::string_view::npos) {
      out += markdown;
      break;
    }
    out += markdown.substr(0, open);
    out += link(markdown.substr(open + 1, middle - open - 1), markdown.substr(middle + 2, close - middle - 2));
    markdown.remove_prefix(close + 1);
  }
  std::erase(out, '`');
  return out;
}

}  // namespace

std::vector<ErrorExplanation> error_catalogue(std::string_view page) {
  std::vector<ErrorExplanation> catalogue;
  while (!page.empty()) {
    std::string_view row = page.substr(0, page.find('\n'));
    page.remove_prefix(std::min(page.size(), row.size() + 1));
    if (!row.starts_with("| `") || !row.ends_with(" |")) continue;
    row = row.substr(2, row.size() - 4);
    const size_t first = row.find(" | ");
    const size_t second = row.rfind(" | ");
    if (first == std::string_view::npos || second <= first) continue;
    catalogue.push_back({.code = plain(row.substr(0, first)),
                         .when = plain(row.substr(first + 3, second - first - 3)),
                         .fix = plain(row.substr(second + 3))});
  }
  return catalogue;
}

}  // namespace verge::cli
