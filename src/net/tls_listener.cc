#include "net/tls_listener.h"

#include "base/log.h"

namespace verge::net {
namespace {

// Failed handshakes come by the thousand when somebody tries doors: the log has one line so often.
constexpr Duration kQuiet = std::chrono::seconds(10);

}  // namespace

TlsListener::TlsListener(runtime::Loop& loop, std::string name, Socket socket,
                         std::shared_ptr<const TlsContext> context, const TlsListenerLimits& limits, Accepted accepted)
    : loop_(loop),
      name_(std::move(name)),
      context_(std::move(context)),
      limits_(limits),
      accepted_(std::move(accepted)),
      failures_(kQuiet),
      listener_(std::make_unique<TcpListener>(
          loop, std::move(socket), [this](Socket connection) { begin(std::move(connection)); },
          limits.descriptors_max)) {}

TlsListener::~TlsListener() { loop_.forget_turn_end(*this); }

void TlsListener::stop() {
  listener_.reset();
  on_turn_end();
  pending_.clear();
}

void TlsListener::begin(Socket socket) {
  if (pending() >= limits_.pending_max) {
    const Address peer = pending_.front()->peer();
    pending_.pop_front();
    counters_.failed.add();
    note_failure(peer, {"net.tls-handshake", "others came while it was not done", {}});
  }
  socket.speak(context_->make_session());
  const bool proxied = !proxies_.empty() && any_contains(proxies_, Address::peer_of(socket.descriptor()));
  const auto place = pending_.emplace(pending_.end());
  *place = std::make_unique<TlsHandshake>(
      loop_, std::move(socket), limits_.handshake_timeout,
      [this, place](Result<Socket> result) { end(place, std::move(result)); }, proxied);
}

void TlsListener::end(Pending::iterator handshake, Result<Socket> result) {
  // It is in the middle of telling us.
  ended_.push_back(handshake);
  loop_.at_turn_end(*this);
  if (!result) {
    counters_.failed.add();
    return note_failure((*handshake)->peer(), result.error());
  }
  counters_.accepted.add();
  if (result->tls()->is_resumed()) counters_.resumed.add();
  accepted_(std::move(*result), (*handshake)->client());
}

void TlsListener::on_turn_end() {
  for (const Pending::iterator each : ended_) pending_.erase(each);
  ended_.clear();
}

void TlsListener::note_failure(const Address& peer, const Error& error) {
  log_debug(name_, "{}: no TLS: {}", peer.text(), error.line());
  const std::optional<uint64_t> others = failures_.due(loop_.now());
  if (!others) return;
  log_warning(name_, "{} could not agree on TLS: {}{}", peer.text(), error.line(),
              *others == 0 ? "" : fmt::format("; so could {} others since the last such line", *others));
}

}  // namespace verge::net
