// A stream of requests must mean the same however its bytes were cut: heads, framing and chunked bodies are parsed from
// the whole input and from the input cut in two at a place that its first two bytes choose, and must agree.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/http_chunked.h"
#include "net/http_codec.h"

namespace {

using verge::net::BodyFraming;
using verge::net::ChunkedDecoder;
using verge::net::HeadLimits;
using verge::net::HeadProgress;
using verge::net::RequestParser;

constexpr HeadLimits kLimits{.head_bytes_max = 1024, .target_bytes_max = 256, .fields_max = 16};

// Reads requests as a connection does and writes down all that it sees.
class Transcript {
 public:
  void feed(std::string_view bytes) {
    input_.append(bytes);
    while (!refused_ && step()) {
    }
  }
  // Whether some input is left over says where the next request would begin.
  std::string finish() { return seen_ + "left " + std::to_string(input_.size()); }

 private:
  bool step() { return in_body_ ? read_body() : read_head(); }

  bool read_head() {
    if (input_.empty()) return false;
    switch (parser_.parse(input_)) {
      case HeadProgress::kNeedMore:
        return false;
      case HeadProgress::kRefused:
        refused_ = true;
        seen_ += "refused " + std::to_string(parser_.fault().status) + " " + std::string(parser_.fault().reason);
        return false;
      case HeadProgress::kDone:
        break;
    }
    if (parser_.head_bytes() > kLimits.head_bytes_max || parser_.head().fields.size() > kLimits.fields_max) abort();
    note(parser_.head().method);
    note(parser_.head().target);
    note(parser_.host());
    for (const auto& [name, value] : parser_.head().fields) {
      note(name);
      note(value);
    }
    const verge::net::TargetParts parts = verge::net::split_target(parser_.head().method, parser_.head().target);
    note(parts.path);
    note(verge::net::query_parameter(parts.query, "a").value_or("none"));
    framing_ = parser_.framing();
    seen_ += std::to_string(static_cast<int>(framing_.kind)) + "/" + std::to_string(framing_.length) + "\n";
    input_.erase(0, parser_.head_bytes());
    parser_.reset();
    chunks_.reset();
    in_body_ = framing_.kind != BodyFraming::Kind::kNone;
    return true;
  }

  bool read_body() {
    if (framing_.kind == BodyFraming::Kind::kLength) {
      const size_t taken = std::min<uint64_t>(framing_.length, input_.size());
      seen_.append(input_, 0, taken);
      input_.erase(0, taken);
      framing_.length -= taken;
      in_body_ = framing_.length > 0;
      return !in_body_;
    }
    const ChunkedDecoder::Step step = chunks_.next(input_);
    seen_.append(step.piece);
    input_.erase(0, step.consumed);
    switch (step.progress) {
      case ChunkedDecoder::Progress::kNeedMore:
        if (!input_.empty()) abort();
        return false;
      case ChunkedDecoder::Progress::kPiece:
        return true;
      case ChunkedDecoder::Progress::kDone:
        in_body_ = false;
        seen_ += "\n";
        return true;
      case ChunkedDecoder::Progress::kRefused:
        refused_ = true;
        seen_ += "refused " + std::string(chunks_.fault().reason);
        return false;
    }
    return false;
  }

  void note(std::string_view text) { seen_.append(text).append("|"); }

  RequestParser parser_{kLimits};
  ChunkedDecoder chunks_;
  BodyFraming framing_;
  std::string input_;
  std::string seen_;
  bool in_body_ = false;
  bool refused_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t choice = static_cast<size_t>(data[0]) << 8 | data[1];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t cut = bytes.empty() ? 0 : choice % bytes.size();
  Transcript whole;
  whole.feed(bytes);
  Transcript halves;
  halves.feed(bytes.substr(0, cut));
  halves.feed(bytes.substr(cut));
  if (whole.finish() != halves.finish()) abort();
  return 0;
}
