#include "cache/redirect.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "cache/site.h"

namespace verge::cache {
namespace {

// Calls `literal` and `part` with the pieces of the target, in order. False where "${" is not closed.
template <class Literal, class Part>
bool for_each_piece(std::string_view target, Literal literal, Part part) {
  while (!target.empty()) {
    const size_t begin = std::min(target.find("${"), target.size());
    if (begin > 0) literal(target.substr(0, begin));
    if (begin == target.size()) return true;
    const size_t end = target.find('}', begin);
    if (end == std::string_view::npos) return false;
    part(target.substr(begin + 2, end - begin - 2));
    target.remove_prefix(end + 1);
  }
  return true;
}

bool is_number(std::string_view part) { return part.size() == 1 && part[0] >= '1' && part[0] <= '9'; }

}  // namespace

Result<void> check_redirect_target(std::string_view target) {
  constexpr std::string_view kCode = "config.value";
  const bool begins = target.starts_with('/') || target.starts_with("http://") || target.starts_with("https://");
  const bool is_visible = std::ranges::all_of(target, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!begins || !is_visible) {
    return fail(kCode, R"(a target such as "https://${host}${path}" or "/new/${rest}")",
                "begin it with /, http:// or https://, without blanks");
  }
  std::string unknown;
  const std::vector<std::string> known = {"host", "path", "rest"};
  const bool is_closed = for_each_piece(
      target, [](std::string_view) {},
      [&](std::string_view part) {
        if (!is_number(part) && std::ranges::find(known, part) == known.end()) unknown = part;
      });
  if (!is_closed) return fail(kCode, R"(a target in which each "${" has its "}")");
  if (!unknown.empty()) {
    const std::string near = nearest(unknown, known);
    return fail(kCode, fmt::format("a target of known parts, and there is no ${{{}}}", unknown),
                near.empty() ? "there are ${host}, ${path}, ${rest} and ${1} to ${9}"
                             : fmt::format("did you mean ${{{}}}?", near));
  }
  const size_t scheme = target.find("://");
  if (scheme != std::string_view::npos && (target.size() == scheme + 3 || target[scheme + 3] == '/')) {
    return fail(kCode, "a target with a host behind its scheme");
  }
  return {};
}

bool has_part(std::string_view target, std::string_view part) { return target.contains(fmt::format("${{{}}}", part)); }

std::string redirect_target(const Redirect& redirect, std::string_view host, std::string_view path,
                            const PathMatch& match, std::string_view query) {
  std::string location;
  const auto part = [&](std::string_view name) {
    if (name == "host") {
      location.append(plain_host(host));
    } else if (name == "path") {
      location.append(encode_path(path));
    } else if (name == "rest") {
      location.append(encode_path(match.rest));
    } else {
      location.append(encode_path(match.filled[static_cast<size_t>(name[0] - '1')]));
    }
  };
  for_each_piece(redirect.target, [&](std::string_view text) { location.append(text); }, part);
  // "//host" would be another host.
  if (location.starts_with('/')) {
    location.erase(0, std::min(location.find_first_not_of('/'), location.size()));
    location.insert(0, "/");
  }
  if (redirect.keeps_query && !query.empty()) {
    location.append(location.contains('?') ? "&" : "?");
    // Clients send what they like behind the question mark; it must not end the field.
    for (const char c : query) {
      if (c > 0x20 && c < 0x7f)
        location.push_back(c);
      else
        location.append(fmt::format("%{:02X}", static_cast<unsigned char>(c)));
    }
  }
  return location;
}

}  // namespace verge::cache
