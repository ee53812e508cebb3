#include "net/bearer_tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/assert.h"

namespace verge::net {

std::optional<std::string_view> bearer_token(std::span<const HttpField> fields) {
  constexpr std::string_view kScheme = "bearer ";
  const std::optional<std::string_view> field = find_field(fields, "authorization");
  if (!field || field->size() <= kScheme.size()) return std::nullopt;
  if (!equals_ignoring_case(field->substr(0, kScheme.size()), kScheme)) return std::nullopt;
  std::string_view token = field->substr(kScheme.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  return token;
}

BearerTokens::BearerTokens(std::span<const std::string> tokens) {
  for (const std::string& token : tokens) digests_.push_back(digest_of(token));
}

bool BearerTokens::accept(std::string_view token) const {
  const Digest digest = digest_of(token);
  bool found = false;
  for (const Digest& each : digests_) {
    const bool same = CRYPTO_memcmp(each.data(), digest.data(), digest.size()) == 0;
    found = found || same;
  }
  return found;
}

BearerTokens::Digest BearerTokens::digest_of(std::string_view token) {
  Digest digest;
  unsigned size = 0;
  VERGE_ASSERT(EVP_Digest(token.data(), token.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1 &&
               size == digest.size());
  return digest;
}

}  // namespace verge::net
