#include "esi/expression.h"

#include <array>
#include <charconv>
#include <compare>
#include <optional>
#include <string>
#include <utility>

namespace verge::esi {
namespace {

constexpr int kDepthMax = 32;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::optional<double> number_of(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_true(std::string_view value) {
  if (value.empty() || value == "false") return false;
  const std::optional<double> number = number_of(value);
  return !number || *number != 0;
}

std::partial_ordering compare(std::string_view a, std::string_view b) {
  const std::optional<double> left = number_of(a), right = number_of(b);
  if (left && right) return *left <=> *right;
  return a <=> b;
}

// Reads and evaluates in one pass: tests are short.
class Reader {
 public:
  Reader(std::string_view text, const Variables& variables) : text_(text), variables_(variables) {}

  // Nothing when it cannot be read.
  std::optional<bool> read() {
    const bool result = read_or(0);
    skip_blanks();
    if (failed_ || !text_.empty()) return std::nullopt;
    return result;
  }

 private:
  void skip_blanks() {
    while (!text_.empty() && is_blank(text_.front())) text_.remove_prefix(1);
  }
  bool take(std::string_view token) {
    skip_blanks();
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  bool fail() {
    failed_ = true;
    return false;
  }

  bool read_or(int depth) {
    bool result = read_and(depth);
    while (!failed_ && (take("||") || take("|"))) {
      const bool next = read_and(depth);
      result = result || next;
    }
    return result;
  }

  bool read_and(int depth) {
    bool result = read_unary(depth);
    while (!failed_ && (take("&&") || take("&"))) {
      const bool next = read_unary(depth);
      result = result && next;
    }
    return result;
  }

  bool read_unary(int depth) {
    if (depth > kDepthMax) return fail();
    skip_blanks();
    if (text_.starts_with('!') && !text_.starts_with("!=")) {
      text_.remove_prefix(1);
      return !read_unary(depth + 1);
    }
    if (take("(")) {
      const bool result = read_or(depth + 1);
      return take(")") ? result : fail();
    }
    return read_comparison();
  }

  bool read_comparison() {
    const std::string left = read_operand();
    if (failed_) return false;
    constexpr std::array<std::string_view, 6> kOperators = {"==", "!=", "<=", ">=", "<", ">"};
    for (const std::string_view sign : kOperators) {
      if (!take(sign)) continue;
      const std::string right = read_operand();
      if (failed_) return false;
      const std::partial_ordering order = compare(left, right);
      if (sign == "==") return std::is_eq(order);
      if (sign == "!=") return std::is_neq(order);
      if (sign == "<=") return std::is_lteq(order);
      if (sign == ">=") return std::is_gteq(order);
      return sign == "<" ? std::is_lt(order) : std::is_gt(order);
    }
    return is_true(left);
  }

  std::string read_operand() {
    if (take("'")) {
      const size_t end = text_.find('\'');
      if (end == std::string_view::npos) return fail(), std::string();
      std::string literal(text_.substr(0, end));
      text_.remove_prefix(end + 1);
      return literal;
    }
    if (const std::optional<Variable> variable = parse_variable(text_)) {
      text_.remove_prefix(variable->size);
      return variables_.value(*variable);
    }
    size_t size = 0;
    while (size < text_.size() && !is_blank(text_[size]) &&
           std::string_view("()|&!=<>'").find(text_[size]) == std::string_view::npos) {
      ++size;
    }
    std::string word(text_.substr(0, size));
    text_.remove_prefix(size);
    if (word != "true" && word != "false" && !number_of(word)) fail();
    return word;
  }

  std::string_view text_;
  const Variables& variables_;
  bool failed_ = false;
};

}  // namespace

bool is_expression(std::string_view test) {
  const Variables nothing({});
  return Reader(test, nothing).read().has_value();
}

bool holds(std::string_view test, const Variables& variables) { return Reader(test, variables).read().value_or(false); }

bool is_expandable(std::string_view text) {
  for (size_t next = text.find("$("); next != std::string_view::npos; next = text.find("$(")) {
    text.remove_prefix(next);
    const std::optional<Variable> variable = parse_variable(text);
    if (!variable) return false;
    text.remove_prefix(variable->size);
  }
  return true;
}

}  // namespace verge::esi
