// BearerTokens: which tokens are accepted (RFC 6750). Comparison takes the same time whatever is compared: digests of
// equal length are, to the end, each of them.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_message.h"

namespace verge::net {

// The token of `Authorization: Bearer TOKEN`, if that is what there is.
std::optional<std::string_view> bearer_token(std::span<const HttpField> fields);

class BearerTokens {
 public:
  explicit BearerTokens(std::span<const std::string> tokens);
  [[nodiscard]] bool accept(std::string_view token) const;
  // No token is demanded.
  [[nodiscard]] bool empty() const { return digests_.empty(); }
  bool operator==(const BearerTokens&) const = default;

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest digest_of(std::string_view token);

  std::vector<Digest> digests_;  // SHA-256
};

}  // namespace verge::net
