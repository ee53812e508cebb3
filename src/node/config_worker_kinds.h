// The kinds of values that only workers have; see config_kinds.h.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "node/config_kinds.h"

namespace verge::node {

struct RoutePatterns {
  using Type = std::vector<std::string>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return R"("example.com/api/*", "*.example.com/*", "*/health")"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& routes) const;
};

struct CronExpressions {
  using Type = std::vector<std::string>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return R"("*/5 * * * *": minute, hour, day, month, day of the week)"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& expressions) const;
};

struct ConnectRules {
  using Type = std::vector<std::string>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return R"("db.internal:5432", "*.example.net:443", "127.0.0.1:6379")"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& rules) const;
};

struct CompatibilityDate {
  using Type = std::string;
  static constexpr Spelling kSpelling = Spelling::kText;
  [[nodiscard]] std::string type() const { return "string"; }
  [[nodiscard]] std::string range() const { return R"("2026-11-30")"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& date) const;
};

// Variables by name.
struct Variables {
  using Type = std::vector<std::pair<std::string, std::string>>;
  static constexpr Spelling kSpelling = Spelling::kToml;
  [[nodiscard]] std::string type() const { return "table"; }
  [[nodiscard]] std::string range() const { return R"({ NAME = "value" })"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& variables) const;
};

// Namespaces by the name of the member that stands for them.
struct SpaceNames {
  using Type = std::vector<std::pair<std::string, std::string>>;
  static constexpr Spelling kSpelling = Spelling::kToml;
  [[nodiscard]] std::string type() const { return "table"; }
  [[nodiscard]] std::string range() const { return R"({ NAME = "namespace" }, of letters, digits, "-", "_", ".")"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& names) const;
};

// Secrets by name.
struct NamedSecrets {
  using Type = std::vector<std::pair<std::string, SecretSource>>;
  static constexpr Spelling kSpelling = Spelling::kToml;
  static constexpr bool kSecret = true;
  [[nodiscard]] std::string type() const { return "table of secrets"; }
  [[nodiscard]] std::string range() const { return R"({ NAME = { file = "path" } })"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& secrets) const;
};

}  // namespace verge::node
