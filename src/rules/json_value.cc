#include "rules/json_value.h"

#include "base/text.h"

namespace verge::rules {

using simdjson::dom::element;
using simdjson::dom::element_type;

Value json_scalar(const element& element) {
  switch (element.type()) {
    case element_type::BOOL:
      return Value::boolean(element.get_bool().value_unsafe());
    case element_type::INT64:
      return Value::integer(element.get_int64().value_unsafe());
    case element_type::UINT64:
      return Value::number(static_cast<double>(element.get_uint64().value_unsafe()));
    case element_type::DOUBLE:
      return Value::number(element.get_double().value_unsafe());
    case element_type::STRING:
      return Value::text(element.get_string().value_unsafe());
    default:
      return {};
  }
}

Value json_value(const element& element, Arena& arena, std::string& text) {
  if (!element.is_object() && !element.is_array()) {
    const Value scalar = json_scalar(element);
    return scalar.is_text() ? Value::text(arena.keep(scalar.view())) : scalar;
  }
  text.clear();
  append_element(text, element);
  return Value::json(arena.keep(text));
}

// Recursion is bounded by the depth that simdjson accepts, 1024.
void append_element(std::string& out, const element& found) {
  const char* separator = "";
  switch (found.type()) {
    case element_type::OBJECT:
      out.push_back('{');
      for (const auto& [name, value] : found.get_object().value_unsafe()) {
        out.append(separator);
        append_json_string(out, name);
        out.push_back(':');
        append_element(out, value);
        separator = ",";
      }
      out.push_back('}');
      return;
    case element_type::ARRAY:
      out.push_back('[');
      for (const element value : found.get_array().value_unsafe()) {
        out.append(separator);
        append_element(out, value);
        separator = ",";
      }
      out.push_back(']');
      return;
    case element_type::UINT64:
      out.append(std::to_string(found.get_uint64().value_unsafe()));
      return;
    default:
      append_json(out, json_scalar(found));
      return;
  }
}

}  // namespace verge::rules
