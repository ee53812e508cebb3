#include "crypto/key.h"

#include <algorithm>

#include <openssl/crypto.h>

#include "base/bytes.h"
#include "base/random.h"

namespace verge::crypto {

Key::~Key() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

Key Key::generate() {
  std::string entropy = system_entropy(kBytes);
  Key key;
  std::ranges::copy(entropy, key.bytes_.begin());
  OPENSSL_cleanse(entropy.data(), entropy.size());
  return key;
}

std::optional<Key> Key::parse(std::string_view text) {
  std::string bytes = from_hex(text);
  if (bytes.size() != kBytes) return std::nullopt;
  Key key;
  std::ranges::copy(bytes, key.bytes_.begin());
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return key;
}

std::string Key::text() const { return to_hex(bytes()); }

}  // namespace verge::crypto
