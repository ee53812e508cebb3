// Aggregates: what a window makes of its readings. NULL never counts, nor does what the aggregate cannot take (a text
// in sum).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "rules/value.h"
#include "series/distinct_count.h"
#include "series/moments.h"
#include "series/quantile_sketch.h"

namespace verge::rules {

enum class Aggregate : uint8_t {
  kCount,
  kSum,
  kAvg,
  kMin,
  kMax,
  kFirst,
  kLast,
  kStddev,
  kStddevPop,
  kVariance,
  kPercentile,
  kMedian,
  kSlope,
  kInformation,
  kReduced,
};

// Which aggregate is called, and how.
struct AggregateCall {
  Aggregate aggregate{};
  bool is_distinct = false;  // of count
  double share = 0;          // of percentile, 0..1; of reduced, what a reading may be off by, of the window's range
  // Of reduced, where the line says how much may be sent: bits a second, and milliseconds.
  double bandwidth_bps = 0;
  double deadline_ms = 0;
  bool operator==(const AggregateCall&) const = default;
};

// Whether its result may take milliseconds to compute: Accumulator::prepare() may do so on another thread.
constexpr bool takes_long(const AggregateCall& call) { return call.aggregate == Aggregate::kReduced; }

std::optional<Aggregate> find_aggregate(std::string_view name);
std::string_view name_of(Aggregate aggregate);
const std::vector<std::string>& aggregate_names();

inline constexpr size_t kReducedReadingsMax = 65'536;    // further readings of a window are left out, and counted
inline constexpr double kExactFromScore = 0.5;           // readings that score so much are kept without loss
inline constexpr size_t kInformationReadingsMax = 4096;  // further readings of a window do not change information()

// What one aggregate has seen. Accumulators of the same call can be merged, the earlier with the later.
class Accumulator {
 public:
  explicit Accumulator(const AggregateCall& call);

  void add(const Value& value, int64_t time_us);
  void merge(const Accumulator& later);
  // Computes what takes long of the result, so that result() gives it at once.
  void prepare() const;
  // NULL when nothing counted, but 0 for count. Texts point into the accumulator.
  [[nodiscard]] Value result() const;
  // What it holds beyond its own size, about.
  [[nodiscard]] size_t bytes() const;

  void append_to(std::string& out) const;
  // Reads what append_to() of the same call wrote; false when it is something else.
  bool read(ByteReader& in);

 private:
  struct Sum {
    int64_t count = 0;
    int64_t integer = 0;
    double number = 0;
    bool is_integer = true;  // all summed so far were integers, and their sum is
  };
  struct Kept {
    int64_t count = 0;
    Value value;  // its text lies in `text`
    std::string text;
  };
  struct Distinct {
    series::DistinctCount count;
    size_t bytes = 0;
  };
  struct Sketch {
    series::QuantileSketch sketch;
  };

  // Readings with their scores, to become one record (docs/formats/reduced-series.md).
  struct Series {
    std::vector<int64_t> times_us;
    std::vector<double> values;
    std::vector<uint64_t> exact;  // indices
    uint64_t left_out = 0;
    std::string text;      // of the result
    bool is_made = false;  // `text` is of these readings
  };

  void keep(const Value& value);
  void add_reading(Series& series, const Value& value, int64_t time_us) const;
  void reduce(Series& series) const;
  void keep_extreme(const Value& value);
  [[nodiscard]] Value kept() const;
  [[nodiscard]] Value numeric_result() const;

  AggregateCall call_;
  std::variant<std::monostate, Sum, Kept, series::Moments, series::Slope, std::unique_ptr<Distinct>,
               std::unique_ptr<Sketch>, std::vector<double>, std::unique_ptr<Series>>
      seen_;
};

}  // namespace verge::rules
