#include "net/proxy_receptions.h"

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include <sys/socket.h>

#include "base/log.h"
#include "net/proxy_header.h"

namespace verge::net {

class ProxyReceptions::Reception final : private runtime::Watcher {
 public:
  Reception(ProxyReceptions& owner, Receptions::iterator place, Socket socket, Accepted accepted)
      : owner_(owner), place_(place), socket_(std::move(socket)), accepted_(std::move(accepted)), timer_(owner.loop_) {
    owner_.loop_.watch(socket_.descriptor(), EPOLLIN, *this);
    timer_.after(owner_.limits_.time_max, [this] { refuse("no PROXY header in time"); });
  }
  ~Reception() override {
    if (socket_) owner_.loop_.unwatch(socket_.descriptor(), *this);
  }

  [[nodiscard]] bool is_open() const { return static_cast<bool>(socket_); }

  void refuse(const char* why) {
    log_debug("net", "{} is a trusted proxy, and is closed: {}", Address::peer_of(socket_.descriptor()).text(), why);
    const Socket closed_after_it_is_counted = release();
    owner_.end(place_, /*is_refused=*/true);
  }

 private:
  Socket release() {
    timer_.cancel();
    owner_.loop_.unwatch(socket_.descriptor(), *this);
    return std::move(socket_);
  }

  // Looks at what is there, and takes no more of it than belongs to the header.
  void on_ready(uint32_t) override {
    std::array<char, ProxyHeader::kBytesMax> bytes{};
    const ssize_t got = ::recv(socket_.descriptor(), bytes.data(), bytes.size(), MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return refuse("it left");
    const size_t before = begun_.size();
    begun_.append(bytes.data(), static_cast<size_t>(got));
    const ProxyHeader header = ProxyHeader::parse(begun_);
    if (header.progress == ProxyHeader::Progress::kRefused) return refuse("no PROXY header");
    const bool is_done = header.progress == ProxyHeader::Progress::kDone;
    const size_t taken = is_done ? header.bytes - before : static_cast<size_t>(got);
    if (::recv(socket_.descriptor(), bytes.data(), taken, 0) != static_cast<ssize_t>(taken)) return refuse("it left");
    if (!is_done) return;
    Socket socket = release();
    if (header.client) socket.speak_for(*header.client);
    const Accepted accepted = std::exchange(accepted_, nullptr);
    owner_.end(place_, /*is_refused=*/false);
    accepted(std::move(socket));
  }

  ProxyReceptions& owner_;
  const Receptions::iterator place_;
  Socket socket_;
  Accepted accepted_;
  std::string begun_;  // of the header
  runtime::Timer timer_;
};

ProxyReceptions::ProxyReceptions(runtime::Loop& loop, const ProxyReceptionLimits& limits)
    : loop_(loop), limits_(limits) {}

ProxyReceptions::~ProxyReceptions() { loop_.forget_turn_end(*this); }

size_t ProxyReceptions::pending() const { return receptions_.size() - ended_.size(); }

void ProxyReceptions::take(Socket socket, Accepted accepted) {
  if (pending() >= limits_.pending_max) {
    for (const std::unique_ptr<Reception>& oldest : receptions_) {
      if (!oldest->is_open()) continue;
      oldest->refuse("others came while it said nothing");
      break;
    }
  }
  const auto place = receptions_.emplace(receptions_.end());
  *place = std::make_unique<Reception>(*this, place, std::move(socket), std::move(accepted));
}

void ProxyReceptions::stop() {
  on_turn_end();
  receptions_.clear();
}

void ProxyReceptions::end(Receptions::iterator reception, bool is_refused) {
  if (is_refused) refused_.add();
  ended_.push_back(reception);
  loop_.at_turn_end(*this);
}

void ProxyReceptions::on_turn_end() {
  for (const Receptions::iterator each : ended_) receptions_.erase(each);
  ended_.clear();
}

}  // namespace verge::net
