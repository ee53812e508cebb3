#include "node/code_subrequest.h"

#include <utility>

#include <fmt/format.h>

#include "cache/answer.h"
#include "isolates/url.h"
#include "net/captured_exchange.h"
#include "node/loop_workers.h"

namespace verge::node {
namespace {

constexpr size_t kBodyBytesMax = 8U << 20;

using Fields = std::vector<std::pair<std::string, std::string>>;

std::vector<net::HttpField> views_of(const Fields& fields) {
  std::vector<net::HttpField> views;
  for (const auto& [name, value] : fields) views.push_back({name, value});
  return views;
}

Fields copies_of(const std::vector<calls::Field>& fields) {
  Fields copies;
  for (const calls::Field& field : fields) copies.emplace_back(field.name, field.value);
  return copies;
}

// Answers come through an exchange of this node's own.
class CapturedFetch : public isolates::Subrequest, private net::UpstreamObserver {
 public:
  CapturedFetch(runtime::Loop& loop, isolates::SubrequestObserver& observer)
      : observer_(observer), loop_(loop), later_(loop) {}

  void write_body(std::string_view) override {}
  void finish_body() override {}
  void pause() override {
    if (exchange_) exchange_->pause();
  }
  void resume() override {
    if (exchange_) exchange_->resume();
  }

 protected:
  net::HttpResponder capture(bool is_head) {
    exchange_ = std::make_unique<net::CapturedExchange>(loop_, static_cast<net::UpstreamObserver&>(*this), is_head);
    return net::HttpResponder(*exchange_);
  }
  void later(runtime::Task task) { later_.after(Duration(0), std::move(task)); }

  void on_head(const net::ResponseHead& head, const net::BodyFraming& framing) override {
    calls::Head its{.status = static_cast<uint32_t>(head.status), .reason = head.reason, .fields = {}, .body = {}};
    for (const net::HttpField& field : head.fields) its.fields.push_back({field.name, field.value});
    const bool ends = framing.kind == net::BodyFraming::Kind::kNone ||
                      (framing.kind == net::BodyFraming::Kind::kLength && framing.length == 0);
    observer_.on_answer(its, ends);
  }
  void on_body(std::string_view piece) override { observer_.on_body(piece, false); }
  void on_end(std::span<const net::HttpField>) override { observer_.on_body({}, true); }
  void on_failed(const Error& error) override { observer_.on_failed(error); }

  isolates::SubrequestObserver& observer_;

 private:
  runtime::Loop& loop_;
  std::unique_ptr<net::CapturedExchange> exchange_;
  runtime::Timer later_;
};

class SiteFetch final : public CapturedFetch {
 public:
  SiteFetch(runtime::Loop& loop, cache::Proxy& proxy, const calls::Request& request, bool ends,
            const net::Address& client, const cache::Nesting& nesting, isolates::SubrequestObserver& observer)
      : CapturedFetch(loop, observer),
        proxy_(proxy),
        method_(request.method),
        url_(request.url),
        fields_(copies_of(request.fields)),
        body_(request.body),
        client_(client),
        nesting_(nesting) {
    // Answers come as they are; loops within the node are counted (Nesting).
    std::erase_if(fields_, [](const auto& field) {
      for (const std::string_view name : {"host", "content-length", "transfer-encoding", "connection", "expect",
                                          "upgrade", "cdn-loop", "accept-encoding"}) {
        if (net::equals_ignoring_case(field.first, name)) return true;
      }
      return false;
    });
    if (ends) {
      later([this] { ask(); });
    } else {
      later([this] { observer_.on_drained(); });
    }
  }

  void write_body(std::string_view piece) override {
    if (body_.size() + piece.size() > kBodyBytesMax) {
      return later([this] {
        observer_.on_failed({"workers.subrequest", "the body of a request to a site of this node is too large",
                             "send 8 MiB at most, or fetch from the origin itself"});
      });
    }
    body_.append(piece);
    later([this] { observer_.on_drained(); });
  }
  void finish_body() override {
    later([this] { ask(); });
  }

 private:
  void ask() {
    const Result<isolates::Url> url = isolates::parse_url(url_);
    if (!url) return observer_.on_failed(url.error());
    const size_t mark = url->target.find('?');
    const std::string_view path = url->target.substr(0, mark);
    const std::vector<net::HttpField> fields = views_of(fields_);
    const net::HttpRequest request{
        .method = method_,
        .target = url->target,
        .host = url->authority,
        .path = path,
        .query = mark == std::string_view::npos ? std::string_view() : url->target.substr(mark + 1),
        .fields = fields,
        .body = Payload(body_),
        .peer = client_,
        .is_secure = url->scheme == "https"};
    proxy_.receive(request, capture(method_ == "HEAD"), nesting_);
  }

