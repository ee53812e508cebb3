#include "rules/expression_parser.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::rules {
namespace {

using Kind = Expression::Kind;

constexpr std::array<std::string_view, 21> kReservedWords = {
    "SELECT", "FROM", "WHERE", "GROUP", "BY",   "AND",  "OR",  "NOT", "BETWEEN", "IN",   "IS",
    "NULL",   "LIKE", "CASE",  "WHEN",  "THEN", "ELSE", "END", "AS",  "TRUE",    "FALSE"};

bool is_reserved(const Token& token) {
  return std::ranges::any_of(kReservedWords, [&](std::string_view word) { return is_word(token, word); });
}

ExpressionPointer make(Kind kind, size_t offset) {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->offset = offset;
  return expression;
}

ExpressionPointer make_literal(size_t offset, Literal literal) {
  ExpressionPointer expression = make(Kind::kLiteral, offset);
  expression->literal = std::move(literal);
  return expression;
}

// What is written as a number, with its sign.
std::optional<double> constant_of(const Expression& expression) {
  if (expression.kind == Kind::kNegate) {
    const std::optional<double> negated = constant_of(*expression.operands.front());
    return negated ? std::optional(-*negated) : std::nullopt;
  }
  if (expression.kind != Kind::kLiteral) return std::nullopt;
  if (const auto* number = std::get_if<double>(&expression.literal)) return *number;
  if (const auto* integer = std::get_if<int64_t>(&expression.literal)) return static_cast<double>(*integer);
  return std::nullopt;
}

std::optional<Kind> comparison_of(const Token& token) {
  static constexpr std::array<std::pair<std::string_view, Kind>, 7> kComparisons = {{
      {"=", Kind::kEqual},
      {"!=", Kind::kNotEqual},
      {"<>", Kind::kNotEqual},
      {"<", Kind::kLess},
      {"<=", Kind::kLessEqual},
      {">", Kind::kGreater},
      {">=", Kind::kGreaterEqual},
  }};
  if (token.kind != Token::Kind::kSymbol) return std::nullopt;
  for (const auto& [symbol, kind] : kComparisons) {
    if (token.text == symbol) return kind;
  }
  return std::nullopt;
}

std::string arity_text(unsigned min, unsigned max) {
  const auto plural = [](unsigned count) { return count == 1 ? "argument" : "arguments"; };
  if (max == 0) return "no arguments";
  if (min == max) return fmt::format("{} {}", min, plural(min));
  if (max > min + 1) return fmt::format("{} to {} arguments", min, max);
  return fmt::format("{} or {} arguments", min, max);
}

}  // namespace

std::optional<int64_t> parse_duration_us(TokenStream& tokens, int64_t least, int64_t most) {
  const auto fault = [&] {
    tokens.fault_expected("a duration such as 10 s, 500 ms, 1 min or 1 h", {"s", "ms", "min", "h"});
    return std::nullopt;
  };
  const Token number = tokens.peek();
  if (number.kind != Token::Kind::kNumber) return fault();
  tokens.next();
  const Token unit = tokens.peek();
  if (unit.kind != Token::Kind::kWord) return fault();
  const std::optional<Duration> size = parse_duration(fmt::format("{} {}", number.text, lower(unit.text)));
  if (!size) return fault();
  tokens.next();
  const int64_t micros = std::chrono::duration_cast<std::chrono::microseconds>(*size).count();
  if (micros >= least && micros <= most && micros % 1000 == 0) return micros;
  const auto text = [](int64_t bound) {
    if (bound % 3'600'000'000 == 0) return fmt::format("{} h", bound / 3'600'000'000);
    return fmt::format("{} ms", bound / 1000);
  };
  tokens.fault(
      number.offset, "rule.window", fmt::format("{} {} is out of bounds", number.text, unit.text),
      fmt::format("choose whole milliseconds from {} to {}", text(std::max<int64_t>(least, 1000)), text(most)));
  return std::nullopt;
}

bool ExpressionParser::enter() {
  if (++nesting_ <= kNestingMax) return true;
  return tokens_.fault(tokens_.peek().offset, "rule.too-deep",
                       fmt::format("expressions are nested more than {} deep", kNestingMax));
}

