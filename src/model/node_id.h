// A 128-bit identity, random, generated once and kept. Names of hosts and cloned disk images collide; this does not.
// Used for nodes and for spool incarnations.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"

namespace verge {

struct NodeId {
  std::array<char, 16> bytes{};

  static NodeId generate();
  // For simulation: the same every time.
  static NodeId draw(Random& random);
  // 32 hexadecimal digits; nothing otherwise.
  static std::optional<NodeId> parse(std::string_view text);
  // `raw` must be 16 bytes.
  static NodeId from_bytes(std::string_view raw);

  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string_view view() const { return {bytes.data(), bytes.size()}; }
  [[nodiscard]] bool is_zero() const { return *this == NodeId{}; }
  auto operator<=>(const NodeId&) const = default;
};

}  // namespace verge
