#include "isolates/tcp_outbound.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>

#include "base/text.h"
#include "isolates/connect_rule.h"
#include "isolates/tcp_records.h"
#include "net/connecting.h"

namespace verge::isolates {
namespace {

constexpr size_t kContextsMax = 64;
constexpr size_t kReadBytes = 64U << 10;

std::string_view field_of(const calls::Request& request, std::string_view name) {
  const auto found = std::ranges::find(request.fields, name, &calls::Field::name);
  return found == request.fields.end() ? std::string_view() : found->value;
}

}  // namespace

bool TcpOutbound::is_for(const calls::Request& request) {
  return request.target == calls::RequestTarget::kFetch && request.method == "CONNECT";
}

class TcpOutbound::Connection final : public Subrequest, private runtime::Watcher, private runtime::TurnEnd {
 public:
  Connection(TcpOutbound& home, const Worker& worker, SubrequestObserver& observer)
      : home_(home), loop_(home.loop_), worker_(&worker), observer_(observer), later_(loop_), idle_(loop_) {
    ++home_.open_[worker_];
  }
  ~Connection() override {
    if (--home_.open_[worker_] == 0) home_.open_.erase(worker_);
    let_go();
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Result<void> begin(const calls::Request& request, bool ends) {
    if (home_.open_[worker_] > home_.options_.connections_max) {
      return fail("workers.busy",
                  fmt::format("worker {} has {} TCP connections on one event loop", worker_->name(),
                              home_.options_.connections_max),
                  "close those that are not needed");
    }
    Result<HostAndPort> wanted = parse_host_and_port(request.url);
    if (!wanted) return std::unexpected(wanted.error());
    wanted_ = *std::move(wanted);
    const Result<const ConnectRule*> rule = rule_for(worker_->code().connect, wanted_, worker_->name());
    if (!rule) return std::unexpected(rule.error());
    rule_ = **rule;
    const std::string_view secure = field_of(request, "secure");
    is_secure_ = secure == "on";
    may_start_tls_ = secure == "starttls";
    take(request.body);
    closes_ = ends;
    home_.resolver_.resolve(wanted_.text(), AF_UNSPEC, loop_,
                            [this, alive = std::weak_ptr(alive_)](const Result<net::Address>& address) {
                              if (!alive.expired()) connect(address);
                            });
    return {};
  }

  void fail_later(Error error) {
    if (std::exchange(is_over_, true)) return;
    let_go();
    later_.after(Duration(0), [this, error = std::move(error)] { observer_.on_failed(error); });
  }

  // --- Subrequest

  void write_body(std::string_view piece) override {
    if (is_over_) return;
    take(piece);
    if (socket_) loop_.at_turn_end(*this);
  }
  void finish_body() override {
    closes_ = true;
    if (socket_) loop_.at_turn_end(*this);
  }
  void pause() override {
    is_paused_ = true;
    update_interest();
  }
  void resume() override {
    is_paused_ = false;
    update_interest();
    // What TLS has already, readiness does not announce.
    if (socket_) loop_.at_turn_end(*this);
  }

 private:
  // --- Before it stands

  void connect(const Result<net::Address>& address) {
    if (is_over_) return;
    if (!address) return fail_with(address.error());
    if (const Result<void> may = may_connect(rule_, wanted_, *address); !may) return fail_with(may.error());
    std::shared_ptr<const net::TlsContext> tls;
    if (is_secure_) {
      const auto context = home_.context_for(wanted_.host);
      if (!context) return fail_with(context.error());
      tls = *context;
    }
    connecting_ =
        std::make_unique<net::Connecting>(loop_, *address, wanted_.host, std::move(tls), home_.options_.connect_max,
                                          [this](Result<net::Socket> socket) { open(std::move(socket)); });
  }

  void open(Result<net::Socket> socket) {
    if (!socket) return fail_with(socket.error());
    connecting_.reset();
    begin_watching(*std::move(socket));
    const std::string remote = socket_.peer().text();
    const std::string local = net::Address::local_of(socket_.descriptor()).text();
    calls::Head head{.status = 200};
    head.fields = {{"remote-address", remote}, {"local-address", local}};
    observer_.on_answer(head, false);
  }

  void begin_watching(net::Socket socket) {
    socket_ = std::move(socket);
    socket_.send_at_once();
    interest_ = is_paused_ ? 0U : EPOLLIN;
    is_watched_ = true;
    loop_.watch(socket_.descriptor(), interest_, *this);
    loop_.at_turn_end(*this);
    touch();
  }

  // --- What the worker writes

  void take(std::string_view bytes) {
    const bool good = records_.read(bytes, [this](TcpRecord type, std::string_view payload) {
      if (type == TcpRecord::kBytes) output_.append(payload);
      if (type == TcpRecord::kEnd) ends_ = true;
      if (type == TcpRecord::kTls) tls_name_ = payload.empty() ? wanted_.host : lower(payload);
      // What comes behind it is to go by TLS: the worker waits for that.
    });
    was_written_ = true;
    if (!good) fail_later({"workers.connect", "what the worker wrote are no records of a connection", "report it"});
  }

  void on_turn_end() override {
    if (is_over_ || handshake_) return;
    if (net::TlsSession* tls = socket_.tls(); tls != nullptr && !is_paused_) {
      std::string& early = tls->early_input();
      if (!early.empty()) {
        early.copy(loop_.read_buffer().data() + net::TlsSession::kRoomAhead, early.size());
        if (!decrypt(std::exchange(early, {}).size())) return;
      } else if (!take_tls_end()) {
        return;
      }
    }
    flush();
  }

  void flush() {
    const int problem = send();
    if (problem == EAGAIN) {
      is_blocked_ = true;
      return update_interest();
    }
    if (problem != 0) return broken(std::strerror(problem));
    is_blocked_ = false;
    update_interest();
    if (std::exchange(was_written_, false)) observer_.on_drained();
    if (tls_name_) return start_tls();
    if (closes_) return finish();
    if (!ends_ || sent_end_) return;
    sent_end_ = true;
    ::shutdown(socket_.descriptor(), SHUT_WR);
    if (got_end_) finish();
  }

  // 0: all is sent; else the errno.
  int send() {
    net::TlsSession* tls = socket_.tls();
    while (true) {
      if (tls != nullptr) {
        const size_t size = std::min(output_.size(), net::TlsSession::kSendBytesMax);
        if (tls->output().empty() && size > 0) {
          tls->send(std::string_view(output_).substr(0, size));
          output_.erase(0, size);
        }
        if (output_.empty() && ends_) tls->close();
      }
      std::string& wire = tls != nullptr ? tls->output() : output_;
      if (wire.empty()) return 0;
      const ssize_t sent = ::send(socket_.descriptor(), wire.data(), wire.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return errno;
      wire.erase(0, static_cast<size_t>(sent));
      touch();
    }
  }

  void start_tls() {
    const std::string name = std::exchange(tls_name_, std::nullopt).value_or("");
    if (!may_start_tls_ || socket_.tls() != nullptr) {
      return fail_with({"workers.connect", "TLS begins where secureTransport is starttls, once", ""});
    }
    const auto context = home_.context_for(name);
    if (!context) return fail_with(context.error());
    stop_watching();
    socket_.speak((*context)->make_session());
    handshake_ =
        std::make_unique<net::TlsHandshake>(loop_, std::move(socket_), home_.options_.connect_max,
                                            [this](Result<net::Socket> agreed) { take_tls(std::move(agreed)); });
    handshake_->start();
  }

  void take_tls(Result<net::Socket> agreed) {
    if (!agreed) return fail_with(agreed.error());
    handshake_.reset();
    begin_watching(*std::move(agreed));
    std::string record;
    TcpRecords::append(record, TcpRecord::kTls);
    observer_.on_body(record, false);
  }

  // --- What the other side sends

  void on_ready(uint32_t events) override {
    if ((events & EPOLLOUT) != 0) {
      const auto alive = std::weak_ptr(alive_);
      flush();
      if (alive.expired() || is_over_ || !socket_) return;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    if (!got_end_ && !is_paused_) return read();
    // It is told whether it was asked for or not: the connection broke, or it has ended both ways and not all was read.
    const int problem = socket_.take_error();
    if (problem != 0 || got_end_) return broken(problem != 0 ? std::strerror(problem) : "the other side is gone");
    stop_watching();
  }

  void read() {
    std::vector<char>& buffer = loop_.read_buffer();
    const size_t ahead = socket_.tls() == nullptr ? 0 : net::TlsSession::kRoomAhead;
    const size_t room = std::min(buffer.size() - ahead, kReadBytes);
    const ssize_t got = ::recv(socket_.descriptor(), buffer.data() + ahead, room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0) return broken(std::strerror(errno));
    touch();
    if (got == 0) {
      if (socket_.tls() != nullptr) return broken("the other side ended without ending TLS (close_notify)");
      return take_end();
    }
    if (ahead != 0) {
      if (decrypt(static_cast<size_t>(got))) loop_.at_turn_end(*this);  // for an answer of TLS itself
    } else {
      hand_on({buffer.data(), static_cast<size_t>(got)});
    }
  }

  // Of what stands in the loop's buffer. False: it has ended, and may be gone.
  bool decrypt(size_t bytes) {
    char* room = loop_.read_buffer().data();
    const size_t made = socket_.tls()->receive(room, bytes);
    if (made > 0) hand_on({room, made});
    return take_tls_end();
  }
  // Likewise.
  bool take_tls_end() {
    if (got_end_) return true;
    const net::TlsSession::State state = socket_.tls()->state();
    if (state == net::TlsSession::State::kFailed) {
      broken("TLS: " + socket_.tls()->failure().what);
      return false;
    }
    if (state != net::TlsSession::State::kEnded) return true;
    const auto alive = std::weak_ptr(alive_);
    take_end();
    return !alive.expired();
  }

  void hand_on(std::string_view bytes) {
    record_.clear();
    TcpRecords::append(record_, TcpRecord::kBytes, bytes);
    observer_.on_body(record_, false);
  }

  void take_end() {
    got_end_ = true;
    update_interest();
    if (sent_end_) return finish();
    record_.clear();
    TcpRecords::append(record_, TcpRecord::kEnd);
    observer_.on_body(record_, false);
  }

  // --- The end

  void touch() {
    if (is_over_) return;
    idle_.after(home_.options_.idle_max, [this] {
      fail_with({"workers.connect", fmt::format("nothing went to or from {} for too long", wanted_.text()),
                 "close what is not needed, or send something now and then"});
    });
  }

  void finish() {
    is_over_ = true;
    if (net::TlsSession* tls = socket_.tls(); tls != nullptr && !sent_end_) {
      tls->close();
      send();
    }
    let_go();
    observer_.on_body({}, true);  // it goes
  }

  void broken(std::string_view reason) {
    fail_with({"workers.connect", fmt::format("the connection to {} broke: {}", wanted_.text(), reason), ""});
  }
  void fail_with(const Error& error) {
    is_over_ = true;
    let_go();
    observer_.on_failed(error);  // it goes
  }

  void let_go() {
    idle_.cancel();
    loop_.forget_turn_end(*this);
    stop_watching();
    const net::Socket closed = std::exchange(socket_, net::Socket());
  }

  void stop_watching() {
    if (!socket_ || !std::exchange(is_watched_, false)) return;
    loop_.unwatch(socket_.descriptor(), *this);
  }

  void update_interest() {
    if (!socket_) return;
    if (!is_watched_) {
      if (is_paused_) return;
      is_watched_ = true;
      loop_.watch(socket_.descriptor(), interest_ = EPOLLIN, *this);
    }
    const uint32_t wanted = (is_paused_ || got_end_ ? 0U : EPOLLIN) | (is_blocked_ ? EPOLLOUT : 0U);
    if (wanted == interest_) return;
    interest_ = wanted;
    loop_.rewatch(socket_.descriptor(), interest_, *this);
  }

  TcpOutbound& home_;
  runtime::Loop& loop_;
  const Worker* const worker_;  // there while begin() runs; then it is counted by
  SubrequestObserver& observer_;
  HostAndPort wanted_;
  ConnectRule rule_;
  bool is_secure_ = false;
  bool may_start_tls_ = false;
  TcpRecords records_;
  std::string output_;                   // of the worker's, not sent; within the window of the request's body
  std::optional<std::string> tls_name_;  // TLS is to begin, when output_ is sent
  std::string record_;                   // scratch
  std::unique_ptr<net::Connecting> connecting_;
  std::unique_ptr<net::TlsHandshake> handshake_;  // which has the socket meanwhile
  net::Socket socket_;
  uint32_t interest_ = 0;
  bool is_watched_ = false;
  bool was_written_ = false;  // something, of which the observer does not know yet that it was sent
  bool ends_ = false;         // the worker writes no more
  bool closes_ = false;       // and wants no more
  bool sent_end_ = false;
  bool got_end_ = false;
  bool is_paused_ = false;
  bool is_blocked_ = false;  // the kernel's buffer is full
  bool is_over_ = false;
  runtime::Timer later_;
  runtime::Timer idle_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // shared: asked by what is called later
};

TcpOutbound::TcpOutbound(runtime::Loop& loop, net::Resolver& resolver, const Options& options)
    : loop_(loop), resolver_(resolver), options_(options) {}

std::unique_ptr<Subrequest> TcpOutbound::begin(const Worker& worker, const calls::Request& request, bool ends,
                                               SubrequestObserver& observer) {
  auto connection = std::make_unique<Connection>(*this, worker, observer);
  if (Result<void> begun = connection->begin(request, ends); !begun) connection->fail_later(std::move(begun.error()));
  return connection;
}

Result<std::shared_ptr<const net::TlsContext>> TcpOutbound::context_for(const std::string& name) {
  const auto found = contexts_.find(name);
  if (found != contexts_.end()) return found->second;
  auto made = net::TlsContext::client({.server_name = name, .ca = {}, .identity = {}, .protocols = {}});
  if (!made) return made;
  if (contexts_.size() >= kContextsMax) contexts_.clear();
  contexts_.emplace(name, *made);
  return made;
}

}  // namespace verge::isolates
