// How many descriptors this process may have (RLIMIT_NOFILE), and how many it has.
//
// The system gives the lowest number that is free. So a new descriptor whose number is at or above some bound says that
// all below it are taken: to close it there keeps what is above for others, without counting.
#pragma once

#include <cstdint>

namespace verge::runtime {

// Raises the soft limit to the hard one. The limit that holds then; UINT64_MAX where there is none.
uint64_t raise_descriptor_limit();
// 0 where it cannot be known.
uint64_t open_descriptors();

}  // namespace verge::runtime
