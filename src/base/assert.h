// VERGE_ASSERT(condition): stays on in release; for bugs, never for input. Prints the place and aborts.
#pragma once

namespace verge {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}

#define VERGE_ASSERT(condition) \
  (static_cast<bool>(condition) ? void(0) : ::verge::assertion_failed(#condition, __FILE__, __LINE__))
