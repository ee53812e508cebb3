#include "series/semantic.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/bytes.h"
#include "series/grid.h"
#include "series/kept_points.h"
#include "series/range_coder.h"

namespace verge::series {
namespace {

constexpr size_t kSeasonMax = 4096;
constexpr size_t kLookedAt = 16384;
constexpr double kLikeness = 0.2;

std::string encode_model(const std::vector<int64_t>& levels) {
  RangeEncoder encoder;
  SignedModel change;
  int64_t before = 0;
  for (const int64_t level : levels) {
    change.encode(encoder, level - before);
    before = level;
  }
  return encoder.finish();
}

std::vector<double> decode_model(std::string_view bytes, size_t season, const Grid& grid) {
  RangeDecoder decoder(bytes);
  SignedModel change;
  std::vector<double> model(season);
  uint64_t level = 0;
  for (double& value : model) {
    level += static_cast<uint64_t>(change.decode(decoder));
    value = grid.value_at(static_cast<int64_t>(level));
  }
  return model;
}

}  // namespace

std::string tell_events(std::span<const double> values, double tolerance, size_t season) {
  season = std::clamp<size_t>(season, 1, values.size());
  const Grid grid{values.front(), tolerance};
  std::vector<double> sums(season);
  std::vector<double> counts(season);
  for (size_t i = 0; i < values.size(); ++i) {
    sums[i % season] += values[i] - grid.low;
    counts[i % season] += 1;
  }
  std::vector<int64_t> levels(season);
  for (size_t i = 0; i < season; ++i) levels[i] = grid.index_of(grid.low + sums[i] / counts[i]);
  std::vector<double> departures(values.size());
  for (size_t i = 0; i < values.size(); ++i) departures[i] = values[i] - grid.value_at(levels[i % season]);
  std::string out;
  append_fixed(out, std::bit_cast<uint64_t>(grid.low));
  append_fixed(out, std::bit_cast<uint64_t>(grid.step));
  append_varint(out, season);
  append_sized(out, encode_model(levels));
  return out + keep_by_deadband(departures, tolerance);
}

std::vector<double> retell(std::string_view bytes, size_t count) {
  ByteReader in(bytes);
  Grid grid;
  grid.low = std::bit_cast<double>(in.fixed<uint64_t>());
  grid.step = std::bit_cast<double>(in.fixed<uint64_t>());
  const uint64_t season = in.varint();
  const std::string_view coded = in.sized();
  if (!in.ok() || season == 0 || season > count) return std::vector<double>(count);
  const std::vector<double> model = decode_model(coded, season, grid);
  std::vector<double> values = hold_kept(in.rest(), count);
  for (size_t i = 0; i < count; ++i) values[i] += model[i % season];
  return values;
}

size_t dominant_season(std::span<const double> values) {
  if (values.size() > kLookedAt) values = values.first(kLookedAt);
  const size_t lag_max = std::min(values.size() / 3, kSeasonMax);
  if (lag_max < 2) return 0;
  double mean = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  double power = 0;
  for (const double value : values) power += (value - mean) * (value - mean);
  if (!(power > 0) || !std::isfinite(power)) return 0;
  std::vector<double> likeness(lag_max + 2);
  for (size_t lag = 1; lag <= lag_max + 1 && lag < values.size(); ++lag) {
    double sum = 0;
    for (size_t i = lag; i < values.size(); ++i) sum += (values[i] - mean) * (values[i - lag] - mean);
    likeness[lag] = sum / power * static_cast<double>(values.size()) / static_cast<double>(values.size() - lag);
  }
  // A peak, not the slope that every smooth series has near lag 0.
  size_t best = 0;
  for (size_t lag = 2; lag <= lag_max; ++lag) {
    const bool is_peak = likeness[lag] > likeness[lag - 1] && likeness[lag] >= likeness[lag + 1];
    if (is_peak && likeness[lag] > kLikeness && (best == 0 || likeness[lag] > likeness[best] + 0.02)) best = lag;
  }
  return best;
}

}  // namespace verge::series
