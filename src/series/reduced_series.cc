#include "series/reduced_series.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "series/kept_points.h"
#include "series/quantization.h"
#include "series/range_coder.h"
#include "series/semantic.h"
#include "series/transform.h"
#include "series/value_coder.h"

namespace verge::series {
namespace {

constexpr std::string_view kMagic = "VRS";
constexpr size_t kNameBytesMax = 4096;
constexpr size_t kTextBytesMax = 16UL << 20;  // of all text timestamps of a record
constexpr std::array<std::string_view, 8> kMethodNames = {"raw",      "lossless",     "deadband",  "swinging-door",
                                                          "sampling", "quantization", "transform", "semantic"};

std::unexpected<Error> damaged(const char* what) {
  return fail("series.record-damaged", what, "send the record again, or take it from where it was made");
}

std::string code_raw(std::span<const double> values) {
  std::string out;
  for (const double value : values) append_fixed(out, std::bit_cast<uint64_t>(value));
  return out;
}

std::string code_lossless(std::span<const double> values) {
  RangeEncoder encoder;
  ValueCoder coder;
  for (const double value : values) coder.encode(encoder, value);
  return encoder.finish();
}

std::vector<double> decode_raw(std::string_view bytes, size_t count) {
  ByteReader in(bytes);
  std::vector<double> values(count);
  for (double& value : values) value = std::bit_cast<double>(in.fixed<uint64_t>());
  return values;
}

std::vector<double> decode_lossless(std::string_view bytes, size_t count) {
  RangeDecoder decoder(bytes);
  ValueCoder coder;
  std::vector<double> values(count);
  for (double& value : values) value = coder.decode(decoder);
  return values;
}

// The last value before stands in for one that is none, so that methods see numbers only.
std::vector<double> finite(std::span<const double> values) {
  std::vector<double> filled(values.begin(), values.end());
  const auto first = std::ranges::find_if(values, [](double value) { return std::isfinite(value); });
  double last = first == values.end() ? 0 : *first;
  for (double& value : filled) {
    if (!std::isfinite(value)) value = last;
    last = value;
  }
  return filled;
}

std::string code_values(const Window& window, const Reduction& reduction, size_t season) {
  if (reduction.method == Method::kRaw) return code_raw(window.values);
  if (reduction.method == Method::kLossless) return code_lossless(window.values);
  const std::vector<double> values = finite(window.values);
  switch (reduction.method) {
    case Method::kDeadband:
      return keep_by_deadband(values, reduction.tolerance);
    case Method::kDoor:
      return keep_by_door(values, window.times.positions(), reduction.tolerance);
    case Method::kSampling:
      return keep_by_sampling(values, window.times.positions(), reduction.kept, reduction.tolerance);
    case Method::kTransform:
      return transform(values, reduction.tolerance);
    case Method::kSemantic:
      return tell_events(values, reduction.tolerance, season);
    default:
      return quantize(values, reduction.tolerance, season);
  }
}

std::vector<double> decode_values(Method method, std::string_view bytes, const TimeColumn& times) {
  switch (method) {
    case Method::kRaw:
      return decode_raw(bytes, times.size());
    case Method::kLossless:
      return decode_lossless(bytes, times.size());
    case Method::kDeadband:
      return hold_kept(bytes, times.size());
    case Method::kDoor:
    case Method::kSampling:
      return join_kept(bytes, times.positions());
    case Method::kTransform:
      return transform_back(bytes, times.size());
    case Method::kSemantic:
      return retell(bytes, times.size());
    case Method::kQuantization:
      break;
  }
  return dequantize(bytes, times.size());
}

bool is_exact(Method method) { return method == Method::kRaw || method == Method::kLossless; }

std::string code_patches(std::span<const double> values, std::span<const size_t> places) {
  std::string out;
  append_varint(out, places.size());
  RangeEncoder encoder;
  NumberModel gap;
  ValueCoder coder;
  size_t next = 0;
  for (const size_t place : places) {
    gap.encode(encoder, place - next);
    coder.encode(encoder, values[place]);
    next = place + 1;
  }
  append_sized(out, encoder.finish());
  return out;
}

// False when a place is beyond the values.
bool apply_patches(ByteReader& in, std::vector<double>& values, std::vector<size_t>& places) {
  const uint64_t count = in.varint();
  const std::string_view bytes = in.sized();
  if (!in.ok() || count > values.size()) return false;
  RangeDecoder decoder(bytes);
  NumberModel gap;
  ValueCoder coder;
  size_t next = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t step = gap.decode(decoder);
    if (step >= values.size() - next) return false;
    next += step;
    values[next] = coder.decode(decoder);
    places.push_back(next);
    if (++next == values.size() && i + 1 < count) return false;
  }
  return true;
}

// Which readings have to stand in the record as they are, and how far the others are off.
std::vector<size_t> patches_for(const Window& window, std::span<const double> decoded, const Reduction& reduction,
                                std::span<const size_t> exact, Reduced& reduced) {
  std::vector<size_t> places;
  size_t next_exact = 0;
  double squares = 0;
  for (size_t i = 0; i < decoded.size(); ++i) {
    const bool is_asked = next_exact < exact.size() && exact[next_exact] == i;
    if (is_asked) ++next_exact;
    const double error = std::fabs(window.values[i] - decoded[i]);
    const bool is_missed =
        !std::isfinite(window.values[i]) || !std::isfinite(error) ||
        (reduction.is_bounded && reduction.method != Method::kSampling && error > reduction.tolerance);
    if (is_asked || is_missed) {
      places.push_back(i);
    } else {
      reduced.error_bound = std::max(reduced.error_bound, error);
      squares += error * error;
    }
  }
  reduced.mean_square = squares / static_cast<double>(decoded.size());
  return places;
}

}  // namespace

