// Which paths a rule of a site is for: one path, a prefix, or a glob.
//
// What is matched is the plain path: percent-encoding undone once, "//" one slash, "." and ".." taken out. So a rule
// cannot be walked around by writing its path in another way ("/a/../private", "/%70rivate"). What the origin is asked
// is still what the client sent.
//
// In a glob "?" is one character, "*" any number of them, both without "/"; "**" is any number of any. Matching takes
// length(pattern) x length(path) steps at most, whatever the pattern.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace verge::cache {

struct PathPattern {
  enum class Kind : uint8_t { kExact, kPrefix, kGlob };
  static constexpr size_t kWildcardsMax = 9;
  static constexpr size_t kBytesMax = 256;  // of a glob

  Kind kind = Kind::kPrefix;
  std::string text = "/";
  bool operator==(const PathPattern&) const = default;
};

// What a pattern leaves open, as views into the path.
struct PathMatch {
  std::string_view rest;                                            // behind the prefix
  std::array<std::string_view, PathPattern::kWildcardsMax> filled;  // by the wildcards of a glob, in their order
};

// `path` is plain.
std::optional<PathMatch> match(const PathPattern& pattern, std::string_view path);

// How many "?", "*" and "**" there are.
size_t wildcards(std::string_view glob);

// The plain path: `path` itself where it is plain already, else made in `scratch`. A percent sign without two
// hexadecimal digits stands for itself.
std::string_view plain_path(std::string_view path, std::string& scratch);

// The reverse for a path: what may not stand in one (RFC 3986 section 3.3) is percent-encoded.
std::string encode_path(std::string_view plain);

}  // namespace verge::cache
