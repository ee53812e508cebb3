// The version of this program, as CMakeLists.txt states it.
#pragma once

#include <string_view>

namespace verge {
inline constexpr std::string_view kVersion = VERGE_VERSION;
}  // namespace verge
