#include "cli/json_lookup.h"

#include <charconv>

namespace verge::cli {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

void skip_space(std::string_view& rest) { rest.remove_prefix(std::min(rest.find_first_not_of(kSpace), rest.size())); }

// Takes one value off the front; its text.
std::string_view take_value(std::string_view& rest) {
  skip_space(rest);
  size_t end = 0;
  int depth = 0;
  bool in_string = false;
  for (; end < rest.size(); ++end) {
    const char c = rest[end];
    if (in_string) {
      if (c == '\\') {
        ++end;
      } else if (c == '"') {
        in_string = false;
        if (depth == 0) {
          ++end;
          break;
        }
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth <= 0) {
        end += depth == 0 ? 1 : 0;
        break;
      }
    } else if (depth == 0 && (c == ',' || c == ':' || kSpace.find(c) != std::string_view::npos)) {
      break;
    }
  }
  end = std::min(end, rest.size());
  const std::string_view value = rest.substr(0, end);
  rest.remove_prefix(end);
  return value;
}

bool take(std::string_view& rest, char wanted) {
  skip_space(rest);
  if (rest.empty() || rest.front() != wanted) return false;
  rest.remove_prefix(1);
  return true;
}

std::optional<std::string_view> member(std::string_view object, std::string_view name) {
  if (!take(object, '{')) return std::nullopt;
  while (true) {
    const std::string_view key = take_value(object);
    if (key.size() < 2 || key.front() != '"' || !take(object, ':')) return std::nullopt;
    const std::string_view value = take_value(object);
    if (key.substr(1, key.size() - 2) == name) return value;
    if (!take(object, ',')) return std::nullopt;
  }
}

}  // namespace

std::optional<std::string_view> json_at(std::string_view json, std::initializer_list<std::string_view> path) {
  for (const std::string_view name : path) {
    const std::optional<std::string_view> value = member(json, name);
    if (!value) return std::nullopt;
    json = *value;
  }
  skip_space(json);
  return json;
}

double number_at(std::string_view json, std::initializer_list<std::string_view> path) {
  const std::optional<std::string_view> text = json_at(json, path);
  double number = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc{}) return 0;
  return number;
}

std::string text_at(std::string_view json, std::initializer_list<std::string_view> path) {
  const std::optional<std::string_view> text = json_at(json, path);
  if (!text || text->size() < 2 || text->front() != '"') return {};
  std::string out;
  for (size_t i = 1; i + 1 < text->size(); ++i) {
    const char c = (*text)[i];
    const char next = (*text)[i + 1];
    if (c == '\\' && (next == '"' || next == '\\') && i + 2 < text->size()) ++i;
    out.push_back((*text)[i]);
  }
  return out;
}

}  // namespace verge::cli
