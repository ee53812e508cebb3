#include "node/json_toml.h"

#include "base/text.h"

namespace verge::node {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

// Strings, numbers and booleans are written alike but for escapes.
void append_toml(std::string& out, const element& value) {
  switch (value.type()) {
    case element_type::OBJECT: {
      out.push_back('{');
      const char* separator = "";
      for (const auto& [name, member] : value.get_object().value_unsafe()) {
        out.append(separator);
        append_json_string(out, name);
        out.append(" = ");
        append_toml(out, member);
        separator = ", ";
      }
      out.push_back('}');
      return;
    }
    case element_type::ARRAY: {
      out.push_back('[');
      const char* separator = "";
      for (const element item : value.get_array().value_unsafe()) {
        out.append(separator);
        append_toml(out, item);
        separator = ", ";
      }
      out.push_back(']');
      return;
    }
    case element_type::STRING:
      append_json_string(out, value.get_string().value_unsafe());
      return;
    default:
      out.append(simdjson::minify(value));
      return;
  }
}

}  // namespace

std::string toml_of(const element& value) {
  std::string out;
  append_toml(out, value);
  return out;
}

}  // namespace verge::node
