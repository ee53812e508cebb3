// What workers of a node ask for: sites of this node, through its cache; the cache itself; and everybody else.
#pragma once

#include <memory>

#include "cache/proxy.h"
#include "isolates/http_outbound.h"
#include "isolates/outbound.h"
#include "net/address.h"
#include "node/binding_calls.h"
#include "runtime/loop.h"

namespace verge::node {

class LoopWorkers;

// A request for a site, as a client would make it. Its body is gathered first, up to 8 MiB. What arrives is in no
// content coding of this node's.
std::unique_ptr<isolates::Subrequest> begin_site_fetch(runtime::Loop& loop, cache::Proxy& proxy,
                                                       const calls::Request& request, bool ends,
                                                       const net::Address& client, const cache::Nesting& nesting,
                                                       isolates::SubrequestObserver& observer);

class CodeOutbound final : public isolates::Outbound {
 public:
  // All outlive it. `node`: whose name is added to CDN-Loop (RFC 8586).
  CodeOutbound(LoopWorkers& home, net::Resolver& resolver, const Clock& clock, std::string node);

  [[nodiscard]] BindingCalls& bindings() { return bindings_; }

  bool answer_at_once(const isolates::Worker& worker, const calls::Request& request, calls::Head& answer) override {
    return bindings_.answer_at_once(worker, request, answer);
  }
  std::unique_ptr<isolates::Subrequest> begin(const isolates::Worker& worker, const calls::Request& request, bool ends,
                                              isolates::SubrequestObserver& observer) override;

  // From who is no site of this node. `loops`: CDN-Loop of the request that the worker answers, if it does.
  std::unique_ptr<isolates::Subrequest> begin_elsewhere(const isolates::Worker& worker, const calls::Request& request,
                                                        bool ends, isolates::SubrequestObserver& observer,
                                                        std::string_view loops);

 private:
  LoopWorkers& home_;
  const std::string node_;
  BindingCalls bindings_;
  isolates::HttpOutbound public_;
  isolates::HttpOutbound private_;  // of workers that may reach private addresses
};

}  // namespace verge::node
