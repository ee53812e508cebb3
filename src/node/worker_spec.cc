#include "node/worker_spec.h"

#include "isolates/compatibility_date.h"

namespace verge::node {

Result<void> settle_compatibility_date(WorkerSpec& spec) {
  if (!spec.config.compatibility_date.empty() || spec.modules.empty()) return {};
  Result<std::string> stated = isolates::stated_compatibility_date(spec.modules.front().source);
  if (!stated) return std::unexpected(stated.error());
  spec.config.compatibility_date = std::move(*stated);
  return {};
}

}  // namespace verge::node
