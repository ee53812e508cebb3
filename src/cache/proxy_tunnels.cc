// WebSockets through a site: which origin, as what request, and what a client is told when there is none.
#include <utility>

#include "base/log.h"
#include "cache/proxy.h"

namespace verge::cache {

void Proxy::open_tunnel(const Asked& asked, const net::HttpRequest& request, net::HttpResponder responder) {
  counters_.passed.add();
  std::string target = request.path.empty() ? "/" : std::string(request.path);
  if (request.target.find('?') != std::string_view::npos) target.append("?").append(request.query);
  FetchRequest made = fetch_request(asked, target, request.peer, nullptr);
  // What code asks for itself comes through no connection that could switch.
  const bool is_clients = asked.nesting->code == 0 && asked.nesting->depth == 0;
  std::shared_ptr<CodeRoute> route;
  if (is_clients) route = code_for(CodePosition::kBefore, request.host, request.path, *asked.nesting);
  if (is_clients && !route) route = code_for(CodePosition::kMiss, request.host, request.path, *asked.nesting);
  if (!route) return begin_tunnel(asked.site, made, std::move(responder));
  const std::string url = std::string(origin_of(made.url)).append(target);
  route->answer_upgrade({.method = request.method,
                         .url = url,
                         .fields = request.fields,
                         .body = {},
                         .client = &request.peer,
                         .nesting = *asked.nesting,
                         .may_fall_back = true},
                        request, std::move(responder),
                        [this, site = asked.site, made = std::move(made)](net::HttpResponder passed) {
                          begin_tunnel(site, made, std::move(passed));
                        });
}

void Proxy::begin_tunnel(size_t site, const FetchRequest& made, net::HttpResponder responder) {
  const std::shared_ptr<const Serving> serving = serving_;
  std::string status;
  append_cache_status(status, name_, {.forwarded = "bypass"});
  // Sites may have been replaced while code was asked.
  if (site >= serving->origins.size()) return respond_error(responder, 502, "the origin cannot be reached", status);
  Origins& origins = *serving->origins[site];
  const std::optional<size_t> chosen = origins.choose(0, loop_.now());
  if (!chosen) return respond_error(responder, 502, "the origin cannot be reached", status);
  const std::string_view authority =
      serving->set->sites[site].sends_client_host ? std::string_view(made.authority) : origins.authority(*chosen);
  const uint64_t id = next_id_++;
  auto tunnel = std::make_unique<Tunnel>(
      std::move(responder),
      Tunnel::Told{.answered = [serving, &origins, origin = *chosen](int) { origins.succeeded(origin); },
                   .failed = [this, id, serving, &origins, origin = *chosen,
                              url = made.url](const Error& error) { fail_tunnel(id, origins, origin, url, error); },
                   .ended =
                       [this, id] {
                         tunnels_.erase(id);
                         counters_.tunnels.set(tunnels_.size());
                       }});
  Tunnel& opened = *tunnels_.emplace(id, std::move(tunnel)).first->second;
  counters_.tunnels.set(tunnels_.size());
  const std::vector<net::HttpField> added = {{"Cache-Status", status}};
  opened.start(origins.upstream(*chosen),
               {.method = made.method,
                .target = made.target,
                .authority = authority,
                .fields = made.fields.view(),
                .framing = {},
                .upgrade = "websocket"},
               added);
}

void Proxy::fail_tunnel(uint64_t id, Origins& origins, size_t origin, std::string_view url, const Error& error) {
  if (error.code != "http.closed" && error.code != "http.bad-answer") origins.failed(origin, loop_.now());
  counters_.failures.add();
  log_debug("cache", "WebSocket {}: {}", url, error.line());
  std::string status;
  append_cache_status(status, name_, {.forwarded = "bypass", .detail = error.code});
  respond_error(tunnels_.at(id)->responder(), 502, "the origin cannot be reached", status);
}

}  // namespace verge::cache
