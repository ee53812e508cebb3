// HKDF-SHA256 (RFC 5869): many keys out of one secret, none of which tells anything about another or the secret.
#pragma once

#include <span>
#include <string_view>

#include "base/error.h"

namespace verge::crypto {

// Fills `out`, of at most 8,160 bytes (255 hashes). `salt` may be empty and need not be secret; `info` says what the
// output is for. Error: crypto.unavailable, when the system's OpenSSL is configured without HKDF or SHA-256.
Result<void> hkdf_sha256(std::string_view secret, std::string_view salt, std::string_view info, std::span<char> out);

}  // namespace verge::crypto
