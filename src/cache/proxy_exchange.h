// Proxy::Exchange. Only the proxy's own files include this.
#pragma once

#include <memory>
#include <string>

#include "cache/proxy.h"

namespace verge::cache {

// One request that is not answered at once.
struct Proxy::Exchange {
  ExchangeId id = 0;
  std::shared_ptr<const Serving> serving;
  size_t site = 0;
  const PathPolicy* policy = nullptr;  // of `serving`
  std::shared_ptr<ExchangeNote> note;  // null: not logged
  MonotonicTime received{};
  MonotonicTime asked_origin{};
  std::string method;
  std::string target;
  std::string url;
  OwnedFields fields;
  Payload body;
  net::Address peer;
  Nesting nesting;
  RequestTraits traits;
  CacheControl control;
  net::HttpResponder responder;
  Store::AnswerPointer former;  // may be served, stale, if the origin fails
  std::string_view why;         // it was forwarded
  unsigned disk_asks = 0;
  bool asked_disk_for_parts = false;
  bool may_be_stored = false;
  unsigned rounds = 0;  // of waiting for the fetches of others
  Fetch* fetch = nullptr;

  [[nodiscard]] Asked asked() const {
    return {.serving = serving.get(),
            .site = site,
            .policy = policy,
            .method = method,
            .url = url,
            .fields = fields.view(),
            .traits = traits,
            .control = control,
            .peer = &peer,
            .nesting = &nesting};
  }
};

}  // namespace verge::cache
