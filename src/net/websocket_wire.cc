#include "net/websocket_wire.h"

#include <array>
#include <optional>

#include <openssl/evp.h>

#include "base/text.h"

namespace verge::net::websocket {
namespace {

constexpr size_t kKeyBytes = 16;

}  // namespace

bool may_be_sent(uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

std::string accept_of(std::string_view key) {
  std::string text(key);
  text.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  std::array<char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, EVP_sha1(), nullptr);
  return base64({digest.data(), size});
}

bool is_key(std::string_view key) {
  const std::optional<std::string> bytes = from_base64(key);
  return bytes && bytes->size() == kKeyBytes;
}

}  // namespace verge::net::websocket
