// HttpOutbound: subrequests of one loop's workers over the node's own HTTP client: kept-alive connections to each
// origin, bodies in pieces at the pace of the slower side. It has no cache: a match finds nothing, what is put is
// dropped.
//
// Requests for TCP connections are tcp_outbound.h's.
//
// Names are resolved on a thread of its own, and kept for a minute. Redirections are not followed: the worker does it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "isolates/address_policy.h"
#include "isolates/outbound.h"
#include "net/http_upstream.h"
#include "net/resolver.h"
#include "runtime/loop.h"

namespace verge::isolates {

class TcpOutbound;

class HttpOutbound final : public Outbound {
 public:
  static constexpr size_t kOriginsMax = 512;

  // All outlive it.
  HttpOutbound(runtime::Loop& loop, net::Resolver& resolver, AddressPolicy policy);
  ~HttpOutbound() override;

  std::unique_ptr<Subrequest> begin(const Worker& worker, const calls::Request& request, bool ends,
                                    SubrequestObserver& observer) override;

 private:
  class Fetch;
  struct Origin;
  Origin* origin(std::string_view scheme, std::string_view authority, MonotonicTime now);
  void resolve(Origin& origin);
  void make_room(MonotonicTime now);

  runtime::Loop& loop_;
  net::Resolver& resolver_;
  const AddressPolicy policy_;
  const std::unique_ptr<TcpOutbound> tcp_;
  std::unordered_map<std::string, std::unique_ptr<Origin>> origins_;  // by scheme://authority
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);        // answers of the resolver ask it
};

}  // namespace verge::isolates
