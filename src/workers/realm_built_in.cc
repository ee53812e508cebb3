#include "workers/realm_engine.h"

extern "C" {
extern const char verge_snapshot_start[];  // of the assembler file that verge-snapshot writes
extern const char verge_snapshot_end[];
extern const char verge_bundle_start[];
extern const char verge_bundle_end[];
}

namespace verge::workers {

Snapshot built_in_snapshot() {
  return {.heap = {verge_snapshot_start, verge_snapshot_end}, .bundle = {verge_bundle_start, verge_bundle_end}};
}

}  // namespace verge::workers
