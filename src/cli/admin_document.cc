#include "cli/admin_document.h"

#include <fmt/format.h>

namespace verge::cli {

namespace {

std::unexpected<Error> no_node() {
  return fail("http.bad-answer", "what answers there is no admin listener of a node", "name it with --admin HOST:PORT");
}

}  // namespace

Result<simdjson::dom::element> parsed(simdjson::dom::parser& parser, const Result<AdminAnswer>& answer) {
  if (!answer) return std::unexpected(answer.error());
  simdjson::dom::element element;
  if (parser.parse(answer->body).get(element) != simdjson::SUCCESS) {
    return no_node();
  }
  if (answer->status == 200) return element;
  Error error{"http.bad-answer", fmt::format("the node answered {}", answer->status), ""};
  std::string_view text;
  if (element["error"]["code"].get(text) == simdjson::SUCCESS) error.code = text;
  if (element["error"]["what"].get(text) == simdjson::SUCCESS) error.what = text;
  if (element["error"]["fix"].get(text) == simdjson::SUCCESS) error.fix = text;
  return std::unexpected(error);
}

Result<simdjson::dom::array> rows_of(simdjson::dom::element document, std::string_view name) {
  simdjson::dom::array rows;
  if (document[name].get(rows) != simdjson::SUCCESS) return no_node();
  return rows;
}

}  // namespace verge::cli
