// What says where and when workers are called: routes, cron expressions, and the bundles of deploys. What is taken as a
// route is one again as it is written; a time that comes is later, and one that its expression stands for.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "node/cron_times.h"
#include "node/worker_bundle.h"
#include "node/worker_routes.h"

using namespace verge;
using namespace verge::node;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void try_route(std::string_view input) {
  const size_t half = input.find('\n');
  const Result<WorkerRoute> route = parse_worker_route(input.substr(0, half));
  if (!route) return;
  const Result<WorkerRoute> again = parse_worker_route(text_of(*route));
  check(again && *again == *route);
  WorkerRoutes routes;
  routes.add(*route, cache::CodePosition::kMiss, 0);
  if (!route->host.starts_with('*')) {
    check(routes.find(cache::CodePosition::kMiss, route->host, route->path) == 0 || route->host.contains(':'));
  }
  check(routes.find(cache::CodePosition::kBefore, route->host, route->path) == WorkerRoutes::kNone);
  const std::string path = "/" + std::string(half == std::string_view::npos ? "" : input.substr(half + 1));
  static_cast<void>(routes.find(cache::CodePosition::kMiss, input, path));
}

void try_cron(std::string_view input) {
  const Result<CronTimes> times = CronTimes::parse(input);
  if (!times) return;
  const int64_t from = 1'700'000'000 + static_cast<int64_t>(input.size()) * 86'399;
  const std::optional<int64_t> first = times->next_after(from);
  if (!first) return;
  check(*first > from && *first % 60 == 0);
  // Nothing lies between.
  check(times->next_after(*first - 1) == first);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      try_route(input);
      break;
    case 1:
      try_cron(input);
      break;
    default:
      if (const Result<WorkerSpec> spec = read_worker_bundle(input)) {
        check(!spec->modules.empty() && !spec->config.name.empty() && spec->config.secrets.empty());
      }
  }
  return 0;
}
