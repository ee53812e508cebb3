// References to URLs, such as those of Location (RFC 3986 section 5.2).
#pragma once

#include <string>
#include <string_view>

namespace verge::cache {

// The URL that `reference` means where `base`, a whole http(s) URL, was asked for; without its fragment.
std::string resolve_reference(std::string_view base, std::string_view reference);

}  // namespace verge::cache
