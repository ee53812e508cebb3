// Names and values as libnghttp2 takes and gives them. Only http2_*.cc include this.
#pragma once

#include <cstdint>
#include <string_view>

#include <nghttp2/nghttp2.h>

namespace verge::net {

// libnghttp2 copies both, the name in lower case, and changes neither.
inline nghttp2_nv pair(std::string_view name, std::string_view value) {
  return {.name = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          .value = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())),
          .namelen = name.size(),
          .valuelen = value.size(),
          .flags = NGHTTP2_NV_FLAG_NONE};
}

inline std::string_view text_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace verge::net
