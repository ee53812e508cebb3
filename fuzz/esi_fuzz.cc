// Whatever a page and a visitor say, composing it ends, keeps to its bounds, and puts out no text that is neither the
// page's nor a fragment's nor escaped. The first byte chooses how fragments are answered.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "base/assert.h"
#include "esi/expression.h"
#include "esi/page.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using verge::esi::Page;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const unsigned how = input.empty() ? 0 : static_cast<unsigned char>(input.front());
  input.remove_prefix(input.empty() ? 0 : 1);
  const size_t half = input.find('\0');
  const std::string_view page_text = input.substr(0, half);
  const std::string_view visitor = half == std::string_view::npos ? "" : input.substr(half + 1);
  const std::vector<verge::net::HttpField> fields = {
      {"Cookie", visitor}, {"User-Agent", visitor}, {"Accept-Language", visitor}, {"Referer", visitor}};

  std::deque<Page::Done> waiting;
  size_t asked = 0;
  int ends = 0;
  std::string out;
  uint64_t held = 0;
  Page page(
      verge::Payload(page_text), {.host = "a", .path = "/p", .query = visitor, .fields = fields},
      [&](const std::string& reference, Page::Done done) {
        ++asked;
        for (const char c : reference) VERGE_ASSERT(c != '\0' || page_text.find('\0') != std::string_view::npos);
        if ((how & 1U) != 0) return done(reference.size() % 3 == 0 ? std::nullopt : std::optional<std::string>("f"));
        waiting.push_back(std::move(done));
      },
      {.output = [&](std::string_view piece) { out.append(piece); },
       .finished = [&] { ++ends; },
       .failed = [&](const std::string&) { ++ends; }},
      held);
  page.start();
  while (!waiting.empty()) {
    const bool last = (how & 2U) != 0;
    const Page::Done done = last ? std::move(waiting.back()) : std::move(waiting.front());
    if (last) {
      waiting.pop_back();
    } else {
      waiting.pop_front();
    }
    done((asked + waiting.size() + how) % 4 == 0 ? std::nullopt : std::optional<std::string>("f"));
  }
  VERGE_ASSERT(ends == 1);
  VERGE_ASSERT(asked <= Page::kFragmentsMax);
  if (page_text.find("<esi:") == std::string_view::npos && page_text.find("<!--esi") == std::string_view::npos &&
      page_text.find("</esi:") == std::string_view::npos) {
    VERGE_ASSERT(out == page_text);
  }
  static_cast<void>(verge::esi::is_expression(page_text));
  static_cast<void>(verge::esi::holds(page_text, verge::esi::Variables({.query = visitor, .fields = fields})));
  const std::string escaped =
      verge::esi::expanded("$(HTTP_REFERER)$(QUERY_STRING{a})$(HTTP_COOKIE{a})",
                           verge::esi::Variables({.query = visitor, .fields = fields}), verge::esi::Escaping::kHtml);
  VERGE_ASSERT(escaped.find_first_of("<>\"'") == std::string::npos);
  return 0;
}
