// Doubles without loss, in as few bits as their decimals need.
//
// Most measured values were written as decimals: such a value is its digits as a whole number and the place of the
// point, and the number is coded as its difference from the value before. What is no short decimal is coded by the bits
// that differ from the value before. -0, infinities and every NaN come back bit by bit.
#pragma once

#include <cstdint>

#include "series/range_coder.h"

namespace verge::series {

class ValueCoder {
 public:
  void encode(RangeEncoder& encoder, double value);
  double decode(RangeDecoder& decoder);

 private:
  static constexpr unsigned kPlaces = 18;       // digits behind the point, 0 to 17
  static constexpr uint64_t kBinary = kPlaces;  // in their stead: no short decimal

  NumberModel places_[kPlaces + 1];  // by the places of the value before
  SignedModel difference_[kPlaces];
  NumberModel different_bits_;
  uint64_t last_places_ = 0;
  double last_ = 0;
};

}  // namespace verge::series
