#include "cache/answer_tap.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace verge::cache {

AnswerTap::AnswerTap(const net::HttpRequest& request, net::HttpResponder inner, Options options,
                     std::function<void(AnswerTap&)> ended)
    : inner_(std::move(inner)),
      options_(std::move(options)),
      ended_(std::move(ended)),
      began_(std::chrono::steady_clock::now()),
      is_head_(request.method == "HEAD") {
  inner_.when_closed([this] { on_closed(); });
  if (!is_noted()) return;
  protocol_ = request.protocol;
  client_ = request.peer.ip_text();
  method_ = request.method;
  host_ = request.host;
  target_ = request.target;
  referer_ = request.field("referer").value_or("");
  user_agent_ = request.field("user-agent").value_or("");
}

std::vector<net::HttpField> AnswerTap::edited(int status, std::span<const net::HttpField> fields) {
  status_ = status;
  if (is_noted()) cache_status_ = net::find_field(fields, "cache-status").value_or("");
  std::vector<net::HttpField> all(fields.begin(), fields.end());
  if (options_.edits != nullptr) apply(*options_.edits, all);
  return all;
}

void AnswerTap::respond(const net::HttpResponse& response) {
  net::HttpResponse changed = response;
  if (!response.content_type.empty()) {
    changed.fields.insert(changed.fields.begin(), {"Content-Type", response.content_type});
    changed.content_type = {};
  }
  changed.fields = edited(response.status, changed.fields);
  if (!is_head_) bytes_ = response.body.size();
  inner_.respond(changed);
  end(true);
}

void AnswerTap::respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) {
  const size_t line = head.find("\r\n");
  int status = 0;
  std::from_chars(head.data() + std::min<size_t>(9, head.size()), head.data() + std::min<size_t>(12, head.size()),
                  status);
  std::vector<net::HttpField> fields;
  for (std::string_view rest = head.substr(line + 2); !rest.empty();) {
    const std::string_view field = rest.substr(0, rest.find("\r\n"));
    rest.remove_prefix(std::min(rest.size(), field.size() + 2));
    const size_t colon = field.find(':');
    if (colon == std::string_view::npos) continue;
    fields.push_back({field.substr(0, colon), net::trim_blanks(field.substr(colon + 1))});
  }
  fields = edited(status, fields);
  if (!is_head_) bytes_ = size;
  if (options_.edits == nullptr) {
    inner_.respond_prepared(head, body, offset, size);
    return end(true);
  }
  std::string text(head.substr(0, line + 2));
  for (const auto& [name, value] : fields) text.append(name).append(": ").append(value).append("\r\n");
  inner_.respond_prepared(text, body, offset, size);
  end(true);
}

void AnswerTap::send_interim(int status, std::span<const net::HttpField> fields) {
  inner_.send_interim(status, fields);
}

void AnswerTap::start_stream(const net::HttpResponse& response) {
  net::HttpResponse changed = response;
  changed.fields = edited(response.status, response.fields);
  bytes_ += response.body.size();
  inner_.start_stream(changed);
}

void AnswerTap::start(const net::HttpResponseHead& head, const net::BodyFraming& framing) {
  const std::vector<net::HttpField> fields = edited(head.status, head.fields);
  net::HttpResponseHead changed = head;
  changed.fields = fields;
  inner_.start(changed, framing);
}

void AnswerTap::write_piece(std::string_view piece) {
  if (!is_head_) bytes_ += piece.size();
  inner_.write(piece);
}

void AnswerTap::write_piece(const Payload& bytes, size_t offset, size_t size) {
  if (!is_head_) bytes_ += size;
  inner_.write(bytes, offset, size);
}

void AnswerTap::finish_stream(std::span<const net::HttpField> trailers) {
  inner_.finish(trailers);
  end(true);
}

void AnswerTap::switch_protocols(const net::HttpResponseHead& head, net::RawObserver& observer) {
  const std::vector<net::HttpField> fields = edited(head.status, head.fields);
  net::HttpResponseHead changed = head;
  changed.fields = fields;
  inner_.switch_protocols(changed, observer);
}

void AnswerTap::pause_raw(bool paused) {
  if (paused) {
    inner_.pause_reading();
  } else {
    inner_.resume_reading();
  }
}

void AnswerTap::drop(bool streaming) {
  if (!streaming) status_ = 500;
  inner_ = {};  // tells the real exchange in turn
  end(false);
}

void AnswerTap::on_closed() {
  forget_responder();
  const std::function<void()> closed = std::exchange(closed_, nullptr);
  if (closed) closed();
  end(false);
}

void AnswerTap::end(bool complete) {
  if (is_noted()) {
    const AccessLogLine line{.time = options_.time,
                             .client = client_,
                             .method = method_,
                             .host = host_,
                             .target = target_,
                             .protocol = protocol_,
                             .referer = referer_,
                             .user_agent = user_agent_,
                             .status = status_,
                             .bytes = bytes_,
                             .duration = std::chrono::steady_clock::now() - began_,
                             .cache_status = cache_status_,
                             .upstream = options_.note->upstream,
                             .complete = complete};
    if (options_.log) options_.log->append(line);
    std::optional<RequestTrace>& trace = options_.note->trace;
    if (trace) trace->end(line);
  }
  const std::function<void(AnswerTap&)> ended = std::move(ended_);
  ended(*this);  // destroys this
}

}  // namespace verge::cache
