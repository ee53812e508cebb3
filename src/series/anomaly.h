// anomaly(x): the default detector. One configuration for every series.
//
// The score of a reading lies in 0..1 and depends on that reading and those before it, nothing else:
//   below 0.25   nothing exceeded its record; the value says how near the nearest measure came
//   0.25 to 1    records were exceeded. From kAlert on it is worth telling somebody
// An event scores at its onset; while it lasts, what is not stronger than before scores low (half of an event's
// strength is forgotten after 42 readings). The first readings score low for want of a history: half strength after
// 100. A missing reading (NaN, infinite) scores 0 and leaves no trace.
//
// How the constants were chosen, and what it scores on readings it was not chosen by: docs/detectors.md.
#pragma once

#include <cstdint>
#include <vector>

#include "series/anomaly_evidence.h"

namespace verge::series {

inline constexpr double kAlert = 0.5;

// The last step, shared by one series and several: from evidence to a score, once an event.
class AnomalyScore {
 public:
  double add(const Evidence& evidence);

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.recent_);
  }

 private:
  double recent_ = 0;  // the strongest excess lately, fading
};

class AnomalyDetector {
 public:
  static constexpr uint8_t kStateVersion = 2;

  double add(int64_t time_us, double value);

  static size_t state_bytes() { return AnomalyEvidence::state_bytes() + sizeof(AnomalyScore); }

  template <class Self, class Archive>
  static void visit(Self& self, Archive& archive) {
    archive(self.evidence_, self.score_);
  }

 private:
  AnomalyEvidence evidence_;
  AnomalyScore score_;
};

}  // namespace verge::series
