#include "net/captured_exchange.h"

#include <charconv>
#include <utility>

namespace verge::net {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

bool has_no_body(int status) { return status == 204 || status == 304; }

}  // namespace

CapturedExchange::CapturedExchange(runtime::Loop& loop, UpstreamObserver& observer, bool is_head)
    : observer_(observer), is_head_(is_head), telling_(loop) {}

CapturedExchange::~CapturedExchange() {
  forget_responder();
  if (end_ == End::kNone && closed_) std::exchange(closed_, nullptr)();
}

void CapturedExchange::take_head(int status, std::span<const HttpField> fields, std::string_view content_type,
                                 const BodyFraming& framing) {
  status_ = status;
  if (!content_type.empty()) fields_.emplace_back("Content-Type", content_type);
  for (const HttpField& field : fields) fields_.emplace_back(field.name, field.value);
  framing_ = framing;
  if (is_head_ || has_no_body(status)) {
    if (framing.kind == BodyFraming::Kind::kLength && is_head_) {
      fields_.emplace_back("Content-Length", std::to_string(framing.length));
    }
    framing_ = {};
  } else if (framing.kind == BodyFraming::Kind::kNone) {
    framing_ = {.kind = BodyFraming::Kind::kLength, .length = 0};
  }
  telling_.after(Duration(0), [this] { tell(); });
}

void CapturedExchange::respond(const HttpResponse& response) {
  take_head(response.status, response.fields, response.content_type,
            {.kind = BodyFraming::Kind::kLength, .length = response.body.size()});
  write_piece(response.body);
  end(End::kComplete);
}

// The head is one that was made here: its lines are in order.
void CapturedExchange::respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) {
  constexpr size_t kStatusAt = std::string_view("HTTP/1.1 ").size();
  int status = 0;
  if (head.size() >= kStatusAt + 3) std::from_chars(head.data() + kStatusAt, head.data() + kStatusAt + 3, status);
  head.remove_prefix(std::min(head.size(), head.find(kLineEnd) + kLineEnd.size()));
  std::vector<HttpField> fields;
  while (!head.empty()) {
    const std::string_view line = head.substr(0, head.find(kLineEnd));
    head.remove_prefix(std::min(head.size(), line.size() + kLineEnd.size()));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const HttpField field{.name = line.substr(0, colon), .value = trim_blanks(line.substr(colon + 1))};
    if (!equals_ignoring_case(field.name, "content-length")) fields.push_back(field);
  }
  take_head(status, fields, {}, {.kind = BodyFraming::Kind::kLength, .length = size});
  write_piece(body, offset, size);
  end(End::kComplete);
}

void CapturedExchange::start_stream(const HttpResponse& response) {
  take_head(response.status, response.fields, response.content_type, {.kind = BodyFraming::Kind::kChunked});
  write_piece(response.body);
}

void CapturedExchange::start(const HttpResponseHead& head, const BodyFraming& framing) {
  take_head(head.status, head.fields, {}, framing);
}

void CapturedExchange::write_piece(std::string_view piece) {
  if (framing_.kind == BodyFraming::Kind::kNone || piece.empty()) return;
  body_.append(piece);
  telling_.after(Duration(0), [this] { tell(); });
}

void CapturedExchange::write_piece(const Payload& bytes, size_t offset, size_t size) {
  write_piece(bytes.view().substr(offset, size));
}

void CapturedExchange::finish_stream(std::span<const HttpField>) { end(End::kComplete); }

void CapturedExchange::drop(bool) { end(End::kBroken); }

void CapturedExchange::end(End how) {
  end_ = how;
  closed_ = nullptr;
  drained_ = nullptr;
  responder_ = nullptr;
  telling_.after(Duration(0), [this] { tell(); });
}

void CapturedExchange::resume() {
  paused_ = false;
  telling_.after(Duration(0), [this] { tell(); });
}

void CapturedExchange::tell() {
  const auto alive = std::weak_ptr(alive_);
  if (paused_) return;
  if (status_ != 0 && !std::exchange(told_head_, true)) {
    ResponseHead head{.status = status_, .reason = {}, .minor_version = 1, .fields = {}};
    for (const auto& [name, value] : fields_) head.fields.push_back({name, value});
    observer_.on_head(head, framing_);
    if (alive.expired()) return;
  }
  if (paused_) return;
  if (!body_.empty()) {
    const std::string piece = std::exchange(body_, {});
    observer_.on_body(piece);
    if (alive.expired()) return;
  }
  const End how = std::exchange(end_, End::kNone);
  if (how == End::kComplete) return observer_.on_end({});
  if (how == End::kBroken) {
    return observer_.on_failed({.code = "http.closed", .what = "the answer broke off", .fix = {}});
  }
  const std::function<void()> drained = drained_;  // which may be replaced, or go with this
  if (drained) drained();
}

}  // namespace verge::net
