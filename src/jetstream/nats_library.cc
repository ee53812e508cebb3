#include "jetstream/nats_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace verge::jetstream {

Result<std::unique_ptr<NatsLibrary>> NatsLibrary::load() {
  // The version that its header was of: a program interface has no other name.
  const std::string file = fmt::format("libnats.so.{}.{}", NATS_VERSION_MAJOR, NATS_VERSION_MINOR);
  const auto missing = [&] {
    const char* reason = ::dlerror();
    return fail("jetstream.library", fmt::format("{} cannot be loaded: {}", file, reason ? reason : "no reason given"),
                fmt::format("install Debian's libnats{}.{}", NATS_VERSION_MAJOR, NATS_VERSION_MINOR));
  };
  void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return missing();
  auto library = std::make_unique<NatsLibrary>();
#define VERGE_NATS_LOOK_UP(name)                                               \
  library->name = reinterpret_cast<decltype(&::name)>(::dlsym(handle, #name)); \
  if (library->name == nullptr) return missing();
  VERGE_NATS_FUNCTIONS(VERGE_NATS_LOOK_UP)
#undef VERGE_NATS_LOOK_UP
  return library;
}

std::string NatsLibrary::reason(natsStatus status) const {
  natsStatus last = NATS_OK;
  const char* text = nats_GetLastError(&last);
  return text != nullptr && *text != '\0' && last == status ? text : natsStatus_GetText(status);
}

}  // namespace verge::jetstream
