#include "rules/argument_checks.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace verge::rules {
namespace {

using Kind = Expression::Kind;
using Finding = std::optional<Fault>;

const std::vector<std::string>& truncated_units() {
  static const std::vector<std::string> kUnits = {"second", "minute", "hour", "day", "week", "month", "year"};
  return kUnits;
}

const std::vector<std::string>& extracted_units() {
  static const std::vector<std::string> kUnits = {"second", "minute", "hour",    "day",
                                                  "month",  "year",   "weekday", "yearday"};
  return kUnits;
}

Fault fault_at(const Expression& argument, std::string_view code, std::string what, std::string fix) {
  return {Error{code, std::move(what), std::move(fix)}, argument.offset};
}

const std::string* text_of(const Expression& expression) {
  return expression.kind == Kind::kLiteral ? std::get_if<std::string>(&expression.literal) : nullptr;
}

// What is written as a number there, also with a sign; nothing for what is known only of each message.
std::optional<double> number_of(const Expression& expression) {
  if (expression.kind == Kind::kNegate) {
    const std::optional<double> negated = number_of(*expression.operands[0]);
    return negated ? std::optional(-*negated) : std::nullopt;
  }
  if (expression.kind != Kind::kLiteral) return std::nullopt;
  if (const auto* integer = std::get_if<int64_t>(&expression.literal)) return static_cast<double>(*integer);
  const auto* number = std::get_if<double>(&expression.literal);
  return number == nullptr ? std::nullopt : std::optional(*number);
}

bool is_literal(const Expression& expression) {
  return expression.kind == Kind::kLiteral || (expression.kind == Kind::kNegate && is_literal(*expression.operands[0]));
}

// "did you mean X?", else `otherwise`.
std::string suggestion(std::string_view word, std::span<const std::string> known, std::string otherwise) {
  const std::string near = nearest(word, known);
  return near.empty() ? std::move(otherwise) : fmt::format("did you mean {}?", near);
}

Finding check_table(const Expression& call, const Tables& tables) {
  const Expression& name = *call.operands[0];
  const std::string* text = text_of(name);
  if (text == nullptr) {
    if (!is_literal(name)) return std::nullopt;
    return fault_at(name, "rule.arguments", "a table is named by a text", "write its name in single quotes");
  }
  const auto table = tables.find(*text);
  if (table == tables.end()) {
    std::vector<std::string> known;
    for (const auto& [each, unused] : tables) known.push_back(each);
    return fault_at(name, "rule.table", fmt::format("there is no table {}", *text),
                    suggestion(*text, known, "declare it with [[table]]"));
  }
  if (call.function != Function::kLookup) return std::nullopt;
  const std::string* column = text_of(*call.operands[2]);
  const std::vector<std::string>& columns = table->second.columns();
  if (column == nullptr || std::ranges::find(columns, *column) != columns.end()) return std::nullopt;
  return fault_at(*call.operands[2], "rule.table", fmt::format("table {} has no column {}", *text, *column),
                  suggestion(*column, columns, fmt::format("it has {}", fmt::join(columns, ", "))));
}

Finding check_unit(const Expression& call, const std::vector<std::string>& units) {
  const Expression& unit = *call.operands[0];
  if (!is_literal(unit)) return std::nullopt;
  const std::string* text = text_of(unit);
  const std::string word = text == nullptr ? std::string() : lower(*text);
  if (std::ranges::find(units, word) != units.end()) return std::nullopt;
  return fault_at(unit, "rule.arguments",
                  text == nullptr ? "a unit of time is a text" : fmt::format("{} is no unit of time here", *text),
                  suggestion(word, units, fmt::format("choose {}", fmt::join(units, ", "))));
}

Finding check_lag(const Expression& call) {
  if (call.operands.size() < 2 || !is_literal(*call.operands[1])) return std::nullopt;
  const auto* back = std::get_if<int64_t>(&call.operands[1]->literal);  // none where it has a sign
  if (back != nullptr && *back >= 1 && *back <= kLagMax) return std::nullopt;
  return fault_at(*call.operands[1], "rule.arguments",
                  fmt::format("lag() goes back by a whole number of readings from 1 to {}", kLagMax),
                  "write lag(x, 1) for the reading before");
}

Finding check_hysteresis(const Expression& call) {
  for (const size_t bound : {1U, 2U}) {
    if (!is_literal(*call.operands[bound]) || number_of(*call.operands[bound])) continue;
    return fault_at(*call.operands[bound], "rule.arguments", "a bound of hysteresis() is a number",
                    "write hysteresis(x, on_above, off_below)");
  }
  const std::optional<double> on = number_of(*call.operands[1]);
  const std::optional<double> off = number_of(*call.operands[2]);
  if (!on || !off || *on >= *off) return std::nullopt;
  return fault_at(*call.operands[1], "rule.arguments",
                  fmt::format("hysteresis() would be on above {} and off below {} at once", *on, *off),
                  fmt::format("write hysteresis(x, {}, {}): on above the first, off below the second", *off, *on));
}

Finding check_topic_level(const Expression& call) {
  if (call.operands.empty()) return std::nullopt;
  const std::optional<double> level = number_of(*call.operands[0]);
  if (!level || *level >= 1) return std::nullopt;
  return fault_at(*call.operands[0], "rule.arguments", "levels of a topic are counted from 1",
                  "write topic(1) for the first");
}

Finding check_call(const Expression& call) {
  if (call.kind == Kind::kState && call.state == StateFunction::kLag) return check_lag(call);
  if (call.kind == Kind::kState && call.state == StateFunction::kHysteresis) return check_hysteresis(call);
  if (call.kind != Kind::kCall) return std::nullopt;
  if (call.function == Function::kDateTrunc) return check_unit(call, truncated_units());
  if (call.function == Function::kExtract) return check_unit(call, extracted_units());
  return call.function == Function::kTopic ? check_topic_level(call) : std::nullopt;
}

}  // namespace

std::optional<Fault> check_literal_arguments(const Expression& expression, const Tables& tables) {
  std::optional<Fault> fault;
  for_each(expression, [&](const Expression& part) {
    if (fault) return;
    const bool names_table =
        part.kind == Kind::kCall && (part.function == Function::kLookup || part.function == Function::kInTable);
    fault = names_table ? check_table(part, tables) : check_call(part);
  });
  return fault;
}

}  // namespace verge::rules
