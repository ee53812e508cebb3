#include "rules/token_stream.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::rules {

const Token& TokenStream::peek(size_t ahead) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }

Token TokenStream::next() {
  const Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  end_of_last_ = token.offset + token.text.size();
  return token;
}

bool TokenStream::at_symbol(std::string_view symbol) const {
  return peek().kind == Token::Kind::kSymbol && peek().text == symbol;
}

bool TokenStream::take_word(std::string_view word) {
  if (!at_word(word)) return false;
  next();
  return true;
}

bool TokenStream::take_symbol(std::string_view symbol) {
  if (!at_symbol(symbol)) return false;
  next();
  return true;
}

bool TokenStream::expect_word(std::string_view word) { return take_word(word) || fault_expected(word, {word}); }

bool TokenStream::expect_symbol(std::string_view symbol) {
  return take_symbol(symbol) || fault_expected(fmt::format("'{}'", symbol));
}

bool TokenStream::fault_expected(std::string_view what, std::initializer_list<std::string_view> hints) {
  const Token& found = peek();
  std::string fix;
  if (found.kind == Token::Kind::kWord) {
    const std::string near = nearest(found.text, std::vector<std::string>(hints.begin(), hints.end()));
    if (!near.empty()) fix = fmt::format("did you mean {}?", near);
  }
  return fault(found.offset, "rule.syntax", fmt::format("expected {}, found {}", what, describe(found)),
               std::move(fix));
}

bool TokenStream::fault(size_t offset, std::string_view code, std::string what, std::string fix) {
  if (!fault_) fault_ = Fault{Error{code, std::move(what), std::move(fix)}, offset};
  return false;
}

}  // namespace verge::rules
