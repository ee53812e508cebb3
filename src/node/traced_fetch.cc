#include "node/traced_fetch.h"

#include <algorithm>
#include <string>

#include "isolates/tcp_outbound.h"
#include "isolates/url.h"

namespace verge::node {

TracedFetch::TracedFetch(const traces::Scope& within, const calls::Request& request, std::string_view host,
                         isolates::SubrequestObserver& observer)
    : observer_(observer),
      span_(within, within.context.span, traces::SpanKind::kClient,
            isolates::TcpOutbound::is_for(request) ? "connect" : "fetch") {
  if (isolates::TcpOutbound::is_for(request)) {
    span_.set("server.address", std::string(request.url));
    return;
  }
  span_.set("http.request.method", std::string(request.method));
  span_.set("server.address", std::string(host));
  // Without the query, which may be a secret.
  if (const Result<isolates::Url> url = isolates::parse_url(request.url)) {
    span_.set("url.path", std::string(url->target.substr(0, url->target.find('?'))));
  }
}

void TracedFetch::on_answer(const calls::Head& head, bool ends) {
  span_.set("http.response.status_code", static_cast<int64_t>(head.status));
  span_.end();
  observer_.on_answer(head, ends);
}

void TracedFetch::on_settled(bool found) {
  span_.end();
  observer_.on_settled(found);
}

void TracedFetch::on_failed(const Error& error) {
  span_.end(error.what);
  observer_.on_failed(error);
}

}  // namespace verge::node
