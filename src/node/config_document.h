// A TOML document as values that know where they stand, free of the library that parses TOML.
//
// A configuration is made of several sources: a file and the values of --set. Each is numbered; a Place names the
// source and the position in its text. Lines and columns count from 1, columns in Unicode code points.
#pragma once

#include <compare>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace verge::node {

struct Place {
  uint32_t source = 0;
  uint32_t line = 0;  // 0: the source as a whole
  uint32_t column = 0;
  auto operator<=>(const Place&) const = default;
};

// What is wrong, and where.
struct Fault {
  Error error;
  Place place;
};

struct Value;
struct Entry;
using Array = std::vector<Value>;
using Table = std::vector<Entry>;  // sorted by nothing in particular; no key twice

// A date or a time, which no key takes.
struct DateOrTime {};

struct Value {
  std::variant<std::string, int64_t, double, bool, DateOrTime, Array, Table> content;
  Place place;  // of its first character; a string's is its opening quote, or line 0 where it has no quotes
};

struct Entry {
  std::string key;
  Place place;  // of the key
  Value value;
};

const Value* find(const Table& table, std::string_view key);
Value* find(Table& table, std::string_view key);

// For messages: `the string "x"`, `the integer 3`, `an array`.
std::string describe_value(const Value& value);

// The text as a TOML document; the first error of syntax (a key given twice is one) otherwise.
std::expected<Table, Fault> parse_document(std::string_view text, uint32_t source);

// The text as one TOML value, and nothing else.
std::optional<Value> parse_value(std::string_view text, uint32_t source);

}  // namespace verge::node
