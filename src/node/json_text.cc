#include "node/json_text.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

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

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

size_t after_digits(std::string_view text, size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

// RFC 8259 section 6.
bool is_number(std::string_view token) {
  size_t at = token.starts_with('-') ? 1 : 0;
  const auto digits = [&] {
    const size_t begin = std::exchange(at, after_digits(token, at));
    return at > begin;
  };
  const bool is_zero_first = at < token.size() && token[at] == '0';
  const size_t begin = at;
  if (!digits() || (is_zero_first && at > begin + 1)) return false;
  if (at < token.size() && token[at] == '.' && (++at, !digits())) return false;
  if (at < token.size() && (token[at] == 'e' || token[at] == 'E')) {
    ++at;
    if (at < token.size() && (token[at] == '+' || token[at] == '-')) ++at;
    if (!digits()) return false;
  }
  return at == token.size();
}

template <class Number>
bool holds(std::string_view number) {
  Number value{};
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), value);
  return problem == std::errc{} && end == number.data() + number.size();
}

bool is_in_range(std::string_view number) {
  if (number.find_first_of(".eE") != std::string_view::npos) return holds<double>(number);
  return holds<int64_t>(number) || holds<uint64_t>(number);
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

std::optional<std::string> with_numbers_in_range(std::string_view json) {
  std::optional<std::string> changed;
  for (size_t at = 0; at < json.size();) {
    if (json[at] == '"') {
      at = after_string(json, at);
      continue;
    }
    constexpr std::string_view kFirst = "0123456789+-.";  // of what may be one, or looks like it
    if (!kFirst.contains(json[at])) {
      ++at;
      continue;
    }
    const size_t end = std::min(json.find_first_not_of("0123456789+-.eE", at), json.size());
    const std::string_view token = json.substr(at, end - at);
    if (is_number(token) && !is_in_range(token)) {
      if (!changed) changed.emplace(json);
      std::fill_n(changed->begin() + static_cast<ptrdiff_t>(at), token.size(), '0');
      (*changed)[at + 1] = '.';
    }
    at = end;
  }
  return changed;
}

simdjson::error_code parse_json(simdjson::dom::parser& parser, std::string_view json, simdjson::dom::element& value) {
  const simdjson::error_code problem = parser.parse(json.data(), json.size()).get(value);
  if (problem == simdjson::SUCCESS) return problem;
  // Which error a number out of range is, is not the same in all versions.
  const std::optional<std::string> in_range = with_numbers_in_range(json);
  return in_range ? parser.parse(*in_range).get(value) : problem;
}

}  // namespace verge::node
