#include "series/value_novelty.h"

#include <algorithm>
#include <limits>

#include "series/chance.h"

namespace verge::series {

double ValueNovelty::add(double value, double entering) {
  double distance = 0;
  if (size_ > kSampleMin) {
    const auto end = sorted_.begin() + static_cast<ptrdiff_t>(size_);
    const auto above = std::lower_bound(sorted_.begin(), end, value);
    distance = std::numeric_limits<double>::max();
    if (above != end) distance = *above - value;
    if (above != sorted_.begin()) distance = std::min(distance, value - *(above - 1));
  }
  if (waiting_.is_full()) enter(waiting_.back(kDelay - 1));
  waiting_.add(entering);
  return distance;
}

void ValueNovelty::enter(double value) {
  const uint64_t chance = scattered(seen_++);
  if (size_ == kSample) {
    if (chance % 8 != 0) return;
    sorted_.erase(sorted_.begin() + static_cast<ptrdiff_t>((chance >> 8) % kSample));
    sorted_.push_back(0);
    --size_;
  }
  const auto end = sorted_.begin() + static_cast<ptrdiff_t>(size_);
  const auto place = std::upper_bound(sorted_.begin(), end, value);
  std::move_backward(place, end, end + 1);
  *place = value;
  ++size_;
}

bool ValueNovelty::is_sound() const {
  return size_ <= kSample && std::is_sorted(sorted_.begin(), sorted_.begin() + static_cast<ptrdiff_t>(size_)) &&
         waiting_.is_sound();
}

}  // namespace verge::series
