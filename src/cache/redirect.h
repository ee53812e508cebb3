// Redirects of a site (RFC 9110 section 15.4): a status, and a target in which ${…} stands for a part of the request.
//
// ${host}: as asked for, without its port; ${path}: the whole path; ${rest}: what follows the rule's prefix; ${1} to
// ${9}: what filled the wildcards of its glob. Parts of the path are taken from the plain path and encoded again, so
// that nothing that a client sends can end the field or change the host: a target that begins with "/" stays on the
// host, however many slashes come together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cache/path_pattern.h"

namespace verge::cache {

struct Redirect {
  int status = 302;
  std::string target;
  bool keeps_query = true;  // the query of the request follows, where there is one
  bool operator==(const Redirect&) const = default;
};

// A target that begins with "/", "http://" or "https://", of visible ASCII, with parts that there are. The error's
// `what` follows "must be".
Result<void> check_redirect_target(std::string_view target);
// Whether the target has the part, "rest" for instance.
bool has_part(std::string_view target, std::string_view part);

// For Location. `path` is plain, and `match` of it; `query` as it is passed on.
std::string redirect_target(const Redirect& redirect, std::string_view host, std::string_view path,
                            const PathMatch& match, std::string_view query);

}  // namespace verge::cache
