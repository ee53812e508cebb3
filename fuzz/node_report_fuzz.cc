// Reports of children and the answers to them: whatever comes, what is read can be written and read again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "overview/node_report.h"
#include "overview/roster.h"

using namespace verge::overview;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  parse_answer(bytes);
  verge::Result<Report> report = parse_report(bytes);
  if (!report) return 0;
  const std::string written = report_json(*report);
  const verge::Result<Report> again = parse_report(written);
  // Text that is not UTF-8 grows when it is written.
  if (again && (again->nodes.size() != report->nodes.size() || again->every != report->every)) std::abort();
  Roster roster({}, {"edge"});
  const verge::MonotonicTime now(std::chrono::hours(1000));
  if (roster.receive(std::move(*report), now, {})) roster.look(now + std::chrono::hours(1));
  if (roster.nodes().size() > Roster::kNodesMax) std::abort();
  return 0;
}