  cache::Proxy& proxy_;
  const std::string method_;
  const std::string url_;
  Fields fields_;
  std::string body_;
  const net::Address client_;
  const cache::Nesting nesting_;
};

// --- caches

class CacheMatch final : public CapturedFetch {
 public:
  CacheMatch(runtime::Loop& loop, cache::Proxy& proxy, std::string key, const calls::Request& request,
             isolates::SubrequestObserver& observer)
      : CapturedFetch(loop, observer), proxy_(proxy), key_(std::move(key)), fields_(copies_of(request.fields)) {
    later([this] { proxy_.find_kept(key_, views_of(fields_), capture(/*is_head=*/false)); });
  }

 private:
  void on_head(const net::ResponseHead& head, const net::BodyFraming& framing) override {
    // Of the proxy, where nothing is stored.
    if (head.status == 504) return observer_.on_settled(false);
    CapturedFetch::on_head(head, framing);
  }

  cache::Proxy& proxy_;
  const std::string key_;
  const Fields fields_;
};

class CacheRemoval final : public isolates::Subrequest {
 public:
  CacheRemoval(runtime::Loop& loop, bool found, isolates::SubrequestObserver& observer) : later_(loop) {
    later_.after(Duration(0), [&observer, found] { observer.on_settled(found); });
  }
  void write_body(std::string_view) override {}
  void finish_body() override {}
  void pause() override {}
  void resume() override {}

 private:
  runtime::Timer later_;
};

// An answer that a worker puts into the cache, as it comes from the worker. Shared by the worker's side, which writes,
// and the cache's, which reads.
struct Putting {
  explicit Putting(runtime::Loop& its_loop) : loop(its_loop) {}
  runtime::Loop& loop;
  int status = 200;
  std::string reason;
  Fields fields;
  std::string body;  // not read yet
  bool ended = false;
  bool broken = false;
  class PutCall* reader = nullptr;
  isolates::SubrequestObserver* observer = nullptr;  // null: it has gone
  std::function<void()> unread;                      // the reader has gone
};

class PutCall final : public net::UpstreamCall {
 public:
  PutCall(std::shared_ptr<Putting> put, net::UpstreamObserver& observer)
      : put_(std::move(put)), observer_(observer), telling_(put_->loop) {
    put_->reader = this;
    wake();
  }
  ~PutCall() override {
    put_->reader = nullptr;
    if (put_->unread) put_->unread();
  }
  void write_body(std::string_view) override {}
  void finish_body(std::span<const net::HttpField>) override {}
  [[nodiscard]] size_t queued_bytes() const override { return 0; }
  void pause() override { paused_ = true; }
  void resume() override {
    paused_ = false;
    wake();
  }
  void wake() {
    telling_.after(Duration(0), [this] { tell(); });
  }

 private:
  void tell() {
    const std::shared_ptr<Putting> put = put_;  // outlives this
    if (!std::exchange(told_head_, true)) {
      net::ResponseHead head{
          .status = put->status, .reason = put->reason, .minor_version = 1, .fields = views_of(put->fields)};
      net::BodyFraming framing{.kind = net::BodyFraming::Kind::kChunked};
      if (put->ended) framing = {.kind = net::BodyFraming::Kind::kLength, .length = put->body.size()};
      observer_.on_head(head, framing);
      if (put->reader == nullptr) return;
    }
    if (paused_) return;
    const std::string piece = std::exchange(put->body, {});
    if (!piece.empty()) {
      observer_.on_body(piece);
      if (put->observer != nullptr && !put->ended) put->observer->on_drained();
      if (put->reader == nullptr) return;
    }
    if (put->broken) return observer_.on_failed({"http.closed", "the worker gave up", {}});
    if (put->ended) observer_.on_end({});
  }

  std::shared_ptr<Putting> put_;
  net::UpstreamObserver& observer_;
  bool told_head_ = false;
  bool paused_ = false;
  runtime::Timer telling_;
};

class PutSource final : public cache::CodeRoute {
 public:
  explicit PutSource(std::shared_ptr<Putting> put) : put_(std::move(put)) {}
  [[nodiscard]] uint64_t code() const override { return 1; }
  std::unique_ptr<net::UpstreamCall> begin(const Request&, net::UpstreamObserver& observer) override {
    return std::make_unique<PutCall>(put_, observer);
  }
  std::unique_ptr<net::UpstreamCall> begin_on_answer(const Request& request, const BeginAnswer&,
                                                     net::UpstreamObserver& observer) override {
    return begin(request, observer);
  }

