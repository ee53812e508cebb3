// Passwords as they may be stored: hashed with scrypt (RFC 7914), salted, in the text form that other tools use too:
// $scrypt$ln=14,r=8,p=1$SALT$HASH, both in base64 without padding. To check one takes about 30 ms of a core and 16 MiB:
// that is what it is for.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace verge::crypto {

// With a salt of its own. Error: crypto.unavailable.
Result<std::string> hash_password(std::string_view password);
// Whether `text` is such a hash, with costs that a node can bear: at most 64 MiB.
bool is_password_hash(std::string_view text);
// False also where `hash` is none.
bool verify_password(std::string_view hash, std::string_view password);

}  // namespace verge::crypto
