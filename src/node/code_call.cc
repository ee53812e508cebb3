#include "node/code_call.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "cache/request_view.h"
#include "isolates/failures.h"
#include "isolates/http_calls.h"
#include "isolates/tcp_outbound.h"
#include "net/http_response.h"
#include "node/code_subrequest.h"
#include "node/loop_workers.h"
#include "node/traced_fetch.h"

namespace verge::node {
namespace {

constexpr std::string_view kTraceparent = "traceparent";

}  // namespace

std::vector<calls::Field> call_fields(std::span<const net::HttpField> fields, std::string_view url,
                                      std::string_view host, std::string_view client) {
  std::vector<calls::Field> out;
  out.reserve(fields.size() + 3);
  out.push_back({"Host", host});
  for (const net::HttpField& field : fields) {
    const bool is_ours = net::equals_ignoring_case(field.name, "host") ||
                         net::equals_ignoring_case(field.name, "via") ||
                         net::equals_ignoring_case(field.name, "cdn-loop") || cache::is_unkeyed_input(field.name);
    if (!is_ours) out.push_back({field.name, field.value});
  }
  out.push_back({"X-Forwarded-For", client});
  out.push_back({"X-Forwarded-Proto", url.starts_with("https:") ? "https" : "http"});
  return out;
}

std::string_view host_of(std::string_view url) {
  const size_t begin = std::min(url.size(), url.find("//") + 2);
  return url.substr(begin, url.find_first_of("/?", begin) - begin);
}

// --- CodeCall

CodeCall::CodeCall(LoopWorkers& home, std::shared_ptr<const PlacedWorker> worker,
                   const cache::CodeRoute::Request& request, net::UpstreamObserver& observer, OwnAnswer own_answer)
    : home_(home),
      worker_(std::move(worker)),
      observer_(observer),
      own_answer_(std::move(own_answer)),
      method_(request.method),
      url_(request.url),
      client_(*request.client),
      nesting_(request.nesting),
      may_fall_back_(request.may_fall_back) {
  nesting_.code = worker_->id;
  nesting_.code_position = worker_->position;
  ++nesting_.code_depth;
  for (const net::HttpField& field : request.fields) {
    if (!net::equals_ignoring_case(field.name, "cdn-loop")) continue;
    loops_.append(loops_.empty() ? "" : ", ").append(field.value);
  }
  const std::string client = client_.ip_text();
  std::vector<calls::Field> fields = call_fields(request.fields, url_, host_of(url_), client);
  std::string traceparent;
  if (nesting_.trace) {
    traceparent = begin_span(request.fields);
    std::erase_if(fields,
                  [](const calls::Field& field) { return net::equals_ignoring_case(field.name, kTraceparent); });
    fields.push_back({kTraceparent, traceparent});
  }
  const std::string place = home_.place_of(client_);
  call_ = home_.pool().begin(
      worker_->worker, {.method = method_, .url = url_, .fields = fields, .place = place, .body = request.body}, *this);
}

CodeCall::~CodeCall() = default;

// Below that of the cache's asking, where there is one.
std::string CodeCall::begin_span(std::span<const net::HttpField> fields) {
  const traces::Scope& within = *nesting_.trace;
  const auto asked = traces::parse_traceparent(net::find_field(fields, kTraceparent).value_or(""));
  const bool is_its = asked && asked->trace == within.context.trace;
  span_.emplace(within, is_its ? asked->span : within.context.span, traces::SpanKind::kInternal,
                "worker " + worker_->name());
  span_->set("verge.worker", worker_->name());
  nesting_.trace = std::make_shared<const traces::Scope>(span_->within());
  return span_->traceparent();
}

void CodeCall::pause() {
  paused_ = true;
  if (call_) call_->pause_clock(true);
}

void CodeCall::resume() {
  paused_ = false;
  if (!call_) return;
  call_->pause_clock(false);
  call_->taken(std::exchange(owed_, 0));
}

void CodeCall::on_answer(const calls::Head& head, bool ends) {
  net::ResponseHead its{
      .status = static_cast<int>(head.status), .reason = head.reason, .minor_version = 1, .fields = {}};
  for (const calls::Field& field : head.fields) its.fields.push_back({field.name, field.value});
  const net::HttpResponseHead written{.status = its.status, .reason = its.reason, .fields = its.fields};
  if (its.status < 200 || its.status > 599 || !net::can_be_written(written)) {
    call_.reset();
    return on_failed(
        {{"workers.exception", fmt::format("worker {} answered with what is no HTTP answer", worker_->name()),
          "answer with a status of 200 to 599 and fields without control characters"}});
  }
  has_head_ = true;
  if (span_) span_->set("http.response.status_code", static_cast<int64_t>(its.status));
  // What it is given was counted where it came from.
  if (!own_answer_) home_.count_answer(*worker_, asks_sites_, asks_others_);
  const bool is_bodiless = method_ == "HEAD" || its.status == 204 || its.status == 304;
  net::BodyFraming framing{.kind = net::BodyFraming::Kind::kChunked};
  if (ends) framing = {.kind = net::BodyFraming::Kind::kLength, .length = head.body.size()};
  if (is_bodiless) framing = {};
  const auto alive = std::weak_ptr(alive_);
  observer_.on_head(its, framing);
  if (alive.expired() || head.body.empty()) return;
  on_body(head.body);
}

void CodeCall::on_body(std::string_view piece) {
  const bool is_bodiless = method_ == "HEAD";
  const auto alive = std::weak_ptr(alive_);
  if (!is_bodiless) observer_.on_body(piece);
  if (alive.expired() || !call_) return;
  if (paused_) {
    owed_ += piece.size();
  } else {
    call_->taken(piece.size());
  }
}

void CodeCall::on_end() {
  if (span_) span_->end();
  observer_.on_end({});
}

// A request that may have had its effect is not made once more, unless the worker itself asks for it.
bool CodeCall::falls_back(const isolates::CallFailure& failure) const {
  if (!may_fall_back_) return false;
  if (failure.passes_through) return true;
  const bool was_not_begun = failure.error.code == "workers.busy" || failure.error.code == "workers.program";
  const bool is_safe = method_ == "GET" || method_ == "HEAD" || method_ == "OPTIONS";
  return worker_->falls_back && (is_safe || was_not_begun);
}

void CodeCall::on_failed(const isolates::CallFailure& failure) {
  log_debug("workers", "{} {}: {}", method_, url_, failure.error.line());
  if (span_) {
    span_->set("error.type", std::string(failure.error.code));
    span_->end(failure.error.line());
  }
  if (has_head_ || falls_back(failure)) {
    if (!has_head_) home_.count_fallback(*worker_);
    return observer_.on_failed(failure.error);
  }
  answer_with(failure.error);
}

void CodeCall::answer_with(const Error& error) {
  home_.count_unworked();
  const std::string field = isolates::error_field(error, worker_->name());
  const std::string text = fmt::format("{} [{}]\n", isolates::public_text(error, worker_->name()), error.code);
  net::ResponseHead head{.status = isolates::status_of(error), .reason = {}, .minor_version = 1, .fields = {}};
  head.fields = {
      {"Content-Type", "text/plain; charset=utf-8"}, {"Cache-Control", "no-store"}, {"Verge-Worker-Error", field}};
  const bool is_head = method_ == "HEAD";
  net::BodyFraming framing{.kind = net::BodyFraming::Kind::kLength, .length = text.size()};
  if (is_head) framing = {};
  const auto alive = std::weak_ptr(alive_);
  has_head_ = true;
  observer_.on_head(head, framing);
  if (alive.expired()) return;
  if (!is_head) observer_.on_body(text);
  if (alive.expired()) return;
  observer_.on_end({});
}

std::unique_ptr<isolates::Subrequest> CodeCall::begin_subrequest(const calls::Request& request, bool ends,
                                                                 isolates::SubrequestObserver& observer) {
  if (request.target != calls::RequestTarget::kFetch) return nullptr;
  if (own_answer_ && ends && request.body.empty() && request.method == method_ && request.url == url_) {
    if (std::unique_ptr<isolates::Subrequest> given = own_answer_(request, observer)) return given;
  }
  if (!span_) return begin_fetch(request, ends, nesting_, observer);
  auto traced = std::make_unique<TracedFetch>(span_->within(), request, host_of(request.url), observer);
  cache::Nesting nesting = nesting_;
  nesting.trace = std::make_shared<const traces::Scope>(traced->span().within());
  calls::Request marked = request;
  std::erase_if(marked.fields,
                [](const calls::Field& field) { return net::equals_ignoring_case(field.name, kTraceparent); });
  const std::string traceparent = traced->span().traceparent();
  marked.fields.push_back({kTraceparent, traceparent});
  traced->begin(begin_fetch(marked, ends, nesting, traced->seen_by()));
  return traced;
}

std::unique_ptr<isolates::Subrequest> CodeCall::begin_fetch(const calls::Request& request, bool ends,
                                                            const cache::Nesting& nesting,
                                                            isolates::SubrequestObserver& observer) {
  const std::string_view host = host_of(request.url);
  const bool is_elsewhere = host != host_of(url_) && !home_.is_site(host);
  if (is_elsewhere || isolates::TcpOutbound::is_for(request)) {
    asks_others_ = true;
    return home_.outbound().begin_elsewhere(*worker_->worker, request, ends, observer, loops_);
  }
  asks_sites_ = true;
  return begin_site_fetch(home_.loop(), home_.proxy(), request, ends, client_, nesting, observer);
}

// --- AnswerCodeCall

// What the worker fetches under the request's own URL: the answer that is there.
class AnswerCodeCall::Given final : public isolates::Subrequest {
 public:
  Given(AnswerCodeCall& owner, isolates::SubrequestObserver& observer) : owner_(owner.alive_), observer_(observer) {}
  ~Given() override {
    if (const auto owner = owner_.lock(); owner && (*owner)->given_ == this) {
      (*owner)->given_ = nullptr;
      (*owner)->answer_ = nullptr;
    }
  }
  void write_body(std::string_view) override {}
  void finish_body() override {}
  void pause() override { set_paused(true); }
  void resume() override { set_paused(false); }
  isolates::SubrequestObserver& observer() { return observer_; }

