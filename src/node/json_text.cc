#include "node/json_text.h"

#include <algorithm>

namespace verge::node {
namespace {

bool is_space(char byte) { return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t'; }

size_t after_space(std::string_view text, size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

// Behind the string that begins at `at`.
size_t after_string(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

// Behind the value that begins at `at`: the next comma or closing bracket that is not in it.
size_t after_value(std::string_view text, size_t at) {
  for (size_t depth = 0; at < text.size();) {
    const char byte = text[at];
    if (byte == '"') {
      at = after_string(text, at);
      continue;
    }
    if (depth == 0 && (byte == ',' || byte == ']' || byte == '}' || is_space(byte))) return at;
    if (byte == '[' || byte == '{') ++depth;
    if (byte == ']' || byte == '}') --depth;
    ++at;
  }
  return at;
}

}  // namespace

std::vector<std::string_view> json_values(std::string_view container) {
  std::vector<std::string_view> values;
  size_t at = after_space(container, 0);
  if (at >= container.size()) return values;
  const bool is_object = container[at] == '{';
  for (at = after_space(container, at + 1); at < container.size();) {
    if (container[at] == ']' || container[at] == '}') break;
    if (is_object) {
      at = after_space(container, after_string(container, at));  // the name
      at = after_space(container, at + 1);                       // the colon
      if (at >= container.size()) break;
    }
    const size_t end = after_value(container, at);
    values.push_back(container.substr(at, end - at));
    at = after_space(container, end);
    if (at < container.size() && container[at] == ',') at = after_space(container, at + 1);
  }
  return values;
}

std::string json_minified(std::string_view value) {
  std::string text;
  text.reserve(value.size());
  for (size_t at = 0; at < value.size();) {
    const size_t begin = at;
    at = value[at] == '"' ? after_string(value, at) : at + 1;
    if (at > begin + 1 || !is_space(value[begin])) text.append(value.substr(begin, at - begin));
  }
  return text;
}

}  // namespace verge::node
