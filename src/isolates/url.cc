#include "isolates/url.h"

#include <fmt/format.h>

namespace verge::isolates {

Result<Url> parse_url(std::string_view url) {
  const std::string_view whole = url.substr(0, url.find('#'));
  const size_t colon = whole.find("://");
  const std::string_view scheme = whole.substr(0, colon == std::string_view::npos ? 0 : colon);
  if (scheme != "http" && scheme != "https") {
    return fail("workers.subrequest", fmt::format("'{}' is no URL of http or https", url), "fetch another");
  }
  std::string_view rest = whole.substr(colon + 3);
  const size_t path = rest.find_first_of("/?");
  std::string_view authority = rest.substr(0, path);
  if (const size_t user = authority.rfind('@'); user != std::string_view::npos) authority.remove_prefix(user + 1);
  if (authority.empty()) return fail("workers.subrequest", fmt::format("'{}' names no host", url), "fetch another");
  return Url{scheme, authority, path == std::string_view::npos ? "/" : rest.substr(path)};
}

}  // namespace verge::isolates
