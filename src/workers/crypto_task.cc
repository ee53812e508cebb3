#include "workers/crypto_task.h"

#include <array>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "workers/crypto_ciphers.h"

namespace verge::workers {
namespace {

// A core hashes or encrypts about this much in a millisecond.
constexpr std::size_t kSlowBytes = 512u << 10;
constexpr std::uint64_t kSlowRounds = 2000;
constexpr std::size_t kSlowRsaBits = 2048;

struct Free {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;
using Bytes = Outcome<std::string>;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* space_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
std::unexpected<Fault> failed() { return std::unexpected(Fault::Operation); }

const EVP_MD* digest_of(HashName name) {
  static const std::array<const EVP_MD*, 4> all = {
      EVP_MD_fetch(nullptr, "SHA1", nullptr), EVP_MD_fetch(nullptr, "SHA256", nullptr),
      EVP_MD_fetch(nullptr, "SHA384", nullptr), EVP_MD_fetch(nullptr, "SHA512", nullptr)};
  return all[static_cast<std::size_t>(name)];
}

// --- Signatures

bool is_signing(CryptoOperation operation) {
  return operation == CryptoOperation::RsaSign || operation == CryptoOperation::PssSign ||
         operation == CryptoOperation::EcdsaSign || operation == CryptoOperation::Ed25519Sign;
}

// A context that signs or verifies; null where the key cannot.
Owned<EVP_MD_CTX> signature_context(const CryptoTask& task) {
  Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* its = nullptr;
  const bool is_edwards = task.key->family() == Family::Ed25519;
  const EVP_MD* hash = is_edwards ? nullptr : digest_of(task.hash);
  const int begun = is_signing(task.operation)
                        ? EVP_DigestSignInit(context.get(), &its, hash, nullptr, task.key->pkey())
                        : EVP_DigestVerifyInit(context.get(), &its, hash, nullptr, task.key->pkey());
  if (begun != 1) return {};
  const bool is_pss = task.operation == CryptoOperation::PssSign || task.operation == CryptoOperation::PssVerify;
  if (is_pss) {
    const std::size_t room = (task.key->bits() + 7) / 8;
    if (task.number > room || EVP_PKEY_CTX_set_rsa_padding(its, RSA_PKCS1_PSS_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_pss_saltlen(its, static_cast<int>(task.number)) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md(its, hash) != 1) {
      return {};
    }
  }
  return context;
}

Bytes raw_signature(const CryptoTask& task) {
  const Owned<EVP_MD_CTX> context = signature_context(task);
  std::size_t size = 0;
  if (!context || EVP_DigestSign(context.get(), nullptr, &size, bytes_of(task.data), task.data.size()) != 1) {
    return failed();
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), space_of(signature), &size, bytes_of(task.data), task.data.size()) != 1) {
    return failed();
  }
  signature.resize(size);
  return signature;
}

bool is_signed_by(const CryptoTask& task, std::string_view signature) {
  const Owned<EVP_MD_CTX> context = signature_context(task);
  return context && EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(task.data),
                                     task.data.size()) == 1;
}

// Between OpenSSL's DER and the two numbers side by side.
Bytes ecdsa_signature(const CryptoTask& task) {
  const Bytes der = raw_signature(task);
  if (!der) return der;
  const unsigned char* at = bytes_of(*der);
  const Owned<ECDSA_SIG> signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der->size())));
  const std::size_t size = curve_bytes(task.key->family());
  std::string numbers(2 * size, '\0');
  if (!signature || BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), space_of(numbers), static_cast<int>(size)) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), space_of(numbers) + size, static_cast<int>(size)) < 0) {
    return failed();
  }
  return numbers;
}

