// Whatever a plan's files hold, reading them ends, and what is accepted is finite, on Earth and not negative. The first
// byte chooses the reader.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "planner/gap_file.h"
#include "planner/outages.h"
#include "planner/plan_document.h"
#include "planner/round_trip_files.h"
#include "planner/round_trip_matrix.h"

namespace {

using namespace verge::planner;

constexpr int kReaders = 7;

void check(const PlanDocument& plan) {
  for (const PlanNode& node : plan.nodes) VERGE_ASSERT(is_on_earth(node.at) && node.cpu >= 0 && node.memory_gb >= 0);
  for (const PlanUser& user : plan.users) VERGE_ASSERT(is_on_earth(user.at) && user.weight >= 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % kReaders) {
    case 0:
    case 1: {
      const auto records =
          data[0] % kReaders == 0 ? parse_csv_records(text, "f", "") : parse_geojson_records(text, "f", "node");
      if (!records) break;
      if (const auto plan = read_plan(*records)) check(*plan);
      break;
    }
    case 2:
      if (const auto problem = parse_gap(text, "f")) {
        for (const double weight : problem->weight) VERGE_ASSERT(std::isfinite(weight) && weight >= 0);
        VERGE_ASSERT(problem->capacity.size() == problem->agents);
      }
      break;
    case 3:
      if (const auto matrix = parse_round_trip_matrix(text, "f")) {
        for (const double trip : matrix->milliseconds) VERGE_ASSERT(std::isfinite(trip) && trip >= 0);
      }
      break;
    case 4:
      static_cast<void>(parse_round_trip_lines(text, "f"));
      break;
    case 6: {
      const RoundTripMatrix matrix{.sites = {"a", "b", "VA"}, .milliseconds = {}, .is_modelled = {}};
      if (const auto outage = parse_outage(text, matrix, false)) {
        VERGE_ASSERT(std::isfinite(outage->until_ms) && outage->from_ms >= 0 && outage->from_ms < outage->until_ms);
        VERGE_ASSERT(outage->sites < 8);
      }
      break;
    }
    default:
      if (const auto sites = parse_sites(text, "f")) {
        for (const Site& site : *sites) VERGE_ASSERT(is_on_earth(site.at));
      }
  }
  return 0;
}
