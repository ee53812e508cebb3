// Structured fields (RFC 9651): dictionaries and lists of items, strictly. A field that is not one as a whole says
// nothing; there is no reading a part of it (section 4.2).
//
// What is parsed is checked whole, and shown as far as callers need it: keys, bare items, whether there was an inner
// list. Parameters are checked and left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace verge::cache {

struct SfToken {
  std::string text;
  bool operator==(const SfToken&) const = default;
};
struct SfBytes {
  std::string base64;  // as sent
  bool operator==(const SfBytes&) const = default;
};
struct SfDate {
  int64_t seconds = 0;  // since 1970
  bool operator==(const SfDate&) const = default;
};
struct SfDisplay {
  std::string encoded;  // as sent, with its percent signs
  bool operator==(const SfDisplay&) const = default;
};
struct SfInnerList {
  size_t members = 0;
  bool operator==(const SfInnerList&) const = default;
};

// int64_t: an integer; double: a decimal; std::string: a string, without its quotes and escapes.
using SfItem = std::variant<bool, int64_t, double, std::string, SfToken, SfBytes, SfDate, SfDisplay, SfInnerList>;

// In the order of the field; of a key that comes twice the last value counts and stands where the first stood.
using SfDictionary = std::vector<std::pair<std::string, SfItem>>;
using SfList = std::vector<SfItem>;

// `text`: all lines of the field joined by ", ". An empty text is an empty dictionary or list.
std::optional<SfDictionary> parse_sf_dictionary(std::string_view text);
std::optional<SfList> parse_sf_list(std::string_view text);

// "…" with what needs an escape escaped; characters that a string cannot hold become "?".
void append_sf_string(std::string& out, std::string_view text);

}  // namespace verge::cache
