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

// What a terminal would take for a command, which a node escapes, and who pretends to be one may not: as JSON's
// escapes. Outside of strings none can stand.
std::string without_controls(std::string_view json) {
  std::string out;
  for (size_t i = 0; i < json.size(); ++i) {
    const auto c = static_cast<uint8_t>(json[i]);
    const uint8_t next = i + 1 < json.size() ? static_cast<uint8_t>(json[i + 1]) : 0;
    if (c == 0x7F) {
      out.append("\\u007f");
    } else if (c == 0xC2 && next >= 0x80 && next < 0xA0) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", next);
      ++i;
    } else {
      out.push_back(json[i]);
    }
  }
  return out;
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
                   without_controls(std::string(simdjson::minify(elements_[part]))));
  }
  return out.append("}");
}

}  // namespace verge::cli
