// The PROXY protocol, versions 1 and 2 (HAProxy, proxy-protocol.txt): what a proxy says before the first byte of a
// connection that it passes on, of who is at the other end.
//
// Whether a connection begins so is agreed on, never guessed: who may send it could say anything.
#pragma once

#include <optional>
#include <string_view>

#include "net/address.h"

namespace verge::net {

struct ProxyHeader {
  // Of version 1 (107) and of version 2 with what else proxies tell (TLVs), which is passed over.
  static constexpr size_t kBytesMax = 2048;

  enum class Progress : uint8_t { kNeedMore, kDone, kRefused };
  Progress progress = Progress::kNeedMore;
  size_t bytes = 0;               // with kDone: what it took
  std::optional<Address> client;  // none: the proxy speaks for itself (LOCAL), or does not know (UNKNOWN, AF_UNIX)

  // `bytes`: from the first of the connection on.
  static ProxyHeader parse(std::string_view bytes);
};

}  // namespace verge::net
