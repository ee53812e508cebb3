// Paths and the patterns of rules: a plain path is plain, stays below "/", and what a redirect makes of a path can
// stand in a field.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cache/access_log.h"
#include "cache/path_pattern.h"
#include "cache/redirect.h"
#include "cache/request_view.h"

using namespace verge::cache;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t half = input.find('\n');
  std::string pattern(input.substr(0, half));
  const std::string raw = "/" + std::string(half == std::string_view::npos ? "" : input.substr(half + 1));
  std::string scratch;
  const std::string path(plain_path(raw, scratch));
  check(path.starts_with('/') && !path.contains("//"));
  check(!path.contains("/../") && !path.ends_with("/..") && !path.contains("/./"));
  if (pattern.size() > PathPattern::kBytesMax) pattern.resize(PathPattern::kBytesMax);
  for (const auto kind : {PathPattern::Kind::kExact, PathPattern::Kind::kPrefix, PathPattern::Kind::kGlob}) {
    const auto found = match({.kind = kind, .text = pattern}, path);
    if (!found) continue;
    const std::string location = redirect_target({.target = "/${rest}${1}${2}${path}"}, "a", path, *found, raw);
    check(!location.starts_with("//"));
    for (const char c : location) check(c > 0x20 && c < 0x7f);
  }
  std::string line;
  for (const auto format : {AccessLogFormat::kCombined, AccessLogFormat::kJson}) {
    line.clear();
    append_line(line, format,
                {.client = input,
                 .method = input,
                 .host = input,
                 .target = input,
                 .protocol = "HTTP/1.1",
                 .referer = input,
                 .user_agent = input,
                 .cache_status = input});
    check(line.find('\n') == line.size() - 1);
  }
  check(query_without(raw, std::array{std::string("*")}).empty() || raw.empty());
  static_cast<void>(cookies_without(raw, pattern));
  return 0;
}
