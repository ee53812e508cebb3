#include "crypto/signing_key.h"

#include <array>
#include <memory>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace verge::crypto {
namespace {

constexpr std::array<std::pair<SigningKey::Kind, std::string_view>, 3> kNames = {
    {{SigningKey::Kind::kHmacSha256, "hmac-sha256:"},
     {SigningKey::Kind::kEd25519, "ed25519:"},
     {SigningKey::Kind::kEd25519Public, "ed25519-public:"}}};

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using PKey = std::unique_ptr<EVP_PKEY, Free>;
using Digest = std::unique_ptr<EVP_MD_CTX, Free>;

const unsigned char* octets(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

std::unexpected<Error> unavailable() {
  return fail("crypto.unavailable", "this system's OpenSSL offers no Ed25519 or no HMAC with SHA-256",
              "check its configuration (openssl.cnf, OPENSSL_CONF): the default provider must be active");
}

std::string hmac(std::string_view key, std::string_view message) {
  std::array<unsigned char, 32> out{};
  unsigned size = out.size();
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), octets(message), message.size(), out.data(),
           &size) == nullptr) {
    return {};
  }
  return {reinterpret_cast<const char*>(out.data()), size};
}

PKey private_key(const Key& bytes) {
  return PKey(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, octets(bytes.bytes()), Key::kBytes));
}

}  // namespace

SigningKey SigningKey::generate(Kind kind) { return {kind, Key::generate()}; }

std::optional<SigningKey> SigningKey::parse(std::string_view text) {
  for (const auto& [kind, name] : kNames) {
    if (!text.starts_with(name)) continue;
    const std::optional<Key> key = Key::parse(text.substr(name.size()));
    return key ? std::optional(SigningKey(kind, *key)) : std::nullopt;
  }
  return std::nullopt;
}

std::string SigningKey::text() const {
  for (const auto& [kind, name] : kNames) {
    if (kind == kind_) return std::string(name) + bytes_.text();
  }
  return {};
}

Result<SigningKey> SigningKey::public_half() const {
  if (kind_ == Kind::kEd25519Public) return *this;
  const PKey key = private_key(bytes_);
  Key half;
  size_t size = Key::kBytes;
  if (!key ||
      EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(half.space().data()), &size) != 1) {
    return unavailable();
  }
  return SigningKey(Kind::kEd25519Public, half);
}

Result<std::string> SigningKey::sign(std::string_view message) const {
  if (kind_ == Kind::kEd25519Public) {
    return fail("crypto.cannot-sign", "a public key checks signatures and makes none", "sign with the private key");
  }
  if (kind_ == Kind::kHmacSha256) {
    std::string made = hmac(bytes_.bytes(), message);
    if (made.empty()) return unavailable();
    return made;
  }
  const PKey key = private_key(bytes_);
  const Digest digest(EVP_MD_CTX_new());
  std::string made(64, '\0');
  size_t size = made.size();
  if (!key || !digest || EVP_DigestSignInit(digest.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(made.data()), &size, octets(message),
                     message.size()) != 1) {
    return unavailable();
  }
  return made;
}

bool SigningKey::verify(std::string_view message, std::string_view signature) const {
  if (kind_ == Kind::kHmacSha256) {
    const std::string right = hmac(bytes_.bytes(), message);
    return !right.empty() && signature.size() == right.size() &&
           CRYPTO_memcmp(right.data(), signature.data(), right.size()) == 0;
  }
  const Result<SigningKey> half = public_half();
  if (!half || signature.size() != 64) return false;
  const PKey key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, octets(half->bytes_.bytes()), Key::kBytes));
  const Digest digest(EVP_MD_CTX_new());
  return key && digest && EVP_DigestVerifyInit(digest.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(digest.get(), octets(signature), signature.size(), octets(message), message.size()) == 1;
}

}  // namespace verge::crypto
