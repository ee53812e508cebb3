#include "isolates/http_outbound.h"

#include <fmt/format.h>

#include "isolates/socket_records.h"
#include "isolates/tcp_outbound.h"
#include "isolates/url.h"
#include "net/tls_context.h"

namespace verge::isolates {
namespace {

constexpr Duration kNamesKept = std::chrono::seconds(60);
constexpr Duration kFailuresKept = std::chrono::seconds(1);
// Of a request's body that its origin has not resolved for yet.
constexpr size_t kEarlyBytesMax = calls::kWindowBytes;

std::string_view host_of(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  std::string_view host = has_port ? authority.substr(0, colon) : authority;
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return host;
}

bool has_port(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  return colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
}

}  // namespace

// --- Origins

struct HttpOutbound::Origin {
  std::string authority;
  bool is_secure = false;
  std::unique_ptr<net::UpstreamPool> pool;  // null while its name is not known
  std::optional<net::Address> address;
  std::optional<Error> failure;
  bool resolving = false;
  MonotonicTime known_since{};
  MonotonicTime last_used{};
  std::vector<Fetch*> waiting;
  size_t fetches = 0;
};

// One subrequest.
class HttpOutbound::Fetch final : public Subrequest, private net::UpstreamObserver {
 public:
  Fetch(runtime::Loop& loop, SubrequestObserver& observer) : observer_(observer), later_(loop) {}
  ~Fetch() override {
    if (origin_ == nullptr) return;
    std::erase(origin_->waiting, this);
    --origin_->fetches;
  }

  void fail_later(Error error) {
    later_.after(Duration(0), [this, error = std::move(error)] { observer_.on_failed(error); });
  }
  void settle_later() {
    later_.after(Duration(0), [this] { observer_.on_settled(false); });
  }

  void ask(Origin& origin, const calls::Request& request, std::string_view target, bool ends) {
    origin_ = &origin;
    ++origin.fetches;
    method_ = request.method;
    target_ = target;
    // Host, framing and connection are the client's own; a worker may not speak for them.
    const auto its = std::ranges::find_if(
        request.fields, [](const calls::Field& field) { return net::equals_ignoring_case(field.name, "upgrade"); });
    const bool asks_socket = its != request.fields.end() && net::equals_ignoring_case(its->value, "websocket");
    if (asks_socket) socket_ = std::make_unique<SocketRecords>();
    for (const calls::Field& field : request.fields) {
      const bool is_handshake = net::equals_ignoring_case(field.name, "upgrade") ||
                                net::equals_ignoring_case(field.name, "connection") ||
                                net::equals_ignoring_case(field.name, "sec-websocket-key") ||
                                net::equals_ignoring_case(field.name, "sec-websocket-version") ||
                                net::equals_ignoring_case(field.name, "sec-websocket-extensions");
      const bool is_of_hop = net::equals_ignoring_case(field.name, "te") ||
                             net::equals_ignoring_case(field.name, "expect") ||
                             net::equals_ignoring_case(field.name, "proxy-connection");
      if (!is_of_hop && (!asks_socket || !is_handshake)) fields_.emplace_back(field.name, field.value);
    }
    if (socket_) {
      fields_.emplace_back("Sec-WebSocket-Key", socket_->key());
      fields_.emplace_back("Sec-WebSocket-Version", "13");
    }
    const bool has_body = !socket_ && (!ends || !request.body.empty());
    if (has_body) {
      framing_.kind = ends ? net::BodyFraming::Kind::kLength : net::BodyFraming::Kind::kChunked;
      framing_.length = request.body.size();
    }
    early_ = request.body;
    finished_ = ends;
    if (origin.pool) {
      later_.after(Duration(0), [this] { start(); });
    } else if (origin.failure) {
      fail_later(*origin.failure);
    } else {
      origin.waiting.push_back(this);
    }
  }

