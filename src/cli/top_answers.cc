#include "cli/top_answers.h"

#include <iterator>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/admin_document.h"

namespace verge::cli {
namespace {

bool has_array(const TopAnswers::Element& in, std::string_view name) {
  return in[name].get_array().error() == simdjson::SUCCESS;
}

bool has_object(const TopAnswers::Element& in, std::string_view name) {
  return in[name].get_object().error() == simdjson::SUCCESS;
}

}  // namespace

std::expected<std::unique_ptr<TopAnswers>, std::string> TopAnswers::read(const Asked& asked) {
  std::unique_ptr<TopAnswers> made(new TopAnswers());
  for (size_t part = 0; part < kParts; ++part) {
    const Result<Element> element = parsed(made->parsers_[part], asked[part]);
    if (!element) return std::unexpected(printable(element.error().line()));
    made->elements_[part] = *element;
  }
  if (!made->is_sound()) {
    return std::unexpected(
        fail("http.bad-answer", "what answers there is no admin listener of a node", "name it with --admin HOST:PORT")
            .error()
            .line());
  }
  return made;
}

bool TopAnswers::is_sound() const {
  return has_object(elements_[kNow], "figures") && has_object(elements_[kTree], "self") &&
         has_array(elements_[kInsights], "insights") && has_array(elements_[kGoals], "goals") &&
         has_array(elements_[kRequests], "urls") && has_array(elements_[kWorkers], "workers");
}

std::string TopAnswers::json() const {
  std::string out = "{";
  for (size_t part = 0; part < kParts; ++part) {
    const std::string_view name = kPaths[part].substr(kPaths[part].rfind('/') + 1);
    fmt::format_to(std::back_inserter(out), R"({}"{}":{})", part == 0 ? "" : ",", name,
                   std::string(simdjson::minify(elements_[part])));
  }
  return out.append("}");
}

}  // namespace verge::cli
