// What an origin answers must mean the same however its bytes were cut: it is read whole and cut in two at a place that
// the first two bytes choose, and both must agree. The third byte chooses the method and whether an upgrade was asked.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/http_answer.h"

namespace {

using verge::net::AnswerReader;
using verge::net::HeadLimits;
using verge::net::HttpField;

constexpr HeadLimits kLimits{.head_bytes_max = 1024, .target_bytes_max = 256, .fields_max = 16};

// Reads one answer as a connection does and writes down all that it sees.
class Transcript {
 public:
  explicit Transcript(uint8_t choice) { reader_.begin((choice & 1) != 0 ? "HEAD" : "GET", (choice & 2) != 0); }

  void feed(std::string_view bytes) {
    while (!ended_) {
      const AnswerReader::Step step = reader_.next(bytes);
      if (step.consumed > bytes.size()) abort();
      bytes.remove_prefix(step.consumed);
      switch (step.progress) {
        case AnswerReader::Progress::kNeedMore:
          if (!bytes.empty()) abort();
          return;
        case AnswerReader::Progress::kInterim:
        case AnswerReader::Progress::kHead:
          note_head();
          break;
        case AnswerReader::Progress::kPiece:
          if (step.piece.empty()) abort();
          seen_.append(step.piece);
          break;
        case AnswerReader::Progress::kDone:
          note_end();
          break;
        case AnswerReader::Progress::kRefused:
          ended_ = true;
          seen_.append("refused ").append(reader_.problem());
          break;
      }
    }
    if (!refused()) left_ += bytes.size();
  }
  std::string finish() {
    return seen_ + "left " + std::to_string(left_) + (reader_.ends_with_connection() ? " ends" : " open");
  }

 private:
  [[nodiscard]] bool refused() const { return !reader_.problem().empty(); }

  void note_head() {
    if (reader_.head().fields.size() > kLimits.fields_max) abort();
    note(std::to_string(reader_.head().status));
    note(reader_.head().reason);
    note_fields(reader_.head().fields);
    note(std::to_string(static_cast<int>(reader_.framing().kind)) + "/" + std::to_string(reader_.framing().length));
    note(reader_.has_switched() ? "switched" : "");
  }
  void note_end() {
    ended_ = true;
    const std::string trailers = reader_.take_trailers();
    note("end");
    note_fields(verge::net::trailer_fields(trailers));
    note(reader_.keeps_connection() ? "keeps" : "closes");
  }
  void note_fields(const std::vector<HttpField>& fields) {
    for (const auto& [name, value] : fields) {
      note(name);
      note(value);
    }
  }
  void note(std::string_view text) { seen_.append(text).append("|"); }

  AnswerReader reader_{kLimits};
  std::string seen_;
  size_t left_ = 0;
  bool ended_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const size_t choice = static_cast<size_t>(data[0]) << 8 | data[1];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
  const size_t cut = bytes.empty() ? 0 : choice % bytes.size();
  Transcript whole(data[2]);
  whole.feed(bytes);
  Transcript halves(data[2]);
  halves.feed(bytes.substr(0, cut));
  halves.feed(bytes.substr(cut));
  if (whole.finish() != halves.finish()) abort();
  return 0;
}
