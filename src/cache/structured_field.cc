#include "cache/structured_field.h"

#include <algorithm>

namespace verge::cache {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_alpha(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }
bool is_token_char(char c) {
  return is_alpha(c) || is_digit(c) || std::string_view("!#$%&'*+-.^_`|~:/").find(c) != std::string_view::npos;
}
bool is_key_char(char c) { return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '*'; }

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::optional<SfDictionary> dictionary() {
    SfDictionary members;
    skip_spaces();
    while (!rest_.empty()) {
      std::string key;
      SfItem value = true;
      if (!read_key(key)) return std::nullopt;
      if (!(take('=') ? read_member(value) : skip_parameters())) return std::nullopt;
      const auto same = std::ranges::find(members, key, &SfDictionary::value_type::first);
      if (same != members.end()) {
        same->second = std::move(value);
      } else {
        members.emplace_back(std::move(key), std::move(value));
      }
      if (!read_separator()) return std::nullopt;
    }
    return members;
  }

  std::optional<SfList> list() {
    SfList members;
    skip_spaces();
    while (!rest_.empty()) {
      SfItem value = true;
      if (!read_member(value)) return std::nullopt;
      members.push_back(std::move(value));
      if (!read_separator()) return std::nullopt;
    }
    return members;
  }

 private:
  [[nodiscard]] char peek() const { return rest_.empty() ? '\0' : rest_.front(); }
  bool take(char c) {
    if (peek() != c || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip_spaces() {
    while (take(' ')) {
    }
  }
  void skip_white_space() {
    while (take(' ') || take('\t')) {
    }
  }
  template <class Predicate>
  std::string_view take_while(Predicate belongs) {
    const size_t size = static_cast<size_t>(std::ranges::find_if_not(rest_, belongs) - rest_.begin());
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  // After a member: the end, or a comma with a member to follow.
  bool read_separator() {
    const bool ends_with_spaces_only = rest_.find_first_not_of(' ') == std::string_view::npos;
    if (ends_with_spaces_only) {
      rest_ = {};
      return true;
    }
    skip_white_space();
    if (!take(',')) return false;
    skip_white_space();
    return !rest_.empty();
  }

  bool read_key(std::string& key) {
    if (!is_lower(peek()) && peek() != '*') return false;
    key = take_while(is_key_char);
    return true;
  }

  bool read_member(SfItem& value) {
    if (take('(')) return read_inner_list(value) && skip_parameters();
    return read_bare_item(value) && skip_parameters();
  }

  bool read_inner_list(SfItem& value) {
    SfInnerList list;
    while (true) {
      skip_spaces();
      if (take(')')) break;
      SfItem member = true;
      if (!read_bare_item(member) || !skip_parameters()) return false;
      ++list.members;
      if (peek() != ' ' && peek() != ')') return false;
    }
    value = list;
    return true;
  }

  bool skip_parameters() {
    while (take(';')) {
      skip_spaces();
      std::string key;
      if (!read_key(key)) return false;
      SfItem value = true;
      if (take('=') && !read_bare_item(value)) return false;
    }
    return true;
  }

  bool read_bare_item(SfItem& value) {
    const char first = peek();
    if (first == '-' || is_digit(first)) return read_number(value);
    if (first == '"') return read_string(value);
    if (first == '*' || is_alpha(first)) {
      value = SfToken{std::string(take_while(is_token_char))};
      return true;
    }
    if (first == ':') return read_bytes(value);
    if (first == '?') return read_boolean(value);
    if (first == '@') return read_date(value);
    if (first == '%') return read_display(value);
    return false;
  }

  bool read_number(SfItem& value) {
    constexpr size_t kIntegerDigitsMax = 15, kWholeDigitsMax = 12, kFractionDigitsMax = 3;
    const bool negative = take('-');
    const std::string_view whole = take_while(is_digit);
    if (whole.empty() || whole.size() > kIntegerDigitsMax) return false;
    int64_t integer = 0;
    for (const char c : whole) integer = integer * 10 + (c - '0');
    if (peek() != '.') {
      value = negative ? -integer : integer;
      return true;
    }
    take('.');
    const std::string_view fraction = take_while(is_digit);
    if (whole.size() > kWholeDigitsMax || fraction.empty() || fraction.size() > kFractionDigitsMax) return false;
    double decimal = 0;
    for (const char c : fraction) decimal = decimal * 10 + (c - '0');
    for (size_t i = 0; i < fraction.size(); ++i) decimal /= 10;
    decimal += static_cast<double>(integer);
    value = negative ? -decimal : decimal;
    return true;
  }

  bool read_string(SfItem& value) {
    take('"');
    std::string text;
    while (!rest_.empty()) {
      char c = peek();
      rest_.remove_prefix(1);
      if (c == '"') {
        value = std::move(text);
        return true;
      }
      if (c == '\\') {
        c = peek();
        if (c != '"' && c != '\\') return false;
        rest_.remove_prefix(1);
      } else if (c < ' ' || c > '~') {
        return false;
      }
      text.push_back(c);
    }
    return false;
  }

  bool read_bytes(SfItem& value) {
    take(':');
    const std::string_view text =
        take_while([](char c) { return is_alpha(c) || is_digit(c) || c == '+' || c == '/' || c == '='; });
    if (!take(':')) return false;
    value = SfBytes{std::string(text)};
    return true;
  }

  bool read_boolean(SfItem& value) {
    take('?');
    if (peek() != '0' && peek() != '1') return false;
    value = peek() == '1';
    rest_.remove_prefix(1);
    return true;
  }

  bool read_date(SfItem& value) {
    take('@');
    SfItem number = true;
    if (!read_number(number) || !std::holds_alternative<int64_t>(number)) return false;
    value = SfDate{std::get<int64_t>(number)};
    return true;
  }

  bool read_display(SfItem& value) {
    take('%');
    if (!take('"')) return false;
    const std::string_view text = take_while([](char c) { return c >= ' ' && c <= '~' && c != '"'; });
    if (!take('"')) return false;
    const auto is_hex = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); };
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '%' && (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2]))) return false;
    }
    value = SfDisplay{std::string(text)};
    return true;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<SfDictionary> parse_sf_dictionary(std::string_view text) { return Parser(text).dictionary(); }
std::optional<SfList> parse_sf_list(std::string_view text) { return Parser(text).list(); }

void append_sf_string(std::string& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c < ' ' || c > '~' ? '?' : c);
  }
  out.push_back('"');
}

}  // namespace verge::cache
