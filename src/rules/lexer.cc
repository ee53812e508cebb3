#include "rules/lexer.h"

#include <fmt/format.h>

#include "base/text.h"

namespace verge::rules {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<uint8_t>(c) >= 0x80;
}
bool continues_word(char c) { return begins_word(c) || is_digit(c); }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

size_t word_length(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && continues_word(text[length])) ++length;
  return length;
}

size_t digits_length(std::string_view text) {
  size_t length = 0;
  while (length < text.size() && is_digit(text[length])) ++length;
  return length;
}

// 10, 10.5, .5, 1e9, 2.5E-3. An 'e' that no exponent follows belongs to the next word.
size_t number_length(std::string_view text) {
  size_t length = digits_length(text);
  if (text.substr(length).starts_with('.')) length += 1 + digits_length(text.substr(length + 1));
  std::string_view rest = text.substr(length);
  if (rest.starts_with('e') || rest.starts_with('E')) {
    const size_t sign = rest.size() > 1 && (rest[1] == '+' || rest[1] == '-') ? 1 : 0;
    const size_t digits = digits_length(rest.substr(1 + sign));
    if (digits > 0) length += 1 + sign + digits;
  }
  return length;
}

// 0 when the closing quote is missing.
size_t quoted_length(std::string_view text) {
  const char quote = text.front();
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] != quote) continue;
    if (i + 1 == text.size() || text[i + 1] != quote) return i + 1;
    ++i;
  }
  return 0;
}

// 0 when no symbol begins here.
size_t symbol_length(std::string_view text) {
  for (const std::string_view pair : {"<=", ">=", "<>", "!=", "||"}) {
    if (text.starts_with(pair)) return 2;
  }
  return std::string_view("+-*/%=<>(),.[]").contains(text.front()) ? 1 : 0;
}

}  // namespace

Checked<std::vector<Token>> tokenize(std::string_view sql) {
  std::vector<Token> tokens;
  size_t at = 0;
  while (at < sql.size()) {
    const std::string_view rest = sql.substr(at);
    const char c = rest.front();
    if (is_blank(c)) {
      ++at;
      continue;
    }
    Token token{.offset = at};
    size_t length = 0;
    if (begins_word(c)) {
      token.kind = Token::Kind::kWord;
      length = word_length(rest);
    } else if (is_digit(c) || (c == '.' && rest.size() > 1 && is_digit(rest[1]))) {
      token.kind = Token::Kind::kNumber;
      length = number_length(rest);
    } else if (c == '\'' || c == '"') {
      token.kind = c == '"' ? Token::Kind::kQuotedName : Token::Kind::kText;
      length = quoted_length(rest);
      if (length == 0) return refuse(at, "rule.syntax", fmt::format("the closing {} is missing", c));
    } else {
      token.kind = Token::Kind::kSymbol;
      length = symbol_length(rest);
      if (length == 0) return refuse(at, "rule.syntax", fmt::format("{} has no meaning here", json_string({&c, 1})));
    }
    token.text = rest.substr(0, length);
    tokens.push_back(token);
    at += length;
  }
  tokens.push_back({.kind = Token::Kind::kEnd, .offset = sql.size()});
  return tokens;
}

std::string unquote(const Token& token) {
  std::string out;
  const char quote = token.text.front();
  const std::string_view inside = token.text.substr(1, token.text.size() - 2);
  for (size_t i = 0; i < inside.size(); ++i) {
    out.push_back(inside[i]);
    if (inside[i] == quote) ++i;
  }
  return out;
}

bool is_word(const Token& token, std::string_view word) {
  if (token.kind != Token::Kind::kWord || token.text.size() != word.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    const char c = token.text[i];
    const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (upper != word[i]) return false;
  }
  return true;
}

std::string describe(const Token& token) {
  if (token.kind == Token::Kind::kEnd) return "the end of the text";
  if (token.kind == Token::Kind::kText || token.kind == Token::Kind::kQuotedName) return std::string(token.text);
  return fmt::format("'{}'", token.text);
}

}  // namespace verge::rules