bool is_ecdsa_signed(const CryptoTask& task) {
  const std::size_t size = curve_bytes(task.key->family());
  if (task.first.size() != 2 * size) return false;
  const Owned<ECDSA_SIG> signature(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(bytes_of(task.first), static_cast<int>(size), nullptr);
  BIGNUM* s = BN_bin2bn(bytes_of(task.first) + size, static_cast<int>(size), nullptr);
  if (ECDSA_SIG_set0(signature.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return false;
  }
  unsigned char* der = nullptr;
  const int der_size = i2d_ECDSA_SIG(signature.get(), &der);
  if (der_size <= 0) return false;
  const std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(der_size));
  OPENSSL_free(der);
  return is_signed_by(task, text);
}

// --- Others

Bytes oaep(const CryptoTask& task, bool encrypts) {
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, task.key->pkey(), nullptr));
  const EVP_MD* hash = digest_of(task.hash);
  if (!context || (encrypts ? EVP_PKEY_encrypt_init(context.get()) : EVP_PKEY_decrypt_init(context.get())) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) != 1 ||
      EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), hash) != 1 ||
      EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), hash) != 1) {
    return failed();
  }
  if (!task.first.empty()) {
    void* label = OPENSSL_memdup(task.first.data(), task.first.size());
    if (EVP_PKEY_CTX_set0_rsa_oaep_label(context.get(), label, static_cast<int>(task.first.size())) != 1) {
      OPENSSL_free(label);
      return failed();
    }
  }
  const auto go = encrypts ? EVP_PKEY_encrypt : EVP_PKEY_decrypt;
  std::size_t size = 0;
  if (go(context.get(), nullptr, &size, bytes_of(task.data), task.data.size()) != 1) return failed();
  std::string out(size, '\0');
  if (go(context.get(), space_of(out), &size, bytes_of(task.data), task.data.size()) != 1) return failed();
  out.resize(size);
  return out;
}

// RFC 7748 6.1: a secret of zeros only, of a point of small order, is refused by OpenSSL.
Bytes agree(const CryptoTask& task) {
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, task.key->pkey(), nullptr));
  std::size_t size = 0;
  if (!context || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer(context.get(), task.other->pkey()) != 1 ||
      EVP_PKEY_derive(context.get(), nullptr, &size) != 1) {
    return failed();
  }
  std::string secret(size, '\0');
  if (EVP_PKEY_derive(context.get(), space_of(secret), &size) != 1) return failed();
  secret.resize(size);
  return secret;
}

Outcome<CryptoResult> result_of(Bytes bytes) {
  if (!bytes) return std::unexpected(bytes.error());
  return CryptoResult{.kind = CryptoResult::Kind::Bytes, .bytes = *std::move(bytes)};
}

Outcome<CryptoResult> result_of(std::optional<std::string> bytes, Fault fault) {
  if (!bytes) return std::unexpected(fault);
  return result_of(*std::move(bytes));
}

Outcome<CryptoResult> result_of(bool verdict) {
  return CryptoResult{.kind = CryptoResult::Kind::Verdict, .is_valid = verdict};
}

Outcome<CryptoResult> generated(Family family, const CryptoTask& task, const Stop& stop) {
  Outcome<CryptoKeyPair> pair = generate_pair(family, task.number, task.first, stop);
  if (!pair) return std::unexpected(pair.error());
  return CryptoResult{.kind = CryptoResult::Kind::Pair, .pair = *std::move(pair)};
}

}  // namespace

bool is_slow(const CryptoTask& task) {
  switch (task.operation) {
    case CryptoOperation::GenerateRsa:
      return true;
    case CryptoOperation::Pbkdf2: {
      const std::uint64_t hashes = (task.number + hash_bytes(task.hash) - 1) / hash_bytes(task.hash);
      return task.second_number * hashes > kSlowRounds;
    }
    case CryptoOperation::RsaSign:
    case CryptoOperation::PssSign:
    case CryptoOperation::OaepDecrypt:
      return task.key->bits() > kSlowRsaBits || task.data.size() > kSlowBytes;
    default:
      return task.data.size() > kSlowBytes;
  }
}

