#include "base/metrics.h"

#include <algorithm>
#include <cmath>

namespace verge {

uint64_t Histogram::upper_edge(size_t bucket) {
  if (bucket < (1U << kSubBits)) return bucket;
  const auto exponent = static_cast<int>(bucket >> kSubBits) + kSubBits - 1;
  const uint64_t fraction = bucket & ((1U << kSubBits) - 1);
  const uint64_t width = 1ULL << (exponent - kSubBits);
  return (1ULL << exponent) + (fraction + 1) * width - 1;
}

void Histogram::Snapshot::add(const Histogram& histogram) {
  for (size_t i = 0; i < kBuckets; ++i) {
    const uint64_t here = histogram.counts_[i].value();
    counts[i] += here;
    count += here;
  }
  sum_ns += histogram.sum_ns_.value();
  max_ns = std::max(max_ns, histogram.max_ns_.value());
}

void Histogram::Snapshot::record(Duration duration) {
  const uint64_t ns = duration.count() < 0 ? 0 : static_cast<uint64_t>(duration.count());
  ++counts[bucket_of(ns)];
  ++count;
  sum_ns += ns;
  max_ns = std::max(max_ns, ns);
}

Duration Histogram::Snapshot::quantile(double q) const {
  if (count == 0) return Duration(0);
  const auto rank = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(q * static_cast<double>(count))));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += counts[i];
    if (seen >= rank) return Duration(std::min(upper_edge(i), max_ns));
  }
  return Duration(max_ns);
}

uint64_t Histogram::Snapshot::count_at_most(Duration limit) const {
  const size_t last = bucket_of(static_cast<uint64_t>(std::max<int64_t>(limit.count(), 0)));
  uint64_t seen = 0;
  for (size_t i = 0; i <= last; ++i) seen += counts[i];
  return seen;
}

}  // namespace verge