 private:
  void set_paused(bool paused) {
    const auto owner = owner_.lock();
    if (!owner || (*owner)->given_ != this) return;
    if (paused == std::exchange((*owner)->reader_paused_, paused)) return;
    if (paused && (*owner)->answer_) (*owner)->answer_->pause();
    if (!paused && (*owner)->answer_) (*owner)->answer_->resume();
    if (!paused) (*owner)->home_.later(owner_, [](AnswerCodeCall& its) { its.hand_on(); });
  }

  std::weak_ptr<AnswerCodeCall*> owner_;
  isolates::SubrequestObserver& observer_;
};

// What the worker answers; where that is nothing, the answer goes on as it is.
class AnswerCodeCall::Outer final : public net::UpstreamObserver {
 public:
  explicit Outer(AnswerCodeCall& owner) : owner_(owner) {}

 private:
  void on_head(const net::ResponseHead& head, const net::BodyFraming& framing) override {
    has_head_ = true;
    owner_.observer_.on_head(head, framing);
  }
  void on_body(std::string_view piece) override { owner_.observer_.on_body(piece); }
  void on_end(std::span<const net::HttpField> trailers) override { owner_.observer_.on_end(trailers); }
  void on_failed(const Error& error) override {
    // What the worker has begun to read is gone.
    const bool is_whole = owner_.reader_ == Reader::kNone;
    if (has_head_ || !is_whole) return owner_.observer_.on_failed(error);
    owner_.pass_on();
  }

