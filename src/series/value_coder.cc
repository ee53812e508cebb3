#include "series/value_coder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <optional>

namespace verge::series {
namespace {

// Powers and digits below are exact doubles, so that digits / power is the double nearest to the decimal.
constexpr std::array<double, 18> kPowers = {1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,
                                            1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17};
constexpr double kDigitsMax = 9007199254740992;  // 2^53

int64_t digits_near(double value, uint64_t places) {
  const double digits = std::nearbyint(value * kPowers[places]);
  return std::fabs(digits) <= kDigitsMax ? static_cast<int64_t>(digits) : 0;
}

double decimal(int64_t digits, uint64_t places) { return static_cast<double>(digits) / kPowers[places]; }

struct Decimal {
  int64_t digits = 0;
  uint64_t places = 0;
};

std::optional<Decimal> as_decimal(double value) {
  for (uint64_t places = 0; places < kPowers.size(); ++places) {
    const double scaled = value * kPowers[places];
    if (!(std::fabs(scaled) < kDigitsMax)) return std::nullopt;
    const auto digits = static_cast<int64_t>(std::nearbyint(scaled));
    if (std::bit_cast<uint64_t>(decimal(digits, places)) == std::bit_cast<uint64_t>(value))
      return Decimal{digits, places};
  }
  return std::nullopt;
}

}  // namespace

void ValueCoder::encode(RangeEncoder& encoder, double value) {
  const std::optional<Decimal> found = as_decimal(value);
  const uint64_t places = found ? found->places : kBinary;
  places_[last_places_].encode(encoder, places);
  if (found) {
    difference_[places].encode(encoder, found->digits - digits_near(last_, places));
  } else {
    different_bits_.encode(encoder, std::bit_cast<uint64_t>(value) ^ std::bit_cast<uint64_t>(last_));
  }
  last_places_ = places;
  last_ = std::isfinite(value) ? value : last_;
}

double ValueCoder::decode(RangeDecoder& decoder) {
  const uint64_t places = std::min<uint64_t>(places_[last_places_].decode(decoder), kBinary);
  double value = 0;
  if (places < kBinary) {
    const auto digits =
        static_cast<uint64_t>(digits_near(last_, places)) + static_cast<uint64_t>(difference_[places].decode(decoder));
    value = decimal(static_cast<int64_t>(digits), places);
  } else {
    value = std::bit_cast<double>(different_bits_.decode(decoder) ^ std::bit_cast<uint64_t>(last_));
  }
  last_places_ = places;
  last_ = std::isfinite(value) ? value : last_;
  return value;
}

}  // namespace verge::series
