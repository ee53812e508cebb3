// The startup snapshot: a V8 heap in which the web platform has been set up. Made at build time from the bundle of
// web/*.js, put into the program (realm_snapshot_main.cc), and read back by every realm.
#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "workers/realm_engine.h"

namespace verge::workers {

// `bundle` is a script whose value is a function (host) => hooks. `engine` was made without a snapshot.
Result<std::vector<char>> build_snapshot(Engine& engine, std::string_view bundle);

}  // namespace verge::workers