  AnswerCodeCall& owner_;
  bool has_head_ = false;
};

AnswerCodeCall::AnswerCodeCall(LoopWorkers& home, std::shared_ptr<const PlacedWorker> worker,
                               const cache::CodeRoute::Request& request,
                               const cache::CodeRoute::BeginAnswer& begin_answer, net::UpstreamObserver& observer)
    : home_(home),
      worker_(std::move(worker)),
      observer_(observer),
      method_(request.method),
      url_(request.url),
      body_(request.body),
      client_(*request.client),
      nesting_(request.nesting) {
  for (const net::HttpField& field : request.fields) request_fields_.emplace_back(field.name, field.value);
  answer_ = begin_answer(*this);
}

AnswerCodeCall::~AnswerCodeCall() = default;

void AnswerCodeCall::pause() {
  if (reader_ == Reader::kObserver) {
    reader_paused_ = true;
    if (answer_) answer_->pause();
  } else if (code_) {
    code_->pause();
  }
}

void AnswerCodeCall::resume() {
  if (reader_ == Reader::kObserver) {
    reader_paused_ = false;
    if (answer_) answer_->resume();
    home_.later(std::weak_ptr(alive_), [](AnswerCodeCall& its) { its.hand_on(); });
  } else if (code_) {
    code_->resume();
  }
}

void AnswerCodeCall::on_head(const net::ResponseHead& head, const net::BodyFraming& framing) {
  status_ = head.status;
  reason_ = head.reason;
  for (const net::HttpField& field : head.fields) fields_.emplace_back(field.name, field.value);
  framing_ = framing;
  if (head.status == 304 || head.status == 101) return pass_on();
  // Nothing of its body is read before somebody wants it.
  answer_->pause();
  begin_code();
}

void AnswerCodeCall::begin_code() {
  outer_ = std::make_unique<Outer>(*this);
  std::vector<net::HttpField> fields;
  for (const auto& [name, value] : request_fields_) fields.push_back({name, value});
  code_ = std::make_unique<CodeCall>(
      home_, worker_,
      cache::CodeRoute::Request{.method = method_,
                                .url = url_,
                                .fields = fields,
                                .body = body_,
                                .client = &client_,
                                .nesting = nesting_,
                                .may_fall_back = true},
      *outer_, [this](const calls::Request&, isolates::SubrequestObserver& observer) { return give(observer); });
}

std::unique_ptr<isolates::Subrequest> AnswerCodeCall::give(isolates::SubrequestObserver& observer) {
  if (reader_ != Reader::kNone) return nullptr;
  reader_ = Reader::kCode;
  auto given = std::make_unique<Given>(*this, observer);
  given_ = given.get();
  if (answer_) answer_->resume();
  home_.later(std::weak_ptr(alive_), [](AnswerCodeCall& its) { its.hand_on(); });
  return given;
}

void AnswerCodeCall::pass_on() {
  reader_ = Reader::kObserver;
  if (answer_) answer_->resume();
  // The worker's call ends with this, but not before it has returned.
  home_.later(std::weak_ptr(alive_), [](AnswerCodeCall& its) {
    its.code_ = nullptr;
    its.hand_on();
  });
}

void AnswerCodeCall::on_body(std::string_view piece) {
  if (reader_ == Reader::kCode && given_ == nullptr) return;
  piece_.append(piece);
  hand_on();
}

void AnswerCodeCall::on_end(std::span<const net::HttpField>) {
  answer_ = nullptr;
  ended_ = true;
  hand_on();
}

void AnswerCodeCall::on_failed(const Error& error) {
  if (status_ == 0) return observer_.on_failed(error);
  failure_ = error;
  answer_ = nullptr;
  hand_on();
}

void AnswerCodeCall::hand_on() {
  if (reader_ == Reader::kNone || (reader_ == Reader::kCode && given_ == nullptr)) return;
  const auto alive = std::weak_ptr(alive_);
  const auto is_over = [&] { return alive.expired() || (reader_ == Reader::kCode && given_ == nullptr); };
  if (!std::exchange(handed_head_, true)) {
    if (reader_ == Reader::kObserver) {
      net::ResponseHead head{.status = status_, .reason = reason_, .minor_version = 1, .fields = {}};
      for (const auto& [name, value] : fields_) head.fields.push_back({name, value});
      observer_.on_head(head, framing_);
    } else {
      calls::Head head{.status = static_cast<uint32_t>(status_), .reason = reason_, .fields = {}, .body = {}};
      for (const auto& [name, value] : fields_) head.fields.push_back({name, value});
      given_->observer().on_answer(head, ended_ && piece_.empty());
    }
    if (is_over()) return;
  }
  if (reader_paused_) return;
  const std::string piece = std::exchange(piece_, {});
  if (reader_ == Reader::kObserver) {
    if (!piece.empty()) observer_.on_body(piece);
    if (is_over()) return;
    if (failure_) return observer_.on_failed(*failure_);
    if (ended_) observer_.on_end({});
    return;
  }
  if (!piece.empty() || ended_) given_->observer().on_body(piece, ended_);
  if (is_over()) return;
  if (failure_) given_->observer().on_failed(*failure_);
}

}  // namespace verge::node
