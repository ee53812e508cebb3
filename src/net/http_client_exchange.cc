#include "net/http_client_exchange.h"

#include <fmt/format.h>

namespace verge::net {

HttpClientExchange::Progress HttpClientExchange::receive(std::string_view bytes) {
  while (true) {
    const AnswerReader::Step step = reader.next(bytes);
    bytes.remove_prefix(step.consumed);
    switch (step.progress) {
      case AnswerReader::Progress::kNeedMore:
        return Progress::kNeedMore;
      case AnswerReader::Progress::kInterim:
        break;
      case AnswerReader::Progress::kHead:
        is_too_long = reader.framing().length > limits.body_bytes_max;
        break;
      case AnswerReader::Progress::kPiece:
        is_too_long = step.piece.size() > limits.body_bytes_max - received.size();
        if (!is_too_long) received.append(step.piece);
        break;
      case AnswerReader::Progress::kDone:
        has_surplus = !bytes.empty();
        return Progress::kDone;
      case AnswerReader::Progress::kRefused:
        return Progress::kRefused;
    }
    if (is_too_long) return Progress::kRefused;
  }
}

Error HttpClientExchange::refusal() const {
  const std::string_view problem = is_too_long ? "the body is longer than this client takes" : reader.problem();
  return {.code = is_too_long ? "http.body-too-long" : "http.bad-answer",
          .what = fmt::format("the answer was refused: {}", problem),
          .fix = {}};
}

}  // namespace verge::net
