#include "model/node_id.h"

#include <algorithm>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/random.h"

namespace verge {

NodeId NodeId::generate() { return from_bytes(system_entropy(16)); }

NodeId NodeId::draw(Random& random) {
  NodeId id;
  for (char& byte : id.bytes) byte = static_cast<char>(random.next());
  return id;
}

std::optional<NodeId> NodeId::parse(std::string_view text) {
  const std::string raw = from_hex(text);
  if (raw.size() != 16) return std::nullopt;
  return from_bytes(raw);
}

NodeId NodeId::from_bytes(std::string_view raw) {
  NodeId id;
  VERGE_ASSERT(raw.size() == id.bytes.size());
  std::ranges::copy(raw, id.bytes.begin());
  return id;
}

std::string NodeId::text() const { return to_hex(view()); }

}  // namespace verge
