// Decompression of what anybody sends: a step makes no more than its room, and an end is reached, whatever the input
// is; it is the same however the input is cut.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "compress/deflate_stream.h"

using namespace verge::compress;
using Outcome = DeflateStream::Outcome;

namespace {

constexpr size_t kOutputMax = 1u << 20;

std::string run(DeflateFormat format, std::string_view input, size_t piece) {
  const auto stream = DeflateStream::decompressor(format);
  std::array<char, 1024> room;
  std::string out;
  while (true) {
    std::string_view part = input.substr(0, piece);
    input.remove_prefix(part.size());
    Outcome outcome = Outcome::kOutputFull;
    while (outcome == Outcome::kOutputFull && out.size() < kOutputMax) {
      size_t made = 0;
      outcome = stream->step(part, input.empty(), room, made);
      if (made > room.size()) std::abort();
      out.append(room.data(), made);
    }
    if (outcome == Outcome::kDamaged) return "damaged";
    if (outcome == Outcome::kOutputFull || input.empty()) return out;
    if (outcome == Outcome::kInputTaken && !part.empty()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto format = static_cast<DeflateFormat>(data[0] % 3);
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (run(format, input, 1 + data[0] / 3) != run(format, input, size)) std::abort();
  return 0;
}
