#include "net/http_chunked.h"

#include <algorithm>
#include <charconv>

namespace verge::net {
namespace {

// 2^60 bytes: sums of lengths stay far from overflow.
constexpr int kSizeDigitsMax = 15;

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

}  // namespace

ChunkedDecoder::Step ChunkedDecoder::next(std::string_view input) {
  size_t at = 0;
  while (at < input.size() && state_ != State::kDone && state_ != State::kRefused) {
    if (state_ == State::kBody) {
      const std::string_view piece =
          input.substr(at, static_cast<size_t>(std::min<uint64_t>(left_, input.size() - at)));
      left_ -= piece.size();
      if (left_ == 0) state_ = State::kBodyCr;
      return {Progress::kPiece, at + piece.size(), piece};
    }
    if (take(input[at])) ++at;
  }
  if (state_ == State::kDone) return {Progress::kDone, at, {}};
  if (state_ == State::kRefused) return {Progress::kRefused, at, {}};
  return {Progress::kNeedMore, at, {}};
}

bool ChunkedDecoder::refuse(std::string_view reason) {
  state_ = State::kRefused;
  fault_ = {400, reason};
  return false;
}

bool ChunkedDecoder::take(char c) {
  switch (state_) {
    case State::kSize:
      return take_size(c);
    case State::kExtension:
      if (c == '\r') {
        state_ = State::kSizeLf;
        return true;
      }
      if (is_control(c)) return refuse("a chunk extension has a control character");
      return ++extension_bytes_ > kExtensionBytesMax ? refuse("the chunk extensions are too long") : true;
    case State::kSizeLf:
      if (c != '\n') return refuse("a chunk size does not end in CR LF");
      state_ = left_ == 0 ? State::kTrailerStart : State::kBody;
      size_digits_ = 0;
      return true;
    case State::kBodyCr:
      if (c != '\r') return refuse("a chunk is longer than its size");
      state_ = State::kBodyLf;
      return true;
    case State::kBodyLf:
      if (c != '\n') return refuse("a chunk does not end in CR LF");
      state_ = State::kSize;
      return true;
    default:
      return take_trailer(c);
  }
}

bool ChunkedDecoder::take_size(char c) {
  const char small = static_cast<char>(c | 0x20);
  const bool digit = c >= '0' && c <= '9';
  if (digit || (small >= 'a' && small <= 'f')) {
    if (++size_digits_ > kSizeDigitsMax) return refuse("a chunk size is too large");
    left_ = left_ * 16 + static_cast<uint64_t>(digit ? c - '0' : small - 'a' + 10);
    return true;
  }
  if (size_digits_ == 0 || (c != '\r' && c != ';')) return refuse("a chunk size is not a hexadecimal number");
  state_ = c == '\r' ? State::kSizeLf : State::kExtension;
  return true;
}

bool ChunkedDecoder::take_trailer(char c) {
  if (++trailer_bytes_ > kTrailerBytesMax) return refuse("the trailer fields are too long");
  if (keeps_trailers_) trailers_.push_back(c);
  switch (state_) {
    case State::kTrailerStart:
      if (c == '\r') {
        state_ = State::kEndLf;
        return true;
      }
      if (!is_token({&c, 1})) return refuse("a trailer field name is not a token");
      state_ = State::kTrailerName;
      return true;
    case State::kTrailerName:
      if (c == ':') {
        state_ = State::kTrailerValue;
        return true;
      }
      return is_token({&c, 1}) ? true : refuse("a trailer field name is not a token");
    case State::kTrailerValue:
      if (c == '\r') {
        state_ = State::kTrailerLf;
        return true;
      }
      return is_control(c) ? refuse("a trailer field value has a control character") : true;
    case State::kTrailerLf:
      if (c != '\n') return refuse("a trailer field does not end in CR LF");
      state_ = State::kTrailerStart;
      return true;
    default:
      if (c != '\n') return refuse("the body does not end in CR LF");
      state_ = State::kDone;
      return true;
  }
}

std::vector<HttpField> trailer_fields(std::string_view section) {
  std::vector<HttpField> fields;
  while (true) {
    const std::string_view line = section.substr(0, section.find("\r\n"));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return fields;  // the empty line
    fields.push_back({.name = line.substr(0, colon), .value = trim_blanks(line.substr(colon + 1))});
    section.remove_prefix(std::min(line.size() + 2, section.size()));
  }
}

void append_chunk_size(std::string& out, size_t size) {
  char digits[16];
  const auto [end, problem] = std::to_chars(digits, digits + sizeof(digits), size, 16);
  out.append(digits, end);
  out.append("\r\n");
}

void append_last_chunk(std::string& out, std::span<const HttpField> trailers) {
  bool good = true;
  for (const HttpField& field : trailers) good = good && is_token(field.name) && is_field_value(field.value);
  out.append("0\r\n");
  for (const HttpField& field : good ? trailers : std::span<const HttpField>{}) {
    const bool frames = equals_ignoring_case(field.name, "content-length") ||
                        equals_ignoring_case(field.name, "transfer-encoding") ||
                        equals_ignoring_case(field.name, "trailer") || equals_ignoring_case(field.name, "host");
    if (!frames) out.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  out.append("\r\n");
}

}  // namespace verge::net
