// TcpRecords: what a worker's side of a TCP connection reads and writes as the bodies of a subrequest:
//
//   u8 type, u32 length (little-endian), payload
//
// type 0: bytes of the connection. 1, without payload: no more of them in this direction. 2: of the worker's, that TLS
// is to begin (payload: the server's name, or empty: the host's); of the node's, without payload, that it has.
//
// Bytes are handed on as they come, in whatever pieces; nothing but the payload of type 2 is gathered.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace verge::isolates {

enum class TcpRecord : uint8_t { kBytes, kEnd, kTls };

class TcpRecords {
 public:
  static constexpr size_t kNameBytesMax = 253;

  using Take = std::function<void(TcpRecord type, std::string_view payload)>;
  // False: these are no such records, and there is no way to go on.
  [[nodiscard]] bool read(std::string_view bytes, const Take& take);

  static void append(std::string& out, TcpRecord type, std::string_view payload = {});

 private:
  std::string head_;     // as far as it has come
  std::string payload_;  // likewise, of kTls
  uint32_t left_ = 0;    // of the payload
  bool ended_ = false;
};

}  // namespace verge::isolates
