// Reading and writing binary formats: little-endian fixed integers and LEB128 varints over std::string (output) and
// std::string_view (input). Bytes are chars throughout the project: what arrives is mostly text.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace verge {

static_assert(std::endian::native == std::endian::little, "the formats are little-endian and copied as they are");

template <std::unsigned_integral T>
void append_fixed(std::string& out, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

template <std::unsigned_integral T>
void write_fixed_at(std::string& out, size_t offset, T value) {
  std::memcpy(out.data() + offset, &value, sizeof(T));
}

// 7 bits a byte, least significant first, at most 10 bytes.
inline void append_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

inline void append_sized(std::string& out, std::string_view bytes) {
  append_varint(out, bytes.size());
  out.append(bytes);
}

// Consumes a byte sequence from the front. After the first read past the end, ok() is false and every further read
// gives zero or empty: a parser reads all its fields and checks once.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T fixed() {
    T value{};
    if (rest_.size() < sizeof(T)) return fault(), value;
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return value;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return fault(), 0;
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) return fault(), 0;
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return fault(), 0;
  }

  std::string_view bytes(uint64_t count) {
    if (count > rest_.size()) return fault(), std::string_view{};
    std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view sized() { return bytes(varint()); }

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  void fault() {
    ok_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool ok_ = true;
};

std::string to_hex(std::string_view bytes);
// Empty when the text is not an even number of hexadecimal digits.
std::string from_hex(std::string_view text);

}  // namespace verge
