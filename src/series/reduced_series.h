// A window of a series in few bytes, with the error that it was allowed: the record that goes up, and its decoder.
//
// The format is docs/formats/reduced-series.md. What holds for every record:
//   - timestamps come back exactly
//   - no reading differs from what it was by more than `error_bound`, which is part of the record. Readings that the
//   method
//     missed by more, missing values and those that were asked to be kept stand in it without loss
//   - it decodes to what its encoder saw decoded: the encoder ran the decoder
// Bytes that are not a record of this version, whole and with its checksum, are an error, never a guess.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "series/time_column.h"

namespace verge::series {

inline constexpr size_t kRecordReadingsMax = 1U << 20;
inline constexpr uint8_t kRecordVersion = 1;

enum class Method : uint8_t { kRaw, kLossless, kDeadband, kDoor, kSampling, kQuantization, kTransform, kSemantic };
std::string_view name_of(Method method);

// A window as it was measured. NaN is a missing value.
struct Window {
  std::string time_name = "timestamp";
  std::string value_name = "value";
  TimeColumn times;
  std::vector<double> values;  // as many as times
};

// How to make a record of a window. What does not concern the method is not looked at.
struct Reduction {
  Method method = Method::kQuantization;
  double tolerance = 0;  // of all but raw, lossless and sampling: the parameter, in the values' unit; > 0
  size_t kept = 0;       // of sampling: how many readings
  // Whether `tolerance` is a promise: readings that miss it are patched. Otherwise the record's bound is what came out.
  bool is_bounded = true;
};

struct Reduced {
  std::string record;
  double error_bound = 0;  // stated in the record; holds for every reading
  double mean_square = 0;  // of the errors
};

// `exact` are the indices of readings to be kept without loss, rising. 1 <= readings <= kRecordReadingsMax.
// `season` as dominant_season() gives it.
Reduced reduce(const Window& window, const Reduction& reduction, std::span<const size_t> exact, size_t season);

struct Restored {
  Method method = Method::kRaw;
  double error_bound = 0;
  Window window;
  std::vector<size_t> exact;  // the indices of readings that are as they were measured, beside those of exact methods
};

// One record from the front of `in`, which keeps what is behind it.
Result<Restored> restore(std::string_view& in);

// What a window is without its records: the largest value minus the smallest; 0 without values.
double range_of(std::span<const double> values);

}  // namespace verge::series
