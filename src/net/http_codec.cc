#include "net/http_codec.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "base/assert.h"

namespace verge::net {
namespace {

constexpr std::string_view kVersionPrefix = "HTTP/";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// 0 or 1 for HTTP/1.x, -1 for another version, -2 for what is none.
int minor_version_of(std::string_view text) {
  if (text.size() != 8 || !text.starts_with(kVersionPrefix)) return -2;
  if (!is_digit(text[5]) || text[6] != '.' || !is_digit(text[7])) return -2;
  if (text[5] != '1') return -1;
  return text[7] == '0' ? 0 : 1;
}

std::optional<uint64_t> length_of(std::string_view digits) {
  if (digits.empty() || digits.size() > 18) return std::nullopt;
  uint64_t value = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

constexpr std::string_view kNotLast = "the final transfer coding is not chunked";

// The framing that the fields ask for, by the rules that requests and responses share; kNone where they say nothing,
// kUntilClose for a transfer coding other than chunked (RFC 9112 section 6.3, rule 4).
std::expected<BodyFraming, HttpFault> framing_of(std::span<const HttpField> fields, int minor_version) {
  const HttpField* length = nullptr;
  const HttpField* coding = nullptr;
  for (const HttpField& field : fields) {
    if (field.name.size() == 14 && equals_ignoring_case(field.name, "content-length")) {
      if (length != nullptr) return std::unexpected(HttpFault{400, "Content-Length is given twice"});
      length = &field;
    } else if (field.name.size() == 17 && equals_ignoring_case(field.name, "transfer-encoding")) {
      if (coding != nullptr) return std::unexpected(HttpFault{400, "Transfer-Encoding is given twice"});
      coding = &field;
    }
  }
  if (coding != nullptr) {
    if (length != nullptr) return std::unexpected(HttpFault{400, "Content-Length stands beside Transfer-Encoding"});
    if (minor_version == 0) return std::unexpected(HttpFault{400, "HTTP/1.0 has no Transfer-Encoding"});
    if (equals_ignoring_case(coding->value, "chunked")) return BodyFraming{.kind = BodyFraming::Kind::kChunked};
    const size_t comma = coding->value.rfind(',');
    const std::string_view last = trim_blanks(coding->value.substr(comma == std::string_view::npos ? 0 : comma + 1));
    const bool is_last = equals_ignoring_case(last, "chunked");
    const std::string_view before = coding->value.substr(0, is_last ? comma : std::string_view::npos);
    const bool stands_before = list_has(std::array{HttpField{.name = "t", .value = before}}, "t", "chunked");
    if (is_last && stands_before) return std::unexpected(HttpFault{400, "chunked is applied twice"});
    if (!is_last && stands_before) return std::unexpected(HttpFault{400, kNotLast});
    if (!is_last) return BodyFraming{.kind = BodyFraming::Kind::kUntilClose};
    return std::unexpected(HttpFault{501, "no transfer coding but chunked is understood"});
  }
  if (length == nullptr) return BodyFraming{};
  const std::optional<uint64_t> bytes = length_of(length->value);
  if (!bytes) return std::unexpected(HttpFault{400, "Content-Length is not a plain number of bytes"});
  return BodyFraming{.kind = BodyFraming::Kind::kLength, .length = *bytes};
}

}  // namespace

std::expected<BodyFraming, HttpFault> request_framing(const RequestHead& head) {
  std::expected<BodyFraming, HttpFault> framing = framing_of(head.fields, head.minor_version);
  // Nobody but the sender knows where such a body ends, and a client cannot end its connection and be answered.
  if (framing && framing->kind == BodyFraming::Kind::kUntilClose) return std::unexpected(HttpFault{400, kNotLast});
  return framing;
}

std::expected<BodyFraming, HttpFault> response_framing(const ResponseHead& head, std::string_view method) {
  std::expected<BodyFraming, HttpFault> framing = framing_of(head.fields, head.minor_version);
  if (!framing) return std::unexpected(HttpFault{502, framing.error().reason});
  if (method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304) return BodyFraming{};
  if (framing->kind == BodyFraming::Kind::kNone) framing->kind = BodyFraming::Kind::kUntilClose;
  return framing;
}

bool HeadParser::refuse(int status, std::string_view reason) {
  progress_ = HeadProgress::kRefused;
  fault_ = {status, reason};
  return false;
}

void HeadParser::restart() {
  base_ = nullptr;
  line_begin_ = 0;
  searched_ = 0;
  start_line_read_ = false;
  progress_ = HeadProgress::kNeedMore;
  fields_.clear();
}

HeadProgress HeadParser::parse(std::string_view buffer) {
  if (progress_ == HeadProgress::kRefused) return progress_;
  VERGE_ASSERT(progress_ == HeadProgress::kNeedMore);
  if (buffer.data() != base_) {
    restart();
    base_ = buffer.data();
  }
  const size_t window = std::min(buffer.size(), limits_.head_bytes_max);
  while (progress_ == HeadProgress::kNeedMore) {
    const void* found = searched_ < window ? std::memchr(base_ + searched_, '\n', window - searched_) : nullptr;
    if (found == nullptr) {
      searched_ = window;
      if (window < limits_.head_bytes_max) return progress_;
      const HttpFault fault = start_line_read_ ? HttpFault{431, "the head is too long"} : long_start_line();
      refuse(fault.status, fault.reason);
      return progress_;
    }
    const auto end = static_cast<size_t>(static_cast<const char*>(found) - base_);
    const std::string_view line(base_ + line_begin_, end - line_begin_);
    if (!line.ends_with('\r')) {
      refuse(400, "a line ends with a bare LF");
      return progress_;
    }
    const size_t begin = std::exchange(line_begin_, end + 1);
    searched_ = line_begin_;
    if (line.size() == 1 && begin == 0 && skips_empty_line()) continue;
    if (read_line(line.substr(0, line.size() - 1)) && line.size() == 1 && check_head()) {
      progress_ = HeadProgress::kDone;
    }
  }
  return progress_;
}

bool HeadParser::read_line(std::string_view line) {
  if (!start_line_read_) {
    start_line_read_ = true;
    return read_start_line(line);
  }
  return line.empty() || read_field(line);
}

bool HeadParser::read_field(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') return refuse(400, "a field is folded over two lines");
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return refuse(400, "a field has no colon");
  const std::string_view name = line.substr(0, colon);
  if (!is_token(name)) {
    const bool blank = name.ends_with(' ') || name.ends_with('\t');
    return refuse(400, blank ? "white space stands before a colon" : "a field name is not a token");
  }
  const std::string_view value = trim_blanks(line.substr(colon + 1));
  if (!is_field_value(value)) return refuse(400, "a field value has a control character");
  if (fields_.size() == limits_.fields_max) return refuse(431, "there are too many fields");
  fields_.push_back({.name = name, .value = value});
  return true;
}

bool RequestParser::read_start_line(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == last) return refuse(400, "the request line is not a method, a target and a version");
  head_.method = line.substr(0, first);
  head_.target = line.substr(first + 1, last - first - 1);
  if (!is_token(head_.method)) return refuse(400, "the method is not a token");
  const int minor_version = minor_version_of(line.substr(last + 1));
  if (minor_version == -2) return refuse(400, "the version is malformed");
  if (minor_version == -1) return refuse(505, "the version is not HTTP/1.x");
  head_.minor_version = minor_version;
  return check_target();
}

bool RequestParser::check_target() {
  const std::string_view target = head_.target;
  if (target.size() > limits_.target_bytes_max) return refuse(414, "the target is too long");
  bool bad = target.empty();
  for (const char c : target) bad |= c <= 0x20 || c == 0x7f || c == '#';  // char is signed: 0x80 and up are below
  if (bad) return refuse(400, "the target has a character that no target has");
  if (head_.method == "CONNECT") {
    return is_authority(target) && target.back() != ':' && target.find(':') != std::string_view::npos
               ? true
               : refuse(400, "the target of CONNECT is not a host and a port");
  }
  if (target.front() == '/') return true;
  if (target == "*") return head_.method == "OPTIONS" ? true : refuse(400, "only OPTIONS has the target *");
  const std::string_view scheme = target.substr(0, std::min(target.find("://"), target.size()));
  if (!equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "https")) {
    return refuse(400, "the target is neither a path nor an http URI");
  }
  if (!is_authority(split_target(head_.method, target).authority)) {
    return refuse(400, "the authority of the target is malformed");
  }
  return true;
}

