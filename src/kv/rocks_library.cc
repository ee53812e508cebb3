#include "kv/rocks_library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <rocksdb/version.h>

namespace verge::kv {

Result<RocksLibrary> RocksLibrary::load() {
  // The version that its header was of: a program interface has no other name.
  const std::string file = fmt::format("librocksdb.so.{}.{}", ROCKSDB_MAJOR, ROCKSDB_MINOR);
  const auto missing = [&] {
    const char* reason = ::dlerror();
    return fail("kv.library", fmt::format("{} cannot be loaded: {}", file, reason ? reason : "no reason given"),
                fmt::format("install Debian's librocksdb{}.{}", ROCKSDB_MAJOR, ROCKSDB_MINOR));
  };
  void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return missing();
  RocksLibrary library;
#define VERGE_ROCKS_LOOK_UP(name)                                             \
  library.name = reinterpret_cast<decltype(&::name)>(::dlsym(handle, #name)); \
  if (library.name == nullptr) return missing();
  VERGE_ROCKS_FUNCTIONS(VERGE_ROCKS_LOOK_UP)
#undef VERGE_ROCKS_LOOK_UP
  return library;
}

}  // namespace verge::kv
