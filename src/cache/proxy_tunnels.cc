// WebSockets through a site: which origin, as what request, and what a client is told when there is none.
#include <utility>

#include "base/log.h"
#include "cache/proxy.h"

namespace verge::cache {

void Proxy::open_tunnel(const Asked& asked, const net::HttpRequest& request, net::HttpResponder responder) {
  counters_.passed.add();
  const std::shared_ptr<const Serving> serving = serving_;
  Origins& origins = *serving->origins[asked.site];
  const std::optional<size_t> chosen = origins.choose(0, loop_.now());
  std::string status;
  append_cache_status(status, name_, {.forwarded = "bypass"});
  if (!chosen) return respond_error(responder, 502, "the origin cannot be reached", status);
  std::string target = request.path.empty() ? "/" : std::string(request.path);
  if (request.target.find('?') != std::string_view::npos) target.append("?").append(request.query);
  const FetchRequest made = fetch_request(asked, target, request.peer, nullptr);
  const std::string_view authority =
      serving->set->sites[asked.site].sends_client_host ? std::string_view(made.authority) : origins.authority(*chosen);
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
