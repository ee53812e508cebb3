#include "net/http_message.h"

#include <algorithm>
#include <array>

namespace verge::net {
namespace {

constexpr bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr std::array<bool, 256> table_of(std::string_view others) {
  std::array<bool, 256> table{};
  for (size_t i = 0; i < 128; ++i) table[i] = is_letter_or_digit(static_cast<char>(i));
  for (const char c : others) table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr std::array<bool, 256> kToken = table_of("!#$%&'*+-.^_`|~");
constexpr std::array<bool, 256> kHost = table_of("-._~%!$&'()*+,;=");

bool all_in(const std::array<bool, 256>& table, std::string_view text) {
  bool all = true;
  for (const char c : text) all &= table[static_cast<unsigned char>(c)];
  return all;
}

constexpr char lower_letter(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// What stands before `separator`; `text` keeps what follows it.
std::string_view take_until(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view taken = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  return taken;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char small = lower_letter(c);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

// The byte that "%XX" at the front of `text` stands for, or -1.
int escaped_byte(std::string_view text) {
  if (text.size() < 3 || text[0] != '%') return -1;
  const int high = hex_digit(text[1]);
  const int low = hex_digit(text[2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string decode_form(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int byte = escaped_byte(text.substr(i));
    if (byte >= 0) {
      decoded.push_back(static_cast<char>(byte));
      i += 2;
    } else {
      decoded.push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
  return decoded;
}

}  // namespace

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

TargetParts split_target(std::string_view method, std::string_view target) {
  if (method == "CONNECT") return {.authority = target, .path = {}, .query = {}};
  TargetParts parts;
  if (!target.starts_with('/') && target != "*") {
    target.remove_prefix(target.find("://") + 3);
    const size_t end = std::min(target.find_first_of("/?"), target.size());
    parts.authority = target.substr(0, end);
    target.remove_prefix(end);
  }
  parts.path = take_until(target, '?');
  if (parts.path.empty()) parts.path = "/";
  parts.query = target;
  return parts;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && lower_letter(a[i]) != lower_letter(b[i])) return false;
  }
  return true;
}

std::optional<std::string_view> find_field(std::span<const HttpField> fields, std::string_view name) {
  for (const HttpField& field : fields) {
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::optional<std::string_view> sole_field(std::span<const HttpField> fields, std::string_view name) {
  std::optional<std::string_view> found;
  for (const HttpField& field : fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    if (found) return std::nullopt;
    found = field.value;
  }
  return found;
}

bool list_has(std::span<const HttpField> fields, std::string_view name, std::string_view member) {
  for (const HttpField& field : fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      if (equals_ignoring_case(trim_blanks(take_until(rest, ',')), member)) return true;
    }
  }
  return false;
}

bool keeps_alive(int minor_version, std::span<const HttpField> fields) {
  if (list_has(fields, "connection", "close")) return false;
  return minor_version >= 1 || list_has(fields, "connection", "keep-alive");
}

bool is_token(std::string_view text) { return !text.empty() && all_in(kToken, text); }

bool is_field_value(std::string_view text) {
  // Without an early exit, so that the compiler vectorizes it.
  bool control = false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    control |= (byte < 0x20 && byte != '\t') || byte == 0x7f;
  }
  return !control;
}

bool is_authority(std::string_view text) {
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    for (const char c : text.substr(1, end - 1)) {
      if (hex_digit(c) < 0 && c != ':' && c != '.') return false;
    }
    port = text.substr(end + 1);
    if (!port.empty() && port.front() != ':') return false;
  } else {
    const size_t colon = std::min(text.find(':'), text.size());
    if (colon == 0 || !all_in(kHost, text.substr(0, colon))) return false;
    port = text.substr(colon);
  }
  if (!port.empty()) port.remove_prefix(1);
  if (port.size() > 5) return false;
  unsigned number = 0;
  for (const char c : port) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  return number <= 65535;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool is_plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (is_plain) {
      encoded.push_back(c);
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    encoded.push_back('%');
    encoded.push_back(kDigits[byte >> 4U]);
    encoded.push_back(kDigits[byte & 15U]);
  }
  return encoded;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const int byte = escaped_byte(text.substr(i));
    if (byte < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(byte));
    i += 2;
  }
  return decoded;
}

std::vector<std::string> query_parameter_names(std::string_view query) {
  std::vector<std::string> names;
  while (!query.empty()) {
    std::string_view value = take_until(query, '&');
    const std::string_view key = take_until(value, '=');
    if (!key.empty()) names.push_back(decode_form(key));
  }
  return names;
}

std::optional<std::string> query_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    std::string_view value = take_until(query, '&');
    const std::string_view key = take_until(value, '=');
    if (decode_form(key) == name) return decode_form(value);
  }
  return std::nullopt;
}

}  // namespace verge::net
