#include "node/request_runs.h"

#include <algorithm>
#include <variant>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "isolates/url.h"
#include "net/captured_exchange.h"

namespace verge::node {
namespace {

// What is recorded at the end, behind the answer's last byte.
constexpr int kTurnsAfter = 3;
constexpr size_t kFieldsMax = 100;

}  // namespace

class RequestRuns::Run final : private net::UpstreamObserver {
 public:
  Run(RequestRuns& home, const Request& request, std::function<void(Result<Answer>)> done)
      : home_(home),
        request_(request),
        done_(std::move(done)),
        tracer_(std::make_shared<traces::Tracer>(traces::Tracer::Options{.one_in = 1})),
        patience_(home.loop_),
        ending_(home.loop_) {}

  [[nodiscard]] const std::string& url() const { return request_.url; }
  void begin(const isolates::Url& url) {
    const std::optional<traces::TraceContext> root = tracer_->begin();
    cache::Nesting nesting;
    traces::Scope scope{tracer_, &home_.clock_, root.value_or(traces::TraceContext{})};
    scope.context.span = 0;  // nobody's child
    nesting.trace = std::make_shared<const traces::Scope>(std::move(scope));
    std::vector<net::HttpField> fields;
    for (const auto& [name, value] : request_.fields) fields.push_back({name, value});
    static const net::Address kHere = net::Address::parse("127.0.0.1:1").value_or(net::Address());
    const size_t mark = url.target.find('?');
    const net::HttpRequest asked{
        .method = request_.method,
        .target = url.target,
        .host = url.authority,
        .path = url.target.substr(0, mark),
        .query = mark == std::string_view::npos ? std::string_view() : url.target.substr(mark + 1),
        .fields = fields,
        .body = Payload(request_.body),
        .peer = kHere,
        .is_secure = url.scheme == "https"};
    patience_.after(kTimeMax, [this] { end("there was no whole answer in a minute"); });
    exchange_ = std::make_unique<net::CapturedExchange>(home_.loop_, static_cast<net::UpstreamObserver&>(*this),
                                                        request_.method == "HEAD");
    home_.proxy_.receive(asked, net::HttpResponder(*exchange_), nesting);
  }

 private:
  void on_head(const net::ResponseHead& head, const net::BodyFraming&) override {
    answer_.status = head.status;
    for (const net::HttpField& field : head.fields) answer_.fields.emplace_back(field.name, field.value);
  }
  void on_body(std::string_view piece) override {
    answer_.body_bytes += piece.size();
    answer_.body.append(piece.substr(0, kBodyBytesMax - std::min(kBodyBytesMax, answer_.body.size())));
  }
  void on_end(std::span<const net::HttpField>) override { end({}); }
  void on_failed(const Error& error) override { end(error.what); }

  void end(std::string_view failure) {
    patience_.cancel();
    answer_.failure = failure;
    go_on(kTurnsAfter);
  }
  void go_on(int turns) {
    ending_.after(Duration(0), [this, turns] {
      if (turns > 0) return go_on(turns - 1);
      exchange_.reset();
      answer_.spans = tracer_->take(traces::Tracer::kSpansMax);
      std::ranges::sort(answer_.spans, {}, &traces::Span::begin_ns);
      const auto done = std::move(done_);
      done(std::move(answer_));
      home_.over(*this);
    });
  }

