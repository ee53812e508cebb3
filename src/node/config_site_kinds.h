// The kinds of values that only sites and the HTTP listener have; see config_kinds.h.
#pragma once

#include <string>
#include <vector>

#include "cache/field_edits.h"
#include "net/network.h"
#include "node/config_kinds.h"
#include "node/config_site.h"

namespace verge::node {

// A path or the beginning of one, as requests are compared: plain.
struct RulePath {
  using Type = std::string;
  static constexpr Spelling kSpelling = Spelling::kText;
  [[nodiscard]] std::string type() const { return "string"; }
  [[nodiscard]] std::string range() const { return "begins with /"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& path) const { return toml_string(path); }
};

struct RuleGlob {
  using Type = std::string;
  static constexpr Spelling kSpelling = Spelling::kText;
  [[nodiscard]] std::string type() const { return "string"; }
  [[nodiscard]] std::string range() const { return "begins with / or *; 9 wildcards at most"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& glob) const { return toml_string(glob); }
};

struct RedirectTarget {
  using Type = std::string;
  static constexpr Spelling kSpelling = Spelling::kText;
  [[nodiscard]] std::string type() const { return "string"; }
  [[nodiscard]] std::string range() const { return "/…, http://… or https://…; \"\" is none"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& target) const { return toml_string(target); }
};

struct RedirectStatus {
  using Type = uint64_t;
  static constexpr Spelling kSpelling = Spelling::kToml;
  [[nodiscard]] std::string type() const { return "integer"; }
  [[nodiscard]] std::string range() const { return "301, 302, 303, 307, 308"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(uint64_t status) const { return std::to_string(status); }
};

// Names of query parameters.
struct QueryNames {
  using Type = std::vector<std::string>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return "name, begin* or *"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& names) const;
};

struct HeaderEdits {
  using Type = cache::FieldEdits;
  static constexpr Spelling kSpelling = Spelling::kToml;
  cache::EditedMessage message;
  [[nodiscard]] std::string type() const { return "table"; }
  [[nodiscard]] std::string range() const { return R"({ remove = ["A"], set = { B = "1" }, add = { C = "2" } })"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& edits) const;
};

struct SigningKeys {
  using Type = std::vector<SigningKeyConfig>;
  static constexpr Spelling kSpelling = Spelling::kToml;
  static constexpr bool kSecret = true;
  [[nodiscard]] std::string type() const { return "array of tables"; }
  [[nodiscard]] std::string range() const { return R"([{ id = "2026a", file = "path" }])"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& keys) const;
};

struct Networks {
  using Type = std::vector<net::Network>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return "10.0.0.0/8, fd00::/8 or one address"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& networks) const;
};

}  // namespace verge::node
