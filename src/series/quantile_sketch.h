// Percentiles of a window: exact up to 1,024 readings, from then on within 1 % of the value, whatever the distribution.
//
// Beyond the exact part it is a DDSketch (Masson, Rim, Lee 2019): readings are counted in buckets whose bounds grow by
// (1 + a) / (1 - a), a = 0.01, one set for positive and one for negative values. Each set has 2,048 buckets, which span
// a factor of 10^17 in size; beyond that those nearest to 0 are counted as one. Sketches merge into what one sketch of
// all readings would be. NaN and infinities are not taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace verge::series {

class QuantileSketch {
 public:
  static constexpr size_t kExactMax = 1024;
  static constexpr double kAccuracy = 0.01;
  static constexpr size_t kBucketsMax = 2048;

  void add(double value);
  void merge(const QuantileSketch& other);

  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] bool is_exact() const { return negative_.empty() && positive_.empty() && zeros_ == 0; }
  // The reading of rank ceil(share * count), the least for 0: SQL's percentile_disc. NaN without readings; 0 <= share
  // <= 1.
  [[nodiscard]] double quantile(double share) const;

  void append_to(std::string& out) const;
  static Result<QuantileSketch> read(ByteReader& in);

 private:
  using Buckets = std::map<int32_t, uint64_t>;  // by the logarithm of the size

  void count_in_bucket(double value, uint64_t times);
  void leave_exact();

  uint64_t count_ = 0;
  std::vector<double> exact_;  // while there are no buckets
  Buckets positive_;
  Buckets negative_;
  uint64_t zeros_ = 0;
  double least_ = 0;
  double largest_ = 0;
};

}  // namespace verge::series