  void start() {
    if (call_ || !origin_->pool) return;
    std::vector<net::HttpField> fields;
    for (const auto& [name, value] : fields_) fields.push_back({name, value});
    const net::HttpRequestHead head{.method = method_,
                                    .target = target_,
                                    .authority = origin_->authority,
                                    .fields = fields,
                                    .framing = framing_,
                                    .upgrade = socket_ ? std::optional<std::string_view>("websocket") : std::nullopt};
    call_ = origin_->pool->begin(head, *this);
    if (socket_) return;  // its records are for the time after the answer
    if (!early_.empty()) call_->write_body(early_);
    if (finished_ && framing_.kind != net::BodyFraming::Kind::kNone) call_->finish_body({});
    early_.clear();
  }

  void write_body(std::string_view piece) override {
    if (socket_) {
      if (!switched_) return;
      wire_.clear();
      socket_->take(piece, wire_);
      if (!wire_.empty()) call_->write_body(wire_);
      end_if_over();
    } else if (call_) {
      call_->write_body(piece);
    } else if (early_.size() + piece.size() <= kEarlyBytesMax) {
      early_.append(piece);
    }
  }
  void finish_body() override {
    finished_ = true;
    if (call_ && !socket_) call_->finish_body({});
  }
  void pause() override {
    if (call_) call_->pause();
  }
  void resume() override {
    if (call_) call_->resume();
  }

 private:
  void on_head(const net::ResponseHead& head, const net::BodyFraming& framing) override {
    calls::Head its{.status = static_cast<uint32_t>(head.status), .reason = head.reason};
    if (head.status == 101) {
      if (!socket_ || !socket_->is_accepted_by(net::find_field(head.fields, "sec-websocket-accept").value_or(""))) {
        return later_failure("the server switched to what is no WebSocket");
      }
      switched_ = true;
    }
    for (const net::HttpField& field : head.fields) {
      if (!net::equals_ignoring_case(field.name, "connection") &&
          !net::equals_ignoring_case(field.name, "transfer-encoding") &&
          !net::equals_ignoring_case(field.name, "keep-alive")) {
        its.fields.push_back({field.name, field.value});
      }
    }
    const bool ends = (framing.kind == net::BodyFraming::Kind::kNone && !switched_) ||
                      (framing.kind == net::BodyFraming::Kind::kLength && framing.length == 0);
    observer_.on_answer(its, ends);
  }
  void on_body(std::string_view piece) override {
    if (!switched_) return observer_.on_body(piece, false);
    records_.clear();
    wire_.clear();
    socket_->receive(piece, records_, wire_);
    if (!wire_.empty()) call_->write_body(wire_);
    end_if_over();
    if (!records_.empty()) observer_.on_body(records_, false);
  }
  // In a turn of its own, behind what was written last.
  void end_if_over() {
    if (!socket_->is_over() || later_.pending()) return;
    later_.after(Duration(0), [this] {
      call_->finish_body({});
      observer_.on_body({}, true);
    });
  }
  void later_failure(std::string_view what) {
    failed_ = true;
    later_.after(Duration(0), [this, text = std::string(what)] {
      observer_.on_failed({"workers.subrequest", text, "ask a server that speaks WebSocket"});
    });
  }
  void on_end(std::span<const net::HttpField> trailers) override {
    static_cast<void>(trailers);
    if (failed_ || (switched_ && later_.pending())) return;
    if (switched_) {
      records_.clear();
      socket_->end(records_);
      return observer_.on_body(records_, true);
    }
    observer_.on_body({}, true);
  }
  void on_failed(const Error& error) override {
    if (failed_ || (switched_ && later_.pending())) return;
    observer_.on_failed(error);
  }
  void on_request_drained() override { observer_.on_drained(); }

