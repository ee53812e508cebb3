// One operation of Web Cryptography with all that it needs, to be done here or on another thread. What is passed in was
// checked by JavaScript (web/subtle.js) as far as its types and the use of keys go.
#pragma once

#include <string>
#include <string_view>

#include "workers/crypto_keys.h"

namespace verge::workers {

// Its numbers are those of web/subtle.js.
enum class CryptoOperation : std::uint8_t {
  Digest,         // data
  HmacSign,       // key, data
  HmacVerify,     // key, data, first: the code
  AesGcmEncrypt,  // key, data, first: the nonce, second: associated, number: bits of the tag
  AesGcmDecrypt,
  AesCbcEncrypt,  // key, data, first: the vector
  AesCbcDecrypt,
  AesCtr,  // key, data, first: the counter, number: its bits
  AesKwWrap,
  AesKwUnwrap,
  Hkdf,           // key, hash, first: salt, second: info, number: bytes
  Pbkdf2,         // key, hash, first: salt, number: bytes, second_number: iterations
  RsaSign,        // PKCS #1 1.5; key, hash, data
  RsaVerify,      // first: the signature
  PssSign,        // and number: bytes of the salt
  PssVerify,      // likewise, first: the signature
  OaepEncrypt,    // key, hash, data, first: label
  OaepDecrypt,    // likewise
  EcdsaSign,      // key, hash, data; signatures are r and s, one after the other
  EcdsaVerify,    // first: the signature
  Ed25519Sign,    // key, data
  Ed25519Verify,  // first: the signature
  Agree,          // key, other: ECDH and X25519
  GenerateRsa,    // number: bits, first: exponent
  GenerateP256,
  GenerateP384,
  GenerateP521,
  GenerateEd25519,
  GenerateX25519,
  GenerateSecret,  // number: bytes
  Count
};

struct CryptoTask {
  CryptoOperation operation = CryptoOperation::Digest;
  HashName hash = HashName::Sha256;
  CryptoKeyPointer key;
  CryptoKeyPointer other;
  std::string_view data;
  std::string_view first;
  std::string_view second;
  std::uint64_t number = 0;
  std::uint64_t second_number = 0;
};

struct CryptoResult {
  enum class Kind : std::uint8_t { Bytes, Verdict, Pair };
  Kind kind = Kind::Bytes;
  std::string bytes;
  bool is_valid = false;
  CryptoKeyPair pair;
};

// Whether it may take longer than about a millisecond.
[[nodiscard]] bool is_slow(const CryptoTask& task);
Outcome<CryptoResult> perform(const CryptoTask& task, const Stop& stop);

// What OpenSSL does at first use and needs files for; before the sandbox is closed.
void prepare_crypto();

}  // namespace verge::workers