Outcome<CryptoResult> perform(const CryptoTask& task, const Stop& stop) {
  switch (task.operation) {
    case CryptoOperation::Digest:
      return result_of(digest(task.hash, task.data, stop), Fault::Stopped);
    case CryptoOperation::HmacSign:
      if (const Hmac* hmac = task.key->hmac()) return result_of(hmac->sign(task.data));
      break;
    case CryptoOperation::HmacVerify:
      if (const Hmac* hmac = task.key->hmac()) return result_of(hmac->verify(task.data, task.first));
      break;
    case CryptoOperation::AesGcmEncrypt:
    case CryptoOperation::AesGcmDecrypt:
      return result_of(aes_gcm(task.operation == CryptoOperation::AesGcmEncrypt, task.key->secret(), task.first,
                               task.second, static_cast<unsigned>(task.number), task.data, stop));
    case CryptoOperation::AesCbcEncrypt:
    case CryptoOperation::AesCbcDecrypt:
      return result_of(
          aes_cbc(task.operation == CryptoOperation::AesCbcEncrypt, task.key->secret(), task.first, task.data, stop));
    case CryptoOperation::AesCtr:
      return result_of(aes_ctr(task.key->secret(), task.first, static_cast<unsigned>(task.number), task.data, stop));
    case CryptoOperation::AesKwWrap:
    case CryptoOperation::AesKwUnwrap:
      return result_of(aes_kw(task.operation == CryptoOperation::AesKwWrap, task.key->secret(), task.data));
    case CryptoOperation::Hkdf:
      return result_of(hkdf(task.hash, task.key->secret(), task.first, task.second, task.number), Fault::Operation);
    case CryptoOperation::Pbkdf2:
      return result_of(pbkdf2(task.hash, task.key->secret(), task.first, task.second_number, task.number, stop),
                       Fault::Stopped);
    case CryptoOperation::RsaSign:
    case CryptoOperation::PssSign:
    case CryptoOperation::Ed25519Sign:
      return result_of(raw_signature(task));
    case CryptoOperation::RsaVerify:
    case CryptoOperation::PssVerify:
    case CryptoOperation::Ed25519Verify:
      return result_of(is_signed_by(task, task.first));
    case CryptoOperation::OaepEncrypt:
    case CryptoOperation::OaepDecrypt:
      return result_of(oaep(task, task.operation == CryptoOperation::OaepEncrypt));
    case CryptoOperation::EcdsaSign:
      return result_of(ecdsa_signature(task));
    case CryptoOperation::EcdsaVerify:
      return result_of(is_ecdsa_signed(task));
    case CryptoOperation::Agree:
      return result_of(agree(task));
    case CryptoOperation::GenerateRsa:
      return generated(Family::Rsa, task, stop);
    case CryptoOperation::GenerateP256:
      return generated(Family::P256, task, stop);
    case CryptoOperation::GenerateP384:
      return generated(Family::P384, task, stop);
    case CryptoOperation::GenerateP521:
      return generated(Family::P521, task, stop);
    case CryptoOperation::GenerateEd25519:
      return generated(Family::Ed25519, task, stop);
    case CryptoOperation::GenerateX25519:
      return generated(Family::X25519, task, stop);
    case CryptoOperation::GenerateSecret:
      return result_of(random_secret(task.number));
    case CryptoOperation::Count:
      break;
  }
  return std::unexpected(Fault::NotSupported);
}

void prepare_crypto() {
  OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, nullptr);
  prepare_ciphers();
  // One signature fetches key management, the curve's tables and the signing.
  const Outcome<CryptoKeyPair> pair = generate_pair(Family::P256, 0, {}, [] { return false; });
  if (!pair) return;
  CryptoTask task{.operation = CryptoOperation::EcdsaSign, .key = pair->private_key, .data = "a"};
  perform(task, [] { return false; });
}

}  // namespace verge::workers
