#include "series/quantization.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "series/grid.h"
#include "series/range_coder.h"

namespace verge::series {
namespace {

enum class Predictor : uint8_t { kPrevious, kMean, kLine, kSeason };
constexpr uint8_t kPredictors = 4;

// Indices so far, and what they say of the next one. The same on both ends.
class Context {
 public:
  Context(Predictor predictor, size_t season, size_t count) : predictor_(predictor), season_(season) {
    indices_.reserve(count);
  }

  [[nodiscard]] int64_t predicted() const {
    const size_t n = indices_.size();
    if (n == 0) return 0;
    switch (predictor_) {
      case Predictor::kPrevious:
        return indices_[n - 1];
      case Predictor::kMean:
        return (mean_ + kMeanUnit / 2) >> kMeanBits;
      case Predictor::kLine:
        return n < 2 ? indices_[0] : wrapped(2 * unsigned_at(n - 1) - unsigned_at(n - 2));
      case Predictor::kSeason:
        return n < season_ ? indices_[n - 1] : indices_[n - season_];
    }
    return 0;
  }

  void add(int64_t index) {
    const uint64_t missed = static_cast<uint64_t>(index) - static_cast<uint64_t>(predicted());
    before_last_ = last_;
    last_ = static_cast<int64_t>(missed);
    if (indices_.empty()) mean_ = index << kMeanBits;
    mean_ += ((index << kMeanBits) - mean_) >> 4;
    indices_.push_back(index);
  }

  // 0..2 each: nothing, one, more.
  [[nodiscard]] size_t last_size() const { return size_of(last_); }
  [[nodiscard]] size_t before_size() const { return size_of(before_last_); }
  // 0..2: down, none, up.
  [[nodiscard]] size_t last_direction() const { return last_ < 0 ? 0 : last_ > 0 ? 2 : 1; }
  // 0..3: which way the series went at this place of the season before; 3 where that is not known.
  [[nodiscard]] size_t season_direction() const {
    const size_t n = indices_.size();
    if (season_ == 0 || n < season_ + 1) return 3;
    const int64_t then = indices_[n - season_];
    const int64_t before = predictor_ == Predictor::kSeason ? indices_[n - 1] : indices_[n - season_ - 1];
    return then < before ? 0 : then > before ? 2 : 1;
  }

  std::vector<int64_t> take() { return std::move(indices_); }

 private:
  static constexpr int kMeanBits = 8;
  static constexpr int64_t kMeanUnit = 1 << kMeanBits;

  [[nodiscard]] uint64_t unsigned_at(size_t at) const { return static_cast<uint64_t>(indices_[at]); }
  static int64_t wrapped(uint64_t value) { return static_cast<int64_t>(value); }
  static size_t size_of(int64_t missed) { return missed == 0 ? 0 : missed == 1 || missed == -1 ? 1 : 2; }

  Predictor predictor_;
  size_t season_;
  std::vector<int64_t> indices_;
  int64_t mean_ = 0;
  int64_t last_ = 0;
  int64_t before_last_ = 0;
};

struct Models {
  BitModel is_hit[3][3][4];
  BitModel is_above[3][4];
  NumberModel beyond_one[5];
};

constexpr int64_t kIndexMax = int64_t{1} << 52;

void encode_index(RangeEncoder& encoder, Models& models, Context& context, int64_t index) {
  const auto missed = static_cast<int64_t>(static_cast<uint64_t>(index) - static_cast<uint64_t>(context.predicted()));
  const size_t season = context.season_direction();
  encoder.encode(models.is_hit[context.last_size()][context.before_size()][season], missed != 0);
  if (missed != 0) {
    encoder.encode(models.is_above[context.last_direction()][season], missed > 0);
    const uint64_t size = missed > 0 ? static_cast<uint64_t>(missed) : -static_cast<uint64_t>(missed);
    models.beyond_one[context.last_size() + context.before_size()].encode(encoder, size - 1);
  }
  context.add(index);
}

void decode_index(RangeDecoder& decoder, Models& models, Context& context) {
  const size_t season = context.season_direction();
  uint64_t missed = 0;
  if (decoder.decode(models.is_hit[context.last_size()][context.before_size()][season])) {
    const bool is_above = decoder.decode(models.is_above[context.last_direction()][season]);
    const uint64_t size = models.beyond_one[context.last_size() + context.before_size()].decode(decoder) + 1;
    missed = is_above ? size : -size;
  }
  const auto index = static_cast<int64_t>(static_cast<uint64_t>(context.predicted()) + missed);
  context.add(std::clamp(index, -kIndexMax, kIndexMax));  // beyond are damaged bytes only
}

std::string encode_with(const std::vector<int64_t>& indices, Predictor predictor, size_t season) {
  RangeEncoder encoder;
  Models models;
  Context context(predictor, season, indices.size());
  for (const int64_t index : indices) encode_index(encoder, models, context, index);
  return encoder.finish();
}

}  // namespace

std::string quantize(std::span<const double> values, double tolerance, size_t season) {
  const double low = *std::ranges::min_element(values);
  const Grid grid{low, 2 * tolerance};
  std::vector<int64_t> indices(values.size());
  for (size_t i = 0; i < values.size(); ++i) indices[i] = grid.index_of(values[i]);
  std::string best;
  Predictor predictor = Predictor::kPrevious;
  for (uint8_t i = 0; i < kPredictors; ++i) {
    const auto tried = static_cast<Predictor>(i);
    if (tried == Predictor::kSeason && season == 0) continue;
    std::string code = encode_with(indices, tried, season);
    if (i > 0 && code.size() >= best.size()) continue;
    best = std::move(code);
    predictor = tried;
  }
  std::string out;
  append_fixed(out, std::bit_cast<uint64_t>(grid.low));
  append_fixed(out, std::bit_cast<uint64_t>(grid.step));
  out.push_back(static_cast<char>(predictor));
  append_varint(out, season);
  return out + best;
}

std::vector<double> dequantize(std::string_view bytes, size_t count) {
  ByteReader in(bytes);
  Grid grid;
  grid.low = std::bit_cast<double>(in.fixed<uint64_t>());
  grid.step = std::bit_cast<double>(in.fixed<uint64_t>());
  const auto predictor = static_cast<Predictor>(in.fixed<uint8_t>() % kPredictors);
  const uint64_t stated = in.varint();
  const uint64_t season = stated > count ? 0 : stated;  // beyond are damaged bytes only
  RangeDecoder decoder(in.rest());
  Models models;
  Context context(predictor, season, count);
  if (predictor == Predictor::kSeason && season == 0) return std::vector<double>(count);
  for (size_t i = 0; i < count; ++i) decode_index(decoder, models, context);
  std::vector<double> values(count);
  const std::vector<int64_t> indices = context.take();
  for (size_t i = 0; i < count; ++i) values[i] = grid.value_at(indices[i]);
  return values;
}

}  // namespace verge::series