 private:
  std::shared_ptr<Putting> put_;
};

class CachePut final : public isolates::Subrequest {
 public:
  CachePut(runtime::Loop& loop, cache::Proxy& proxy, const std::string& key, const calls::Request& request, bool ends,
           isolates::SubrequestObserver& observer)
      : put_(std::make_shared<Putting>(loop)), settling_(loop) {
    put_->status = static_cast<int>(request.status);
    put_->reason = request.reason;
    put_->fields = copies_of(request.answer_fields);
    put_->body = request.body;
    put_->ended = ends;
    put_->observer = &observer;
    put_->unread = [this] { take_unread(); };
    const Fields fields = copies_of(request.fields);
    proxy.keep(key, views_of(fields), std::make_shared<PutSource>(put_));
    if (ends) settle();
  }
  ~CachePut() override {
    put_->observer = nullptr;
    put_->unread = nullptr;
    if (!std::exchange(put_->ended, true)) put_->broken = true;
    if (put_->reader != nullptr) put_->reader->wake();
  }
  void write_body(std::string_view piece) override {
    if (put_->reader == nullptr) return take_unread();
    put_->body.append(piece);
    put_->reader->wake();
  }
  void finish_body() override {
    put_->ended = true;
    if (put_->reader != nullptr) put_->reader->wake();
    settle();
  }
  void pause() override {}
  void resume() override {}

 private:
  // Nobody keeps it: it is taken all the same.
  void take_unread() {
    if (put_->ended) return;
    settling_.after(Duration(0), [this] { put_->observer->on_drained(); });
  }
  void settle() {
    settling_.after(Duration(0), [this] { std::exchange(put_->observer, nullptr)->on_settled(true); });
  }

  std::shared_ptr<Putting> put_;
  runtime::Timer settling_;
};

}  // namespace

std::unique_ptr<isolates::Subrequest> begin_site_fetch(runtime::Loop& loop, cache::Proxy& proxy,
                                                       const calls::Request& request, bool ends,
                                                       const net::Address& client, const cache::Nesting& nesting,
                                                       isolates::SubrequestObserver& observer) {
  return std::make_unique<SiteFetch>(loop, proxy, request, ends, client, nesting, observer);
}

CodeOutbound::CodeOutbound(LoopWorkers& home, net::Resolver& resolver, const Clock& clock, std::string node)
    : home_(home),
      node_(std::move(node)),
      bindings_(home.loop(), clock),
      public_(home.loop(), resolver, {}),
      private_(home.loop(), resolver, {.allows_private = true, .allowed = {}}) {}

std::unique_ptr<isolates::Subrequest> CodeOutbound::begin(const isolates::Worker& worker, const calls::Request& request,
                                                          bool ends, isolates::SubrequestObserver& observer) {
  if (request.target == calls::RequestTarget::kBinding) return bindings_.begin(worker, request, ends, observer);
  if (request.target != calls::RequestTarget::kFetch) {
    const std::string key = cache::code_cache_url(request.url, worker.code().owner, request.cache);
    if (request.target == calls::RequestTarget::kCacheMatch) {
      return std::make_unique<CacheMatch>(home_.loop(), home_.proxy(), key, request, observer);
    }
    if (request.target == calls::RequestTarget::kCacheRemove) {
      return std::make_unique<CacheRemoval>(home_.loop(), home_.proxy().forget_kept(key), observer);
    }
    return std::make_unique<CachePut>(home_.loop(), home_.proxy(), key, request, ends, observer);
  }
  const std::shared_ptr<const PlacedWorker> placed = home_.placed(worker);
  if (const Result<isolates::Url> url = isolates::parse_url(request.url); url && home_.is_site(url->authority)) {
    // Of a call whose answer is over, or that was no request: its depth is not known, so that it enters no code.
    cache::Nesting nesting;
    nesting.code = placed ? placed->id : 1;
    nesting.code_depth = cache::Nesting::kCodeDepthMax;
    if (placed) nesting.code_position = placed->position;
    return begin_site_fetch(home_.loop(), home_.proxy(), request, ends, net::Address(), nesting, observer);
  }
  return begin_elsewhere(worker, request, ends, observer, {});
}

std::unique_ptr<isolates::Subrequest> CodeOutbound::begin_elsewhere(const isolates::Worker& worker,
                                                                    const calls::Request& request, bool ends,
                                                                    isolates::SubrequestObserver& observer,
                                                                    std::string_view loops) {
  // So that a request that comes back is known, whatever the worker made of its fields.
  calls::Request marked = request;
  std::erase_if(marked.fields,
                [](const calls::Field& field) { return net::equals_ignoring_case(field.name, "cdn-loop"); });
  // A request that the cache hands on has this node's name already.
  const bool is_named = loops == node_ || loops.ends_with(", " + node_);
  const std::string own = is_named ? std::string(loops) : loops.empty() ? node_ : fmt::format("{}, {}", loops, node_);
  marked.fields.push_back({"CDN-Loop", own});
  const std::shared_ptr<const PlacedWorker> placed = home_.placed(worker);
  const bool is_private = placed && placed->reaches_private;
  return (is_private ? private_ : public_).begin(worker, marked, ends, observer);
}

}  // namespace verge::node
