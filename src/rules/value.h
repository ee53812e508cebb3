// Value: what an SQL expression gives. Sixteen bytes, copied freely, never owning: text and JSON are views of the
// message, of the compiled rule or of the evaluation's Arena, and live as long as those.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace verge::rules {

class Value {
 public:
  // kJson is an object or array, as JSON text. kInteger and kNumber are kept apart so that identifiers print exactly.
  enum class Kind : uint8_t { kNull, kBoolean, kInteger, kNumber, kText, kJson };

  Value() = default;
  static Value boolean(bool value) { return {Kind::kBoolean, value ? uint64_t{1} : uint64_t{0}}; }
  static Value integer(int64_t value) { return {Kind::kInteger, static_cast<uint64_t>(value)}; }
  // NULL when `value` is not finite.
  static Value number(double value);
  // `text` is at most 4 GiB.
  static Value text(std::string_view text) { return {Kind::kText, text}; }
  static Value json(std::string_view text) { return {Kind::kJson, text}; }

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool is_null() const { return kind_ == Kind::kNull; }
  [[nodiscard]] bool is_boolean() const { return kind_ == Kind::kBoolean; }
  [[nodiscard]] bool is_integer() const { return kind_ == Kind::kInteger; }
  [[nodiscard]] bool is_numeric() const { return kind_ == Kind::kInteger || kind_ == Kind::kNumber; }
  [[nodiscard]] bool is_text() const { return kind_ == Kind::kText; }
  [[nodiscard]] bool is_true() const { return kind_ == Kind::kBoolean && bits_ != 0; }
  [[nodiscard]] bool is_false() const { return kind_ == Kind::kBoolean && bits_ == 0; }

  // Each requires the kind it reads.
  [[nodiscard]] int64_t as_integer() const { return static_cast<int64_t>(bits_); }
  [[nodiscard]] std::string_view view() const { return {std::bit_cast<const char*>(bits_), size_}; }
  // Of kInteger too, rounded to the nearest double.
  [[nodiscard]] double as_double() const {
    return kind_ == Kind::kInteger ? static_cast<double>(as_integer()) : std::bit_cast<double>(bits_);
  }

 private:
  Value(Kind kind, uint64_t bits) : kind_(kind), bits_(bits) {}
  Value(Kind kind, std::string_view text)
      : kind_(kind), size_(static_cast<uint32_t>(text.size())), bits_(std::bit_cast<uint64_t>(text.data())) {}

  Kind kind_ = Kind::kNull;
  uint32_t size_ = 0;
  uint64_t bits_ = 0;
};

static_assert(sizeof(Value) == 16);

// The number that `text` is, spaces around it aside: an integer where it fits 64 bits. NULL when it is none.
Value parse_number(std::string_view text);

// As JSON: text quoted and escaped, numbers in the shortest form that reads back the same.
void append_json(std::string& out, const Value& value);
// The same without the quotes and escapes of a text.
void append_plain(std::string& out, const Value& value);

// The form in which values cross from loop to loop and are compared as group keys: equal numbers encode equally,
// whether integer or not. read_value gives NULL on malformed bytes; its text views point into them.
void append_encoded(std::string& out, const Value& value);
Value read_encoded(ByteReader& reader);

}  // namespace verge::rules
