#include "cache/composition.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "cache/url_reference.h"

namespace verge::cache {
namespace {

// Of the page's request, what does not go with a fragment's.
constexpr std::array<std::string_view, 14> kOwnFields = {"if-match",          "if-none-match",
                                                         "if-modified-since", "if-unmodified-since",
                                                         "if-range",          "range",
                                                         "accept-encoding",   "content-length",
                                                         "content-type",      "content-encoding",
                                                         "transfer-encoding", "expect",
                                                         "upgrade",           "host"};

struct UrlParts {
  bool is_secure = false;
  std::string_view host, target, path, query;
};
// Of a whole http(s) URL; what is shown is the URL's.
UrlParts parts_of(std::string_view url) {
  UrlParts parts{.is_secure = url.starts_with("https://")};
  url.remove_prefix(std::min(url.size(), url.find("//") + 2));
  parts.host = url.substr(0, url.find_first_of("/?"));
  parts.target = url.substr(parts.host.size());
  const size_t mark = parts.target.find('?');
  parts.path = parts.target.substr(0, mark);
  if (mark != std::string_view::npos) parts.query = parts.target.substr(mark + 1);
  return parts;
}

bool can_be_asked(std::string_view url) {
  return (url.starts_with("http://") || url.starts_with("https://")) &&
         std::ranges::all_of(url, [](char c) { return c > ' ' && c < '\x7f'; });
}

int status_of(std::string_view head) {
  int status = 0;
  constexpr size_t kStatusAt = 9;  // behind "HTTP/1.1 "
  if (head.size() >= kStatusAt + 3) std::from_chars(head.data() + kStatusAt, head.data() + kStatusAt + 3, status);
  return status;
}

}  // namespace

// Gathers the answer to a fragment's request.
class Composition::Fragment final : public net::HttpExchange {
 public:
  Fragment(Composition& owner, esi::Page::Done done) : owner_(owner), done_(std::move(done)) {}
  ~Fragment() override {
    forget_responder();
    let_go();
    if (closed_) std::exchange(closed_, nullptr)();
  }
  Fragment(const Fragment&) = delete;
  Fragment& operator=(const Fragment&) = delete;

  void respond(const net::HttpResponse& response) override {
    take_status(response.status);
    add(response.body);
    end(/*is_whole=*/true);
  }
  void respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) override {
    take_status(status_of(head));
    if (head.find("\r\nContent-Encoding:") != std::string_view::npos) is_good_ = false;
    add(body.view().substr(offset, size));
    end(/*is_whole=*/true);
  }
  void send_interim(int, std::span<const net::HttpField>) override {}
  void start_stream(const net::HttpResponse& response) override {
    take_status(response.status);
    add(response.body);
  }
  void start(const net::HttpResponseHead& head, const net::BodyFraming&) override {
    take_status(head.status);
    if (net::find_field(head.fields, "content-encoding")) is_good_ = false;
  }
  void write_piece(std::string_view piece) override { add(piece); }
  void write_piece(const Payload& bytes, size_t offset, size_t size) override {
    add(bytes.view().substr(offset, size));
  }
  void finish_stream(std::span<const net::HttpField>) override { end(/*is_whole=*/true); }
  [[nodiscard]] bool is_old() const override { return false; }
  void switch_protocols(const net::HttpResponseHead&, net::RawObserver&) override { end(/*is_whole=*/false); }
  void pause_raw(bool) override {}
  void drop(bool) override { end(/*is_whole=*/false); }
  [[nodiscard]] size_t queued_bytes() const override { return 0; }
  void when_drained(std::function<void()>) override {}
  void when_closed(std::function<void()> closed) override { closed_ = std::move(closed); }

 private:
  void take_status(int status) { is_good_ = status >= 200 && status < 300; }
  void add(std::string_view piece) {
    if (!is_good_) return;
    uint64_t& held = owner_.request_.nesting.spent->held;
    if (content_.size() + piece.size() > kFragmentBytesMax || held + piece.size() > kHeldBytesMax) {
      is_good_ = false;
      let_go();
      return;
    }
    content_.append(piece);
    held += piece.size();
  }
  std::string let_go() {
    owner_.request_.nesting.spent->held -= content_.size();
    return std::exchange(content_, {});
  }
  // Later, from the loop: this runs under calls of those who answer.
  void end(bool is_whole) {
    closed_ = nullptr;
    responder_ = nullptr;
    if (!is_whole) is_good_ = false;
    owner_.loop_.post([this, owner = std::weak_ptr(owner_.alive_)] {
      const auto there = owner.lock();
      if (!there) return;
      const esi::Page::Done done = std::move(done_);
      std::optional<std::string> content = let_go();
      if (!is_good_) content.reset();
      std::erase_if((*there)->fragments_, [this](const auto& one) { return one.get() == this; });
      done(std::move(content));
    });
  }

  Composition& owner_;
  esi::Page::Done done_;
  std::string content_;
  bool is_good_ = false;
  std::function<void()> closed_;
};

Composition::Composition(runtime::Loop& loop, Request request, std::shared_ptr<Body> page_template, Ask ask, Told told)
    : loop_(loop),
      request_(std::move(request)),
      template_(std::move(page_template)),
      ask_(std::move(ask)),
      told_(std::move(told)) {
  if (!request_.nesting.spent) request_.nesting.spent = std::make_shared<Nesting::Spent>();
}

