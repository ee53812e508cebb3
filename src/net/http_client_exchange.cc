#include "net/http_client_exchange.h"

#include <fmt/format.h>

namespace verge::net {

using Progress = HttpClientExchange::Progress;

Progress HttpClientExchange::receive(std::string_view bytes) {
  answer_begun = true;
  while (!framing) {
    const Progress progress = receive_head(bytes);
    if (progress != Progress::kDone) return progress;
  }
  return receive_body(*framing, bytes);
}

// kDone: a head was read, an interim one or the final one; `bytes` is what follows it.
Progress HttpClientExchange::receive_head(std::string_view& bytes) {
  const size_t had = head_text.size();
  head_text.append(bytes.substr(0, limits.head.head_bytes_max + 1));
  const HeadProgress progress = parser.parse(head_text);
  if (progress == HeadProgress::kRefused) return refuse(parser.fault().reason);
  if (progress == HeadProgress::kNeedMore) return Progress::kNeedMore;
  bytes.remove_prefix(parser.head_bytes() - had);
  const int status = parser.head().status;
  if (status == 101) return refuse("the origin switched to another protocol without being asked");
  if (status < 200) {
    head_text.clear();
    parser.reset();
    return bytes.empty() ? Progress::kNeedMore : Progress::kDone;
  }
  const std::expected<BodyFraming, HttpFault> found = response_framing(parser.head(), method);
  if (!found) return refuse(found.error().reason);
  framing = *found;
  return Progress::kDone;
}

Progress HttpClientExchange::receive_body(const BodyFraming& body_framing, std::string_view bytes) {
  if (body_framing.kind == BodyFraming::Kind::kChunked) return receive_chunks(bytes);
  const bool open = body_framing.kind == BodyFraming::Kind::kUntilClose;
  const uint64_t left = open ? bytes.size() : body_framing.length - received.size();
  if (left > limits.body_bytes_max - received.size()) {
    problem_code = "http.body-too-long";
    return refuse("the body is longer than this client takes");
  }
  const std::string_view taken = bytes.substr(0, left);
  received.append(taken);
  has_surplus = taken.size() < bytes.size();
  return !open && taken.size() == left ? Progress::kDone : Progress::kNeedMore;
}

Progress HttpClientExchange::receive_chunks(std::string_view bytes) {
  while (true) {
    const ChunkedDecoder::Step step = chunks.next(bytes);
    bytes.remove_prefix(step.consumed);
    switch (step.progress) {
      case ChunkedDecoder::Progress::kNeedMore:
        return Progress::kNeedMore;
      case ChunkedDecoder::Progress::kRefused:
        return refuse(chunks.fault().reason);
      case ChunkedDecoder::Progress::kDone:
        has_surplus = !bytes.empty();
        return Progress::kDone;
      case ChunkedDecoder::Progress::kPiece:
        if (step.piece.size() > limits.body_bytes_max - received.size()) {
          problem_code = "http.body-too-long";
          return refuse("the body is longer than this client takes");
        }
        received.append(step.piece);
    }
  }
}

bool HttpClientExchange::ends_with_connection() const {
  return framing && framing->kind == BodyFraming::Kind::kUntilClose;
}

Error HttpClientExchange::refusal() const {
  return {.code = problem_code, .what = fmt::format("the answer was refused: {}", problem), .fix = {}};
}

}  // namespace verge::net
