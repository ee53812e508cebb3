// A cursor over tokens that keeps the first fault: once failed, what parses on top of it unwinds.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/fault.h"
#include "rules/lexer.h"

namespace verge::rules {

class TokenStream {
 public:
  // `tokens` ends with kEnd.
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  [[nodiscard]] const Token& peek(size_t ahead = 0) const;
  // Never moves past the end.
  Token next();
  // The offset just behind the token taken last.
  [[nodiscard]] size_t end_of_last() const { return end_of_last_; }

  [[nodiscard]] bool at_word(std::string_view word) const { return is_word(peek(), word); }
  [[nodiscard]] bool at_symbol(std::string_view symbol) const;
  // Takes the token if it is this; words in upper case.
  bool take_word(std::string_view word);
  bool take_symbol(std::string_view symbol);
  // The same, or a fault that says what was expected.
  bool expect_word(std::string_view word);
  bool expect_symbol(std::string_view symbol);

  // Faults at the next token: "expected WHAT, found 'x'", with the word among `hints` that is nearest to it.
  bool fault_expected(std::string_view what, std::initializer_list<std::string_view> hints = {});
  // Always false, so that a parser can return it.
  bool fault(size_t offset, std::string_view code, std::string what, std::string fix = {});
  [[nodiscard]] bool failed() const { return fault_.has_value(); }
  // Nothing unless failed().
  [[nodiscard]] const std::optional<Fault>& first_fault() const { return fault_; }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
  size_t end_of_last_ = 0;
  std::optional<Fault> fault_;
};

}  // namespace verge::rules
