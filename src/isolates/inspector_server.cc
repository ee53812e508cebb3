#include "isolates/inspector_server.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/random.h"
#include "base/text.h"
#include "isolates/client_socket.h"
#include "net/websocket_messages.h"

namespace verge::isolates {
namespace {

constexpr size_t kMessageBytesMax = 16U << 20;  // of DevTools
// Of a heap snapshot, that DevTools have not taken: above it the session ends.
constexpr size_t kQueuedBytesMax = 512U << 20;

void respond_text(net::HttpResponder& responder, int status, std::string_view text) {
  responder.respond({.status = status, .content_type = "text/plain; charset=utf-8", .fields = {}, .body = text});
}

void respond_json(net::HttpResponder& responder, const std::string& json) {
  responder.respond({.status = 200,
                     .content_type = "application/json; charset=utf-8",
                     .fields = {{"Cache-Control", "no-cache"}},
                     .body = json});
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned char>(byte));
  return out;
}

}  // namespace

// --- A session

class InspectorServer::Session final : private net::RawObserver,
                                       private net::WebSocketObserver,
                                       private InspectorObserver {
 public:
  Session(InspectorServer& server, std::shared_ptr<Worker> worker, net::HttpResponder responder)
      : server_(server),
        worker_(std::move(worker)),
        responder_(std::move(responder)),
        messages_(net::WebSocketMessages::Role::kServer, kMessageBytesMax),
        ending_(server.loop_) {}
  ~Session() override {
    if (is_attached_) server_.pool_.detach_inspector(*worker_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Switches when the worker is there.
  void begin(std::string key) {
    responder_.when_closed([this] { end_later(); });
    server_.pool_.load(
        worker_, [this, alive = std::weak_ptr(alive_), its_key = std::move(key)](const std::optional<Error>& error) {
          if (alive.expired()) return;
          if (error) {
            respond_text(responder_, 500, error->line() + "\n");
            return end_later();
          }
          if (!server_.pool_.attach_inspector(*worker_, *this)) {
            respond_text(responder_, 409, "the worker is inspected already\n");
            return end_later();
          }
          is_attached_ = true;
          const std::string accept = net::websocket::accept_of(its_key);
          const std::vector<net::HttpField> fields = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", accept}};
          responder_.when_closed({});
          responder_.switch_protocols({.status = 101, .reason = {}, .fields = fields}, *this);
        });
  }

 private:
  void on_raw_bytes(std::string_view bytes) override {
    if (!is_over_) messages_.receive(bytes, *this);
  }
  void on_raw_end() override { end_later(); }
  void on_message(bool, std::string_view payload) override { server_.pool_.inspect(*worker_, payload); }
  void on_ping(std::string_view payload) override {
    wire_.clear();
    messages_.append_pong(wire_, payload);
    responder_.write(wire_);
  }
  void on_close(uint16_t, std::string_view) override { close(net::websocket::kNormal); }
  void on_broken(uint16_t code, std::string_view) override { close(code); }

  void on_inspector_message(std::string_view piece, bool ends) override {
    if (is_over_) return;
    if (message_.size() + piece.size() > kQueuedBytesMax) return close(net::websocket::kInternalError);
    message_.append(piece);
    if (!ends) return;
    wire_.clear();
    messages_.append_message(wire_, true, std::exchange(message_, {}));
    responder_.write(wire_);
    if (responder_.queued_bytes() > kQueuedBytesMax) close(net::websocket::kInternalError);
  }
  void on_inspector_end() override {
    is_attached_ = false;
    close(net::websocket::kGoingAway);
  }

  void close(uint16_t code) {
    if (is_over_) return;
    wire_.clear();
    messages_.append_close(wire_, code, {});
    responder_.write(wire_);
    responder_.finish();
    end_later();
  }
  void end_later() {
    if (std::exchange(is_over_, true)) return;
    ending_.after(Duration(0), [this] { server_.over(*this); });
  }

  InspectorServer& server_;
  const std::shared_ptr<Worker> worker_;
  net::HttpResponder responder_;
  net::WebSocketMessages messages_;
  std::string message_;  // of the worker's, as far as it has come
  std::string wire_;     // scratch
  bool is_attached_ = false;
  bool is_over_ = false;
  runtime::Timer ending_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // shared: asked by what is called later
};

// --- The server

InspectorServer::InspectorServer(runtime::Loop& loop, Pool& pool, net::Socket listening, std::string address,
                                 Workers workers)
    : loop_(loop),
      pool_(pool),
      address_(std::move(address)),
      workers_(std::move(workers)),
      server_(loop, {.body_bytes_max = 1U << 10, .connections_max = 64},
              [this](const net::HttpRequest& request, net::HttpResponder responder) {
                answer(request, std::move(responder));
              }),
      listener_(loop, std::move(listening), [this](net::Socket socket) { server_.accept(std::move(socket)); }) {}

InspectorServer::~InspectorServer() = default;

bool InspectorServer::may_ask(std::string_view host) {
  const size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos;
  const std::string_view name = has_port ? host.substr(0, colon) : host;
  if (net::equals_ignoring_case(name, "localhost")) return true;
  const Result<net::Address> address = net::Address::parse(std::string(name) + ":1");
  return address && address->is_loopback();
}

void InspectorServer::answer(const net::HttpRequest& request, net::HttpResponder responder) {
  if (!may_ask(request.host)) return respond_text(responder, 403, "the Host is no address of this machine\n");
  const std::string_view origin = request.field("origin").value_or("");
  if (!origin.empty() && !origin.starts_with("devtools://"))
    return respond_text(responder, 403, "pages of the web have no business here\n");
  if (request.path == "/json" || request.path == "/json/list") return respond_json(responder, list());
  if (request.path == "/json/version") {
    return respond_json(responder, R"({"Browser":"Verge/)" VERGE_VERSION R"(","Protocol-Version":"1.3"})");
  }
  for (const std::shared_ptr<Worker>& worker : workers_()) {
    if (request.path.substr(1) == id_of(worker)) return open(worker, request, std::move(responder));
  }
  respond_text(responder, 404, "see /json/list\n");
}

void InspectorServer::open(const std::shared_ptr<Worker>& worker, const net::HttpRequest& request,
                           net::HttpResponder responder) {
  ClientSocket::Offer offer = ClientSocket::offer_of(request, responder);
  if (offer.key.empty()) return respond_text(responder, 426, "this is a WebSocket\n");
  sessions_.push_back(std::make_unique<Session>(*this, worker, std::move(responder)));
  sessions_.back()->begin(std::move(offer.key));
}

void InspectorServer::over(Session& session) {
  std::erase_if(sessions_, [&](const auto& one) { return one.get() == &session; });
}

const std::string& InspectorServer::id_of(const std::shared_ptr<Worker>& worker) {
  std::erase_if(ids_, [](const auto& one) { return one.first.expired(); });
  std::string& id = ids_[worker];
  if (id.empty()) id = hex(system_entropy(16));
  return id;
}

std::string InspectorServer::list() {
  std::string out = "[";
  for (const std::shared_ptr<Worker>& worker : workers_()) {
    const std::string& id = id_of(worker);
    fmt::format_to(
        std::back_inserter(out),
        R"({}{{"description":"a worker","devtoolsFrontendUrl":"devtools://devtools/bundled/js_app.html?ws={}/{}",)"
        R"("id":"{}","title":{},"type":"node","url":{},"webSocketDebuggerUrl":"ws://{}/{}"}})",
        out.size() == 1 ? "" : ",", address_, id, id, json_string(worker->name()),
        json_string("file://" + worker->code().modules.front().name), address_, id);
  }
  return out + "]";
}

}  // namespace verge::isolates
