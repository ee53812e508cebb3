// Round trips between a plan's users and nodes: measured where the plan says so, else calibrated by what it measured,
// else from physics.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "planner/calibration.h"
#include "planner/plan_document.h"

namespace verge::planner {

class PlanLatencies {
 public:
  explicit PlanLatencies(const PlanDocument& plan);

  struct RoundTrip {
    double milliseconds = 0;
    bool is_measured = false;
  };
  [[nodiscard]] RoundTrip between_user_and_node(size_t user, size_t node) const;
  [[nodiscard]] RoundTrip between_nodes(size_t a, size_t b) const;

 private:
  [[nodiscard]] RoundTrip between(const std::string& from, const Coordinates& a, const std::string& to,
                                  const Coordinates& b) const;

  const PlanDocument& plan_;
  std::map<std::pair<std::string, std::string>, double> measured_;
  std::optional<Calibration> calibration_;
};

}  // namespace verge::planner
