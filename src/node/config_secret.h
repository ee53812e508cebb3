// Where a secret is. The secret itself is never part of the configuration, so that none is printed or logged.
#pragma once

#include <string>

namespace verge::node {

struct SecretSource {
  enum class Kind { kFile, kEnvironment };
  Kind kind = Kind::kFile;
  std::string name;  // the path, or the variable
  bool operator==(const SecretSource&) const = default;
};

}  // namespace verge::node
