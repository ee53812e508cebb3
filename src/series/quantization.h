// Reduction by quantization: every reading becomes the nearest value of a grid of twice the tolerance, and the indices
// are coded by what is likely after the ones before (series/range_coder.h).
//
// Four predictors are tried, and the one that gives the fewest bytes is kept: the index before (slow series), a running
// mean (noise about a level), the straight line through the two before (smooth series), the index one season ago.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verge::series {

// `values` are finite and at least one, tolerance > 0: no reading moves by more, rounding aside. `season` is a number
// of readings after which the series looks similar, 0 for none.
std::string quantize(std::span<const double> values, double tolerance, size_t season);
// Any bytes give `count` values; damage shows in the record's checksum.
std::vector<double> dequantize(std::string_view bytes, size_t count);

}  // namespace verge::series