Composition::~Composition() {
  alive_ = nullptr;
  template_->leave(reader_);
  page_ = nullptr;
  if (out_) out_->break_off();
}

void Composition::start() {
  reader_ = template_->join([this_loop = &loop_, alive = std::weak_ptr(alive_)] {
    this_loop->post([alive] {
      if (const auto there = alive.lock()) (*there)->go_on();
    });
  });
  loop_.post([alive = std::weak_ptr(alive_)] {
    if (const auto there = alive.lock()) (*there)->go_on();
  });
}

void Composition::go_on() {
  if (page_) return;
  if (const Payload* whole = template_->whole(); whole != nullptr && text_.empty()) {
    return whole->size() > kTemplateBytesMax ? fail("the template is too large to be composed") : compose(*whole);
  }
  while (true) {
    const Body::Read read = template_->read(text_.size());
    if (text_.size() + read.piece.size > kTemplateBytesMax) return fail("the template is too large to be composed");
    if (read.piece.size > 0) {
      text_.append(read.piece.bytes.view().substr(read.piece.offset, read.piece.size));
      template_->advance(reader_, text_.size());
    } else if (read.state == Body::State::kGrowing) {
      return;
    } else if (read.state == Body::State::kBroken) {
      return fail("the template did not arrive whole");
    } else {
      return compose(Payload(std::exchange(text_, {})));
    }
  }
}

void Composition::compose(Payload text) {
  template_->leave(reader_);
  const UrlParts url = parts_of(request_.url);
  out_ = std::make_shared<Body>();
  out_->when_read([this_loop = &loop_, alive = std::weak_ptr(alive_)] {
    this_loop->post([alive] {
      if (const auto there = alive.lock()) (*there)->on_read();
    });
  });
  out_->forget_what_is_read();
  bool has_failed = false;
  page_ = std::make_unique<esi::Page>(
      std::move(text),
      esi::Variables::Request{.host = url.host, .path = url.path, .query = url.query, .fields = request_.fields.view()},
      [this](const std::string& reference, esi::Page::Done done) { fetch(reference, std::move(done)); },
      esi::Page::Told{.output = [this](std::string_view piece) { put_out(piece); },
                      .finished =
                          [this] {
                            out_->complete();
                            if (is_ready_) end();
                          },
                      .failed =
                          [this, &has_failed](const std::string& reference) {
                            if (is_ready_) return end();
                            has_failed = true;
                            fail(fmt::format("the fragment {} failed", reference));
                          }},
      request_.nesting.spent->held);
  const std::optional<esi::Fault>& fault = page_->fault();
  if (fault && told_.fault) told_.fault(*fault);
  page_->start();
  if (has_failed) return;
  is_ready_ = true;
  const std::weak_ptr<Composition*> alive = alive_;
  const auto ready = std::exchange(told_.ready, nullptr);
  ready(out_);
  if (!alive.expired() && out_->state() == Body::State::kComplete) end();
}

void Composition::fetch(const std::string& reference, esi::Page::Done done) {
  const std::string url = resolve_reference(request_.url, reference);
  const unsigned depth = request_.nesting.depth;
  const std::shared_ptr<Nesting::Spent>& spent = request_.nesting.spent;
  if (!can_be_asked(url) || depth >= kDepthMax || spent->fragments == kFragmentsMax) return done(std::nullopt);
  ++spent->fragments;
  const UrlParts parts = parts_of(url);
  std::vector<net::HttpField> fields;
  for (const net::HttpField& field : request_.fields.view()) {
    const bool is_own = std::ranges::any_of(
        kOwnFields, [&](std::string_view name) { return net::equals_ignoring_case(field.name, name); });
    if (!is_own) fields.push_back(field);
  }
  fields.push_back({"Host", parts.host});
  const net::HttpRequest request{.method = "GET",
                                 .target = parts.target,
                                 .host = parts.host,
                                 .path = parts.path,
                                 .query = parts.query,
                                 .fields = fields,
                                 .body = {},
                                 .peer = request_.peer,
                                 .peer_is_verified = false,
                                 .is_secure = parts.is_secure};
  fragments_.push_back(std::make_unique<Fragment>(*this, std::move(done)));
  // Where it is not taken its responder is dropped, which says so.
  ask_(
      request, net::HttpResponder(*fragments_.back()),
      {.depth = depth + 1, .spent = spent, .code_depth = request_.nesting.code_depth, .trace = request_.nesting.trace});
}

void Composition::put_out(std::string_view piece) {
  out_->append(Payload(piece));
  if (out_->lag() <= kUntakenBytesMax || std::exchange(is_given_up_, true)) return;
  loop_.post([alive = std::weak_ptr(alive_)] {
    if (const auto there = alive.lock()) (*there)->end();
  });
}

void Composition::on_read() {
  if (is_ready_ && out_->has_been_read() && out_->readers() == 0) end();
}

void Composition::fail(std::string what) {
  const auto failed = std::exchange(told_.failed, nullptr);
  if (failed) failed(what);
}

void Composition::end() {
  const auto ended = std::exchange(told_.ended, nullptr);
  if (ended) ended();
}

}  // namespace verge::cache
