// People's code in the flow of requests: before the cache, on answers to clients, and what it keeps by itself.
#include <charconv>
#include <utility>

#include "cache/proxy_exchange.h"
#include "net/captured_exchange.h"

namespace verge::cache {
namespace {

// Of an answer, not taken by the client: above it the code gets no more room.
constexpr size_t kQueuedBytesMax = 256U << 10;

bool is_number(std::string_view text, uint64_t& number) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  return problem == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::shared_ptr<CodeRoute> Proxy::code_for(CodePosition position, std::string_view host, std::string_view path,
                                           const Nesting& nesting) const {
  if (code_ == nullptr || nesting.code_depth >= Nesting::kCodeDepthMax) return nullptr;
  std::shared_ptr<CodeRoute> route = code_->find(position, host, path);
  if (route && position <= nesting.code_position && is_behind_code(host, path, nesting)) return nullptr;
  return route;
}

bool Proxy::has_code_for(std::string_view host, std::string_view path, const Nesting& nesting) const {
  for (const CodePosition position : {CodePosition::kMiss, CodePosition::kBefore, CodePosition::kClientAnswer}) {
    if (code_for(position, host, path, nesting)) return true;
  }
  return false;
}

bool Proxy::is_behind_code(std::string_view host, std::string_view path, const Nesting& nesting) const {
  if (code_ == nullptr || nesting.code == 0) return false;
  const std::shared_ptr<CodeRoute> own = code_->find(nesting.code_position, host, path);
  return own && own->code() == nesting.code;
}

bool Proxy::is_of_code(std::string_view host, std::string_view path, const Nesting& nesting) const {
  return nesting.code != 0 && nesting.code_position >= CodePosition::kMiss && is_behind_code(host, path, nesting);
}

// One answer on its way from the code to the client.
class Proxy::CodeAnswer final : public net::UpstreamObserver {
 public:
  CodeAnswer(Proxy& proxy, uint64_t id, net::HttpResponder responder, bool is_head, std::function<void()> gone,
             std::function<void(net::HttpResponder)> fall_back)
      : proxy_(proxy),
        id_(id),
        responder_(std::move(responder)),
        is_head_(is_head),
        gone_(std::move(gone)),
        fall_back_(std::move(fall_back)) {
    responder_.when_closed([this] { leave(); });
  }
  ~CodeAnswer() override { responder_.when_closed({}); }
  CodeAnswer(const CodeAnswer&) = delete;
  CodeAnswer& operator=(const CodeAnswer&) = delete;

  void take(std::unique_ptr<net::UpstreamCall> call) { call_ = std::move(call); }

 private:
  void on_head(const net::ResponseHead& head, const net::BodyFraming& framing) override {
    has_head_ = true;
    net::BodyFraming its = framing;
    std::vector<net::HttpField> fields;
    for (const net::HttpField& field : head.fields) {
      if (is_hop_by_hop(head.fields, field.name)) continue;
      if (!net::equals_ignoring_case(field.name, "content-length")) {
        fields.push_back(field);
      } else if (uint64_t length = 0; is_head_ && is_number(field.value, length)) {
        its = {.kind = net::BodyFraming::Kind::kLength, .length = length};
      }
    }
    responder_.start({.status = head.status, .reason = head.reason, .fields = fields}, its);
  }
  void on_body(std::string_view piece) override {
    responder_.write(piece);
    if (responder_.queued_bytes() <= kQueuedBytesMax) return;
    call_->pause();
    responder_.when_drained([this] { call_->resume(); });
  }
  void on_end(std::span<const net::HttpField> trailers) override {
    responder_.finish(trailers);
    leave();
  }
  void on_failed(const Error&) override {
    if (has_head_ || !fall_back_) return leave();
    responder_.when_closed({});
    net::HttpResponder responder = std::move(responder_);
    const auto fall_back = std::exchange(fall_back_, nullptr);
    const std::unique_ptr<net::UpstreamObserver> own = proxy_.take_code_answer(id_);
    fall_back(std::move(responder));
  }
  void leave() {
    const std::unique_ptr<net::UpstreamObserver> own = proxy_.take_code_answer(id_);
    if (const auto gone = std::exchange(gone_, nullptr)) gone();
  }