  SubrequestObserver& observer_;
  Origin* origin_ = nullptr;
  std::string method_;
  std::string target_;
  std::vector<std::pair<std::string, std::string>> fields_;
  net::BodyFraming framing_;
  std::string early_;  // of the body, while there is no connection
  bool finished_ = false;
  std::unique_ptr<SocketRecords> socket_;  // of a request for a WebSocket
  bool switched_ = false;
  bool failed_ = false;
  std::string records_;  // scratch, as the next
  std::string wire_;
  std::unique_ptr<net::UpstreamCall> call_;
  runtime::Timer later_;
};

HttpOutbound::HttpOutbound(runtime::Loop& loop, net::Resolver& resolver, AddressPolicy policy)
    : loop_(loop),
      resolver_(resolver),
      policy_(std::move(policy)),
      tcp_(std::make_unique<TcpOutbound>(loop, resolver)) {}

HttpOutbound::~HttpOutbound() { *alive_ = false; }

std::unique_ptr<Subrequest> HttpOutbound::begin(const Worker& worker, const calls::Request& request, bool ends,
                                                SubrequestObserver& observer) {
  if (TcpOutbound::is_for(request)) return tcp_->begin(worker, request, ends, observer);
  auto fetch = std::make_unique<Fetch>(loop_, observer);
  if (request.target != calls::RequestTarget::kFetch) {
    fetch->settle_later();
    return fetch;
  }
  const Result<Url> url = parse_url(request.url);
  if (!url) {
    fetch->fail_later(url.error());
    return fetch;
  }
  Origin* its = origin(url->scheme, url->authority, loop_.now());
  if (its == nullptr) {
    fetch->fail_later({"workers.subrequest", "subrequests to too many hosts are under way", "try again"});
    return fetch;
  }
  fetch->ask(*its, request, url->target, ends);
  return fetch;
}

HttpOutbound::Origin* HttpOutbound::origin(std::string_view scheme, std::string_view authority, MonotonicTime now) {
  std::string key = fmt::format("{}://{}", scheme, authority);
  auto found = origins_.find(key);
  if (found == origins_.end()) {
    if (origins_.size() >= kOriginsMax) make_room(now);
    if (origins_.size() >= kOriginsMax) return nullptr;
    auto made = std::make_unique<Origin>();
    made->authority = authority;
    made->is_secure = scheme == "https";
    found = origins_.emplace(std::move(key), std::move(made)).first;
  }
  Origin& origin = *found->second;
  origin.last_used = now;
  const Duration kept = origin.failure ? kFailuresKept : kNamesKept;
  const bool is_known = origin.pool || origin.failure;
  if (!origin.resolving && (!is_known || now - origin.known_since > kept)) resolve(origin);
  return &origin;
}

void HttpOutbound::resolve(Origin& origin) {
  origin.resolving = true;
  origin.failure.reset();
  const std::string name = has_port(origin.authority)
                               ? origin.authority
                               : fmt::format("{}:{}", origin.authority, origin.is_secure ? 443 : 80);
  // The origin stays as long as it resolves.
  resolver_.resolve(name, AF_UNSPEC, loop_, [this, alive = alive_, &origin](Result<net::Address> address) {
    if (!*alive) return;
    origin.resolving = false;
    origin.known_since = loop_.now();
    if (address && !may_be_reached(policy_, *address)) {
      address = fail("workers.private-address",
                     fmt::format("{} is at a private address, which workers may not reach", origin.authority),
                     "fetch from where others can reach it, too");
    }
    if (!address) {
      origin.failure = address.error();
      if (!origin.pool) {
        for (Fetch* fetch : std::exchange(origin.waiting, {})) fetch->fail_later(address.error());
      }
      return;
    }
    if (origin.pool && origin.address && origin.address->text() == address->text()) return;
    std::shared_ptr<const net::TlsContext> tls;
    if (origin.is_secure) {
      auto context = net::TlsContext::client(
          {.server_name = std::string(host_of(origin.authority)), .ca = {}, .identity = {}, .protocols = {}});
      if (!context) {
        origin.failure = context.error();
        for (Fetch* fetch : std::exchange(origin.waiting, {})) fetch->fail_later(context.error());
        return;
      }
      tls = std::move(*context);
    }
    // What uses the connections to the old address is left to end.
    if (origin.pool && origin.fetches > 0) return;
    origin.address = *address;
    origin.pool = std::make_unique<net::UpstreamPool>(loop_, *address, net::UpstreamLimits{}, std::move(tls),
                                                      std::string(host_of(origin.authority)));
    for (Fetch* fetch : std::exchange(origin.waiting, {})) fetch->start();
  });
}

// Lets those go that nobody has used for a while.
void HttpOutbound::make_room(MonotonicTime now) {
  std::erase_if(origins_, [now](const auto& entry) {
    const Origin& origin = *entry.second;
    return origin.fetches == 0 && !origin.resolving && now - origin.last_used > std::chrono::seconds(1);
  });
}

}  // namespace verge::isolates
