#pragma once

#include <cstdint>

namespace verge::cache {

// Where people's code stands in the flow of requests, in the order in which a request comes by (edge_code.h).
enum class CodePosition : uint8_t {
  kClientAnswer,  // is given each answer on its way to the client
  kBefore,        // answers before the cache is asked
  kMiss,          // answers in the place of the origins, where nothing stored will do; that is stored as theirs are
  kOriginAnswer,  // is given what an origin answered, before it is stored
};

}  // namespace verge::cache
