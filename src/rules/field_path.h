// Where in a JSON document a field lies: a.b[0].c. The first step is always a name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace verge::rules {

inline constexpr uint32_t kElementIndexMax = 65535;
inline constexpr uint32_t kFieldsMax = 256;  // different fields that one rule may read

struct PathStep {
  std::string name;      // of a member; unused when is_element
  uint32_t element = 0;  // counted from 0, at most kElementIndexMax
  bool is_element = false;
  bool operator==(const PathStep&) const = default;
};

using FieldPath = std::vector<PathStep>;

// As it is written in SQL, quotes left out.
std::string path_text(const FieldPath& path);

}  // namespace verge::rules
