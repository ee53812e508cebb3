// AnswerReader: what an origin answers to one request, from bytes: interim heads, the head, pieces of the body, its end
// (RFC 9112 sections 4, 6 and 7). No I/O; the result is the same however the bytes were cut.
//
// The head is copied while it is read, so that it stays good while the body comes; bodies are never copied. An answer
// that leaves room for doubt about its end is refused, as is one that was not asked for: too many interim answers, a
// change to another protocol.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/http_chunked.h"
#include "net/http_codec.h"

namespace verge::net {

class AnswerReader {
 public:
  // Before one answer. Origins send one or two; more than this is none any more.
  static constexpr int kInterimMax = 16;

  explicit AnswerReader(const HeadLimits& limits) : parser_(limits) {}

  // Forgets what was before. `method`: of the request. `takes_upgrade`: 101 is an answer; what follows it is of another
  // protocol, until the connection ends.
  void begin(std::string_view method, bool takes_upgrade = false);

  enum class Progress {
    kNeedMore,  // all was consumed
    kInterim,   // head() is that of an interim answer, until the next call
    kHead,      // head() and framing() are good until begin()
    kPiece,     // of the body
    kDone,      // what follows belongs to no answer
    kRefused    // see problem()
  };
  struct Step {
    Progress progress;
    size_t consumed;         // bytes of the input
    std::string_view piece;  // within the input; with kPiece only
  };
  // Call again with what follows `consumed`, even if that is nothing, until kNeedMore, kDone or kRefused.
  Step next(std::string_view input);

  [[nodiscard]] const ResponseHead& head() const { return parser_.head(); }
  [[nodiscard]] const BodyFraming& framing() const { return framing_; }
  [[nodiscard]] std::string_view problem() const { return problem_; }
  // A byte of the answer came.
  [[nodiscard]] bool has_begun() const { return begun_; }
  // After kHead with 101.
  [[nodiscard]] bool has_switched() const { return switched_; }
  // The end of the connection is the end of this body.
  [[nodiscard]] bool ends_with_connection() const {
    return state_ == State::kBody && framing_.kind == BodyFraming::Kind::kUntilClose;
  }
  // After kDone: the connection may carry another request.
  [[nodiscard]] bool keeps_connection() const;
  // After kDone: for trailer_fields().
  std::string take_trailers() { return chunks_.take_trailers(); }

 private:
  enum class State { kHead, kBody, kDone, kRefused };
  Step read_head(std::string_view input);
  Step take_head(size_t consumed);
  Step read_chunks(std::string_view input);
  Step refuse(std::string_view why);

  ResponseParser parser_;
  State state_ = State::kHead;
  bool is_head_ = false;  // the method
  bool takes_upgrade_ = false;
  bool begun_ = false;
  bool switched_ = false;
  bool head_spent_ = false;  // parser_ shows an interim head
  int interim_ = 0;
  std::string head_text_;  // what parser_ shows
  BodyFraming framing_;
  uint64_t left_ = 0;  // of a body of known length
  ChunkedDecoder chunks_{/*keeps_trailers=*/true};
  std::string_view problem_;
};

}  // namespace verge::net
