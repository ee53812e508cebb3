// Key: 256 secret bits, wiped from memory when they are not needed any more. As text, 64 hexadecimal digits.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace verge::crypto {

class Key {
 public:
  static constexpr size_t kBytes = 32;

  // All zeros: to be written to.
  Key() = default;
  Key(const Key&) = default;
  Key& operator=(const Key&) = default;
  ~Key();

  // From the operating system's entropy.
  static Key generate();
  // Nothing unless the text is 64 hexadecimal digits, of either case.
  static std::optional<Key> parse(std::string_view text);

  [[nodiscard]] std::string_view bytes() const { return {bytes_.data(), bytes_.size()}; }
  // To be filled.
  [[nodiscard]] std::span<char> space() { return bytes_; }
  [[nodiscard]] std::string text() const;
  bool operator==(const Key&) const = default;

 private:
  std::array<char, kBytes> bytes_{};
};

}  // namespace verge::crypto
