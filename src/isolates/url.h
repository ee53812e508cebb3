// The URL of a subrequest in its parts.
#pragma once

#include <string_view>

#include "base/error.h"

namespace verge::isolates {

struct Url {
  std::string_view scheme;
  std::string_view authority;
  std::string_view target;  // with the query
};

// `url` is absolute, as URL.href writes it; a fragment is left out. Error: workers.subrequest.
Result<Url> parse_url(std::string_view url);

}  // namespace verge::isolates
