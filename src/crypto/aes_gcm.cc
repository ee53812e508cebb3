#include "crypto/aes_gcm.h"

#include <limits>

#include <openssl/evp.h>

#include "base/assert.h"

namespace verge::crypto {
namespace {

unsigned char* raw(char* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* raw(const char* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }

int length_of(size_t size) {
  VERGE_ASSERT(size <= static_cast<size_t>(std::numeric_limits<int>::max()));
  return static_cast<int>(size);
}

}  // namespace

void Aes256Gcm::Free::operator()(evp_cipher_ctx_st* context) const { EVP_CIPHER_CTX_free(context); }

Result<Aes256Gcm> Aes256Gcm::create(const Key& key, Use use) {
  Context context(EVP_CIPHER_CTX_new());
  const int seals = use == Use::kSeal ? 1 : 0;
  if (!context ||
      EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, raw(key.bytes().data()), nullptr, seals) != 1) {
    return fail("crypto.unavailable", "this system's OpenSSL offers no AES-256-GCM",
                "check its configuration (openssl.cnf, OPENSSL_CONF): the default provider must be active");
  }
  return Aes256Gcm(std::move(context));
}

bool Aes256Gcm::process(std::string_view nonce, std::string_view associated, std::span<char> text) {
  VERGE_ASSERT(nonce.size() == kNonceBytes);
  EVP_CIPHER_CTX* const context = context_.get();
  int written = 0;
  if (EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, raw(nonce.data()), -1) != 1) return false;
  const bool has_associated = associated.empty() || EVP_CipherUpdate(context, nullptr, &written, raw(associated.data()),
                                                                     length_of(associated.size())) == 1;
  if (!has_associated) return false;
  return text.empty() ||
         EVP_CipherUpdate(context, raw(text.data()), &written, raw(text.data()), length_of(text.size())) == 1;
}

bool Aes256Gcm::seal(std::string_view nonce, std::string_view associated, std::span<char> text,
                     std::span<char, kTagBytes> tag) {
  EVP_CIPHER_CTX* const context = context_.get();
  VERGE_ASSERT(EVP_CIPHER_CTX_is_encrypting(context) == 1);
  unsigned char nothing[kTagBytes];
  int written = 0;
  return process(nonce, associated, text) && EVP_CipherFinal_ex(context, nothing, &written) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag.data()) == 1;
}

bool Aes256Gcm::open(std::string_view nonce, std::string_view associated, std::span<char> text, std::string_view tag) {
  VERGE_ASSERT(tag.size() == kTagBytes);
  EVP_CIPHER_CTX* const context = context_.get();
  VERGE_ASSERT(EVP_CIPHER_CTX_is_encrypting(context) == 0);
  unsigned char nothing[kTagBytes];
  int written = 0;
  return process(nonce, associated, text) &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, const_cast<char*>(tag.data())) == 1 &&
         EVP_CipherFinal_ex(context, nothing, &written) == 1;
}

}  // namespace verge::crypto
