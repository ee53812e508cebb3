// A request that asks for a WebSocket, put to a worker of a node (decision 0066).
#pragma once

#include <functional>
#include <memory>

#include "cache/edge_code.h"
#include "net/http_exchange.h"

namespace verge::node {

class LoopWorkers;
struct PlacedWorker;

// As cache::CodeRoute::answer_upgrade(). `home` outlives what comes of it.
void answer_upgrade(LoopWorkers& home, const std::shared_ptr<const PlacedWorker>& worker,
                    const cache::CodeRoute::Request& request, const net::HttpRequest& asked,
                    net::HttpResponder responder, std::function<void(net::HttpResponder)> pass_by);

}  // namespace verge::node
