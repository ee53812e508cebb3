// The heads of HTTP/1.1 messages: bytes in, a head or a fault out (RFC 9112 sections 2 to 6).
//
// The parser sits in front of caches and of other servers, so what two readers could understand differently is
// refused, not repaired: a bare LF or CR, folded lines, white space around a field name, a length that is not plain
// digits, a length given twice or beside a transfer coding. RFC 9112 section 11.2 says what goes wrong otherwise.
//
// A head is parsed line by line as its lines become complete, and each check sees whole lines only. So the result is
// the same however the bytes were cut, and no byte is looked at twice when they come in small pieces.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "net/http_message.h"

namespace verge::net {

struct HeadLimits {
  size_t head_bytes_max = 16U << 10;  // start line, fields and the empty line
  size_t target_bytes_max = 8U << 10;
  size_t fields_max = 100;
};

// Why a message is refused. `status`: 400, 413, 414, 431, 501 or 505 for what a client sent, 502 for an origin's
// answer.
struct HttpFault {
  int status = 400;
  std::string_view reason;  // a literal, for people
};

// Where the body of a message ends (RFC 9112 section 6.3).
struct BodyFraming {
  enum class Kind { kNone, kLength, kChunked, kUntilClose };
  Kind kind = Kind::kNone;
  uint64_t length = 0;  // of kLength
};

// Refuses what leaves room for doubt about the end of the body.
std::expected<BodyFraming, HttpFault> request_framing(const RequestHead& head);
// `method` is that of the request: an answer to HEAD has no body, nor have 1xx, 204 and 304.
std::expected<BodyFraming, HttpFault> response_framing(const ResponseHead& head, std::string_view method);

enum class HeadProgress { kNeedMore, kDone, kRefused };

class HeadParser {
 public:
  // `buffer` starts with the head and holds all of it that has come so far; it may move between calls. After kDone the
  // head's views point into it.
  HeadProgress parse(std::string_view buffer);
  // After kDone: bytes of the buffer that the head took.
  [[nodiscard]] size_t head_bytes() const { return line_begin_; }
  // After kRefused.
  [[nodiscard]] const HttpFault& fault() const { return fault_; }

 protected:
  HeadParser(const HeadLimits& limits, std::vector<HttpField>& fields) : limits_(limits), fields_(fields) {}
  ~HeadParser() = default;
  HeadParser(const HeadParser&) = delete;
  HeadParser& operator=(const HeadParser&) = delete;

  // `line` without its CR LF. False after refuse().
  virtual bool read_start_line(std::string_view line) = 0;
  // False after refuse(): the head as a whole makes no sense.
  virtual bool check_head() = 0;
  [[nodiscard]] virtual HttpFault long_start_line() const = 0;
  [[nodiscard]] virtual bool skips_empty_line() const = 0;
  bool refuse(int status, std::string_view reason);
  void restart();

  const HeadLimits limits_;

 private:
  bool read_line(std::string_view line);
  bool read_field(std::string_view line);

  std::vector<HttpField>& fields_;
  const char* base_ = nullptr;  // the buffer of the last call; the views that stand point into it
  size_t line_begin_ = 0;
  size_t searched_ = 0;  // no LF between line_begin_ and here
  bool start_line_read_ = false;
  HeadProgress progress_ = HeadProgress::kNeedMore;
  HttpFault fault_;
};

// One empty line before the request line is skipped (RFC 9112 section 2.2).
class RequestParser final : public HeadParser {
 public:
  explicit RequestParser(const HeadLimits& limits = {}) : HeadParser(limits, head_.fields) {}
  // Ready for the next head.
  void reset() { restart(); }

  // The following are good after kDone.
  [[nodiscard]] const RequestHead& head() const { return head_; }
  [[nodiscard]] const BodyFraming& framing() const { return framing_; }
  // The authority that the request is for: of the target in absolute form, else of Host; empty where HTTP/1.0 names
  // none (RFC 9112 section 3.2.2).
  [[nodiscard]] std::string_view host() const { return host_; }

 private:
  bool read_start_line(std::string_view line) override;
  bool check_head() override;
  bool check_target();
  [[nodiscard]] HttpFault long_start_line() const override { return {414, "the request line is too long"}; }
  [[nodiscard]] bool skips_empty_line() const override { return true; }

  RequestHead head_;
  BodyFraming framing_;
  std::string_view host_;
};

class ResponseParser final : public HeadParser {
 public:
  explicit ResponseParser(const HeadLimits& limits = {}) : HeadParser(limits, head_.fields) {}
  void reset() { restart(); }
  // After kDone.
  [[nodiscard]] const ResponseHead& head() const { return head_; }

 private:
  bool read_start_line(std::string_view line) override;
  bool check_head() override;
  [[nodiscard]] HttpFault long_start_line() const override { return {502, "the status line is too long"}; }
  [[nodiscard]] bool skips_empty_line() const override { return false; }

  ResponseHead head_;
};

}  // namespace verge::net
