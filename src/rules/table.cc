#include "rules/table.h"

#include <algorithm>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"

namespace verge::rules {
namespace {

// Takes one cell of a CSV line off `rest`; "" inside quotes stands for ".
std::string take_cell(std::string_view& rest, bool& more) {
  std::string cell;
  size_t at = 0;
  if (rest.starts_with('"')) {
    for (at = 1; at < rest.size(); ++at) {
      if (rest[at] != '"') {
        cell.push_back(rest[at]);
      } else if (at + 1 < rest.size() && rest[at + 1] == '"') {
        cell.push_back(rest[at++]);
      } else {
        ++at;
        break;
      }
    }
  }
  const size_t end = std::min(rest.find(',', at), rest.size());
  cell.append(rest.substr(at, end - at));
  more = end < rest.size();
  rest.remove_prefix(more ? end + 1 : end);
  return cell;
}

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  bool more = true;
  while (more) cells.push_back(take_cell(line, more));
  return cells;
}

std::string_view take_line(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// What a cell says: a number, TRUE or FALSE, else text; NULL where it is empty.
Value value_of(std::string_view cell) {
  if (cell.empty()) return {};
  if (cell == "true" || cell == "false") return Value::boolean(cell == "true");
  const Value number = parse_number(cell);
  return number.is_null() ? Value::text(cell) : number;
}

Value value_of(const simdjson::dom::element& element, std::string& text) {
  switch (element.type()) {
    case simdjson::dom::element_type::BOOL:
      return Value::boolean(element.get_bool().value_unsafe());
    case simdjson::dom::element_type::INT64:
      return Value::integer(element.get_int64().value_unsafe());
    case simdjson::dom::element_type::UINT64:
      return Value::number(static_cast<double>(element.get_uint64().value_unsafe()));
    case simdjson::dom::element_type::DOUBLE:
      return Value::number(element.get_double().value_unsafe());
    case simdjson::dom::element_type::STRING:
      return Value::text(element.get_string().value_unsafe());
    case simdjson::dom::element_type::NULL_VALUE:
      return {};
    default:
      text = simdjson::minify(element);
      return Value::json(text);
  }
}

std::string encoded(const Value& key) {
  std::string bytes;
  append_encoded(bytes, key);
  return bytes;
}

}  // namespace

Result<Table> Table::read(const TableSource& source) {
  Table table;
  table.name_ = source.name;
  table.key_ = source.key;
  const std::string_view text = source.rows;
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool is_json = first != std::string_view::npos && text[first] == '{';
  const Result<void> read = is_json ? table.read_json(text) : table.read_csv(text);
  if (!read) return std::unexpected(read.error());
  if (std::ranges::find(table.columns_, source.key) == table.columns_.end()) {
    const std::string near = nearest(source.key, table.columns_);
    return fail("rule.table", fmt::format("table {} has no column {}", source.name, source.key),
                near.empty() ? "name the column that its rows are found by" : fmt::format("did you mean {}?", near));
  }
  return table;
}

Result<void> Table::read_csv(std::string_view text) {
  if (text.empty()) return fail("rule.table", fmt::format("table {} is empty", name_), "begin with a line of names");
  columns_ = cells_of(take_line(text));
  size_t line = 1;
  while (!text.empty()) {
    ++line;
    const std::string_view content = take_line(text);
    if (content.empty()) continue;
    const std::vector<std::string> cells = cells_of(content);
    if (cells.size() != columns_.size()) {
      return fail("rule.table",
                  fmt::format("table {}, line {}: {} cells under {} names", name_, line, cells.size(), columns_.size()),
                  "give each row as many cells as the first line has names");
    }
    std::vector<std::pair<std::string, Value>> row;
    for (size_t i = 0; i < cells.size(); ++i) row.emplace_back(columns_[i], value_of(cells[i]));
    if (const Result<void> added = add(row, line); !added) return added;
  }
  return {};
}

Result<void> Table::read_json(std::string_view text) {
  simdjson::dom::parser parser;
  size_t line = 0;
  while (!text.empty()) {
    ++line;
    const simdjson::padded_string content(take_line(text));
    if (trim(std::string_view(content)).empty()) continue;
    simdjson::dom::object object;
    if (parser.parse(content).get_object().get(object) != simdjson::SUCCESS) {
      return fail("rule.table", fmt::format("table {}, line {}: no JSON object", name_, line),
                  "give one object a line, or CSV with a line of names");
    }
    std::vector<std::pair<std::string, Value>> row;
    std::vector<std::unique_ptr<std::string>> nested;
    for (const auto& [name, element] : object) {
      nested.push_back(std::make_unique<std::string>());
      row.emplace_back(std::string(name), value_of(element, *nested.back()));
    }
    if (const Result<void> added = add(row, line); !added) return added;
  }
  return {};
}

size_t Table::column(std::string_view name) {
  const auto known = std::ranges::find(columns_, name);
  if (known == columns_.end()) {
    columns_.emplace_back(name);
    return columns_.size() - 1;
  }
  return static_cast<size_t>(known - columns_.begin());
}

Value Table::keep(const Value& value) {
  if (!value.is_text() && value.kind() != Value::Kind::kJson) return value;
  const std::string& kept = *texts_.emplace_back(std::make_unique<std::string>(value.view()));
  return value.is_text() ? Value::text(kept) : Value::json(kept);
}

Result<void> Table::add(const std::vector<std::pair<std::string, Value>>& row, size_t line) {
  Value key;
  std::vector<Value> values;
  for (const auto& [name, value] : row) {
    if (name == key_) key = value;
    const size_t at = column(name);
    if (values.size() <= at) values.resize(at + 1);
    values[at] = keep(value);
  }
  if (key.is_null()) return {};
  if (rows_.size() == kTableRowsMax) {
    return fail("rule.table", fmt::format("table {}, line {}: more than {} rows", name_, line, kTableRowsMax),
                "keep fewer rows on the node");
  }
  rows_[encoded(key)] = std::move(values);
  return {};
}

Value Table::find(const Value& key, std::string_view column) const {
  const auto row = rows_.find(encoded(key));
  if (row == rows_.end()) return {};
  const auto at = static_cast<size_t>(std::ranges::find(columns_, column) - columns_.begin());
  return at < row->second.size() ? row->second[at] : Value{};
}

bool Table::has(const Value& key) const { return !key.is_null() && rows_.contains(encoded(key)); }

}  // namespace verge::rules
