#include "planner/cbc_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
// The solver's cut generators lose a cut now and then, some hundred bytes a search; what it does is not ours to mend.
extern "C" const char* __lsan_default_suppressions() { return "leak:libOsi.so\nleak:libCgl.so\nleak:libCbc.so\n"; }
#endif
#endif

namespace verge::planner {

Result<std::unique_ptr<CbcLibrary>> CbcLibrary::load() {
  const auto missing = [] {
    const char* reason = ::dlerror();
    return fail("plan.solver", fmt::format("CBC cannot be loaded: {}", reason ? reason : "no reason given"),
                "install Debian's coinor-libcbc3 (12) or coinor-libcbc3.1 (13), or plan with --mode anytime");
  };
  // One interface (2.10), under the names of Debian 13 and 12.
  void* handle = ::dlopen("libCbcSolver.so.3.1", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) handle = ::dlopen("libCbcSolver.so.3", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return missing();
  auto library = std::make_unique<CbcLibrary>();
#define VERGE_CBC_LOOK_UP(name)                                                \
  library->name = reinterpret_cast<decltype(&::name)>(::dlsym(handle, #name)); \
  if (library->name == nullptr) return missing();
  VERGE_CBC_FUNCTIONS(VERGE_CBC_LOOK_UP)
#undef VERGE_CBC_LOOK_UP
  return library;
}

}  // namespace verge::planner
