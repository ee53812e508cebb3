#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace verge {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "verge: internal error: assertion %s failed at %s:%d; please report this\n", condition, file,
               line);
  std::abort();
}

}  // namespace verge
