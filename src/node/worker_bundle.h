// What a deploy of a worker brings: a JSON document with all that belongs to it (docs/formats/worker-bundle.md).
#pragma once

#include <string_view>

#include "base/error.h"
#include "node/worker_spec.h"

namespace verge::node {

inline constexpr size_t kWorkerBundleBytesMax = 48U << 20;

// {"worker":{the keys of [[worker]], without file and secrets},"secrets":{"NAME":"…"},
//  "modules":[{"name":"app.js","type":"javascript","source":"…"},{"name":"a.wasm","type":"bytes","base64":"…"}]}
// Errors: workers.bundle; those of the configuration, about "worker.0".
Result<WorkerSpec> read_worker_bundle(std::string_view json);

}  // namespace verge::node
