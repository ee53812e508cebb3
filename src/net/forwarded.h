// Who a request is really from, where trusted proxies brought it: Forwarded (RFC 7239) or X-Forwarded-For.
//
// Each proxy adds the address of whoever it was asked by at the end; so the list is read from its end for as long as
// the addresses are those of trusted proxies, and the first other one is the client. What stands before it is the
// client's word and is not looked at. Which of the fields the proxies write must be said: the other is the client's.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "net/address.h"
#include "net/http_message.h"
#include "net/network.h"

namespace verge::net {

enum class ForwardedField : uint8_t { kNone, kXForwardedFor, kForwarded };

struct ForwardedClient {
  std::optional<Address> address;  // none: the field says nothing of use; port 0 where it has none
  std::optional<bool> is_secure;   // as the last proxy says (X-Forwarded-Proto, or proto=); none: it does not
};

// Of a request whose peer is trusted. An element that is no address ("unknown", "_hidden") ends the walk: the client is
// who stood behind it.
ForwardedClient forwarded_client(std::span<const HttpField> fields, ForwardedField from,
                                 std::span<const Network> trusted);

}  // namespace verge::net
