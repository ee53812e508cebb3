// Which source gave which value: the texts that a configuration was read from, and the place of each key in them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "node/config_document.h"

namespace verge::node {

struct ConfigSource {
  enum class Kind { kFile, kOverride };
  Kind kind = Kind::kFile;
  std::string name;  // the path, or "--set KEY"
  std::string text;  // of the file, or of the value
};

class ConfigOrigin {
 public:
  // Returns the number that places refer to.
  uint32_t add_source(ConfigSource source);
  void note(std::string key, Place place) { places_.insert_or_assign(std::move(key), place); }

  [[nodiscard]] const std::vector<ConfigSource>& sources() const { return sources_; }
  [[nodiscard]] std::string describe(Place place) const;

  // The place of the key, else of the innermost table around it that was given, else empty.
  [[nodiscard]] std::string place_of(std::string_view key) const;
  // The place of the key itself; empty when it was not given.
  [[nodiscard]] std::string place_of_given(std::string_view key) const;
  // The place of byte `offset` of the key's string, which reads `value`.
  [[nodiscard]] std::string place_of(std::string_view key, std::string_view value, size_t offset) const;

 private:
  std::vector<ConfigSource> sources_;
  std::map<std::string, Place, std::less<>> places_;
};

}  // namespace verge::node
