#include "rules/name_resolution.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::rules {
namespace {

using Kind = Expression::Kind;

ExpressionPointer text_literal(size_t offset, std::string text) {
  auto literal = std::make_unique<Expression>();
  literal->offset = offset;
  literal->literal = std::move(text);
  return literal;
}

ExpressionPointer call_of(Function function, size_t offset) {
  auto call = std::make_unique<Expression>();
  call->kind = Kind::kCall;
  call->offset = offset;
  call->function = function;
  return call;
}

bool is_of(const Expression& expression, std::string_view alias) {
  return expression.kind == Kind::kField && expression.path.size() > 1 && expression.path.front().name == alias;
}

bool names(const Expression& expression, std::string_view alias) {
  bool found = false;
  for_each(expression, [&](const Expression& part) { found = found || is_of(part, alias); });
  return found;
}

Fault fault_of(size_t offset, std::string what, std::string fix) {
  return {Error{"rule.table", std::move(what), std::move(fix)}, offset};
}

// The steps behind the column, as a JSON path.
std::string rest_of(const FieldPath& path) {
  std::string text = "$";
  for (size_t i = 2; i < path.size(); ++i) {
    text += path[i].is_element ? fmt::format("[{}]", path[i].element) : "." + path[i].name;
  }
  return text;
}

class Resolver {
 public:
  Resolver(Statement& statement, const Tables& tables) : statement_(statement), tables_(tables) {}

  std::optional<Fault> resolve() {
    if (!statement_.join && !statement_.from.alias.empty()) {
      each_expression([&](ExpressionPointer& expression) { strip(*expression); });
    }
    for (TableJoin& join : statement_.tables) {
      if (auto fault = resolve_table(join)) return fault;
    }
    return std::nullopt;
  }

 private:
  template <class Visit>
  void each_expression(const Visit& visit) {
    for (SelectItem& item : statement_.items) {
      if (item.expression) visit(item.expression);
    }
    for (ExpressionPointer* part : {&statement_.condition, &statement_.having}) {
      if (*part) visit(*part);
    }
    if (statement_.event_time) visit(statement_.event_time->timestamp);
    if (statement_.join) visit(statement_.join->condition);
    for (TableJoin& join : statement_.tables) visit(join.condition);
    for (ExpressionPointer& key : statement_.keys) visit(key);
    for (ExpressionPointer& key : statement_.partition) visit(key);
  }

  void strip(Expression& expression) {
    if (is_of(expression, statement_.from.alias)) expression.path.erase(expression.path.begin());
    for (ExpressionPointer& operand : expression.operands) strip(*operand);
  }

  std::optional<Fault> resolve_table(TableJoin& join) {
    const auto table = tables_.find(join.table);
    if (table == tables_.end()) {
      std::vector<std::string> known;
      for (const auto& [name, unused] : tables_) known.push_back(name);
      const std::string near = nearest(join.table, known);
      return fault_of(join.offset, fmt::format("there is no table {}", join.table),
                      near.empty() ? "declare it with [[table]]" : fmt::format("did you mean {}?", near));
    }
    const ExpressionPointer key = key_of(join, table->second);
    if (!key) {
      return fault_of(join.condition->offset,
                      fmt::format("table {} is joined by its key, {}", join.table, table->second.key()),
                      fmt::format("write ON {}.{} = device", join.alias, table->second.key()));
    }
    std::optional<Fault> fault;
    each_expression([&](ExpressionPointer& expression) {
      if (!fault && expression != join.condition) fault = replace(expression, join, table->second, *key);
    });
    if (fault || join.keeps_unmatched) return fault;
    ExpressionPointer is_there = call_of(Function::kInTable, join.offset);
    is_there->operands.push_back(text_literal(join.offset, join.table));
    is_there->operands.push_back(clone(*key));
    is_there->height = key->height + 1;
    if (statement_.condition) {
      auto both = std::make_unique<Expression>();
      both->kind = Kind::kAnd;
      both->offset = statement_.condition->offset;
      both->height = std::max(statement_.condition->height, is_there->height) + 1;
      both->operands.push_back(std::move(is_there));
      both->operands.push_back(std::move(statement_.condition));
      statement_.condition = std::move(both);
    } else {
      statement_.condition = std::move(is_there);
    }
    return std::nullopt;
  }

  // What the table's key is to be equal to; null where the condition is not of that form.
  static ExpressionPointer key_of(const TableJoin& join, const Table& table) {
    const Expression& condition = *join.condition;
    if (condition.kind != Kind::kEqual) return nullptr;
    for (size_t side = 0; side < 2; ++side) {
      const Expression& column = *condition.operands[side];
      const Expression& other = *condition.operands[1 - side];
      const bool is_key = is_of(column, join.alias) && column.path.size() == 2 && column.path[1].name == table.key();
      if (is_key && !names(other, join.alias)) return clone(other);
    }
    return nullptr;
  }

  std::optional<Fault> replace(ExpressionPointer& expression, const TableJoin& join, const Table& table,
                               const Expression& key) {
    if (!is_of(*expression, join.alias)) {
      for (ExpressionPointer& operand : expression->operands) {
        if (auto fault = replace(operand, join, table, key)) return fault;
        expression->height = std::max(expression->height, operand->height + 1);
      }
      return std::nullopt;
    }
    const std::string column = expression->path[1].name;
    const size_t offset = expression->offset;
    if (std::ranges::find(table.columns(), column) == table.columns().end()) {
      const std::string near = nearest(column, table.columns());
      return fault_of(offset, fmt::format("table {} has no column {}", join.table, column),
                      near.empty() ? fmt::format("it has {}", fmt::join(table.columns(), ", "))
                                   : fmt::format("did you mean {}?", near));
    }
    ExpressionPointer found = call_of(Function::kLookup, offset);
    found->operands.push_back(text_literal(offset, join.table));
    found->operands.push_back(clone(key));
    found->operands.push_back(text_literal(offset, column));
    found->height = key.height + 1;
    if (expression->path.size() > 2) {
      ExpressionPointer inner = call_of(Function::kJsonValue, offset);
      inner->operands.push_back(std::move(found));
      inner->operands.push_back(text_literal(offset, rest_of(expression->path)));
      inner->height = key.height + 2;
      found = std::move(inner);
    }
    expression = std::move(found);
    return std::nullopt;
  }

  Statement& statement_;
  const Tables& tables_;
};

}  // namespace

std::optional<Fault> resolve_names(Statement& statement, const Tables& tables) {
  return Resolver(statement, tables).resolve();
}

}  // namespace verge::rules
