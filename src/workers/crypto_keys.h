// Keys of Web Cryptography and the forms they come and go in: raw, spki (RFC 5280), pkcs8 (RFC 5208, 5958), and the
// numbers of a JSON Web Key (RFC 7518, RFC 8037), each as bytes, most significant first.
//
// What is taken in is checked: points lie on their curve, both halves of a pair belong together, nothing follows the
// DER. RSA keys have two primes and at most kRsaBitsMax bits.
//
// Threading: a key never changes; any thread may use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "workers/crypto_hash.h"

struct evp_pkey_st;

namespace verge::workers {

// Why not; the first three are what the DOMException is named after.
enum class Fault : std::uint8_t { Operation, Data, NotSupported, Stopped };
template <class T>
using Outcome = std::expected<T, Fault>;

enum class Family : std::uint8_t { Secret, Rsa, P256, P384, P521, Ed25519, X25519 };
[[nodiscard]] constexpr bool is_curve(Family family) {
  return family == Family::P256 || family == Family::P384 || family == Family::P521;
}
// Of a coordinate, and of a private number.
std::size_t curve_bytes(Family family);

inline constexpr std::size_t kRsaBitsMax = 8192;

class CryptoKey {
 public:
  // `hash`: of a key of HMAC.
  CryptoKey(std::string secret, std::optional<HashName> hash);
  CryptoKey(Family family, bool is_private, evp_pkey_st* owned);
  ~CryptoKey();
  CryptoKey(const CryptoKey&) = delete;
  CryptoKey& operator=(const CryptoKey&) = delete;

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_private() const { return is_private_; }
  [[nodiscard]] std::string_view secret() const { return secret_; }
  // Null unless it is a key of HMAC.
  [[nodiscard]] const Hmac* hmac() const { return hmac_ ? &*hmac_ : nullptr; }
  [[nodiscard]] evp_pkey_st* pkey() const { return pkey_; }
  // Of RSA's modulus.
  [[nodiscard]] std::size_t bits() const;

 private:
  const Family family_;
  const bool is_private_ = false;
  std::string secret_;
  std::optional<Hmac> hmac_;
  evp_pkey_st* const pkey_ = nullptr;
};
using CryptoKeyPointer = std::shared_ptr<const CryptoKey>;

struct CryptoKeyPair {
  CryptoKeyPointer public_key;
  CryptoKeyPointer private_key;
};

// The key is one of `family`, or it is Fault::Data.
Outcome<CryptoKeyPointer> import_spki(Family family, std::string_view der);
Outcome<CryptoKeyPointer> import_pkcs8(Family family, std::string_view der);
// A public key: a point, or the 32 bytes of Ed25519 and X25519.
Outcome<CryptoKeyPointer> import_raw(Family family, std::string_view bytes);
// n, e for RSA's public key; n, e, d, p, q, dp, dq, qi for the private one. x, y and x, y, d of a curve. x and x, d of
// Ed25519 and X25519.
Outcome<CryptoKeyPointer> import_numbers(Family family, const std::vector<std::string>& numbers);

Outcome<std::string> export_spki(const CryptoKey& key);
Outcome<std::string> export_pkcs8(const CryptoKey& key);
Outcome<std::string> export_raw(const CryptoKey& key);
Outcome<std::vector<std::string>> export_numbers(const CryptoKey& key);

// `bits` and `exponent` (as bytes) are RSA's. `stop` is asked between candidates for primes.
Outcome<CryptoKeyPair> generate_pair(Family family, std::size_t bits, std::string_view exponent, const Stop& stop);
// Random bytes of OpenSSL's generator.
Outcome<std::string> random_secret(std::size_t bytes);

}  // namespace verge::workers
