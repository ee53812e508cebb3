#include "series/seasonal_profile.h"

namespace verge::series {

size_t SeasonalProfile::slice_of(int64_t time_us) const {
  int64_t phase = time_us % period_us_;
  if (phase < 0) phase += period_us_;
  return static_cast<size_t>(static_cast<__int128>(phase) * static_cast<int64_t>(slices_.size()) / period_us_);
}

double SeasonalProfile::expected(int64_t time_us) const {
  const Slice& slice = slices_[slice_of(time_us)];
  return slice.count > 0 ? slice.mean : overall_.mean();
}

double SeasonalProfile::add(int64_t time_us, double value) {
  Slice& slice = slices_[slice_of(time_us)];
  const double usual = slice.count > 0 ? slice.mean : overall_.is_empty() ? value : overall_.mean();
  overall_.add(value);
  slice.count += 1;
  slice.mean += (value - slice.mean) * std::max(learning_, 1 / slice.count);
  return value - usual;
}

}  // namespace verge::series
