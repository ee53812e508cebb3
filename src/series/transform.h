// Reduction by transform: blocks of 64 readings as their cosine transform (DCT-II, orthonormal), of which only what is
// larger than half a step is kept, rounded to steps.
//
// The step bounds the error of the sum of squares, not of a single reading: whoever needs that bound patches the
// readings that miss it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verge::series {

// `values` are finite and at least one; step > 0.
std::string transform(std::span<const double> values, double step);
std::vector<double> transform_back(std::string_view bytes, size_t count);

}  // namespace verge::series
