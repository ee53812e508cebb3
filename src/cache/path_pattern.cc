#include "cache/path_pattern.h"

#include <algorithm>
#include <vector>

namespace verge::cache {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_plain(std::string_view path) {
  char before = 0;
  for (const char c : path) {
    if (c == '%' || (before == '/' && (c == '/' || c == '.'))) return false;
    before = c;
  }
  return true;
}

// One element of a glob.
struct Element {
  enum class Kind : uint8_t { kLiteral, kOne, kWithin, kAny };
  Kind kind;
  char literal;
};

Element next_element(std::string_view& glob) {
  const char c = glob.front();
  glob.remove_prefix(1);
  if (c == '?') return {Element::Kind::kOne, 0};
  if (c != '*') return {Element::Kind::kLiteral, c};
  if (!glob.starts_with('*')) return {Element::Kind::kWithin, 0};
  glob.remove_prefix(1);
  return {Element::Kind::kAny, 0};
}

// Places in the path (0 to its length) that can be reached.
using Places = std::vector<bool>;

Places step(const Element& element, const Places& from, std::string_view path) {
  Places to(from.size());
  switch (element.kind) {
    case Element::Kind::kLiteral:
    case Element::Kind::kOne:
      for (size_t i = 0; i < path.size(); ++i) {
        const bool fits = element.kind == Element::Kind::kOne ? path[i] != '/' : path[i] == element.literal;
        if (from[i] && fits) to[i + 1] = true;
      }
      break;
    case Element::Kind::kWithin:
    case Element::Kind::kAny: {
      bool reached = false;
      for (size_t i = 0; i < from.size(); ++i) {
        reached = reached || from[i];
        to[i] = reached;
        if (i < path.size() && path[i] == '/' && element.kind == Element::Kind::kWithin) reached = false;
      }
      break;
    }
  }
  return to;
}

bool fits_between(const Element& element, std::string_view text) {
  return element.kind == Element::Kind::kAny || text.find('/') == std::string_view::npos;
}

std::optional<PathMatch> match_glob(std::string_view glob, std::string_view path) {
  const size_t literal = std::min(glob.find_first_of("?*"), glob.size());
  if (!path.starts_with(glob.substr(0, literal))) return std::nullopt;
  std::vector<Element> elements;
  while (!glob.empty()) elements.push_back(next_element(glob));
  std::vector<Places> reached{Places(path.size() + 1)};
  reached.front()[0] = true;
  for (const Element& element : elements) reached.push_back(step(element, reached.back(), path));
  if (!reached.back()[path.size()]) return std::nullopt;
  // Back from the end: each wildcard takes as little as it can, seen from there.
  PathMatch match;
  size_t end = path.size(), wildcard = 0;
  std::vector<std::string_view> filled;
  for (size_t i = elements.size(); i-- > 0;) {
    const Element& element = elements[i];
    size_t begin = end;
    if (element.kind == Element::Kind::kLiteral || element.kind == Element::Kind::kOne) {
      begin = end - 1;
    } else {
      while (!reached[i][begin] || !fits_between(element, path.substr(begin, end - begin))) --begin;
    }
    if (element.kind != Element::Kind::kLiteral) filled.push_back(path.substr(begin, end - begin));
    end = begin;
  }
  for (auto it = filled.rbegin(); it != filled.rend() && wildcard < match.filled.size(); ++it) {
    match.filled[wildcard++] = *it;
  }
  return match;
}

}  // namespace

std::optional<PathMatch> match(const PathPattern& pattern, std::string_view path) {
  switch (pattern.kind) {
    case PathPattern::Kind::kExact:
      return path == pattern.text ? std::optional(PathMatch{}) : std::nullopt;
    case PathPattern::Kind::kPrefix:
      if (!path.starts_with(pattern.text)) return std::nullopt;
      return PathMatch{.rest = path.substr(pattern.text.size()), .filled = {}};
    case PathPattern::Kind::kGlob:
      return match_glob(pattern.text, path);
  }
  return std::nullopt;
}

size_t wildcards(std::string_view glob) {
  size_t count = 0;
  while (!glob.empty()) {
    if (next_element(glob).kind != Element::Kind::kLiteral) ++count;
  }
  return count;
}

std::string_view plain_path(std::string_view path, std::string& scratch) {
  if (is_plain(path)) return path;
  std::string decoded;
  decoded.reserve(path.size());
  for (size_t i = 0; i < path.size(); ++i) {
    const bool is_code =
        path[i] == '%' && i + 2 < path.size() && hex_value(path[i + 1]) >= 0 && hex_value(path[i + 2]) >= 0;
    decoded.push_back(is_code ? static_cast<char>(hex_value(path[i + 1]) * 16 + hex_value(path[i + 2])) : path[i]);
    if (is_code) i += 2;
  }
  // RFC 3986 section 5.2.4, with empty segments left out.
  scratch.clear();
  std::string_view rest = decoded;
  bool ends_with_slash = false;
  while (!rest.empty()) {
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, slash);
    ends_with_slash = slash < rest.size() || segment == "." || segment == "..";
    rest.remove_prefix(std::min(rest.size(), slash + 1));
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") {
      scratch.resize(std::min(scratch.size(), scratch.rfind('/')));
    } else {
      scratch.append("/").append(segment);
    }
  }
  if (ends_with_slash || scratch.empty()) scratch.push_back('/');
  return scratch;
}

std::string encode_path(std::string_view plain) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kStays = "/-._~!$&'()*+,;=:@";
  std::string out;
  for (const char c : plain) {
    const bool stays = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       kStays.find(c) != std::string_view::npos;
    if (stays) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.append({'%', kDigits[byte >> 4U], kDigits[byte & 15U]});
    }
  }
  return out;
}

}  // namespace verge::cache
