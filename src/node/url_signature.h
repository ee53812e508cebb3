// Signed URLs and cookies: what is signed, byte by byte, how it is written, and how requests are judged
// (docs/formats/signed-urls.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cache/signature_check.h"
#include "crypto/signing_key.h"
#include "node/config_site.h"

namespace verge::node {

// What a signature allows until `expires_s`: one path with its query, or all paths below a prefix.
struct SignedScope {
  std::string host;  // lower case, without a port
  bool is_prefix = false;
  std::string path;   // as it is asked for; of a prefix, plain
  std::string query;  // without the parameters of signatures; of a prefix, empty
  int64_t expires_s = 0;
};

// The bytes that are signed.
std::string canonical_form(const SignedScope& scope, std::string_view key_id);

// "verge-expires=…&verge-key=…&verge-signature=…", with verge-prefix for a prefix: behind a URL, or the value of the
// cookie. Errors: those of SigningKey::sign().
Result<std::string> signature_parameters(const SignedScope& scope, std::string_view key_id,
                                         const crypto::SigningKey& key);

class UrlSignatures final : public cache::SignatureCheck {
 public:
  explicit UrlSignatures(std::vector<std::pair<std::string, crypto::SigningKey>> keys) : keys_(std::move(keys)) {}
  [[nodiscard]] std::string_view refusal(std::string_view host, std::string_view path, std::string_view query,
                                         std::span<const net::HttpField> fields, int64_t now_s) const override;

 private:
  std::vector<std::pair<std::string, crypto::SigningKey>> keys_;
};

// The first line of the file, which only its owner and its group may read unless it is a public key. Error:
// config.secret, which never shows it.
Result<crypto::SigningKey> read_signing_key(const std::string& path);

}  // namespace verge::node