bool ExpressionParser::adopt(Expression& parent, ExpressionPointer operand) {
  if (operand == nullptr) return false;
  parent.height = std::max(parent.height, operand->height + 1);
  if (parent.height > kExpressionHeightMax) {
    return tokens_.fault(parent.offset, "rule.too-deep",
                         fmt::format("more than {} operations build on each other", kExpressionHeightMax));
  }
  parent.operands.push_back(std::move(operand));
  return true;
}

ExpressionPointer ExpressionParser::combine(Kind kind, ExpressionPointer left, ExpressionPointer right) {
  if (left == nullptr || right == nullptr) return nullptr;
  ExpressionPointer parent = make(kind, left->offset);
  if (!adopt(*parent, std::move(left)) || !adopt(*parent, std::move(right))) return nullptr;
  return parent;
}

ExpressionPointer ExpressionParser::wrap(Kind kind, size_t offset, ExpressionPointer operand) {
  ExpressionPointer parent = make(kind, offset);
  return adopt(*parent, std::move(operand)) ? std::move(parent) : nullptr;
}

ExpressionPointer ExpressionParser::parse() {
  if (!enter()) return nullptr;
  ExpressionPointer expression = parse_or();
  if (expression != nullptr && tokens_.at_word("FOR")) expression = parse_for(std::move(expression));
  --nesting_;
  return expression;
}

// condition FOR 5 s
ExpressionPointer ExpressionParser::parse_for(ExpressionPointer condition) {
  tokens_.next();
  const std::optional<int64_t> duration = parse_duration_us(tokens_, 1, kForMicrosecondsMax);
  if (!duration) return nullptr;
  const size_t offset = condition->offset;
  ExpressionPointer lasting = wrap(Kind::kState, offset, std::move(condition));
  if (lasting == nullptr) return nullptr;
  lasting->state = StateFunction::kFor;
  lasting->duration_us = *duration;
  return lasting;
}

ExpressionPointer ExpressionParser::parse_or() {
  ExpressionPointer left = parse_and();
  while (left != nullptr && tokens_.take_word("OR")) left = combine(Kind::kOr, std::move(left), parse_and());
  return left;
}

ExpressionPointer ExpressionParser::parse_and() {
  ExpressionPointer left = parse_not();
  while (left != nullptr && tokens_.take_word("AND")) left = combine(Kind::kAnd, std::move(left), parse_not());
  return left;
}

ExpressionPointer ExpressionParser::parse_not() {
  const size_t offset = tokens_.peek().offset;
  if (!tokens_.take_word("NOT")) return parse_comparison();
  if (!enter()) return nullptr;
  ExpressionPointer negated = wrap(Kind::kNot, offset, parse_not());
  --nesting_;
  return negated;
}

ExpressionPointer ExpressionParser::parse_comparison() {
  ExpressionPointer left = parse_additive();
  while (left != nullptr) {
    if (const auto kind = comparison_of(tokens_.peek())) {
      tokens_.next();
      left = combine(*kind, std::move(left), parse_additive());
    } else if (tokens_.at_word("IS") || tokens_.at_word("NOT") || tokens_.at_word("BETWEEN") || tokens_.at_word("IN") ||
               tokens_.at_word("LIKE")) {
      left = parse_predicate(std::move(left));
    } else {
      break;
    }
  }
  return left;
}

ExpressionPointer ExpressionParser::parse_predicate(ExpressionPointer left) {
  const size_t offset = left->offset;
  bool negated = false;
  ExpressionPointer predicate;
  if (tokens_.take_word("IS")) {
    negated = tokens_.take_word("NOT");
    if (!tokens_.expect_word("NULL")) return nullptr;
    predicate = wrap(Kind::kIsNull, offset, std::move(left));
  } else {
    negated = tokens_.take_word("NOT");
    if (tokens_.take_word("BETWEEN")) {
      predicate = parse_between(std::move(left));
    } else if (tokens_.take_word("IN")) {
      predicate = parse_in(std::move(left));
    } else if (tokens_.take_word("LIKE")) {
      predicate = combine(Kind::kLike, std::move(left), parse_additive());
    } else {
      tokens_.fault_expected("BETWEEN, IN or LIKE after NOT", {"BETWEEN", "IN", "LIKE"});
    }
  }
  if (predicate == nullptr || !negated) return predicate;
  return wrap(Kind::kNot, offset, std::move(predicate));
}

