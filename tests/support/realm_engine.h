// The one engine of a test program with realms: V8 is set up once for a process.
#pragma once

#include "workers/realm_engine.h"

namespace verge::tests {

inline workers::Engine& realm_engine() {
  static workers::Engine* const one = [] {
    auto* made = new workers::Engine({.snapshot = workers::built_in_snapshot(), .flags = {}});
    made->start_thread([] {});
    return made;
  }();
  return *one;
}

}  // namespace verge::tests
