// Counting on the event path: plain numbers that one thread writes and any thread reads. A loop owns its own Counter
// and Histogram; the scrape adds them up. (prometheus-cpp's histograms take a lock for each observation.)
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "base/clock.h"

namespace verge {

// One writer, any readers.
class Counter {
 public:
  void add(uint64_t by = 1) { value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed); }
  void subtract(uint64_t by = 1) {
    value_.store(value_.load(std::memory_order_relaxed) - by, std::memory_order_relaxed);
  }
  void set(uint64_t to) { value_.store(to, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Counts of durations in buckets of at most 1/16 relative width (as HdrHistogram with 4 bits), from 1 ns to 2^40 ns
// (18 minutes); longer ones count as that. The sum and maximum are exact.
class Histogram {
 public:
  static constexpr int kSubBits = 4;
  static constexpr int kExponents = 40;
  static constexpr size_t kBuckets = static_cast<size_t>(kExponents - kSubBits + 1) << kSubBits;

  // A copy that can be added up and asked.
  struct Snapshot {
    std::array<uint64_t, kBuckets> counts{};
    uint64_t count = 0;
    uint64_t sum_ns = 0;
    uint64_t max_ns = 0;

    void add(const Histogram& histogram);
    void record(Duration duration);
    // The upper edge of the bucket in which the quantile (0..1) lies, never above the maximum; 0 when empty.
    [[nodiscard]] Duration quantile(double q) const;
    // How many were at most `limit`, to the bucket.
    [[nodiscard]] uint64_t count_at_most(Duration limit) const;
  };

  void record(Duration duration) {
    const uint64_t ns = duration.count() < 0 ? 0 : static_cast<uint64_t>(duration.count());
    counts_[bucket_of(ns)].add();
    sum_ns_.add(ns);
    if (ns > max_ns_.value()) max_ns_.set(ns);
  }

  static size_t bucket_of(uint64_t ns) {
    if (ns < (1U << kSubBits)) return ns;
    const int exponent = static_cast<int>(std::bit_width(ns)) - 1;
    if (exponent >= kExponents) return kBuckets - 1;
    const auto fraction = static_cast<size_t>(ns >> (exponent - kSubBits)) & ((1U << kSubBits) - 1);
    return (static_cast<size_t>(exponent - kSubBits + 1) << kSubBits) + fraction;
  }
  // The largest value that falls into the bucket.
  static uint64_t upper_edge(size_t bucket);

 private:
  std::array<Counter, kBuckets> counts_;
  Counter sum_ns_;
  Counter max_ns_;
};

}  // namespace verge