ExpressionPointer ExpressionParser::parse_between(ExpressionPointer value) {
  ExpressionPointer between = make(Kind::kBetween, value->offset);
  if (!adopt(*between, std::move(value)) || !adopt(*between, parse_additive())) return nullptr;
  if (!tokens_.expect_word("AND") || !adopt(*between, parse_additive())) return nullptr;
  return between;
}

ExpressionPointer ExpressionParser::parse_in(ExpressionPointer value) {
  ExpressionPointer in = make(Kind::kIn, value->offset);
  if (!adopt(*in, std::move(value)) || !tokens_.expect_symbol("(")) return nullptr;
  do {
    if (!adopt(*in, parse())) return nullptr;
  } while (tokens_.take_symbol(","));
  return tokens_.expect_symbol(")") ? std::move(in) : nullptr;
}

ExpressionPointer ExpressionParser::parse_additive() {
  ExpressionPointer left = parse_multiplicative();
  while (left != nullptr) {
    if (tokens_.take_symbol("+")) {
      left = combine(Kind::kAdd, std::move(left), parse_multiplicative());
    } else if (tokens_.take_symbol("-")) {
      left = combine(Kind::kSubtract, std::move(left), parse_multiplicative());
    } else if (tokens_.take_symbol("||")) {
      left = combine(Kind::kCall, std::move(left), parse_multiplicative());
      if (left != nullptr) left->function = Function::kConcat;
    } else {
      break;
    }
  }
  return left;
}

ExpressionPointer ExpressionParser::parse_multiplicative() {
  ExpressionPointer left = parse_unary();
  while (left != nullptr) {
    if (tokens_.take_symbol("*")) {
      left = combine(Kind::kMultiply, std::move(left), parse_unary());
    } else if (tokens_.take_symbol("/")) {
      left = combine(Kind::kDivide, std::move(left), parse_unary());
    } else if (tokens_.take_symbol("%")) {
      left = combine(Kind::kRemainder, std::move(left), parse_unary());
    } else {
      break;
    }
  }
  return left;
}

ExpressionPointer ExpressionParser::parse_unary() {
  const size_t offset = tokens_.peek().offset;
  if (!tokens_.take_symbol("-")) return parse_primary();
  // The least integer has no positive counterpart to negate.
  if (tokens_.peek().text == "9223372036854775808") {
    tokens_.next();
    return make_literal(offset, std::numeric_limits<int64_t>::min());
  }
  if (!enter()) return nullptr;
  ExpressionPointer negated = wrap(Kind::kNegate, offset, parse_unary());
  --nesting_;
  return negated;
}

ExpressionPointer ExpressionParser::parse_primary() {
  const Token& token = tokens_.peek();
  const size_t offset = token.offset;
  if (token.kind == Token::Kind::kNumber) return parse_number();
  if (token.kind == Token::Kind::kText) return make_literal(offset, unquote(tokens_.next()));
  if (tokens_.take_symbol("(")) {
    ExpressionPointer inner = parse();
    if (inner == nullptr || !tokens_.expect_symbol(")")) return nullptr;
    return inner;
  }
  if (tokens_.take_word("TRUE")) return make_literal(offset, true);
  if (tokens_.take_word("FALSE")) return make_literal(offset, false);
  if (tokens_.take_word("NULL")) return make_literal(offset, std::monostate{});
  if (tokens_.take_word("CASE")) return parse_case();
  const bool called = tokens_.peek(1).kind == Token::Kind::kSymbol && tokens_.peek(1).text == "(";
  if (token.kind == Token::Kind::kWord && called && !is_reserved(token)) return parse_call();
  if (token.kind != Token::Kind::kWord && token.kind != Token::Kind::kQuotedName) {
    tokens_.fault_expected("an expression");
    return nullptr;
  }
  ExpressionPointer field = make(Kind::kField, offset);
  field->path = parse_path();
  return field->path.empty() ? nullptr : std::move(field);
}

