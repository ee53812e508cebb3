#include "node/trace_exporter.h"

#include <algorithm>

#include <fmt/format.h>
#include <pthread.h>

#include "base/log.h"
#include "base/text.h"
#include "net/http_date.h"
#include "node/worker_thread.h"

namespace verge::node {
namespace {

constexpr size_t kAnswerBytesMax = 64U << 10;
constexpr Duration kTimeout = std::chrono::seconds(10);
constexpr Duration kFirstBackoff = std::chrono::seconds(1);

// As OTLP says.
bool is_worth_another(int status) { return status == 429 || status == 502 || status == 503 || status == 504; }

}  // namespace

TraceExporter::TraceExporter(traces::Tracer& tracer, const WebhookUrl& collector, const std::string& token,
                             traces::Resource resource, const Clock& clock)
    : tracer_(tracer),
      collector_(collector),
      authorization_(token.empty() ? "" : "Bearer " + token),
      resource_(std::move(resource)),
      clock_(clock) {
  tracer_.when_filled([this] { loop_.post([this] { begin(); }); });
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "traces");
    lower_own_priority();
    loop_.run();
  });
}

TraceExporter::~TraceExporter() {
  loop_.post([this] { begin_end(); });
  thread_.join();
}

void TraceExporter::begin_end() {
  is_ending_ = true;
  end_timer_.after(kEndMax, [this] { end(); });
  if (body_.size() == 0) {
    timer_.cancel();
    next();
  } else if (timer_.pending()) {
    timer_.cancel();
    request();
  }
}

void TraceExporter::end() {
  const size_t left = tracer_.waiting() + (body_.size() == 0 ? 0 : spans_);
  if (left > 0) log_warning("traces", "{} spans were not sent to {} before the end", left, collector_.authority);
  loop_.stop();
}

// More of them come within a moment.
void TraceExporter::begin() {
  if (std::exchange(is_busy_, true)) return;
  timer_.after(kPause, [this] { next(); });
}

void TraceExporter::next() {
  const std::vector<traces::Span> spans = tracer_.take(kBatchSpans, kBatchBytes);
  is_busy_ = !spans.empty();
  body_ = {};
  if (spans.empty()) {
    if (is_ending_) end();
    return;
  }
  spans_ = spans.size();
  attempts_ = 0;
  body_ = Payload(traces::otlp_json(resource_, spans));
  request();
}

void TraceExporter::request() {
  ++attempts_;
  if (!client_) {
    resolver_.resolve(collector_.authority, AF_UNSPEC, loop_,
                      [this](const Result<net::Address>& address) { connect(address); });
    return;
  }
  net::HttpCall call{.method = "POST", .target = collector_.target, .body = body_, .timeout = kTimeout};
  call.fields = {{"Content-Type", "application/json"}};
  if (!authorization_.empty()) call.fields.push_back({"Authorization", authorization_});
  client_->request(call, [this](const Result<net::HttpAnswer>& answer) { answered(answer); });
}

Duration TraceExporter::backoff() {
  const auto usual = std::min<Duration>(kFirstBackoff * (1U << (attempts_ - 1)), kBackoffMax);
  return Duration(static_cast<int64_t>(static_cast<double>(usual.count()) * (0.75 + random_.unit() / 2)));
}

void TraceExporter::connect(const Result<net::Address>& address) {
  if (!address) return try_again(backoff(), address.error().line());
  std::shared_ptr<const net::TlsContext> tls;
  if (collector_.tls) {
    auto context = net::TlsContext::client({.server_name = collector_.host, .ca = {}, .identity = {}, .protocols = {}});
    if (!context) return give_up(context.error().line());
    tls = std::move(*context);
  }
  client_ = std::make_unique<net::HttpClient>(loop_, *address, collector_.authority,
                                              net::HttpClientLimits{.body_bytes_max = kAnswerBytesMax}, std::move(tls));
  --attempts_;
  request();
}

void TraceExporter::answered(const Result<net::HttpAnswer>& answer) {
  if (!answer) {
    client_.reset();  // the name may stand for another address by then
    return try_again(backoff(), answer.error().line());
  }
  if (answer->status / 100 == 2) {
    take_partial(traces::parse_otlp_answer(answer->body.view()));
    return next();
  }
  const std::string why = fmt::format("it answered {}: {}", answer->status, answer->body.view().substr(0, 200));
  if (!is_worth_another(answer->status)) return give_up(why);
  const std::optional<Duration> asked = net::retry_after(answer->fields, clock_.wall(), kRetryAfterMax);
  try_again(std::max(backoff(), asked.value_or(Duration{})), why);
}

// What it did not take it does not want again.
void TraceExporter::take_partial(const traces::PartialSuccess& said) {
  const uint64_t rejected = std::min<uint64_t>(said.rejected, spans_);
  counters_.exported += spans_ - rejected;
  counters_.refused += rejected;
  if (rejected == 0) return;
  if (const auto others = failures_.due(loop_.tick())) {
    log_warning("traces", "{} took {} of {} spans: {}; {} other batches since the last line", collector_.authority,
                spans_ - rejected, spans_, printable(said.message.substr(0, 200)), *others);
  }
}

void TraceExporter::try_again(Duration pause, const std::string& why) {
  if (is_ending_ || attempts_ >= kAttemptsMax) return give_up(why);
  timer_.after(pause, [this] { request(); });
}

void TraceExporter::give_up(const std::string& why) {
  counters_.refused += spans_;
  if (const auto others = failures_.due(loop_.tick())) {
    log_warning("traces", "{} spans for {} are given up: {}; {} other batches since the last line", spans_,
                collector_.authority, why, *others);
  }
  if (!is_ending_) return next();
  body_ = {};  // it is in that line
  end();
}

}  // namespace verge::node
