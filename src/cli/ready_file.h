// Ready files: how a command tells who started it that it serves, and where. Errors: cli.ready-file.
#pragma once

#include <string>

#include "base/error.h"

namespace verge::cli {

// Before anything is started: whoever waits for the file would wait in vain, or take that of an earlier start, which is
// removed, for this one's. An empty path is none.
Result<void> prepare_ready_file(const std::string& path);

// At once and whole, with a line end.
Result<void> write_ready_file(const std::string& path, const std::string& addresses);

}  // namespace verge::cli
