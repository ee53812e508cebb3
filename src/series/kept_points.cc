#include "series/kept_points.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "series/grid.h"
#include "series/range_coder.h"

namespace verge::series {
namespace {

// How the tolerance is shared: a quarter is the most that rounding takes, the rest is the band.
constexpr double kStepShare = 0.5;
constexpr double kBandShare = 0.75;

struct Point {
  size_t at = 0;
  int64_t index = 0;  // on the grid
};

Grid grid_of(std::span<const double> values, double step) { return {*std::ranges::min_element(values), step}; }

std::string encode_points(const std::vector<Point>& points, const Grid& grid) {
  std::string out;
  append_fixed(out, std::bit_cast<uint64_t>(grid.low));
  append_fixed(out, std::bit_cast<uint64_t>(grid.step));
  append_varint(out, points.size());
  RangeEncoder encoder;
  NumberModel gap[3];
  SignedModel change;
  size_t at = 0;
  int64_t index = 0;
  size_t context = 0;
  for (const Point& point : points) {
    gap[context].encode(encoder, point.at - at);
    context = point.at - at <= 1 ? 0 : point.at - at <= 8 ? 1 : 2;
    change.encode(encoder, point.index - index);
    at = point.at;
    index = point.index;
  }
  return out + encoder.finish();
}

struct KeptPoints {
  Grid grid;
  std::vector<Point> points;  // places rise and are below `count`
};

KeptPoints decode_points(std::string_view bytes, size_t count) {
  KeptPoints kept;
  ByteReader in(bytes);
  kept.grid.low = std::bit_cast<double>(in.fixed<uint64_t>());
  kept.grid.step = std::bit_cast<double>(in.fixed<uint64_t>());
  const uint64_t size = std::min<uint64_t>(in.varint(), count);
  RangeDecoder decoder(in.rest());
  NumberModel gap[3];
  SignedModel change;
  uint64_t at = 0;
  uint64_t index = 0;
  size_t context = 0;
  for (uint64_t i = 0; i < size; ++i) {
    const uint64_t step = gap[context].decode(decoder);
    context = step <= 1 ? 0 : step <= 8 ? 1 : 2;
    if (step >= count - at) break;
    at += step;
    index += static_cast<uint64_t>(change.decode(decoder));
    kept.points.push_back({at, static_cast<int64_t>(index)});
  }
  return kept;
}

}  // namespace

std::string keep_by_deadband(std::span<const double> values, double tolerance) {
  const Grid grid = grid_of(values, tolerance * kStepShare);
  const double band = tolerance * kBandShare;
  std::vector<Point> points;
  double last = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0 && std::fabs(values[i] - last) <= band) continue;
    points.push_back({i, grid.index_of(values[i])});
    last = grid.value_at(points.back().index);
  }
  return encode_points(points, grid);
}

std::string keep_by_door(std::span<const double> values, std::span<const double> positions, double tolerance) {
  const Grid grid = grid_of(values, tolerance * kStepShare);
  const double band = tolerance * (1 - 1e-6);
  std::vector<Point> points{{0, grid.index_of(values[0])}};
  double steepest_down = -std::numeric_limits<double>::infinity();
  double steepest_up = std::numeric_limits<double>::infinity();
  size_t last = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    double start = grid.value_at(points.back().index);
    double run = positions[i] - positions[last];
    const double slope = (grid.value_at(grid.index_of(values[i])) - start) / run;
    if (slope < steepest_down || slope > steepest_up) {
      last = i - 1;
      points.push_back({last, grid.index_of(values[last])});
      start = grid.value_at(points.back().index);
      run = positions[i] - positions[last];
      steepest_down = -std::numeric_limits<double>::infinity();
      steepest_up = std::numeric_limits<double>::infinity();
    }
    steepest_down = std::max(steepest_down, (values[i] - band - start) / run);
    steepest_up = std::min(steepest_up, (values[i] + band - start) / run);
  }
  if (last + 1 < values.size()) points.push_back({values.size() - 1, grid.index_of(values.back())});
  return encode_points(points, grid);
}

std::vector<size_t> largest_triangles(std::span<const double> values, std::span<const double> positions, size_t kept) {
  std::vector<size_t> chosen;
  const size_t count = values.size();
  if (kept >= count || count <= 2) {
    for (size_t i = 0; i < count; ++i) chosen.push_back(i);
    return chosen;
  }
  kept = std::max<size_t>(kept, 2);
  chosen.push_back(0);
  const double width = kept > 2 ? static_cast<double>(count - 2) / static_cast<double>(kept - 2) : 0;
  const auto start_of = [&](size_t bucket) {
    return std::min(count - 1, static_cast<size_t>(static_cast<double>(bucket) * width) + 1);
  };
  for (size_t bucket = 0; bucket + 2 < kept; ++bucket) {
    const size_t begin = start_of(bucket);
    const size_t end = start_of(bucket + 1);
    const size_t next_end = bucket + 3 < kept ? start_of(bucket + 2) : count;
    double mean_position = 0;
    double mean_value = 0;
    for (size_t i = end; i < next_end; ++i) {
      mean_position += positions[i] / static_cast<double>(next_end - end);
      mean_value += values[i] / static_cast<double>(next_end - end);
    }
    const double from_position = positions[chosen.back()];
    const double from_value = values[chosen.back()];
    size_t best = begin;
    double largest = -1;
    for (size_t i = begin; i < end; ++i) {
      const double area = std::fabs((from_position - mean_position) * (values[i] - from_value) -
                                    (from_position - positions[i]) * (mean_value - from_value));
      if (area > largest) {
        largest = area;
        best = i;
      }
    }
    chosen.push_back(best);
  }
  chosen.push_back(count - 1);
  return chosen;
}

std::string keep_by_sampling(std::span<const double> values, std::span<const double> positions, size_t kept,
                             double precision) {
  const Grid grid = grid_of(values, 2 * precision);
  std::vector<Point> points;
  for (const size_t at : largest_triangles(values, positions, kept)) points.push_back({at, grid.index_of(values[at])});
  return encode_points(points, grid);
}

std::vector<double> hold_kept(std::string_view bytes, size_t count) {
  const KeptPoints kept = decode_points(bytes, count);
  std::vector<double> values(count);
  for (size_t i = 0; i < kept.points.size(); ++i) {
    const size_t end = i + 1 < kept.points.size() ? kept.points[i + 1].at : count;
    for (size_t at = kept.points[i].at; at < end; ++at) values[at] = kept.grid.value_at(kept.points[i].index);
  }
  return values;
}

std::vector<double> join_kept(std::string_view bytes, std::span<const double> positions) {
  const KeptPoints kept = decode_points(bytes, positions.size());
  std::vector<double> values(positions.size());
  for (size_t i = 0; i < kept.points.size(); ++i) {
    const Point& from = kept.points[i];
    const double start = kept.grid.value_at(from.index);
    values[from.at] = start;
    if (i + 1 == kept.points.size()) break;
    const Point& to = kept.points[i + 1];
    const double slope = (kept.grid.value_at(to.index) - start) / (positions[to.at] - positions[from.at]);
    for (size_t at = from.at + 1; at < to.at; ++at) values[at] = start + slope * (positions[at] - positions[from.at]);
  }
  return values;
}

}  // namespace verge::series
