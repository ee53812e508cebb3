// Round trips between sites, as a square matrix; what was not measured comes from the model.
//
// The file: a header row of site names, then a row a site, in the header's order, of milliseconds; a row may begin with
// its site's name, and the header then with a blank cell or a word. The diagonal is 0 or empty; an empty cell, "-" or
// "?" was not measured. Rows are all as long as the header, or each ends with its diagonal. Where both directions were
// measured, their mean is taken. Between known places nothing is faster than light in glass.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace verge::planner {

struct RoundTripMatrix {
  std::vector<std::string> sites;
  std::vector<double> milliseconds;  // [from * sites + to]; symmetric, finite, 0 on the diagonal
  std::vector<bool> is_modelled;     // likewise

  [[nodiscard]] double between(size_t from, size_t to) const { return milliseconds[from * sites.size() + to]; }
  // The site of that name; its own count when there is none.
  [[nodiscard]] size_t index_of(std::string_view name) const;
};

inline constexpr size_t kSitesMax = 32;

// `name` is for messages. Errors: plan.matrix.
Result<RoundTripMatrix> parse_round_trip_matrix(std::string_view text, std::string_view name);

// The middle of what ways over third sites leave possible, joined with the calibrated distance where both names are
// known places. NaN marks what is missing. The answer is a pair that cannot be known: no third site was measured from
// both.
std::optional<std::pair<size_t, size_t>> fill_missing(RoundTripMatrix& matrix);

}  // namespace verge::planner
