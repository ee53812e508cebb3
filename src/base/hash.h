// XXH3, 64 bits: checksums of stored records and spreading of keys over loops. Not for secrets.
#pragma once

#include <cstdint>
#include <string_view>

namespace verge {

uint64_t hash64(std::string_view bytes, uint64_t seed = 0);

// Lets maps keyed by std::string be searched with a std::string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return hash64(text); }
};

}  // namespace verge
