#include "series/quantile_sketch.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace verge::series {
namespace {

constexpr uint8_t kVersion = 1;
constexpr double kGamma = (1 + QuantileSketch::kAccuracy) / (1 - QuantileSketch::kAccuracy);
constexpr double kSizeMin = 1e-300;  // smaller counts as 0

double log_gamma() {
  static const double value = std::log(kGamma);
  return value;
}

int32_t bucket_of(double size) { return static_cast<int32_t>(std::ceil(std::log(size) / log_gamma())); }
// The value that is within the accuracy of everything in the bucket.
double middle_of(int32_t bucket) { return 2 * std::exp(bucket * log_gamma()) / (kGamma + 1); }

void collapse(std::map<int32_t, uint64_t>& buckets) {
  while (buckets.size() > QuantileSketch::kBucketsMax) {
    const uint64_t lowest = buckets.begin()->second;
    buckets.erase(buckets.begin());
    buckets.begin()->second += lowest;
  }
}

void append_buckets(std::string& out, const std::map<int32_t, uint64_t>& buckets) {
  append_varint(out, buckets.size());
  for (const auto& [bucket, count] : buckets) {
    append_fixed(out, static_cast<uint32_t>(bucket));
    append_varint(out, count);
  }
}

bool read_buckets(ByteReader& in, std::map<int32_t, uint64_t>& buckets) {
  const uint64_t size = in.varint();
  if (size > QuantileSketch::kBucketsMax) return false;
  for (uint64_t i = 0; i < size && in.ok(); ++i) {
    const auto bucket = static_cast<int32_t>(in.fixed<uint32_t>());
    buckets[bucket] = in.varint();
  }
  return in.ok();
}

}  // namespace

void QuantileSketch::add(double value) {
  if (!std::isfinite(value)) return;
  least_ = count_ == 0 ? value : std::min(least_, value);
  largest_ = count_ == 0 ? value : std::max(largest_, value);
  ++count_;
  if (is_exact() && exact_.size() < kExactMax) {
    exact_.push_back(value);
    return;
  }
  leave_exact();
  count_in_bucket(value, 1);
}

void QuantileSketch::leave_exact() {
  for (const double value : exact_) count_in_bucket(value, 1);
  exact_.clear();
  exact_.shrink_to_fit();
}

void QuantileSketch::count_in_bucket(double value, uint64_t times) {
  if (std::fabs(value) < kSizeMin) {
    zeros_ += times;
    return;
  }
  Buckets& buckets = value > 0 ? positive_ : negative_;
  buckets[bucket_of(std::fabs(value))] += times;
  collapse(buckets);
}

void QuantileSketch::merge(const QuantileSketch& other) {
  if (other.count_ == 0) return;
  if (other.is_exact()) {
    for (const double value : other.exact_) add(value);
    return;
  }
  leave_exact();
  least_ = count_ == 0 ? other.least_ : std::min(least_, other.least_);
  largest_ = count_ == 0 ? other.largest_ : std::max(largest_, other.largest_);
  count_ += other.count_;
  zeros_ += other.zeros_;
  for (const auto& [bucket, count] : other.positive_) positive_[bucket] += count;
  for (const auto& [bucket, count] : other.negative_) negative_[bucket] += count;
  collapse(positive_);
  collapse(negative_);
}

double QuantileSketch::quantile(double share) const {
  if (count_ == 0) return std::nan("");
  const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_));
  const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, count_) - 1;
  if (is_exact()) {
    std::vector<double> values = exact_;
    const auto at = values.begin() + static_cast<ptrdiff_t>(rank);
    std::nth_element(values.begin(), at, values.end());
    return *at;
  }
  if (rank == 0) return least_;
  if (rank == count_ - 1) return largest_;
  uint64_t below = 0;
  const auto found = [&](double value) { return std::clamp(value, least_, largest_); };
  for (auto bucket = negative_.rbegin(); bucket != negative_.rend(); ++bucket) {
    below += bucket->second;
    if (below > rank) return found(-middle_of(bucket->first));
  }
  below += zeros_;
  if (below > rank) return 0;
  for (const auto& [bucket, count] : positive_) {
    below += count;
    if (below > rank) return found(middle_of(bucket));
  }
  return largest_;
}

void QuantileSketch::append_to(std::string& out) const {
  out.push_back(static_cast<char>(kVersion));
  append_varint(out, count_);
  append_fixed(out, std::bit_cast<uint64_t>(least_));
  append_fixed(out, std::bit_cast<uint64_t>(largest_));
  append_varint(out, exact_.size());
  for (const double value : exact_) append_fixed(out, std::bit_cast<uint64_t>(value));
  append_varint(out, zeros_);
  append_buckets(out, positive_);
  append_buckets(out, negative_);
}

Result<QuantileSketch> QuantileSketch::read(ByteReader& in) {
  QuantileSketch sketch;
  const auto damaged = [] {
    return fail("series.state-damaged", "the saved percentiles are damaged or of another version",
                "begin with a fresh state");
  };
  if (in.fixed<uint8_t>() != kVersion) return damaged();
  sketch.count_ = in.varint();
  sketch.least_ = std::bit_cast<double>(in.fixed<uint64_t>());
  sketch.largest_ = std::bit_cast<double>(in.fixed<uint64_t>());
  const uint64_t exact = in.varint();
  if (!in.ok() || exact > kExactMax) return damaged();
  for (uint64_t i = 0; i < exact; ++i) sketch.exact_.push_back(std::bit_cast<double>(in.fixed<uint64_t>()));
  sketch.zeros_ = in.varint();
  if (!read_buckets(in, sketch.positive_) || !read_buckets(in, sketch.negative_)) return damaged();
  const bool is_of_values =
      std::isfinite(sketch.least_) && std::isfinite(sketch.largest_) && sketch.least_ <= sketch.largest_;
  if (!is_of_values || (sketch.is_exact() && sketch.count_ != exact) || (!sketch.is_exact() && exact > 0))
    return damaged();
  return sketch;
}

}  // namespace verge::series
