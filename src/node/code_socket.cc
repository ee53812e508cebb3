#include "node/code_socket.h"

#include <string>
#include <utility>
#include <vector>

#include "isolates/tcp_outbound.h"
#include "node/code_call.h"
#include "node/code_subrequest.h"
#include "node/loop_workers.h"

namespace verge::node {

void answer_upgrade(LoopWorkers& home, const std::shared_ptr<const PlacedWorker>& worker,
                    const cache::CodeRoute::Request& request, const net::HttpRequest& asked,
                    net::HttpResponder responder, std::function<void(net::HttpResponder)> pass_by) {
  const net::Address client = *request.client;
  const std::string url(request.url);
  const std::string client_text = client.ip_text();
  const std::string place = home.place_of(client);
  const std::vector<calls::Field> fields = call_fields(request.fields, url, host_of(url), client_text);
  cache::Nesting nesting = request.nesting;
  nesting.code = worker->id;
  nesting.code_position = worker->position;
  ++nesting.code_depth;
  home.http_calls().answer(
      worker->worker, asked, std::move(responder),
      {.call = {.method = request.method, .url = url, .fields = fields, .place = place, .body = {}},
       .subrequest = [&home, worker, client, nesting, own_host = std::string(host_of(url))](
                         const calls::Request& subrequest, bool ends,
                         isolates::SubrequestObserver& observer) -> std::unique_ptr<isolates::Subrequest> {
         if (subrequest.target != calls::RequestTarget::kFetch) return nullptr;
         const std::string_view host = host_of(subrequest.url);
         const bool is_elsewhere = host != own_host && !home.is_site(host);
         if (is_elsewhere || isolates::TcpOutbound::is_for(subrequest)) {
           return home.outbound().begin_elsewhere(*worker->worker, subrequest, ends, observer, {});
         }
         return begin_site_fetch(home.loop(), home.proxy(), subrequest, ends, client, nesting, observer);
       },
       .pass_by = std::move(pass_by),
       .falls_back =
           [&home, worker](const isolates::CallFailure& failure) {
             const bool falls_back = failure.passes_through || worker->falls_back;
             if (falls_back) home.count_fallback(*worker);
             return falls_back;
           }});
}

}  // namespace verge::node
