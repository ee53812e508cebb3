#include "node/config_position.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

namespace verge::node {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool continues_code_point(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

std::string_view without_mark(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return text;
}

void append_utf8(std::string& out, uint32_t code_point) {
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6), put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12), put(0x80 | (code_point >> 6 & 0x3f)), put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | code_point >> 18), put(0x80 | (code_point >> 12 & 0x3f));
    put(0x80 | (code_point >> 6 & 0x3f)), put(0x80 | (code_point & 0x3f));
  }
}

// Reads a TOML string that begins at `at` once more, noting where each byte of its value came from. The text has been
// accepted by the TOML parser; whatever else stands there ends the walk, and the values then differ.
class StringWalk {
 public:
  StringWalk(std::string_view text, size_t at, size_t wanted) : text_(text), at_(at), wanted_(wanted) {}

  void run() {
    if (at_ >= text_.size() || (text_[at_] != '"' && text_[at_] != '\'')) return;
    const char quote = text_[at_];
    multi_line_ = text_.substr(at_).starts_with(std::string(3, quote));
    at_ += multi_line_ ? 3 : 1;
    if (multi_line_) skip_line_break();
    while (at_ < text_.size()) {
      begin_ = at_;
      if (text_[at_] == quote && closes(quote)) break;
      if (text_[at_] == '\\' && quote == '"') {
        if (!escape()) return;
      } else if (multi_line_ && skip_line_break()) {
        emit("\n");
      } else {
        emit(text_.substr(at_++, 1));
      }
    }
    if (!found_) found_ = at_;
  }

  [[nodiscard]] const std::string& value() const { return value_; }
  [[nodiscard]] std::optional<size_t> found() const { return found_; }

 private:
  void emit(std::string_view bytes) {
    if (!found_ && value_.size() + bytes.size() > wanted_) found_ = begin_;
    value_.append(bytes);
  }

  bool skip_line_break() {
    const std::string_view rest = text_.substr(at_);
    const size_t length = rest.starts_with("\r\n") ? 2 : rest.starts_with("\n") ? 1 : 0;
    at_ += length;
    return length != 0;
  }

  // In the long forms up to two quotes may stand before the three that close.
  [[nodiscard]] bool closes(char quote) const {
    if (!multi_line_) return true;
    const std::string_view rest = text_.substr(at_);
    const size_t run = std::min(rest.find_first_not_of(quote), rest.size());
    return run == 3;
  }

  bool escape() {
    const std::string_view rest = text_.substr(at_ + 1);
    if (rest.empty()) return false;
    static constexpr std::string_view kLetters = "btnfre\"\\";
    static constexpr std::string_view kMeanings = "\b\t\n\f\r\x1b\"\\";
    if (const size_t letter = kLetters.find(rest.front()); letter != std::string_view::npos) {
      at_ += 2;
      emit(kMeanings.substr(letter, 1));
      return true;
    }
    if (rest.front() == 'u' || rest.front() == 'U') return code_point(rest.substr(1, rest.front() == 'u' ? 4 : 8));
    if (!multi_line_) return false;
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_ + 1), text_.size());
    return true;
  }

  bool code_point(std::string_view digits) {
    uint32_t number = 0;
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
    if (problem != std::errc{} || end != digits.data() + digits.size()) return false;
    at_ += 2 + digits.size();
    std::string bytes;
    append_utf8(bytes, number);
    emit(bytes);
    return true;
  }

  std::string_view text_;
  size_t at_;
  size_t wanted_;
  size_t begin_ = 0;
  bool multi_line_ = false;
  std::string value_;
  std::optional<size_t> found_;
};

size_t offset_of(std::string_view text, Position position) {
  size_t at = 0;
  for (uint32_t line = 1; line < position.line; ++line) {
    at = text.find('\n', at);
    if (at == std::string_view::npos) return text.size();
    ++at;
  }
  for (uint32_t column = 1; column < position.column && at < text.size(); ++column) {
    ++at;
    while (at < text.size() && continues_code_point(text[at])) ++at;
  }
  return at;
}

}  // namespace

Position position_in_text(std::string_view text, size_t offset) {
  const size_t mark = text.size() - without_mark(text).size();
  text.remove_prefix(mark);
  offset -= std::min(offset, mark);
  Position position;
  for (const char c : text.substr(0, offset)) {
    if (c == '\n') {
      ++position.line;
      position.column = 1;
    } else if (!continues_code_point(c)) {
      ++position.column;
    }
  }
  // Inside a code point: where it begins.
  if (offset < text.size() && continues_code_point(text[offset]) && position.column > 1) --position.column;
  return position;
}

Position position_in_string(std::string_view text, Position token, std::string_view value, size_t offset) {
  text = without_mark(text);
  StringWalk walk(text, offset_of(text, token), offset);
  walk.run();
  const std::optional<size_t> found = walk.found();
  if (walk.value() != value || !found) return token;
  return position_in_text(text, *found);
}

}  // namespace verge::node
