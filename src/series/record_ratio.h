// How much a quantity exceeds its own records, as a logarithm: the common scale of unlike measures of strangeness.
//
// A threshold on a raw distance means nothing across series; a threshold on "so many times the largest of its kind so
// far" does. The record rises by 0.7 of each excess only (as a logarithm), so that one huge event does not hide the
// next ones, and fades with a half-life of 8,000 readings, so that what was long ago counts as new. Right after an
// event its full height is the bar, halved every 200 readings: an event is reported once, at its onset.
#pragma once

#include <algorithm>
#include <cmath>

namespace verge::series {

class RecordRatio {
 public:
  static constexpr double kHalfLife = 8000;     // readings
  static constexpr double kPeakHalfLife = 200;  // readings
  static constexpr double kRise = 0.7;          // of an excess, in logarithms
  static constexpr double kDoubt = 100;         // readings after which a ratio counts half
  static constexpr double kFirstReadings = 30;  // the record follows these fully
  static constexpr double kRatioMax = 1e6;      // what is beyond, either way, counts as this

  // log(quantity / record before it), lowered while the history is short. `quantity` >= 0.
  double add(double quantity) {
    const double bar = std::max(record_, peak_);
    const double ratio = bar > 0 ? quantity / bar * (count_ / (count_ + kDoubt)) : 0;
    count_ += 1;
    record_ *= kRecordFade;
    peak_ *= kPeakFade;
    if (quantity > std::max(record_, peak_)) rise(quantity);
    return std::log(std::clamp(ratio, 1 / kRatioMax, kRatioMax));
  }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.count_, self.record_, self.peak_);
  }

 private:
  void rise(double quantity) {
    if (record_ <= 0 || count_ < kFirstReadings) {
      record_ = quantity;
    } else if (quantity > record_) {
      const double excess = quantity / record_;
      record_ = excess < kRatioMax ? record_ * std::pow(excess, kRise) : quantity;
    }
    peak_ = quantity;
  }

  // 2^(-1/half-life)
  static constexpr double kRecordFade = 0.9999133603558608;
  static constexpr double kPeakFade = 0.9965402628278678;

  double count_ = 0;
  double record_ = 0;
  double peak_ = 0;
};

}  // namespace verge::series
