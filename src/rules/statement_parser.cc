#include "rules/statement_parser.h"

#include <fmt/format.h>

#include "base/assert.h"
#include "base/text.h"
#include "model/topic.h"
#include "rules/expression_parser.h"

namespace verge::rules {
namespace {

class StatementParser {
 public:
  StatementParser(std::string_view sql, std::vector<Token> tokens)
      : sql_(sql), tokens_(std::move(tokens)), expressions_(tokens_) {}

  Checked<Statement> parse() {
    const bool parsed = tokens_.expect_word("SELECT") && parse_items() && parse_from() && parse_where() &&
                        parse_group_by() && parse_end();
    if (const std::optional<Fault>& fault = tokens_.first_fault()) return std::unexpected(*fault);
    VERGE_ASSERT(parsed);
    return std::move(statement_);
  }

 private:
  bool parse_items() {
    do {
      if (!parse_item()) return false;
    } while (tokens_.take_symbol(","));
    return true;
  }

  bool parse_item() {
    SelectItem item{.offset = tokens_.peek().offset};
    if (tokens_.take_symbol("*")) {
      item.name = "*";
    } else {
      item.expression = expressions_.parse();
      if (item.expression == nullptr) return false;
      const std::optional<std::string> alias = parse_alias();
      if (!alias) return false;
      item.name = alias->empty() ? default_name(item) : *alias;
    }
    statement_.items.push_back(std::move(item));
    return true;
  }

  // Empty where there is none.
  std::optional<std::string> parse_alias() {
    if (!tokens_.take_word("AS")) return std::string{};
    const Token& token = tokens_.peek();
    if (token.kind == Token::Kind::kWord) return std::string(tokens_.next().text);
    if (token.kind == Token::Kind::kQuotedName && token.text.size() > 2) return unquote(tokens_.next());
    tokens_.fault_expected("a name after AS");
    return std::nullopt;
  }

  std::string default_name(const SelectItem& item) const {
    const Expression& expression = *item.expression;
    if (expression.kind == Expression::Kind::kField && !expression.path.back().is_element) {
      return expression.path.back().name;
    }
    return std::string(sql_.substr(item.offset, tokens_.end_of_last() - item.offset));
  }

  bool parse_from() {
    if (!tokens_.take_word("FROM")) {
      return tokens_.fault_expected("FROM", {"FROM", "AS", "AND", "OR", "BETWEEN", "LIKE"});
    }
    const Token& token = tokens_.peek();
    if (token.kind != Token::Kind::kText) {
      return tokens_.fault_expected("a topic filter in single quotes, as in FROM 'plant/+/oven'");
    }
    statement_.filter_offset = token.offset;
    statement_.filter = unquote(tokens_.next());
    if (is_topic_filter(statement_.filter)) return true;
    return tokens_.fault(statement_.filter_offset, "rule.topic-filter",
                         fmt::format("'{}' is not a topic filter", statement_.filter),
                         "'+' stands alone for one level, '#' alone for all levels that remain");
  }

  bool parse_where() {
    if (!tokens_.take_word("WHERE")) return true;
    statement_.condition = expressions_.parse();
    return statement_.condition != nullptr;
  }

  bool parse_group_by() {
    if (!tokens_.at_word("GROUP")) return true;
    const size_t offset = tokens_.next().offset;
    if (!tokens_.expect_word("BY")) return false;
    do {
      const bool is_window = tokens_.at_word("TUMBLING") && tokens_.peek(1).text == "(";
      if (is_window ? !parse_window() : !parse_key()) return false;
    } while (tokens_.take_symbol(","));
    if (statement_.window_us) return true;
    return tokens_.fault(offset, "rule.window", "GROUP BY needs a window", "add it to the keys, as in TUMBLING(10 s)");
  }

  bool parse_key() {
    ExpressionPointer key = expressions_.parse();
    if (key == nullptr) return false;
    statement_.keys.push_back(std::move(key));
    return true;
  }

  bool parse_window() {
    const size_t offset = tokens_.next().offset;
    if (statement_.window_us) return tokens_.fault(offset, "rule.window", "a rule has one window only");
    tokens_.next();  // (
    const Token number = tokens_.peek();
    if (number.kind != Token::Kind::kNumber) return fault_duration();
    tokens_.next();
    const Token unit = tokens_.peek();
    if (unit.kind != Token::Kind::kWord) return fault_duration();
    const std::optional<Duration> size = parse_duration(fmt::format("{} {}", number.text, lower(unit.text)));
    if (!size) return fault_duration();
    tokens_.next();
    statement_.window_us = std::chrono::duration_cast<std::chrono::microseconds>(*size).count();
    if (*statement_.window_us < kWindowMicrosecondsMin || *statement_.window_us > kWindowMicrosecondsMax ||
        *statement_.window_us % 1000 != 0) {
      return tokens_.fault(number.offset, "rule.window",
                           fmt::format("a window of {} {} cannot be", number.text, unit.text),
                           "choose whole milliseconds from 100 ms to 24 h");
    }
    return tokens_.expect_symbol(")");
  }

  bool fault_duration() {
    return tokens_.fault_expected("a duration such as 10 s, 500 ms, 1 min or 1 h", {"s", "ms", "min", "h"});
  }

  bool parse_end() {
    if (tokens_.peek().kind == Token::Kind::kEnd) return true;
    const bool grouped = statement_.window_us.has_value();
    if (grouped) return tokens_.fault_expected("',' or the end of the rule");
    if (statement_.condition != nullptr) {
      return tokens_.fault_expected("an operator, GROUP BY or the end of the rule",
                                    {"GROUP", "AND", "OR", "BETWEEN", "LIKE", "IN", "IS", "NOT"});
    }
    return tokens_.fault_expected("WHERE, GROUP BY or the end of the rule", {"WHERE", "GROUP"});
  }

  std::string_view sql_;
  TokenStream tokens_;
  ExpressionParser expressions_;
  Statement statement_;
};

}  // namespace

Checked<Statement> parse_statement(std::string_view sql) {
  if (sql.size() > kSqlBytesMax) {
    return refuse(kSqlBytesMax, "rule.too-long", fmt::format("the SQL is longer than {}", format_size(kSqlBytesMax)));
  }
  if (!is_utf8(sql)) return refuse(0, "rule.syntax", "the SQL is not UTF-8");
  Checked<std::vector<Token>> tokens = tokenize(sql);
  if (!tokens) return std::unexpected(std::move(tokens.error()));
  return StatementParser(sql, std::move(*tokens)).parse();
}

Checked<FieldPath> parse_field_path(std::string_view text) {
  Checked<std::vector<Token>> tokens = tokenize(text);
  if (!tokens) return std::unexpected(std::move(tokens.error()));
  TokenStream stream(std::move(*tokens));
  FieldPath path = ExpressionParser(stream).parse_path();
  if (!stream.failed() && stream.peek().kind != Token::Kind::kEnd) stream.fault_expected("the end of the name");
  if (const std::optional<Fault>& fault = stream.first_fault()) return std::unexpected(*fault);
  return path;
}

}  // namespace verge::rules
