// ProxyReceptions: connections of trusted proxies, from their first byte to the end of their PROXY header
// (net/proxy_header.h). What follows the header is left with the socket, so that it may go to whoever serves it, on
// whichever loop, as if it had come without. (A stream that takes the header off, as for HTTP, was the alternative: an
// MQTT connection moves between loops, and WebSocket is spoken by the socket itself.)
//
// Bounds: `pending_max` wait for their header, each at most `time_max`; one more closes the one that has waited the
// longest. What does not begin so is closed without a word: nobody knows what to answer in.
//
// Threading: on one loop.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "base/metrics.h"
#include "net/socket.h"
#include "runtime/loop.h"

namespace verge::net {

struct ProxyReceptionLimits {
  Duration time_max = std::chrono::seconds(10);
  size_t pending_max = 1024;
};

class ProxyReceptions final : private runtime::TurnEnd {
 public:
  // It speaks for whom the header names, if anybody.
  using Accepted = std::function<void(Socket)>;

  explicit ProxyReceptions(runtime::Loop& loop, const ProxyReceptionLimits& limits = {});
  ~ProxyReceptions() override;

  void take(Socket socket, Accepted accepted);
  // All that wait are closed.
  void stop();

  [[nodiscard]] const Counter& refused() const { return refused_; }  // any thread
  [[nodiscard]] size_t pending() const;

 private:
  class Reception;
  using Receptions = std::list<std::unique_ptr<Reception>>;

  void end(Receptions::iterator reception, bool is_refused);
  void on_turn_end() override;

  runtime::Loop& loop_;
  const ProxyReceptionLimits limits_;
  Receptions receptions_;                    // oldest first
  std::vector<Receptions::iterator> ended_;  // destroyed at the end of the turn
  Counter refused_;
};

}  // namespace verge::net
