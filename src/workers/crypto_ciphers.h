// AES as Web Cryptography has it. Keys are of 16, 24 or 32 bytes. Fault::Operation: what was given does not fit, or
// does not belong together; which of these, nobody is told. Fault::Stopped: `stop` said so; asked every 256 KiB.
#pragma once

#include <string>
#include <string_view>

#include "workers/crypto_keys.h"

namespace verge::workers {

// NIST SP 800-38D, with a nonce of any length from 1; the tag, of `tag_bits`, is the end of what is encrypted.
Outcome<std::string> aes_gcm(bool encrypts, std::string_view key, std::string_view nonce, std::string_view associated,
                             unsigned tag_bits, std::string_view text, const Stop& stop);
// SP 800-38A, with the padding of RFC 5652 6.3. `vector` has 16 bytes.
Outcome<std::string> aes_cbc(bool encrypts, std::string_view key, std::string_view vector, std::string_view text,
                             const Stop& stop);
// SP 800-38A: the last `counter_bits` (1 to 128) of the 16 bytes of `counter` count, and wrap around. Both directions.
Outcome<std::string> aes_ctr(std::string_view key, std::string_view counter, unsigned counter_bits,
                             std::string_view text, const Stop& stop);
// RFC 3394.
Outcome<std::string> aes_kw(bool wraps, std::string_view key, std::string_view text);

// Looks up, once, what OpenSSL would look up at first use: in a process that will have no files.
void prepare_ciphers();

}  // namespace verge::workers