  Proxy& proxy_;
  const uint64_t id_;
  net::HttpResponder responder_;
  const bool is_head_;
  std::function<void()> gone_;
  std::function<void(net::HttpResponder)> fall_back_;
  bool has_head_ = false;
  std::unique_ptr<net::UpstreamCall> call_;
};

Proxy::CodeAnswer& Proxy::await_code(net::HttpResponder responder, bool is_head, std::function<void()> gone,
                                     std::function<void(net::HttpResponder)> fall_back) {
  const uint64_t id = next_id_++;
  auto made =
      std::make_unique<CodeAnswer>(*this, id, std::move(responder), is_head, std::move(gone), std::move(fall_back));
  CodeAnswer& answer = *made;
  code_answers_.emplace(id, std::move(made));
  return answer;
}

std::unique_ptr<net::UpstreamObserver> Proxy::take_code_answer(uint64_t id) {
  auto found = code_answers_.extract(id);
  return found.empty() ? nullptr : std::move(found.mapped());
}

void Proxy::enter_code(Exchange& exchange, const std::shared_ptr<CodeRoute>& route) {
  const ExchangeId id = exchange.id;
  CodeAnswer& answer = await_code(
      std::move(exchange.responder), exchange.method == "HEAD", [this, id] { end_exchange(id); },
      [this, id](net::HttpResponder responder) {
        Exchange& its = *exchanges_.at(id);
        its.responder = std::move(responder);
        its.responder.when_closed([this, id] { end_exchange(id); });
        go_on(its);
      });
  const std::string url = std::string(origin_of(exchange.url)).append(exchange.target);
  answer.take(route->begin({.method = exchange.method,
                            .url = url,
                            .fields = exchange.fields.view(),
                            .body = exchange.body,
                            .client = &exchange.peer,
                            .nesting = exchange.nesting,
                            .may_fall_back = true},
                           answer));
}

void Proxy::ask(const net::HttpRequest& request, net::HttpResponder responder, size_t site, const PathPolicy& policy,
                std::string_view key_query, const Nesting& nesting) {
  const std::shared_ptr<CodeRoute> route = code_for(CodePosition::kClientAnswer, request.host, request.path, nesting);
  const bool is_upgrade = code_ != nullptr && net::find_field(request.fields, "upgrade").has_value();
  if (!route || is_upgrade) return ask_cache(request, std::move(responder), site, policy, key_query, nesting);
  const bool is_head = request.method == "HEAD";
  CodeAnswer& answer = await_code(std::move(responder), is_head, {}, {});
  const auto begin = [&](net::UpstreamObserver& observer) -> std::unique_ptr<net::UpstreamCall> {
    auto captured = std::make_unique<net::CapturedExchange>(loop_, observer, is_head);
    ask_cache(request, net::HttpResponder(*captured), site, policy, key_query, nesting);
    return captured;
  };
  std::string url = url_of(request.is_secure, request.host, request.path, request.query);
  answer.take(route->begin_on_answer({.method = request.method,
                                      .url = url,
                                      .fields = request.fields,
                                      .body = request.body,
                                      .client = &request.peer,
                                      .nesting = nesting,
                                      .may_fall_back = true},
                                     begin, answer));
}

// --- What code keeps

namespace {

// It is kept as its own fields say.
const PathPolicy& policy_of_kept() {
  static const PathPolicy policy;
  return policy;
}

}  // namespace

void Proxy::find_kept(std::string_view key, std::span<const net::HttpField> fields, net::HttpResponder responder) {
  const net::Address nobody;
  const Nesting nesting;
  Asked asked{.serving = serving_.get(), .site = 0, .policy = &policy_of_kept(), .method = "GET", .url = key};
  asked.fields = fields;
  asked.peer = &nobody;
  asked.nesting = &nesting;
  asked.traits = traits_of(fields);
  asked.control.only_if_cached = true;
  const net::HttpRequest request{.method = "GET",
                                 .target = "/",
                                 .host = {},
                                 .path = "/",
                                 .query = {},
                                 .fields = fields,
                                 .body = {},
                                 .peer = nobody};
  note_ = nullptr;
  received_ = std::chrono::steady_clock::now();
  process(begin_exchange(asked, request, std::move(responder)));
}

void Proxy::keep(std::string_view key, std::span<const net::HttpField> fields, std::shared_ptr<CodeRoute> from) {
  Asked asked{.serving = serving_.get(), .site = 0, .policy = &policy_of_kept(), .method = "GET", .url = key};
  asked.fields = fields;
  FetchRequest request{.method = "GET",
                       .target = {},
                       .authority = {},
                       .url = std::string(key),
                       .client_fields = OwnedFields(fields),
                       .fields = OwnedFields(fields)};
  request.code = std::move(from);
  request.code_url = key;
  start_fetch(nullptr, std::move(request), asked).abandon();
}

bool Proxy::forget_kept(std::string_view key) {
  const bool is_on_disk = shared_.disk != nullptr && shared_.disk->may_have(std::string(key));
  const bool is_there = !shared_.store.variants(key, 1).empty() || is_on_disk;
  shared_.store.invalidate(key);
  if (shared_.disk != nullptr) shared_.disk->forget(std::string(key));
  return is_there;
}

}  // namespace verge::cache
