// Functions of arrays and objects, and JSON paths: $.a[0].b, also without the $.
#include <algorithm>
#include <charconv>

#include <simdjson.h>

#include "base/text.h"
#include "rules/functions.h"
#include "rules/json_value.h"
#include "rules/operators.h"

namespace verge::rules {
namespace {

using simdjson::dom::element;

// Takes the member's name off a path that begins with one, plain or in brackets and quotes.
std::optional<std::string_view> take_name(std::string_view& path) {
  if (path.starts_with("['") || path.starts_with("[\"")) {
    const size_t end = path.find(path[1], 2);
    if (end == std::string_view::npos || !path.substr(end + 1).starts_with(']')) return std::nullopt;
    const std::string_view name = path.substr(2, end - 2);
    path.remove_prefix(end + 2);
    return name;
  }
  if (path.starts_with('.')) path.remove_prefix(1);
  const size_t end = std::min(path.find_first_of(".["), path.size());
  const std::string_view name = path.substr(0, end);
  path.remove_prefix(end);
  return name.empty() ? std::nullopt : std::optional(name);
}

std::optional<element> step(const element& from, std::string_view& path) {
  element next;
  if (path.starts_with('[') && path.size() > 1 && path[1] >= '0' && path[1] <= '9') {
    size_t index = 0;
    const auto [end, problem] = std::from_chars(path.data() + 1, path.data() + path.size(), index);
    if (problem != std::errc{} || end == path.data() + path.size() || *end != ']') return std::nullopt;
    path.remove_prefix(static_cast<size_t>(end - path.data()) + 1);
    if (!from.is_array() || from.at(index).get(next) != simdjson::SUCCESS) return std::nullopt;
    return next;
  }
  const std::optional<std::string_view> name = take_name(path);
  if (!name || !from.is_object() || from.at_key(*name).get(next) != simdjson::SUCCESS) return std::nullopt;
  return next;
}

Value at_path(const element& root, std::string_view path, Workspace work) {
  if (path.starts_with('$')) path.remove_prefix(1);
  element at = root;
  while (!path.empty()) {
    const std::optional<element> next = step(at, path);
    if (!next) return {};
    at = *next;
  }
  return json_value(at, work.arena, work.text);
}

Value made(Function function, std::span<const Value> arguments, Workspace work) {
  const bool is_object = function == Function::kObject;
  if (is_object && arguments.size() % 2 != 0) return {};
  work.text.assign(is_object ? "{" : "[");
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool is_name = is_object && i % 2 == 0;
    if (is_name && !arguments[i].is_text()) return {};
    if (i > 0) work.text.push_back(is_object && !is_name ? ':' : ',');
    append_json(work.text, arguments[i]);
    if (work.text.size() > kTextBytesMax) return {};
  }
  work.text.push_back(is_object ? '}' : ']');
  return work.kept_json();
}

Value summed(Function function, const simdjson::dom::array& array) {
  Value sum = Value::integer(0);
  Value extreme;
  int64_t count = 0;
  for (const element item : array) {
    const Value value = json_scalar(item);
    if (!value.is_numeric()) continue;
    ++count;
    sum = add(sum, value);
    const std::optional<int> order = compare(value, extreme);
    if (!order || (function == Function::kArrayMin ? *order < 0 : *order > 0)) extreme = value;
  }
  if (count == 0) return {};
  if (function == Function::kArraySum) return sum;
  return function == Function::kArrayAvg ? divide(sum, Value::integer(count)) : extreme;
}

Value keys_of(const element& root, Workspace work) {
  if (!root.is_object()) return {};
  work.text.assign("[");
  for (const auto& [name, value] : root.get_object().value_unsafe()) {
    if (work.text.size() > 1) work.text.push_back(',');
    append_json_string(work.text, name);
  }
  work.text.push_back(']');
  return work.kept_json();
}

Value of_array(Function function, const simdjson::dom::array& array, std::span<const Value> arguments, Workspace work) {
  switch (function) {
    case Function::kArrayLength:
      return Value::integer(static_cast<int64_t>(array.size()));
    case Function::kArrayContains:
      for (const element item : array) {
        if (compare(json_scalar(item), arguments[1]) == 0) return Value::boolean(true);
      }
      return Value::boolean(false);
    case Function::kElement: {
      element found;
      if (!arguments[1].is_integer() || arguments[1].as_integer() < 0) return {};
      const auto index = static_cast<size_t>(arguments[1].as_integer());
      return array.at(index).get(found) == simdjson::SUCCESS ? json_value(found, work.arena, work.text) : Value{};
    }
    default:
      return summed(function, array);
  }
}

}  // namespace

Value call_json(Function function, std::span<const Value> arguments, Workspace work) {
  if (function == Function::kArray || function == Function::kObject) return made(function, arguments, work);
  const Value& value = arguments[0];
  const bool is_cast = function == Function::kCastJson;
  if (value.kind() != Value::Kind::kJson && !(value.is_text() && (is_cast || function == Function::kJsonValue))) {
    return {};
  }
  simdjson::dom::parser parser;
  element root;
  if (parser.parse(value.view().data(), value.view().size()).get(root) != simdjson::SUCCESS) return {};
  if (is_cast) return json_value(root, work.arena, work.text);
  if (function == Function::kJsonValue)
    return arguments[1].is_text() ? at_path(root, arguments[1].view(), work) : Value{};
  if (function == Function::kKeys) return keys_of(root, work);
  return root.is_array() ? of_array(function, root.get_array().value_unsafe(), arguments, work) : Value{};
}

}  // namespace verge::rules