ExpressionPointer ExpressionParser::parse_number() {
  const Token token = tokens_.next();
  const Value value = rules::parse_number(token.text);
  if (value.is_null()) {
    tokens_.fault(token.offset, "rule.syntax", fmt::format("the number {} is out of range", token.text));
    return nullptr;
  }
  if (value.is_integer()) return make_literal(token.offset, value.as_integer());
  return make_literal(token.offset, value.as_double());
}

ExpressionPointer ExpressionParser::parse_case() {
  ExpressionPointer chosen = make(Kind::kCase, tokens_.end_of_last() - std::string_view("CASE").size());
  if (!tokens_.at_word("WHEN")) {
    const Token subject = tokens_.peek();
    chosen->has_subject = true;
    if (!adopt(*chosen, parse())) return nullptr;
    if (!tokens_.at_word("WHEN") && !nearest(subject.text, std::vector<std::string>{"WHEN"}).empty()) {
      tokens_.fault(subject.offset, "rule.syntax", fmt::format("expected WHEN, found {}", describe(subject)),
                    "did you mean WHEN?");
      return nullptr;
    }
  }
  if (!tokens_.at_word("WHEN")) return tokens_.fault_expected("WHEN", {"WHEN"}), nullptr;
  while (tokens_.take_word("WHEN")) {
    if (!adopt(*chosen, parse()) || !tokens_.expect_word("THEN") || !adopt(*chosen, parse())) return nullptr;
  }
  if (tokens_.take_word("ELSE")) {
    chosen->has_else = true;
    if (!adopt(*chosen, parse())) return nullptr;
  }
  if (!tokens_.take_word("END")) return tokens_.fault_expected("WHEN, ELSE or END", {"WHEN", "ELSE", "END"}), nullptr;
  return chosen;
}

ExpressionPointer ExpressionParser::parse_call() {
  const Token token = tokens_.next();
  const std::string name = lower(token.text);
  if (name == "cast") return parse_cast(token);
  if (const auto aggregate = find_aggregate(name)) return parse_aggregate(token, *aggregate);
  const FunctionSignature* function = find_function(name);
  const StateSignature* state = find_state_function(name);
  if (function == nullptr && state == nullptr) return fault_unknown_call(token);
  ExpressionPointer call = make(function != nullptr ? Kind::kCall : Kind::kState, token.offset);
  tokens_.next();  // (
  if (!parse_arguments(*call)) return nullptr;
  if (function != nullptr) {
    call->function = function->function;
    return check_arguments(token, std::move(call), function->arguments_min, function->arguments_max);
  }
  call->state = state->function;
  call = check_arguments(token, std::move(call), state->arguments_min, state->arguments_max);
  if (call != nullptr && call->state == StateFunction::kFuse) call = complete_fuse(token, std::move(call));
  return call == nullptr ? nullptr : check_constants_of(std::move(call));
}

// fuse(x, least, largest, noise, …[, array(rate, …)]): five arguments a sensor, the last its rate, 0 where it is not
// said.
ExpressionPointer ExpressionParser::complete_fuse(const Token& token, ExpressionPointer call) {
  std::vector<ExpressionPointer> rates;
  if (call->operands.size() % 4 == 1) {
    const ExpressionPointer last = std::move(call->operands.back());
    call->operands.pop_back();
    if (last->kind == Kind::kCall && last->function == Function::kArray) rates = std::move(last->operands);
  } else if (call->operands.size() % 4 == 0) {
    for (size_t i = 0; i < call->operands.size(); i += 4) rates.push_back(make_literal(token.offset, int64_t{0}));
  }
  if (rates.size() * 4 != call->operands.size()) {
    tokens_.fault(token.offset, "rule.arguments",
                  "fuse() takes four arguments a sensor, and array() of as many rates as sensors at the end, or none",
                  "write fuse(radar, 0, 160, 0.5, sonic, 0, 8, 0.02, array(20, 50))");
    return nullptr;
  }
  std::vector<ExpressionPointer> completed;
  for (size_t i = 0; i < call->operands.size(); ++i) {
    completed.push_back(std::move(call->operands[i]));
    if (i % 4 == 3) completed.push_back(std::move(rates[i / 4]));
  }
  call->operands = std::move(completed);
  return call;
}

