#include "rules/statement_parser.h"

#include <numeric>

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
    const bool parsed = tokens_.expect_word("SELECT") && parse_items() && parse_from() && parse_joins() &&
                        parse_timestamp() && parse_where() && parse_group_by() && parse_having() && parse_partition() &&
                        parse_end();
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
    if (tokens_.peek().kind != Token::Kind::kText) {
      return tokens_.fault_expected("a topic filter in single quotes, as in FROM 'plant/+/oven'");
    }
    return parse_stream(statement_.from);
  }

  // 'topic/filter' [AS alias]
  bool parse_stream(StreamSource& stream) {
    stream.offset = tokens_.peek().offset;
    stream.filter = unquote(tokens_.next());
    if (!is_topic_filter(stream.filter)) {
      return tokens_.fault(stream.offset, "rule.topic-filter", fmt::format("'{}' is not a topic filter", stream.filter),
                           "'+' stands alone for one level, '#' alone for all levels that remain");
    }
    const std::optional<std::string> alias = parse_alias();
    if (alias) stream.alias = *alias;
    return alias.has_value();
  }

  bool parse_joins() {
    while (tokens_.at_word("JOIN") || tokens_.at_word("LEFT")) {
      const bool keeps_unmatched = tokens_.take_word("LEFT");
      if (!tokens_.expect_word("JOIN")) return false;
      const bool parsed =
          tokens_.at_word("TABLE") ? parse_table_join(keeps_unmatched) : parse_stream_join(keeps_unmatched);
      if (!parsed) return false;
    }
    return true;
  }

  bool parse_stream_join(bool keeps_unmatched) {
    const size_t offset = tokens_.peek().offset;
    if (tokens_.peek().kind != Token::Kind::kText) {
      return tokens_.fault_expected("a topic filter in single quotes, or TABLE and a name", {"TABLE"});
    }
    if (statement_.join) return tokens_.fault(offset, "rule.join", "a rule joins two streams, no more");
    StreamJoin& join = statement_.join.emplace();
    join.keeps_unmatched = keeps_unmatched;
    if (!parse_stream(join.stream) || !tokens_.expect_word("ON")) return false;
    join.condition = expressions_.parse();
    if (join.condition == nullptr || !tokens_.expect_word("WITHIN")) return false;
    const auto within = parse_duration_us(tokens_, 1, kWindowMicrosecondsMax);
    if (!within) return false;
    join.within_us = *within;
    if (!join.stream.alias.empty() && !statement_.from.alias.empty() && join.stream.alias != statement_.from.alias) {
      return true;
    }
    return tokens_.fault(offset, "rule.join", "the two streams of a join need different names",
                         "write FROM 'x' AS a JOIN 'y' AS b ON a.id = b.id WITHIN 5 s");
  }

  bool parse_table_join(bool keeps_unmatched) {
    tokens_.next();
    TableJoin join{.keeps_unmatched = keeps_unmatched};
    const Token& name = tokens_.peek();
    join.offset = name.offset;
    if (name.kind != Token::Kind::kWord && name.kind != Token::Kind::kQuotedName) {
      return tokens_.fault_expected("the name of a table");
    }
    const bool is_quoted = name.kind == Token::Kind::kQuotedName;
    const Token token = tokens_.next();
    join.table = is_quoted ? unquote(token) : std::string(token.text);
    const std::optional<std::string> alias = parse_alias();
    if (!alias || !tokens_.expect_word("ON")) return false;
    join.alias = alias->empty() ? join.table : *alias;
    join.condition = expressions_.parse();
    if (join.condition == nullptr) return false;
    statement_.tables.push_back(std::move(join));
    return true;
  }

  // TIMESTAMP BY expression [DELAY 5 s] [AHEAD 10 min] [LATE DROP | LATE CURRENT]
  bool parse_timestamp() {
    if (!tokens_.take_word("TIMESTAMP")) return true;
    if (!tokens_.expect_word("BY")) return false;
    EventTime& time = statement_.event_time.emplace();
    time.timestamp = expressions_.parse();
    if (time.timestamp == nullptr) return false;
    if (tokens_.take_word("DELAY")) {
      const auto delay = parse_duration_us(tokens_, 0, kDelayMicrosecondsMax);
      if (!delay) return false;
      time.delay_us = *delay;
    }
    if (tokens_.take_word("AHEAD")) {
      const auto ahead = parse_duration_us(tokens_, 0, kAheadMicrosecondsMax);
      if (!ahead) return false;
      time.ahead_us = *ahead;
    }
    if (!tokens_.take_word("LATE")) return true;
    if (tokens_.take_word("CURRENT")) {
      time.late = LatePolicy::kCurrent;
      return true;
    }
    return tokens_.take_word("DROP") || tokens_.fault_expected("DROP or CURRENT after LATE", {"DROP", "CURRENT"});
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
      const std::optional<WindowKind> window = window_kind();
      if (window ? !parse_window(*window) : !parse_key()) return false;
    } while (tokens_.take_symbol(","));
    if (statement_.window) return true;
    return tokens_.fault(offset, "rule.window", "GROUP BY needs a window", "add it to the keys, as in TUMBLING(10 s)");
  }

  [[nodiscard]] std::optional<WindowKind> window_kind() const {
    static constexpr std::array<std::pair<std::string_view, WindowKind>, 5> kKinds = {{
        {"TUMBLING", WindowKind::kTumbling},
        {"HOPPING", WindowKind::kHopping},
        {"SLIDING", WindowKind::kSliding},
        {"SESSION", WindowKind::kSession},
        {"COUNT", WindowKind::kCount},
    }};
    if (tokens_.peek(1).text != "(") return std::nullopt;
    for (const auto& [word, kind] : kKinds) {
      if (tokens_.at_word(word)) return kind;
    }
    return std::nullopt;
  }

  bool parse_key() {
    ExpressionPointer key = expressions_.parse();
    if (key == nullptr) return false;
    statement_.keys.push_back(std::move(key));
    return true;
  }

  bool parse_window(WindowKind kind) {
    const size_t offset = tokens_.next().offset;
    if (statement_.window) return tokens_.fault(offset, "rule.window", "a rule has one window only");
    tokens_.next();  // (
    WindowSpec& window = statement_.window.emplace(WindowSpec{.kind = kind});
    const bool parsed = kind == WindowKind::kCount ? parse_counts(window) : parse_sizes(window, offset);
    return parsed && tokens_.expect_symbol(")");
  }

  bool parse_sizes(WindowSpec& window, size_t offset) {
    const auto size = parse_duration_us(tokens_, kWindowMicrosecondsMin, kWindowMicrosecondsMax);
    if (!size) return false;
    window.size_us = *size;
    window.hop_us = window.kind == WindowKind::kSession ? kWindowMicrosecondsMax : *size;
    const bool takes_two = window.kind == WindowKind::kHopping || window.kind == WindowKind::kSession;
    if (window.kind == WindowKind::kHopping && !tokens_.at_symbol(",")) {
      return tokens_.fault_expected("',' and how far apart the windows begin, as in HOPPING(1 min, 10 s)");
    }
    if (!takes_two || !tokens_.take_symbol(",")) return true;
    const auto second = parse_duration_us(tokens_, kWindowMicrosecondsMin, kWindowMicrosecondsMax);
    if (!second) return false;
    window.hop_us = *second;
    if (window.kind == WindowKind::kSession && window.hop_us < window.size_us) {
      return tokens_.fault(offset, "rule.window", "a session cannot be shorter than the gap that ends it",
                           "write SESSION(gap, longest)");
    }
    if (window.kind == WindowKind::kSession) return true;
    const int64_t pane = std::gcd(window.size_us, window.hop_us);
    if (window.hop_us <= window.size_us && window.size_us / pane <= kPanesMax) return true;
    return tokens_.fault(
        offset, "rule.window",
        window.hop_us > window.size_us ? "the windows leave gaps between them" : "the window falls into too many parts",
        fmt::format("choose a step that is at most the size and divides it into at most {} parts", kPanesMax));
  }

  bool parse_counts(WindowSpec& window) {
    const auto count = parse_count();
    if (!count) return false;
    window.count = *count;
    window.every = *count;
    if (!tokens_.take_symbol(",")) return true;
    const size_t offset = tokens_.peek().offset;
    const auto every = parse_count();
    if (!every) return false;
    window.every = *every;
    return window.every <= window.count ||
           tokens_.fault(offset, "rule.window", "the windows leave readings out between them",
                         "choose a step that is at most the count");
  }

  std::optional<uint64_t> parse_count() {
    const Token token = tokens_.peek();
    const Value number = token.kind == Token::Kind::kNumber ? parse_number(token.text) : Value{};
    if (!number.is_integer() || number.as_integer() < 1 || number.as_integer() > kCountMax) {
      tokens_.fault_expected(fmt::format("a whole number of readings from 1 to {}", kCountMax));
      return std::nullopt;
    }
    tokens_.next();
    return static_cast<uint64_t>(number.as_integer());
  }

  bool parse_having() {
    if (!tokens_.at_word("HAVING")) return true;
    const size_t offset = tokens_.next().offset;
    if (!statement_.window) {
      return tokens_.fault(offset, "rule.window", "HAVING chooses among the rows of a window, and there is none",
                           "use WHERE, or add GROUP BY TUMBLING(10 s)");
    }
    statement_.having = expressions_.parse();
    return statement_.having != nullptr;
  }

  bool parse_partition() {
    if (!tokens_.take_word("PARTITION")) return true;
    if (!tokens_.expect_word("BY")) return false;
    statement_.has_partition = true;
    do {
      ExpressionPointer key = expressions_.parse();
      if (key == nullptr) return false;
      statement_.partition.push_back(std::move(key));
    } while (tokens_.take_symbol(","));
    return true;
  }

  bool parse_end() {
    if (tokens_.peek().kind == Token::Kind::kEnd) return true;
    if (statement_.window) {
      return tokens_.fault_expected("',', HAVING or the end of the rule", {"HAVING", "PARTITION"});
    }
    if (statement_.condition != nullptr) {
      return tokens_.fault_expected(
          "an operator, GROUP BY or the end of the rule",
          {"GROUP", "AND", "OR", "BETWEEN", "LIKE", "IN", "IS", "NOT", "FOR", "HAVING", "PARTITION"});
    }
    return tokens_.fault_expected("WHERE, GROUP BY or the end of the rule",
                                  {"WHERE", "GROUP", "JOIN", "LEFT", "TIMESTAMP", "HAVING", "PARTITION", "AS"});
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
