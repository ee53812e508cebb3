// The media type of a file by the end of its name (RFC 9110 section 8.3).
#pragma once

#include <string_view>

namespace verge::cache {

// "application/octet-stream" for what is not known.
std::string_view content_type_of(std::string_view name);

}  // namespace verge::cache
