#include "node/traced_fetch.h"

#include <algorithm>
#include <string>

#include "isolates/tcp_outbound.h"
#include "traces/http_attributes.h"

namespace verge::node {

TracedFetch::TracedFetch(const traces::Scope& within, const calls::Request& request, std::string_view host,
                         isolates::SubrequestObserver& observer)
    : observer_(observer),
      span_(within, within.context.span, traces::SpanKind::kClient,
            isolates::TcpOutbound::is_for(request) ? "connect" : "fetch") {
  const auto set_server = [this](std::string_view authority, std::string_view scheme) {
    traces::ServerName name = traces::server_name(authority, scheme);
    span_.set("server.address", std::move(name.address));
    if (name.port) span_.set("server.port", *name.port);
  };
  if (isolates::TcpOutbound::is_for(request)) {
    set_server(request.url, {});
    return;
  }
  std::vector<traces::Attribute> attributes;
  traces::add_method(attributes, request.method);
  for (traces::Attribute& each : attributes) span_.set(each.key, std::move(each.value));
  const std::string_view url = request.url;
  set_server(host, url.substr(0, url.find(':')));
  // Without the query, which may be a secret.
  span_.set("url.full", traces::full_url(url));
}

void TracedFetch::on_answer(const calls::Head& head, bool ends) {
  constexpr uint32_t kErrors = 400;  // for who asks, those of the client are some, too
  span_.set("http.response.status_code", static_cast<int64_t>(head.status));
  if (head.status >= kErrors) span_.set("error.type", traces::error_type(head.status));
  span_.end(head.status >= kErrors ? "answered " + std::to_string(head.status) : std::string());
  observer_.on_answer(head, ends);
}

void TracedFetch::on_settled(bool found) {
  span_.end();
  observer_.on_settled(found);
}

void TracedFetch::on_failed(const Error& error) {
  span_.set("error.type", std::string(error.code));
  span_.end(error.what);
  observer_.on_failed(error);
}

}  // namespace verge::node
