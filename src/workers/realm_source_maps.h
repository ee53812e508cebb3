// Source maps (ECMA-426): where code was written that a bundler has put together. A module says it in its last line, as
// `//# sourceMappingURL=data:application/json;base64,…`; what is in a file beside it was put there when it was read.
//
// Looked at when an error is told, and parsed each time: errors are few, and a map in memory would be the worker's.
#pragma once

#include <string>

#include "workers/realm_state.h"

namespace verge::workers {

// `text` with each place of a module that has a map, "app.js:3:14", as it was written: "src/shop.ts:6:4". What a map
// does not say, or one that cannot be read, leaves it as it is. Within the realm's isolate and context.
std::string with_original_places(const Realm::State& state, std::string text);

}  // namespace verge::workers
