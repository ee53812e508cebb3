#include "rules/predicate.h"

#include <algorithm>

namespace verge::rules {
namespace {

using Kind = Expression::Kind;

// A field of the payload; device, topic and time stand for the message's own too.
bool is_plain_field(const Expression& expression) {
  if (expression.kind != Kind::kField) return false;
  const std::string& name = expression.path.front().name;
  return expression.path.size() > 1 || (name != "device" && name != "topic" && name != "time");
}

// A double for bounds: rounding keeps the order, so a bound that is included leaves out nothing.
std::optional<double> number_of(const Expression& expression) {
  double sign = 1;
  const Expression* at = &expression;
  if (at->kind == Kind::kNegate) {
    sign = -1;
    at = at->operands[0].get();
  }
  if (at->kind != Kind::kLiteral) return std::nullopt;
  if (const auto* integer = std::get_if<int64_t>(&at->literal)) return sign * static_cast<double>(*integer);
  if (const auto* number = std::get_if<double>(&at->literal)) return sign * *number;
  return std::nullopt;
}

bool is_text_or_number(const Expression& expression) {
  return expression.kind == Kind::kLiteral &&
         (std::holds_alternative<std::string>(expression.literal) ||
          std::holds_alternative<int64_t>(expression.literal) || std::holds_alternative<double>(expression.literal));
}

Kind mirrored(Kind kind) {
  switch (kind) {
    case Kind::kLess:
      return Kind::kGreater;
    case Kind::kLessEqual:
      return Kind::kGreaterEqual;
    case Kind::kGreater:
      return Kind::kLess;
    case Kind::kGreaterEqual:
      return Kind::kLessEqual;
    default:
      return kind;
  }
}

std::optional<Predicate> comparison(const Expression& field, Kind kind, const Expression& constant) {
  if (!is_plain_field(field)) return std::nullopt;
  Predicate predicate{.field = field.path, .equals = {}, .least = {}, .most = {}};
  if (kind == Kind::kEqual && is_text_or_number(constant)) {
    predicate.equals.push_back(constant.literal);
    return predicate;
  }
  const std::optional<double> bound = number_of(constant);
  if (!bound) return std::nullopt;
  if (kind == Kind::kEqual) {
    predicate.least = predicate.most = bound;
  } else if (kind == Kind::kGreater || kind == Kind::kGreaterEqual) {
    predicate.least = bound;
  } else if (kind == Kind::kLess || kind == Kind::kLessEqual) {
    predicate.most = bound;
  } else {
    return std::nullopt;
  }
  return predicate;
}

std::optional<Predicate> predicate_of_part(const Expression& part) {
  const auto& operands = part.operands;
  if (part.kind == Kind::kIn) {
    Predicate predicate{.field = operands[0]->path, .equals = {}, .least = {}, .most = {}};
    for (size_t i = 1; i < operands.size(); ++i) {
      if (!is_text_or_number(*operands[i])) return std::nullopt;
      predicate.equals.push_back(operands[i]->literal);
    }
    return is_plain_field(*operands[0]) ? std::optional(std::move(predicate)) : std::nullopt;
  }
  if (part.kind == Kind::kBetween) {
    const auto low = number_of(*operands[1]);
    const auto high = number_of(*operands[2]);
    if (!is_plain_field(*operands[0]) || !low || !high) return std::nullopt;
    return Predicate{.field = operands[0]->path, .equals = {}, .least = low, .most = high};
  }
  if (part.kind < Kind::kEqual || part.kind > Kind::kGreaterEqual) return std::nullopt;
  if (auto found = comparison(*operands[0], part.kind, *operands[1])) return found;
  return comparison(*operands[1], mirrored(part.kind), *operands[0]);
}

int worth(const Predicate& predicate) {
  if (!predicate.equals.empty()) return 3;
  return predicate.least && predicate.most ? 2 : 1;
}

}  // namespace

std::optional<Predicate> predicate_of(const Expression& condition) {
  std::vector<const Expression*> parts;
  conjuncts(condition, parts);
  std::optional<Predicate> best;
  const auto consider = [&](std::optional<Predicate> found) {
    if (found && (!best || worth(*found) > worth(*best))) best = std::move(found);
  };
  std::vector<Predicate> bounds;
  for (const Expression* part : parts) {
    std::optional<Predicate> found = predicate_of_part(*part);
    if (!found) continue;
    // x > 1 AND x < 5 bounds x on both sides.
    if (found->equals.empty()) {
      const auto known = std::ranges::find(bounds, found->field, &Predicate::field);
      if (known != bounds.end()) {
        if (!known->least) known->least = found->least;
        if (!known->most) known->most = found->most;
        found = *known;
      } else {
        bounds.push_back(*found);
      }
    }
    consider(std::move(found));
  }
  return best;
}

}  // namespace verge::rules