// What can be seen to be wrong before there is a message.
ExpressionPointer ExpressionParser::check_constants_of(ExpressionPointer call) {
  std::vector<std::optional<double>> constants;
  for (const ExpressionPointer& operand : call->operands) constants.push_back(constant_of(*operand));
  const std::optional<ArgumentFault> wrong = check_constants(call->state, constants);
  if (!wrong) return call;
  tokens_.fault(call->operands[wrong->argument]->offset, "rule.arguments", std::string(wrong->what),
                std::string(wrong->fix));
  return nullptr;
}

ExpressionPointer ExpressionParser::fault_unknown_call(const Token& token) {
  const std::string name = lower(token.text);
  const bool is_window = name == "tumbling" || name == "hopping" || name == "sliding" || name == "session";
  const std::string near = is_window ? "" : suggested_call(name);
  tokens_.fault(token.offset, "rule.unknown-function",
                is_window ? fmt::format("{} stands only in GROUP BY, beside the keys", token.text)
                          : fmt::format("there is no function {}()", token.text),
                !near.empty() ? fmt::format("did you mean {}?", near)
                : is_window   ? "write it behind GROUP BY"
                              : "see the functions in docs/rules.md");
  return nullptr;
}

// cast(x AS integer)
ExpressionPointer ExpressionParser::parse_cast(const Token& token) {
  static constexpr std::array<std::pair<std::string_view, Function>, 8> kTypes = {{
      {"INTEGER", Function::kCastInteger},
      {"INT", Function::kCastInteger},
      {"BIGINT", Function::kCastInteger},
      {"NUMBER", Function::kNumber},
      {"DOUBLE", Function::kNumber},
      {"TEXT", Function::kText},
      {"BOOLEAN", Function::kCastBoolean},
      {"JSON", Function::kCastJson},
  }};
  tokens_.next();  // (
  ExpressionPointer cast = wrap(Kind::kCall, token.offset, parse());
  if (cast == nullptr || !tokens_.expect_word("AS")) return nullptr;
  for (const auto& [type, function] : kTypes) {
    if (!tokens_.take_word(type)) continue;
    cast->function = function;
    return tokens_.expect_symbol(")") ? std::move(cast) : nullptr;
  }
  tokens_.fault_expected("INTEGER, NUMBER, TEXT, BOOLEAN or JSON", {"INTEGER", "NUMBER", "TEXT", "BOOLEAN", "JSON"});
  return nullptr;
}

ExpressionPointer ExpressionParser::parse_aggregate(const Token& token, Aggregate aggregate) {
  ExpressionPointer call = make(Kind::kAggregate, token.offset);
  call->aggregate.aggregate = aggregate;
  tokens_.next();  // (
  if (aggregate == Aggregate::kCount && tokens_.take_symbol("*")) {
    return tokens_.expect_symbol(")") ? std::move(call) : nullptr;
  }
  if (aggregate == Aggregate::kCount) call->aggregate.is_distinct = tokens_.take_word("DISTINCT");
  if (!parse_arguments(*call)) return nullptr;
  if (aggregate == Aggregate::kReduced) return complete_reduced(token, std::move(call));
  const uint8_t wanted = aggregate == Aggregate::kPercentile ? 2 : 1;
  call = check_arguments(token, std::move(call), wanted, wanted);
  if (call == nullptr || wanted == 1) return call;
  call->aggregate.share = number_of(*call->operands[1]);
  if (call->aggregate.share < 0 || call->aggregate.share > 1) {
    tokens_.fault(call->operands[1]->offset, "rule.arguments", "the share of percentile() is a number from 0 to 1",
                  "write percentile(x, 0.95)");
    return nullptr;
  }
  call->operands.pop_back();
  return call;
}

