#include "series/transform.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "base/bytes.h"
#include "series/grid.h"
#include "series/range_coder.h"

namespace verge::series {
namespace {

constexpr size_t kBlock = 64;
using Block = std::array<double, kBlock>;

// basis[k][n] of the orthonormal DCT-II.
const std::array<Block, kBlock>& basis() {
  static const std::array<Block, kBlock> table = [] {
    std::array<Block, kBlock> made{};
    for (size_t k = 0; k < kBlock; ++k) {
      for (size_t n = 0; n < kBlock; ++n) {
        const double angle = std::numbers::pi / kBlock * (static_cast<double>(n) + 0.5) * static_cast<double>(k);
        made[k][n] = std::cos(angle) * std::sqrt((k == 0 ? 1.0 : 2.0) / kBlock);
      }
    }
    return made;
  }();
  return table;
}

struct Models {
  SignedModel mean_change;
  BitModel is_zero[7][3];  // by octave of the frequency, and how many of the two before were not 0
  BitModel is_negative;
  NumberModel beyond_one[7];
};

size_t octave_of(size_t frequency) { return static_cast<size_t>(std::bit_width(frequency)); }

}  // namespace

std::string transform(std::span<const double> values, double step) {
  const Grid grid{values.front(), step};
  std::string out;
  append_fixed(out, std::bit_cast<uint64_t>(grid.low));
  append_fixed(out, std::bit_cast<uint64_t>(grid.step));
  RangeEncoder encoder;
  Models models;
  int64_t mean_before = 0;
  for (size_t start = 0; start < values.size(); start += kBlock) {
    Block block{};
    for (size_t n = 0; n < kBlock; ++n) block[n] = values[std::min(start + n, values.size() - 1)] - grid.low;
    size_t lately = 0;
    for (size_t k = 0; k < kBlock; ++k) {
      double coefficient = 0;
      for (size_t n = 0; n < kBlock; ++n) coefficient += block[n] * basis()[k][n];
      const int64_t level = Grid{0, step}.index_of(coefficient);
      if (k == 0) {
        models.mean_change.encode(encoder, level - mean_before);
        mean_before = level;
        continue;
      }
      const size_t octave = octave_of(k);
      encoder.encode(models.is_zero[octave][lately], level != 0);
      if (level != 0) {
        encoder.encode(models.is_negative, level < 0);
        models.beyond_one[octave].encode(encoder, static_cast<uint64_t>(level < 0 ? -level : level) - 1);
      }
      lately = (lately + (level != 0 ? 2 : 0)) / 2;
    }
  }
  return out + encoder.finish();
}

std::vector<double> transform_back(std::string_view bytes, size_t count) {
  ByteReader in(bytes);
  Grid grid;
  grid.low = std::bit_cast<double>(in.fixed<uint64_t>());
  grid.step = std::bit_cast<double>(in.fixed<uint64_t>());
  RangeDecoder decoder(in.rest());
  Models models;
  std::vector<double> values(count);
  uint64_t mean = 0;
  for (size_t start = 0; start < count; start += kBlock) {
    Block block{};
    const auto add = [&](size_t k, int64_t level) {
      const double coefficient = grid.step * static_cast<double>(level);
      for (size_t n = 0; n < kBlock; ++n) block[n] += coefficient * basis()[k][n];
    };
    mean += static_cast<uint64_t>(models.mean_change.decode(decoder));
    add(0, static_cast<int64_t>(mean));
    size_t lately = 0;
    for (size_t k = 1; k < kBlock; ++k) {
      const size_t octave = octave_of(k);
      const bool is_there = decoder.decode(models.is_zero[octave][lately]);
      if (is_there) {
        const bool is_negative = decoder.decode(models.is_negative);
        const auto size = static_cast<int64_t>((models.beyond_one[octave].decode(decoder) + 1) & INT64_MAX);
        add(k, is_negative ? -size : size);
      }
      lately = (lately + (is_there ? 2 : 0)) / 2;
    }
    for (size_t n = 0; n < kBlock && start + n < count; ++n) values[start + n] = grid.low + block[n];
  }
  return values;
}

}  // namespace verge::series
