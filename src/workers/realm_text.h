// Bytes and text without V8: what the platform's encodings need at memory speed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace verge::workers {

bool is_ascii(std::string_view bytes);
// Encoding Standard, "UTF-8 decode": what a fatal decoder accepts.
bool is_utf8(std::string_view bytes);
std::string base64_encode(std::string_view bytes);
// Infra Standard, "forgiving-base64 decode". False: not base64.
bool base64_decode(std::string_view text, std::string& out);

// RFC 4648 5, without padding. Nothing: it is not that.
std::string base64url_encode(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace verge::workers
