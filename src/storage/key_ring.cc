#include "storage/key_ring.h"

#include <cstring>

#include <fmt/format.h>

#include "base/bytes.h"
#include "crypto/hkdf.h"

namespace verge::storage {
namespace {

constexpr std::string_view kForId = "verge spool key id";
constexpr std::string_view kForSegment = "verge spool segment";

}  // namespace

Result<KeyId> id_of(const crypto::Key& key) {
  char raw[sizeof(KeyId)];
  if (const Result<void> derived = crypto::hkdf_sha256(key.bytes(), {}, kForId, raw); !derived) {
    return std::unexpected(derived.error());
  }
  KeyId id = 0;
  std::memcpy(&id, raw, sizeof(id));
  return id == 0 ? 1 : id;
}

std::string key_id_text(KeyId id) { return fmt::format("{:016x}", id); }

std::optional<KeyId> parse_key_id(std::string_view text) {
  if (text.size() != 2 * sizeof(KeyId)) return std::nullopt;
  const std::string bytes = from_hex(text);
  if (bytes.empty()) return std::nullopt;
  KeyId id = 0;
  for (const char byte : bytes) id = id << 8 | static_cast<uint8_t>(byte);
  if (id == 0) return std::nullopt;
  return id;
}

Result<void> KeyRing::replace(const Keys& keys) {
  std::map<KeyId, crypto::Key> fresh;
  KeyId writing = 0;
  const auto add = [&](const crypto::Key& key) -> Result<KeyId> {
    const Result<KeyId> id = id_of(key);
    if (id) fresh.insert_or_assign(*id, key);
    return id;
  };
  if (const std::optional<crypto::Key>& key = keys.writing) {
    const Result<KeyId> id = add(*key);
    if (!id) return std::unexpected(id.error());
    // What would fail later, with records to be stored, fails now.
    if (const auto cipher = crypto::Aes256Gcm::create(*key, crypto::Aes256Gcm::Use::kSeal); !cipher) {
      return std::unexpected(cipher.error());
    }
    writing = *id;
  }
  for (const crypto::Key& key : keys.reading) {
    if (const Result<KeyId> id = add(key); !id) return std::unexpected(id.error());
  }
  const std::lock_guard lock(mutex_);
  keys_.swap(fresh);
  writing_ = writing;
  return {};
}

bool KeyRing::has(KeyId id) const {
  const std::lock_guard lock(mutex_);
  return keys_.contains(id);
}

std::string KeyRing::text() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [id, key] : keys_) text.append(text.empty() ? "" : ", ").append(key_id_text(id));
  return text.empty() ? "none" : text;
}

Result<crypto::Aes256Gcm> KeyRing::cipher(KeyId id, std::string_view header, crypto::Aes256Gcm::Use use) const {
  std::optional<crypto::Key> key;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = keys_.find(id); found != keys_.end()) key = found->second;
  }
  if (!key) return missing_key(id, "a segment", *this);
  crypto::Key derived;
  if (const Result<void> done = crypto::hkdf_sha256(key->bytes(), header, kForSegment, derived.space()); !done) {
    return std::unexpected(done.error());
  }
  return crypto::Aes256Gcm::create(derived, use);
}

std::unexpected<Error> missing_key(KeyId id, const std::string& where, const KeyRing& keys) {
  const std::string name = key_id_text(id);
  return fail(
      "storage.key-missing",
      fmt::format("{} can be read only with the key {}, which is not there (there: {})", where, name, keys.text()),
      fmt::format("name its file in spool.decryption_keys, or to a command with --key-file; to give up what "
                  "only it can read: verge spool purge --key {} --yes",
                  name));
}

}  // namespace verge::storage