// What is written as a number there; -1 where something else is.
double ExpressionParser::number_of(const Expression& expression) {
  return expression.kind == Kind::kLiteral ? constant_of(expression).value_or(-1) : -1;
}

// reduced(x, max_error) or reduced(x, bits_per_second, milliseconds). Each reading comes with its score, so that what
// is anomalous is kept as it was.
ExpressionPointer ExpressionParser::complete_reduced(const Token& token, ExpressionPointer call) {
  call = check_arguments(token, std::move(call), 2, 3);
  if (call == nullptr) return nullptr;
  const bool is_by_line = call->operands.size() == 3;
  const double first = number_of(*call->operands[1]);
  const double second = is_by_line ? number_of(*call->operands[2]) : 0;
  const bool is_good = is_by_line ? first > 0 && second > 0 : first >= 0 && first <= 1;
  if (!is_good) {
    tokens_.fault(call->operands[1]->offset, "rule.arguments",
                  "reduced() takes what a reading may be off by, 0 to 1 of the window's range, or bits a second and ms",
                  "write reduced(x, 0.01) or reduced(x, 9600, 500)");
    return nullptr;
  }
  call->aggregate.share = is_by_line ? 0 : first;
  call->aggregate.bandwidth_bps = is_by_line ? first : 0;
  call->aggregate.deadline_ms = second;
  call->operands.resize(1);
  ExpressionPointer score = make(Kind::kState, token.offset);
  score->state = StateFunction::kAnomaly;
  score->operands.push_back(clone(*call->operands[0]));
  ExpressionPointer reading = make(Kind::kCall, token.offset);
  reading->function = Function::kArray;
  reading->operands.push_back(std::move(call->operands[0]));
  reading->operands.push_back(std::move(score));
  call->operands[0] = std::move(reading);
  return call;
}

ExpressionPointer ExpressionParser::check_arguments(const Token& token, ExpressionPointer call, uint8_t least,
                                                    uint8_t most) {
  const size_t count = call->operands.size();
  if (count >= least && count <= most) return call;
  tokens_.fault(token.offset, "rule.arguments",
                fmt::format("{}() takes {}, not {}", lower(token.text), arity_text(least, most), count));
  return nullptr;
}

bool ExpressionParser::parse_arguments(Expression& call) {
  if (tokens_.take_symbol(")")) return true;
  do {
    if (!adopt(call, parse())) return false;
  } while (tokens_.take_symbol(","));
  return tokens_.take_symbol(")") || tokens_.fault_expected("',' or ')'");
}

FieldPath ExpressionParser::parse_path() {
  FieldPath path;
  do {
    const Token token = tokens_.peek();
    const bool quoted = token.kind == Token::Kind::kQuotedName;
    if (!quoted && token.kind != Token::Kind::kWord) return tokens_.fault_expected("the name of a field"), FieldPath{};
    if (path.empty() && !quoted && is_reserved(token)) {
      tokens_.fault(token.offset, "rule.syntax", fmt::format("expected an expression, found {}", token.text),
                    fmt::format("a field of this name is written \"{}\"", token.text));
      return {};
    }
    tokens_.next();
    path.push_back({.name = quoted ? unquote(token) : std::string(token.text)});
    while (tokens_.take_symbol("[")) {
      const Token index = tokens_.peek();
      uint32_t element = 0;
      const char* end = index.text.data() + index.text.size();
      const bool whole = index.kind == Token::Kind::kNumber &&
                         std::from_chars(index.text.data(), end, element).ptr == end && element <= kElementIndexMax;
      if (!whole) {
        return tokens_.fault_expected(fmt::format("a whole number from 0 to {}", kElementIndexMax)), FieldPath{};
      }
      tokens_.next();
      path.push_back({.element = element, .is_element = true});
      if (!tokens_.expect_symbol("]")) return {};
    }
  } while (tokens_.take_symbol("."));
  return path;
}

}  // namespace verge::rules
