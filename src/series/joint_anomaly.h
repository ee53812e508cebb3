// One score for several columns that belong together.
//
// The evidence of each column (series/anomaly_evidence.h) is added up, so that weak signs in several columns count; the
// sum is divided by the square root of their number, so that more columns do not mean more alarms. One more measure
// watches how the columns move together: the Mahalanobis distance of a row under the mean and covariance of the last
// thousand or so. A pair that always moved together and no longer does is found by it alone.
// A row in which any column is missing (NaN, infinite) scores by the columns that are there; the relation skips it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "series/anomaly.h"

namespace verge::series {

inline constexpr size_t kJointColumnsMax = 16;

class JointAnomalyDetector {
 public:
  static constexpr uint8_t kStateVersion = 2;

  // 1 <= columns <= kJointColumnsMax
  explicit JointAnomalyDetector(size_t columns);

  // As many values as columns.
  double add(int64_t time_us, std::span<const double> values);

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.columns_, self.rows_, self.means_, self.covariance_, self.relation_, self.score_);
  }

 private:
  // The squared distance of the row from the mean, in units of the covariance; then learns it.
  double distance(std::span<const double> values);

  std::vector<AnomalyEvidence> columns_;
  double rows_ = 0;
  std::vector<double> means_;
  std::vector<double> covariance_;  // row by row
  RecordRatio relation_;
  AnomalyScore score_;
};

}  // namespace verge::series
