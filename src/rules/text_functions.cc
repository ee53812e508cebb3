// Functions of texts, and conversions. Positions and lengths count characters of UTF-8, from 1.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "rules/functions.h"

namespace verge::rules {
namespace {

bool begins_character(char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }

int64_t characters(std::string_view text) { return std::ranges::count_if(text, begins_character); }

// Where the character of that number, from 0, begins; the end where there are fewer.
size_t place_of(std::string_view text, int64_t character) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (begins_character(text[at]) && character-- == 0) break;
  }
  return at;
}

Value change_case(const Value& text, char from, char to, Workspace work) {
  work.text.assign(text.view());
  for (char& c : work.text) {
    if (c >= from && c <= from + ('z' - 'a')) c = static_cast<char>(c - from + to);
  }
  return work.kept_text();
}

Value concatenate(std::span<const Value> parts, Workspace work) {
  work.text.clear();
  for (const Value& part : parts) {
    if (part.is_null()) return {};
    append_plain(work.text, part);
    if (work.text.size() > kTextBytesMax) return {};
  }
  return work.kept_text();
}

Value to_number(const Value& value) {
  if (value.is_numeric()) return value;
  if (value.is_boolean()) return Value::integer(value.is_true() ? 1 : 0);
  return value.is_text() ? parse_number(value.view()) : Value{};
}

Value to_integer(const Value& value) {
  const Value number = to_number(value);
  if (!number.is_numeric() || number.is_integer()) return number;
  const double whole = std::trunc(number.as_double());
  return whole >= -0x1p63 && whole < 0x1p63 ? Value::integer(static_cast<int64_t>(whole)) : Value{};
}

Value to_boolean(const Value& value) {
  if (value.is_boolean()) return value;
  if (value.is_numeric()) return Value::boolean(value.as_double() != 0);
  if (!value.is_text()) return {};
  const std::string word = lower(value.view());
  if (word == "true" || word == "1") return Value::boolean(true);
  return word == "false" || word == "0" ? Value::boolean(false) : Value{};
}

// From the character `from` on, at most so many; what lies before the first counts, as in SQL.
Value substring(std::span<const Value> arguments) {
  const std::string_view text = arguments[0].view();
  if (!arguments[1].is_integer() || (arguments.size() == 3 && !arguments[2].is_integer())) return {};
  const int64_t length = characters(text);
  const int64_t from = std::clamp<int64_t>(arguments[1].as_integer(), -length, length + 1);
  int64_t end = length + 1;
  if (arguments.size() == 3) {
    const int64_t count = std::clamp<int64_t>(arguments[2].as_integer(), 0, 2 * length + 1);
    end = std::min(end, from + count);
  }
  const int64_t begin = std::max<int64_t>(from, 1);
  if (end <= begin) return Value::text("");
  const size_t first = place_of(text, begin - 1);
  return Value::text(text.substr(first, place_of(text.substr(first), end - begin)));
}

Value replaced(std::string_view text, std::string_view from, std::string_view to, Workspace work) {
  work.text.clear();
  if (from.empty()) return Value::text(text);
  size_t at = 0;
  while (true) {
    const size_t found = text.find(from, at);
    work.text.append(text.substr(at, found == std::string_view::npos ? found : found - at));
    if (work.text.size() > kTextBytesMax) return {};
    if (found == std::string_view::npos) return work.kept_text();
    work.text.append(to);
    at = found + from.size();
  }
}

Value split_part(std::string_view text, std::string_view separator, const Value& number) {
  if (!number.is_integer() || number.as_integer() < 1 || separator.empty()) return {};
  for (int64_t part = 1;; ++part) {
    const size_t end = text.find(separator);
    if (part == number.as_integer()) return Value::text(text.substr(0, end));
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + separator.size());
  }
}

Value position(std::string_view text, std::string_view part) {
  const size_t found = text.find(part);
  return Value::integer(found == std::string_view::npos ? 0 : characters(text.substr(0, found)) + 1);
}

Value convert(Function function, std::span<const Value> arguments, Workspace work) {
  const Value& value = arguments[0];
  switch (function) {
    case Function::kNumber:
      return to_number(value);
    case Function::kCastInteger:
      return to_integer(value);
    case Function::kCastBoolean:
      return to_boolean(value);
    default:
      return value.is_text() ? value : concatenate(arguments, work);
  }
}

}  // namespace

Value call_text(Function function, std::span<const Value> arguments, Workspace work) {
  if (function == Function::kConcat) return concatenate(arguments, work);
  if (function == Function::kCastJson) return call_json(function, arguments, work);
  if (function >= Function::kNumber) return convert(function, arguments, work);
  const size_t texts = function == Function::kReplace ? 3
                       : function == Function::kLower || function == Function::kUpper ||
                               function == Function::kLength || function == Function::kTrim ||
                               function == Function::kSubstr
                           ? 1
                           : 2;
  for (size_t i = 0; i < texts; ++i) {
    if (!arguments[i].is_text()) return {};
  }
  const std::string_view text = arguments[0].view();
  switch (function) {
    case Function::kLower:
      return change_case(arguments[0], 'A', 'a', work);
    case Function::kUpper:
      return change_case(arguments[0], 'a', 'A', work);
    case Function::kLength:
      return Value::integer(characters(text));
    case Function::kSubstr:
      return substring(arguments);
    case Function::kTrim:
      return Value::text(trim(text));
    case Function::kReplace:
      return replaced(text, arguments[1].view(), arguments[2].view(), work);
    case Function::kStartsWith:
      return Value::boolean(text.starts_with(arguments[1].view()));
    case Function::kEndsWith:
      return Value::boolean(text.ends_with(arguments[1].view()));
    case Function::kContains:
      return Value::boolean(text.contains(arguments[1].view()));
    case Function::kPosition:
      return position(text, arguments[1].view());
    default:
      return split_part(text, arguments[1].view(), arguments[2]);
  }
}

}  // namespace verge::rules
