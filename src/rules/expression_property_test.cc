// Random expressions against an oracle: a second evaluator, written for this test over its own trees and its own values
// (long double and an explicit unknown), that shares no code with the compiler.
#include <charconv>
#include <cmath>

#include <gtest/gtest.h>

#include "base/random.h"
#include "rules/recording_effects.h"

namespace verge::rules {
namespace {

enum class Kind { kUnknown, kTruth, kAmount };
struct Result {
  Kind kind = Kind::kUnknown;
  bool truth = false;
  long double amount = 0;
};

Result unknown() { return {}; }
Result truth(bool value) { return {.kind = Kind::kTruth, .truth = value}; }
Result amount(long double value) { return {.kind = Kind::kAmount, .amount = value}; }

struct Tree {
  std::string sql;
  Result result;
};

// Makes the SQL and what it must give side by side. Amounts stay small integers or halves of them, so that doubles,
// integers and long doubles agree exactly.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  Tree numeric(int depth) {
    if (depth == 0) return leaf();
    const Tree left = numeric(depth - 1);
    const Tree right = numeric(depth - 1);
    const bool known = left.result.kind == Kind::kAmount && right.result.kind == Kind::kAmount;
    const long double a = left.result.amount;
    const long double b = right.result.amount;
    switch (random_.below(7)) {
      case 0:
        return {join(left, "+", right), known ? amount(a + b) : unknown()};
      case 1:
        return {join(left, "-", right), known ? amount(a - b) : unknown()};
      case 2:
        return {join(left, "*", right), known ? amount(a * b) : unknown()};
      case 3:
        return {"(-" + left.sql + ")", left.result.kind == Kind::kAmount ? amount(-a) : unknown()};
      case 4:
        return {join(left, "%", right), known && b != 0 ? amount(std::fmod(a, b)) : unknown()};
      case 5: {
        const Tree chosen = condition(depth - 1);
        return {fmt::format("CASE WHEN {} THEN {} ELSE {} END", chosen.sql, left.sql, right.sql),
                is_true(chosen.result) ? left.result : right.result};
      }
      default:
        return {fmt::format("coalesce({}, {})", left.sql, right.sql),
                left.result.kind == Kind::kUnknown ? right.result : left.result};
    }
  }

  Tree condition(int depth) {
    if (depth == 0) return comparison(0);
    switch (random_.below(5)) {
      case 0: {
        const Tree left = condition(depth - 1);
        const Tree right = condition(depth - 1);
        const bool refuted = is_false(left.result) || is_false(right.result);
        const bool open = left.result.kind == Kind::kUnknown || right.result.kind == Kind::kUnknown;
        return {join(left, "AND", right), refuted ? truth(false) : open ? unknown() : truth(true)};
      }
      case 1: {
        const Tree left = condition(depth - 1);
        const Tree right = condition(depth - 1);
        const bool proven = is_true(left.result) || is_true(right.result);
        const bool open = left.result.kind == Kind::kUnknown || right.result.kind == Kind::kUnknown;
        return {join(left, "OR", right), proven ? truth(true) : open ? unknown() : truth(false)};
      }
      case 2: {
        const Tree inner = condition(depth - 1);
        return {"(NOT " + inner.sql + ")",
                inner.result.kind == Kind::kUnknown ? unknown() : truth(!inner.result.truth)};
      }
      case 3: {
        const Tree inner = condition(depth - 1);
        return {"(" + inner.sql + " IS NULL)", truth(inner.result.kind == Kind::kUnknown)};
      }
      default:
        return comparison(depth - 1);
    }
  }

  std::string payload;

  void make_payload() {
    payload = "{";
    for (size_t i = 0; i < fields_.size(); ++i) {
      fields_[i] = random_.chance(0.2) ? unknown() : amount(half());
      if (fields_[i].kind == Kind::kUnknown) continue;
      payload += fmt::format("{}\"f{}\":{}", payload.size() > 1 ? "," : "", i, static_cast<double>(fields_[i].amount));
    }
    payload += "}";
  }

 private:
  static bool is_true(const Result& result) { return result.kind == Kind::kTruth && result.truth; }
  static bool is_false(const Result& result) { return result.kind == Kind::kTruth && !result.truth; }
  static std::string join(const Tree& left, std::string_view operation, const Tree& right) {
    return fmt::format("({} {} {})", left.sql, operation, right.sql);
  }

  long double half() { return (static_cast<long double>(random_.below(17)) - 8) / 2; }

  Tree leaf() {
    if (random_.chance(0.1)) return {"NULL", unknown()};
    if (random_.chance(0.5)) {
      const size_t field = random_.below(fields_.size());
      return {fmt::format("f{}", field), fields_[field]};
    }
    const long double value = half();
    return {fmt::format("({})", static_cast<double>(value)), amount(value)};
  }

  Tree comparison(int depth) {
    static constexpr std::string_view kOperators[] = {"=", "<>", "<", "<=", ">", ">="};
    const Tree left = numeric(depth);
    const Tree right = numeric(depth);
    const size_t which = random_.below(6);
    const std::string sql = join(left, kOperators[which], right);
    if (left.result.kind != Kind::kAmount || right.result.kind != Kind::kAmount) return {sql, unknown()};
    const long double a = left.result.amount;
    const long double b = right.result.amount;
    const bool answers[] = {a == b, a != b, a<b, a <= b, a> b, a >= b};
    return {sql, truth(answers[which])};
  }

  Random random_;
  std::array<Result, 4> fields_{};
};

void expect_same(const Tree& tree, const std::string& payload) {
  const std::string given = evaluated(tree.sql, payload);
  switch (tree.result.kind) {
    case Kind::kUnknown:
      EXPECT_EQ(given, "null") << tree.sql << "\n" << payload;
      return;
    case Kind::kTruth:
      EXPECT_EQ(given, tree.result.truth ? "true" : "false") << tree.sql << "\n" << payload;
      return;
    case Kind::kAmount: {
      double number = 0;
      const auto read = std::from_chars(given.data(), given.data() + given.size(), number);
      EXPECT_EQ(read.ec, std::errc{}) << given;
      EXPECT_EQ(number, static_cast<double>(tree.result.amount)) << tree.sql << "\n" << payload;
    }
  }
}

TEST(ExpressionProperty, AgreesWithAnOracle) {
  const uint64_t seed = system_seed();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  RecordProperty("seed", std::to_string(seed));
  Generator generator(seed);
  for (int i = 0; i < 1500 && !testing::Test::HasFailure(); ++i) {
    generator.make_payload();
    expect_same(generator.numeric(1 + i % 4), generator.payload);
    expect_same(generator.condition(1 + i % 4), generator.payload);
  }
}

}  // namespace
}  // namespace verge::rules
