// Reduction by keeping some of the readings: which ones, and what stands between them.
//
//   deadband        a reading is kept when it leaves the band about the last one kept; the last one holds until then
//   swinging door   a reading is kept when no straight line from the last one kept passes all since within the band
//                   (Bristol 1990, with the door's cone tested for the kept point itself, so that the bound is kept)
//   sampling        so many readings as are asked for, those whose triangles with their neighbours are largest (LTTB,
//                   Steinarsson 2013); lines between them. It bounds the bytes, not the error.
//
// Kept readings are rounded to a grid; deadband and door take the rounding off their band.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verge::series {

// `values` are finite and at least one; tolerance > 0. `positions` are strictly rising, one a value.
std::string keep_by_deadband(std::span<const double> values, double tolerance);
std::string keep_by_door(std::span<const double> values, std::span<const double> positions, double tolerance);
// kept >= 2; the values are rounded to `precision`.
std::string keep_by_sampling(std::span<const double> values, std::span<const double> positions, size_t kept,
                             double precision);

std::vector<double> hold_kept(std::string_view bytes, size_t count);
std::vector<double> join_kept(std::string_view bytes, std::span<const double> positions);

// The indices that LTTB keeps, first and last among them.
std::vector<size_t> largest_triangles(std::span<const double> values, std::span<const double> positions, size_t kept);

}  // namespace verge::series
