// Aggregates of a window that are a few numbers: deviation, slope, first and last. Each can be merged with another of
// the same kind, in any grouping of the readings, and saved.
#pragma once

#include <cmath>
#include <cstdint>

namespace verge::series {

// Mean and variance (Welford 1962; merged as Chan, Golub, LeVeque 1979). Does not lose digits to a large mean.
class Moments {
 public:
  static constexpr uint8_t kStateVersion = 1;

  void add(double value) {
    count_ += 1;
    const double step = value - mean_;
    mean_ += step / count_;
    squares_ += step * (value - mean_);
  }
  void merge(const Moments& other) {
    if (other.count_ == 0) return;
    const double count = count_ + other.count_;
    const double step = other.mean_ - mean_;
    squares_ += other.squares_ + step * step * count_ * other.count_ / count;
    mean_ += step * other.count_ / count;
    count_ = count;
  }

  [[nodiscard]] double count() const { return count_; }
  [[nodiscard]] double mean() const { return mean_; }
  // Of the sample (n - 1), as SQL's stddev; NaN with fewer than two readings.
  [[nodiscard]] double deviation() const { return count_ < 2 ? std::nan("") : std::sqrt(squares_ / (count_ - 1)); }
  // Of the population (n); NaN without readings.
  [[nodiscard]] double population_deviation() const { return count_ < 1 ? std::nan("") : std::sqrt(squares_ / count_); }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.count_, self.mean_, self.squares_);
  }

 private:
  double count_ = 0;
  double mean_ = 0;
  double squares_ = 0;  // sum of squared differences from the mean
};

// The slope of the least-squares line through readings over time.
class Slope {
 public:
  static constexpr uint8_t kStateVersion = 1;

  void add(int64_t time_us, double value) {
    if (count_ == 0) origin_us_ = time_us;
    Slope one;
    one.count_ = 1;
    one.mean_time_ = static_cast<double>(time_us - origin_us_) * 1e-6;
    one.mean_value_ = value;
    one.origin_us_ = origin_us_;
    merge(one);
  }
  void merge(const Slope& other) {
    if (other.count_ == 0) return;
    if (count_ == 0) origin_us_ = other.origin_us_;
    const double count = count_ + other.count_;
    const double between = static_cast<double>(other.origin_us_ - origin_us_) * 1e-6;
    const double time_step = other.mean_time_ + between - mean_time_;
    const double value_step = other.mean_value_ - mean_value_;
    const double weight = count_ * other.count_ / count;
    time_squares_ += other.time_squares_ + time_step * time_step * weight;
    products_ += other.products_ + time_step * value_step * weight;
    mean_time_ += time_step * other.count_ / count;
    mean_value_ += value_step * other.count_ / count;
    count_ = count;
  }

  // In the values' unit a second; NaN where all readings are of one time.
  [[nodiscard]] double per_second() const { return time_squares_ > 0 ? products_ / time_squares_ : std::nan(""); }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.count_, self.origin_us_, self.mean_time_, self.mean_value_, self.time_squares_, self.products_);
  }

 private:
  double count_ = 0;
  int64_t origin_us_ = 0;  // seconds below are from here, so that they keep their digits
  double mean_time_ = 0;
  double mean_value_ = 0;
  double time_squares_ = 0;
  double products_ = 0;
};

// The readings with the least and the largest time; of equal times, the first and the last to come.
class FirstLast {
 public:
  static constexpr uint8_t kStateVersion = 1;

  void add(int64_t time_us, double value) { merge(FirstLast(time_us, value)); }
  void merge(const FirstLast& later) {
    if (later.is_empty_) return;
    if (is_empty_ || later.first_us_ < first_us_) {
      first_us_ = later.first_us_;
      first_ = later.first_;
    }
    if (is_empty_ || later.last_us_ >= last_us_) {
      last_us_ = later.last_us_;
      last_ = later.last_;
    }
    is_empty_ = false;
  }

  FirstLast() = default;
  [[nodiscard]] bool is_empty() const { return is_empty_; }
  [[nodiscard]] double first() const { return is_empty_ ? std::nan("") : first_; }
  [[nodiscard]] double last() const { return is_empty_ ? std::nan("") : last_; }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.is_empty_, self.first_us_, self.last_us_, self.first_, self.last_);
  }

 private:
  FirstLast(int64_t time_us, double value)
      : is_empty_(false), first_us_(time_us), last_us_(time_us), first_(value), last_(value) {}

  bool is_empty_ = true;
  int64_t first_us_ = 0;
  int64_t last_us_ = 0;
  double first_ = 0;
  double last_ = 0;
};

}  // namespace verge::series
