// The error codes that this program reports, as docs/errors.md lists them: the page is built into the program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace verge::cli {

extern const std::string_view kErrorCatalogueText;  // the page, Markdown

struct ErrorExplanation {
  std::string code;  // "config.unknown-key"
  std::string when;  // what has happened; without Markdown
  std::string fix;   // what to do about it; likewise
  bool operator==(const ErrorExplanation&) const = default;
};

// The rows of a table `| code | when | fix |`, in their order; anything else on the page is passed over. Of Markdown,
// links become their text with the page they lead to, and code loses its ticks.
std::vector<ErrorExplanation> error_catalogue(std::string_view page);

}  // namespace verge::cli