  RequestRuns& home_;
  const Request request_;
  std::function<void(Result<Answer>)> done_;
  const std::shared_ptr<traces::Tracer> tracer_;  // shared with scopes that may last longer
  Answer answer_;
  std::unique_ptr<net::CapturedExchange> exchange_;
  runtime::Timer patience_;
  runtime::Timer ending_;
};

RequestRuns::RequestRuns(runtime::Loop& loop, cache::Proxy& proxy, const Clock& clock)
    : loop_(loop), proxy_(proxy), clock_(clock) {}

RequestRuns::~RequestRuns() = default;

void RequestRuns::run(const Request& request, std::function<void(Result<Answer>)> done) {
  const auto refuse = [&](Error error) {
    loop_.post([done = std::move(done), error = std::move(error)] { done(std::unexpected(error)); });
  };
  const Result<isolates::Url> url = isolates::parse_url(request.url);
  if (!url || !proxy_.serves(url->authority)) {
    return refuse({"cache.url", fmt::format("no site stands for '{}'", printable(request.url)),
                   "give the URL whole, such as http://www.example.com/index.html"});
  }
  if (runs_.size() >= kRunsMax) {
    return refuse({"http.busy", fmt::format("{} requests are traced already", kRunsMax), "try again in a moment"});
  }
  runs_.push_back(std::make_unique<Run>(*this, request, std::move(done)));
  Run& run = *runs_.back();
  // Views of the run's own copy.
  run.begin(*isolates::parse_url(run.url()));
}

void RequestRuns::over(Run& run) {
  std::erase_if(runs_, [&](const auto& one) { return one.get() == &run; });
}

// --- As JSON

std::string json_of(const RequestRuns::Answer& answer) {
  std::string out = fmt::format(R"({{"status":{},"fields":[)", answer.status);
  for (const auto& [name, value] : answer.fields) {
    fmt::format_to(std::back_inserter(out), "{}[{},{}]", out.ends_with('[') ? "" : ",", json_string(name),
                   json_string(value));
  }
  fmt::format_to(std::back_inserter(out), R"(],"body_bytes":{})", answer.body_bytes);
  if (is_utf8(answer.body)) {
    out.append(R"(,"body":)").append(json_string(answer.body));
  } else {
    fmt::format_to(std::back_inserter(out), R"(,"base64":"{}")", base64(answer.body));
  }
  if (!answer.failure.empty()) out.append(R"(,"failure":)").append(json_string(answer.failure));
  out.append(R"(,"spans":[)");
  const int64_t begin_ns = answer.spans.empty() ? 0 : answer.spans.front().begin_ns;
  for (const traces::Span& span : answer.spans) {
    if (!out.ends_with('[')) out.push_back(',');
    fmt::format_to(std::back_inserter(out), R"({{"span":"{}","parent":"{}","name":{},"begin_ms":{:.3f},"ms":{:.3f})",
                   traces::text_of(span.id), span.parent == 0 ? "" : traces::text_of(span.parent),
                   json_string(span.name), static_cast<double>(span.begin_ns - begin_ns) / 1e6,
                   static_cast<double>(span.end_ns - span.begin_ns) / 1e6);
    out.append(R"(,"attributes":{)");
    for (const traces::Attribute& attribute : span.attributes) {
      if (!out.ends_with('{')) out.push_back(',');
      out.append(json_string(attribute.key)).push_back(':');
      if (const auto* text = std::get_if<std::string>(&attribute.value)) {
        out.append(json_string(*text));
      } else if (const auto* number = std::get_if<int64_t>(&attribute.value)) {
        out.append(std::to_string(*number));
      } else {
        out.append(std::get<bool>(attribute.value) ? "true" : "false");
      }
    }
    out.push_back('}');
    if (!span.error.empty()) out.append(R"(,"error":)").append(json_string(span.error));
    out.push_back('}');
  }
  return out.append("]}");
}

Result<RequestRuns::Request> read_run_request(std::string_view json) {
  const auto bad = [](std::string what) {
    return fail("http.request", std::move(what),
                R"(post {"method":"GET","url":"http://…","fields":[["Name","value"]]})");
  };
  simdjson::dom::parser parser;
  const simdjson::padded_string text(json);
  simdjson::dom::element root;
  simdjson::dom::array fields;
  std::string_view url, method = "GET", body;
  if (parser.parse(text).get(root) != simdjson::SUCCESS || root["url"].get(url) != simdjson::SUCCESS) {
    return bad("the body is no JSON object with a url");
  }
  for (const auto& [member, value] : simdjson::dom::object(root)) {
    if (member != "method" && member != "url" && member != "fields" && member != "body") {
      return bad(fmt::format("a request has no member {}", json_string(member)));
    }
    if (member == "fields" ? !value.is_array() : !value.is_string()) {
      return bad(fmt::format("{} is no {}", json_string(member), member == "fields" ? "list" : "string"));
    }
  }
  static_cast<void>(root["method"].get(method));
  static_cast<void>(root["body"].get(body));
  if (!net::is_token(method)) return bad(fmt::format("{} is no method", json_string(method)));
  const bool is_target = std::ranges::all_of(url, [](char c) { return c > ' ' && c < '\x7f'; });
  if (!is_target) return bad("the URL has characters that are to be percent-encoded");
  RequestRuns::Request request{
      .method = std::string(method), .url = std::string(url), .fields = {}, .body = std::string(body)};
  if (root["fields"].get(fields) != simdjson::SUCCESS) return request;
  if (fields.size() > kFieldsMax) return bad(fmt::format("{} fields are too many", fields.size()));
  for (const simdjson::dom::element field : fields) {
    std::string_view name, value;
    if (field.at(0).get(name) != simdjson::SUCCESS || field.at(1).get(value) != simdjson::SUCCESS ||
        !net::is_token(name) || !net::is_field_value(value)) {
      return bad("a field is no pair of a name and a value");
    }
    const bool is_framing = net::equals_ignoring_case(name, "host") ||
                            net::equals_ignoring_case(name, "content-length") ||
                            net::equals_ignoring_case(name, "transfer-encoding") ||
                            net::equals_ignoring_case(name, "connection") || net::equals_ignoring_case(name, "upgrade");
    if (!is_framing) request.fields.emplace_back(name, value);
  }
  return request;
}

}  // namespace verge::node
