// The rewriter of HTML: what nobody edits comes out as it was, however it is cut; edits end well; selectors are parsed.
// The first byte is the length of pieces, the first line a selector.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "workers/realm_html.h"

using namespace verge::workers;
using Token = HtmlRewriter::Token;

namespace {

constexpr uint8_t kAll = HtmlRewriter::kElements | HtmlRewriter::kComments | HtmlRewriter::kText;

std::string run(std::string_view selector, std::string_view html, size_t piece, bool edits) {
  HtmlRewriter rewriter;
  static_cast<void>(rewriter.add("*", 0, kAll));
  static_cast<void>(rewriter.add(selector, 1, kAll));
  rewriter.add_document(2, kAll | HtmlRewriter::kDoctypes);
  std::string out;
  while (true) {
    const Token token = rewriter.next();
    if (token == Token::kNeedsInput) {
      if (html.empty()) rewriter.finish();
      rewriter.write(html.substr(0, piece));
      html.remove_prefix(std::min(piece, html.size()));
    } else if (token == Token::kOutput || token == Token::kOver) {
      out.append(rewriter.output());
      rewriter.output().clear();
      if (token == Token::kOver) return out;
    } else if (token == Token::kFailed) {
      return out;
    } else if (edits && token == Token::kElement) {
      rewriter.watch_end(1);
      const size_t kind = rewriter.text().size() % 8;
      if (kind < 6) rewriter.insert(static_cast<HtmlRewriter::Place>(kind), "<x>");
      if (kind == 6) rewriter.remove();
      if (kind == 7) rewriter.remove_tags();
      rewriter.set_attribute("a", rewriter.attribute("b").value_or("c"));
    } else if (edits && token == Token::kDoctype) {
      static_cast<void>(rewriter.doctype());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t line = std::min(input.find('\n'), input.size());
  const std::string_view selector = input.substr(0, line);
  const std::string_view html = input.substr(line);
  const size_t piece = 1 + data[0] % 16;
  if (run(selector, html, piece, false) != html) std::abort();
  if (run(selector, html, piece, true) != run(selector, html, html.size() + 1, true)) std::abort();
  return 0;
}
