#include "rules/value.h"

#include <charconv>
#include <cmath>

#include "base/text.h"

namespace verge::rules {
namespace {

template <class T>
void append_shortest(std::string& out, T value) {
  char digits[32];
  const auto written = std::to_chars(digits, digits + sizeof(digits), value);
  out.append(digits, written.ptr);
}

template <class T>
std::optional<T> read_whole(std::string_view text) {
  T value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

constexpr double kTwoTo63 = 0x1p63;

}  // namespace

Value Value::number(double value) {
  if (!std::isfinite(value)) return {};
  return {Kind::kNumber, std::bit_cast<uint64_t>(value)};
}

Value parse_number(std::string_view text) {
  text = trim(text);
  if (const auto integer = read_whole<int64_t>(text)) return Value::integer(*integer);
  if (const auto number = read_whole<double>(text)) return Value::number(*number);
  return {};
}

void append_plain(std::string& out, const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      out.append("null");
      return;
    case Value::Kind::kBoolean:
      out.append(value.is_true() ? "true" : "false");
      return;
    case Value::Kind::kInteger:
      append_shortest(out, value.as_integer());
      return;
    case Value::Kind::kNumber:
      append_shortest(out, value.as_double());
      return;
    case Value::Kind::kText:
    case Value::Kind::kJson:
      out.append(value.view());
      return;
  }
}

void append_json(std::string& out, const Value& value) {
  if (value.is_text()) {
    append_json_string(out, value.view());
  } else {
    append_plain(out, value);
  }
}

void append_encoded(std::string& out, const Value& value) {
  Value encoded = value;
  if (value.kind() == Value::Kind::kNumber) {
    const double number = value.as_double();
    if (number == std::floor(number) && number >= -kTwoTo63 && number < kTwoTo63) {
      encoded = Value::integer(static_cast<int64_t>(number));
    }
  }
  out.push_back(static_cast<char>(encoded.kind()));
  switch (encoded.kind()) {
    case Value::Kind::kNull:
      return;
    case Value::Kind::kBoolean:
      out.push_back(encoded.is_true() ? '\1' : '\0');
      return;
    case Value::Kind::kInteger:
      append_fixed(out, static_cast<uint64_t>(encoded.as_integer()));
      return;
    case Value::Kind::kNumber:
      append_fixed(out, std::bit_cast<uint64_t>(encoded.as_double()));
      return;
    case Value::Kind::kText:
    case Value::Kind::kJson:
      append_sized(out, encoded.view());
      return;
  }
}

Value read_encoded(ByteReader& reader) {
  switch (static_cast<Value::Kind>(reader.fixed<uint8_t>())) {
    case Value::Kind::kNull:
      return {};
    case Value::Kind::kBoolean:
      return Value::boolean(reader.fixed<uint8_t>() != 0);
    case Value::Kind::kInteger:
      return Value::integer(static_cast<int64_t>(reader.fixed<uint64_t>()));
    case Value::Kind::kNumber:
      return Value::number(std::bit_cast<double>(reader.fixed<uint64_t>()));
    case Value::Kind::kText:
      return Value::text(reader.sized());
    case Value::Kind::kJson:
      return Value::json(reader.sized());
  }
  return {};
}

}  // namespace verge::rules