std::string_view name_of(Method method) { return kMethodNames[static_cast<size_t>(method)]; }

double range_of(std::span<const double> values) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  return low <= high ? high - low : 0;
}

Reduced reduce(const Window& window, const Reduction& reduction, std::span<const size_t> exact, size_t season) {
  VERGE_ASSERT(!window.values.empty() && window.values.size() <= kRecordReadingsMax);
  VERGE_ASSERT(window.times.size() == window.values.size());
  Reduced reduced;
  const std::string coded = code_values(window, reduction, season);
  std::string patches;
  if (is_exact(reduction.method)) {
    patches = code_patches(window.values, {});
  } else {
    const std::vector<double> decoded = decode_values(reduction.method, coded, window.times);
    patches = code_patches(window.values, patches_for(window, decoded, reduction, exact, reduced));
    if (reduction.is_bounded && reduction.method != Method::kSampling) reduced.error_bound = reduction.tolerance;
  }
  std::string& out = reduced.record;
  out = kMagic;
  out.push_back(static_cast<char>(kRecordVersion));
  out.push_back(static_cast<char>(reduction.method));
  append_varint(out, window.values.size());
  append_fixed(out, std::bit_cast<uint64_t>(reduced.error_bound));
  append_sized(out, window.time_name);
  append_sized(out, window.value_name);
  window.times.append_to(out);
  append_sized(out, coded);
  out += patches;
  append_fixed(out, hash64(out));
  return reduced;
}

Result<Restored> restore(std::string_view& in) {
  if (!in.starts_with(kMagic)) {
    return fail("series.record-unknown", "this is no reduced series", "give a file that verge reduce wrote");
  }
  ByteReader reader(in.substr(kMagic.size()));
  const auto version = reader.fixed<uint8_t>();
  if (reader.ok() && version != kRecordVersion) {
    return fail("series.record-unknown", "the reduced series is of a later version",
                "use the program that wrote it, or a later one");
  }
  const auto method = reader.fixed<uint8_t>();
  const uint64_t count = reader.varint();
  Restored restored;
  restored.error_bound = std::bit_cast<double>(reader.fixed<uint64_t>());
  restored.window.time_name = reader.sized();
  restored.window.value_name = reader.sized();
  if (!reader.ok() || method >= kMethodNames.size() || count == 0 || count > kRecordReadingsMax ||
      restored.window.time_name.size() > kNameBytesMax || restored.window.value_name.size() > kNameBytesMax) {
    return damaged("the head of the record is damaged");
  }
  // The record is whole before anything is decoded: its end is found by the sizes of its parts.
  ByteReader parts = reader;
  if (parts.fixed<uint8_t>() != 0xff) {
    parts.bytes(2);
    parts.sized();
  }
  for (int part = 0; part < 2; ++part) parts.sized();
  parts.varint();
  parts.sized();
  const size_t hashed = in.size() - parts.rest().size();
  const auto checksum = parts.fixed<uint64_t>();
  if (!parts.ok()) return damaged("the record ends too early");
  if (checksum != hash64(in.substr(0, hashed))) return damaged("the checksum of the record is wrong");

  restored.method = static_cast<Method>(method);
  Result<TimeColumn> times = TimeColumn::read(reader, count, kTextBytesMax);
  if (!times) return std::unexpected(times.error());
  restored.window.times = std::move(*times);
  restored.window.values = decode_values(restored.method, reader.sized(), restored.window.times);
  if (!apply_patches(reader, restored.window.values, restored.exact)) return damaged("the exact readings are damaged");
  in.remove_prefix(in.size() - parts.rest().size());
  return restored;
}

}  // namespace verge::series
