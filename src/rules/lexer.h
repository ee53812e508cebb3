// Splits SQL into tokens. Words are letters, digits, '_' and all bytes above 0x7f; "quoted" names and 'texts' escape
// their quote by doubling it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/fault.h"

namespace verge::rules {

struct Token {
  enum class Kind : uint8_t { kWord, kQuotedName, kText, kNumber, kSymbol, kEnd };
  Kind kind = Kind::kEnd;
  size_t offset = 0;      // of its first byte
  std::string_view text;  // as written, quotes included: a view of the SQL
};

// The last token is always kEnd, at the end of the text. The tokens point into `sql`.
Checked<std::vector<Token>> tokenize(std::string_view sql);

// What a kQuotedName or kText stands for: without its quotes, doubled quotes made single.
std::string unquote(const Token& token);

// Whether the token is this word, whatever the case of its letters.
bool is_word(const Token& token, std::string_view word);

// How an error message names the token: 'FORM', or "the end of the text".
std::string describe(const Token& token);

}  // namespace verge::rules
