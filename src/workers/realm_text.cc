#include "workers/realm_text.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace verge::workers {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::uint8_t, 256> kDigits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(0xFF);
  for (std::size_t at = 0; at < kAlphabet.size(); ++at) {
    digits[static_cast<std::uint8_t>(kAlphabet[at])] = static_cast<std::uint8_t>(at);
  }
  return digits;
}();

bool is_continuation(std::uint8_t byte) { return (byte & 0xC0) == 0x80; }

// The length of the well-formed sequence that starts at `at`, 0 where there is none (Unicode, table 3-7).
std::size_t sequence_length(const std::uint8_t* at, std::size_t left) {
  const std::uint8_t lead = at[0];
  if (lead >= 0xC2 && lead <= 0xDF) return left >= 2 && is_continuation(at[1]) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (left < 3 || !is_continuation(at[1]) || !is_continuation(at[2])) return 0;
    if ((lead == 0xE0 && at[1] < 0xA0) || (lead == 0xED && at[1] > 0x9F)) return 0;
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (left < 4 || !is_continuation(at[1]) || !is_continuation(at[2]) || !is_continuation(at[3])) return 0;
    if ((lead == 0xF0 && at[1] < 0x90) || (lead == 0xF4 && at[1] > 0x8F)) return 0;
    return 4;
  }
  return 0;
}

// How many bytes from the start are ASCII, at least in steps of eight.
std::size_t ascii_prefix(std::string_view bytes) {
  constexpr std::uint64_t kHigh = 0x8080808080808080;
  std::size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    std::array<std::uint64_t, 4> words;
    std::memcpy(words.data(), bytes.data() + at, sizeof(words));
    if (((words[0] | words[1] | words[2] | words[3]) & kHigh) != 0) break;
  }
  while (at < bytes.size() && static_cast<std::uint8_t>(bytes[at]) < 0x80) ++at;
  return at;
}

}  // namespace

bool is_ascii(std::string_view bytes) { return ascii_prefix(bytes) == bytes.size(); }

bool is_utf8(std::string_view bytes) {
  const auto* at = reinterpret_cast<const std::uint8_t*>(bytes.data());
  while (!bytes.empty()) {
    std::size_t step = ascii_prefix(bytes);
    if (step == 0) step = sequence_length(at, bytes.size());
    if (step == 0) return false;
    at += step;
    bytes.remove_prefix(step);
  }
  return true;
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  const auto byte = [&](std::size_t at) { return static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[at])); };
  std::size_t at = 0;
  for (; at + 3 <= bytes.size(); at += 3) {
    const std::uint32_t group = byte(at) << 16 | byte(at + 1) << 8 | byte(at + 2);
    for (const int shift : {18, 12, 6, 0}) out.push_back(kAlphabet[group >> shift & 63]);
  }
  const std::size_t left = bytes.size() - at;
  if (left == 0) return out;
  const std::uint32_t group = byte(at) << 16 | (left == 2 ? byte(at + 1) << 8 : 0);
  out.push_back(kAlphabet[group >> 18 & 63]);
  out.push_back(kAlphabet[group >> 12 & 63]);
  out.push_back(left == 2 ? kAlphabet[group >> 6 & 63] : '=');
  out.push_back('=');
  return out;
}

bool base64_decode(std::string_view text, std::string& out) {
  std::string packed;
  packed.reserve(text.size());
  for (const char c : text) {
    if (c != ' ' && c != '\t' && c != '\n' && c != '\f' && c != '\r') packed.push_back(c);
  }
  if (packed.size() % 4 == 0) {
    if (packed.ends_with("==")) {
      packed.resize(packed.size() - 2);
    } else if (packed.ends_with('=')) {
      packed.pop_back();
    }
  }
  if (packed.size() % 4 == 1) return false;
  out.clear();
  out.reserve(packed.size() / 4 * 3 + 2);
  std::uint32_t group = 0;
  unsigned bits = 0;
  for (const char c : packed) {
    const std::uint8_t digit = kDigits[static_cast<std::uint8_t>(c)];
    if (digit == 0xFF) return false;
    group = group << 6 | digit;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<char>(group >> bits & 0xFF));
    }
  }
  return true;
}

std::string base64url_encode(std::string_view bytes) {
  std::string out = base64_encode(bytes);
  while (out.ends_with('=')) out.pop_back();
  std::ranges::replace(out, '+', '-');
  std::ranges::replace(out, '/', '_');
  return out;
}

std::optional<std::string> base64url_decode(std::string_view text) {
  std::string plain(text);
  for (char& c : plain) {
    const bool is_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_digit && c != '-' && c != '_') return std::nullopt;
    if (c == '-') c = '+';
    if (c == '_') c = '/';
  }
  std::string out;
  if (!base64_decode(plain, out)) return std::nullopt;
  return out;
}

}  // namespace verge::workers
