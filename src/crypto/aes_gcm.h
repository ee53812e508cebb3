// Aes256Gcm: AES-256 in Galois/Counter Mode (NIST SP 800-38D) under one key. Who has not the key can neither read what
// was sealed nor change it unnoticed.
//
// A nonce must never be used for two texts under one key: whoever sees both learns their difference and can forge. This
// class cannot know; its user must.
//
// Threading: one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/error.h"
#include "crypto/key.h"

struct evp_cipher_ctx_st;

namespace verge::crypto {

class Aes256Gcm {
 public:
  static constexpr size_t kNonceBytes = 12;
  static constexpr size_t kTagBytes = 16;

  enum class Use { kSeal, kOpen };  // what it is for; the other is an error

  // Error: crypto.unavailable, when the system's OpenSSL is configured without it.
  static Result<Aes256Gcm> create(const Key& key, Use use);

  // Encrypts `text` in place and writes the tag, which vouches for it and for `associated`. False: not done, and what
  // `text` holds is of no use.
  [[nodiscard]] bool seal(std::string_view nonce, std::string_view associated, std::span<char> text,
                          std::span<char, kTagBytes> tag);
  // Decrypts `text` in place. False when tag, text, associated bytes, nonce and key do not belong together; what `text`
  // holds then must not be used.
  [[nodiscard]] bool open(std::string_view nonce, std::string_view associated, std::span<char> text,
                          std::string_view tag);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  using Context = std::unique_ptr<evp_cipher_ctx_st, Free>;

  explicit Aes256Gcm(Context context) : context_(std::move(context)) {}
  [[nodiscard]] bool process(std::string_view nonce, std::string_view associated, std::span<char> text);

  Context context_;  // has the key; each text gives it a nonce
};

}  // namespace verge::crypto
