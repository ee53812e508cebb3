// SigningKey: makes and checks signatures, with one secret for both (HMAC-SHA256, RFC 2104) or with a private key whose
// public half only checks (Ed25519, RFC 8032).
//
// As text: "hmac-sha256:", "ed25519:" (the private key) or "ed25519-public:", and 64 hexadecimal digits.
//
// Threading: one thread at a time for generate() and parse(); the rest from any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "crypto/key.h"

namespace verge::crypto {

class SigningKey {
 public:
  enum class Kind : uint8_t { kHmacSha256, kEd25519, kEd25519Public };

  // kHmacSha256 or kEd25519.
  static SigningKey generate(Kind kind);
  static std::optional<SigningKey> parse(std::string_view text);

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] std::string text() const;
  // The public half of kEd25519. Error: crypto.unavailable.
  [[nodiscard]] Result<SigningKey> public_half() const;

  // 32 or 64 bytes. Errors: crypto.cannot-sign, of a public key; crypto.unavailable.
  [[nodiscard]] Result<std::string> sign(std::string_view message) const;
  // In a time that does not depend on how much of the signature is right. False too where OpenSSL lacks what it takes.
  [[nodiscard]] bool verify(std::string_view message, std::string_view signature) const;

 private:
  SigningKey(Kind kind, const Key& bytes) : kind_(kind), bytes_(bytes) {}

  Kind kind_;
  Key bytes_;
};

}  // namespace verge::crypto
