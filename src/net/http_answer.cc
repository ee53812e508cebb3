#include "net/http_answer.h"

#include <algorithm>
#include <utility>

namespace verge::net {
namespace {

// So much of the input is copied at once in search of the end of a head.
constexpr size_t kHeadStepBytes = 1024;
// More memory than this is not kept from one answer to the next.
constexpr size_t kKeepHeadBytes = 4096;

}  // namespace

void AnswerReader::begin(std::string_view method, bool takes_upgrade) {
  state_ = State::kHead;
  is_head_ = method == "HEAD";
  takes_upgrade_ = takes_upgrade;
  begun_ = false;
  switched_ = false;
  head_spent_ = false;
  interim_ = 0;
  parser_.reset();
  head_text_.clear();
  if (head_text_.capacity() > kKeepHeadBytes) head_text_ = {};
  framing_ = {};
  chunks_.reset();
}

AnswerReader::Step AnswerReader::next(std::string_view input) {
  begun_ = begun_ || !input.empty();
  switch (state_) {
    case State::kHead:
      return read_head(input);
    case State::kDone:
      return {Progress::kDone, 0, {}};
    case State::kRefused:
      return {Progress::kRefused, 0, {}};
    case State::kBody:
      break;
  }
  if (framing_.kind == BodyFraming::Kind::kChunked) return read_chunks(input);
  if (input.empty()) return {Progress::kNeedMore, 0, {}};
  if (framing_.kind == BodyFraming::Kind::kUntilClose) return {Progress::kPiece, input.size(), input};
  const std::string_view piece = input.substr(0, static_cast<size_t>(std::min<uint64_t>(left_, input.size())));
  left_ -= piece.size();
  if (left_ == 0) state_ = State::kDone;
  return {Progress::kPiece, piece.size(), piece};
}

AnswerReader::Step AnswerReader::read_head(std::string_view input) {
  if (std::exchange(head_spent_, false)) {
    parser_.reset();
    head_text_.clear();
  }
  size_t consumed = 0;
  while (consumed < input.size()) {
    const std::string_view part = input.substr(consumed, kHeadStepBytes);
    const size_t had = head_text_.size();
    head_text_.append(part);
    switch (parser_.parse(head_text_)) {
      case HeadProgress::kNeedMore:
        consumed += part.size();
        break;
      case HeadProgress::kRefused:
        return refuse(parser_.fault().reason);
      case HeadProgress::kDone:
        return take_head(consumed + parser_.head_bytes() - had);
    }
  }
  return {Progress::kNeedMore, consumed, {}};
}

AnswerReader::Step AnswerReader::take_head(size_t consumed) {
  const int status = parser_.head().status;
  if (status == 101) {
    if (!takes_upgrade_) return refuse("the origin switched to another protocol without being asked");
    switched_ = true;
    framing_ = {.kind = BodyFraming::Kind::kUntilClose};
    state_ = State::kBody;
    return {Progress::kHead, consumed, {}};
  }
  if (status < 200) {
    if (++interim_ > kInterimMax) return refuse("there are too many interim answers");
    head_spent_ = true;
    return {Progress::kInterim, consumed, {}};
  }
  const std::expected<BodyFraming, HttpFault> found = response_framing(parser_.head(), is_head_ ? "HEAD" : "GET");
  if (!found) return refuse(found.error().reason);
  framing_ = *found;
  left_ = framing_.length;
  const bool none = framing_.kind == BodyFraming::Kind::kNone;
  state_ = none || (framing_.kind == BodyFraming::Kind::kLength && left_ == 0) ? State::kDone : State::kBody;
  return {Progress::kHead, consumed, {}};
}

AnswerReader::Step AnswerReader::read_chunks(std::string_view input) {
  const ChunkedDecoder::Step step = chunks_.next(input);
  switch (step.progress) {
    case ChunkedDecoder::Progress::kPiece:
      return {Progress::kPiece, step.consumed, step.piece};
    case ChunkedDecoder::Progress::kDone:
      state_ = State::kDone;
      return {Progress::kDone, step.consumed, {}};
    case ChunkedDecoder::Progress::kRefused:
      return refuse(chunks_.fault().reason);
    case ChunkedDecoder::Progress::kNeedMore:
      break;
  }
  return {Progress::kNeedMore, step.consumed, {}};
}

AnswerReader::Step AnswerReader::refuse(std::string_view why) {
  state_ = State::kRefused;
  problem_ = why;
  return {Progress::kRefused, 0, {}};
}

bool AnswerReader::keeps_connection() const {
  return state_ == State::kDone && keeps_alive(parser_.head().minor_version, parser_.head().fields);
}

}  // namespace verge::net
