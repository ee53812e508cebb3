#include "cli/json_lookup.h"

#include <simdjson.h>

namespace verge::cli {
namespace {

// Calls `use` with the value at the path, if there is one. The document lives for the call.
template <class Use>
void with_value(std::string_view json, std::initializer_list<std::string_view> path, Use&& use) {
  simdjson::dom::parser parser;
  simdjson::dom::element value;
  if (parser.parse(json.data(), json.size()).get(value) != simdjson::SUCCESS) return;
  for (const std::string_view name : path) {
    if (value[name].get(value) != simdjson::SUCCESS) return;
  }
  use(value);
}

}  // namespace

std::optional<std::string> json_at(std::string_view json, std::initializer_list<std::string_view> path) {
  std::optional<std::string> found;
  with_value(json, path, [&](const simdjson::dom::element& value) { found = std::string(simdjson::minify(value)); });
  return found;
}

double number_at(std::string_view json, std::initializer_list<std::string_view> path) {
  double number = 0;
  with_value(json, path, [&](const simdjson::dom::element& value) {
    if (value.get(number) != simdjson::SUCCESS) number = 0;
  });
  return number;
}

std::string text_at(std::string_view json, std::initializer_list<std::string_view> path) {
  std::string text;
  with_value(json, path, [&](const simdjson::dom::element& value) {
    std::string_view found;
    if (value.get(found) == simdjson::SUCCESS) text = found;
  });
  return text;
}

}  // namespace verge::cli
