// Table: rows kept on the node that rules look values up in, by one column. Immutable; a reload brings another.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "rules/value.h"

namespace verge::rules {

inline constexpr size_t kTableRowsMax = 1'000'000;

// A table as a person gives it.
struct TableSource {
  std::string name;
  std::string key;   // the column that rows are found by
  std::string rows;  // CSV with a header, or one JSON object a line
};

class Table {
 public:
  // Error rule.table says the line. Of rows with the same key the last counts.
  static Result<Table> read(const TableSource& source);

  Table() = default;
  Table(Table&&) noexcept = default;
  Table& operator=(Table&&) noexcept = default;
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  [[nodiscard]] const std::vector<std::string>& columns() const { return columns_; }
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] size_t rows() const { return rows_.size(); }
  // The value in the column of the row with that key; NULL where there is none. Texts live as long as the table.
  [[nodiscard]] Value find(const Value& key, std::string_view column) const;
  [[nodiscard]] bool has(const Value& key) const;

 private:
  Result<void> read_csv(std::string_view text);
  Result<void> read_json(std::string_view text);
  Result<void> add(const std::vector<std::pair<std::string, Value>>& row, size_t line);
  size_t column(std::string_view name);
  Value keep(const Value& value);

  std::string name_;
  std::string key_;
  std::vector<std::string> columns_;
  std::unordered_map<std::string, std::vector<Value>, StringHash, std::equal_to<>> rows_;  // by encoded key
  std::vector<std::unique_ptr<std::string>> texts_;                                        // of values
};

using Tables = std::unordered_map<std::string, Table, StringHash, std::equal_to<>>;

}  // namespace verge::rules
