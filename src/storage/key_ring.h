// KeyRing: the keys that segments are encrypted with (docs/formats/log.md).
//
// A key is known by its id, which is derived from it and tells nothing about it. A segment's header has the id of the
// key that its own key was derived from: which key a file needs can be said without any key, and a wrong key is not
// taken for damage. (Numbers chosen by people were the alternative: two files under one number would look like
// damage.)
//
// Threading: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "crypto/aes_gcm.h"
#include "crypto/key.h"

namespace verge::storage {

// 0: no key, not encrypted.
using KeyId = uint64_t;

// Error: crypto.unavailable.
Result<KeyId> id_of(const crypto::Key& key);
// 16 hexadecimal digits.
std::string key_id_text(KeyId id);
// Nothing unless the text is as key_id_text() writes it.
std::optional<KeyId> parse_key_id(std::string_view text);

struct Keys {
  std::optional<crypto::Key> writing;  // what new segments are encrypted with; none: they are not
  std::vector<crypto::Key> reading;    // earlier ones, for what they encrypted
};

class KeyRing {
 public:
  KeyRing() = default;  // no keys
  KeyRing(const KeyRing&) = delete;
  KeyRing& operator=(const KeyRing&) = delete;

  // From now on these. Error: crypto.unavailable; then nothing has changed.
  Result<void> replace(const Keys& keys);

  // The key of new segments.
  [[nodiscard]] KeyId writing() const { return writing_; }
  [[nodiscard]] bool has(KeyId id) const;
  // "3f9a0b1c2d3e4f50, …"; "none".
  [[nodiscard]] std::string text() const;

  // The cipher of the one segment whose header begins with `header`. Errors: storage.key-missing, crypto.unavailable.
  [[nodiscard]] Result<crypto::Aes256Gcm> cipher(KeyId id, std::string_view header, crypto::Aes256Gcm::Use use) const;

 private:
  std::atomic<KeyId> writing_{0};
  mutable std::mutex mutex_;
  std::map<KeyId, crypto::Key> keys_;  // guarded by mutex_
};

// `where`: which files need it.
std::unexpected<Error> missing_key(KeyId id, const std::string& where, const KeyRing& keys);

}  // namespace verge::storage