bool RequestParser::check_head() {
  const HttpField* host = nullptr;
  for (const HttpField& field : head_.fields) {
    if (field.name.size() != 4 || !equals_ignoring_case(field.name, "host")) continue;
    if (host != nullptr) return refuse(400, "Host is given twice");
    host = &field;
    if (!is_authority(field.value)) return refuse(400, "Host is malformed");
  }
  if (host == nullptr && head_.minor_version >= 1) return refuse(400, "Host is missing");
  host_ = host == nullptr ? std::string_view{} : host->value;
  if (head_.target.front() != '/' && head_.target != "*") host_ = split_target(head_.method, head_.target).authority;
  const std::expected<BodyFraming, HttpFault> framing = request_framing(head_);
  if (!framing) return refuse(framing.error().status, framing.error().reason);
  framing_ = *framing;
  return true;
}

bool ResponseParser::read_start_line(std::string_view line) {
  // Some origins leave out the space before an empty reason.
  if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) {
    return refuse(502, "the status line is malformed");
  }
  const int minor_version = minor_version_of(line.substr(0, 8));
  if (minor_version < 0) return refuse(502, "the answer is not HTTP/1.x");
  const std::string_view digits = line.substr(9, 3);
  if (!std::ranges::all_of(digits, is_digit) || digits[0] < '1' || digits[0] > '5') {
    return refuse(502, "the status is not a number from 100 to 599");
  }
  head_.minor_version = minor_version;
  head_.status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
  head_.reason = line.size() > 13 ? line.substr(13) : std::string_view{};
  return is_field_value(head_.reason) ? true : refuse(502, "the reason has a control character");
}

bool ResponseParser::check_head() {
  const std::expected<BodyFraming, HttpFault> framing = response_framing(head_, "GET");
  return framing ? true : refuse(framing.error().status, framing.error().reason);
}

}  // namespace verge::net
