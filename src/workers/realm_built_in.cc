#include "workers/realm_engine.h"

extern "C" {
extern const char verge_snapshot_start[];  // of the assembler file that verge-snapshot writes
extern const char verge_snapshot_end[];
}

namespace verge::workers {

std::span<const char> built_in_snapshot() { return {verge_snapshot_start, verge_snapshot_end}; }

}  // namespace verge::workers
