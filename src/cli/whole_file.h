// A file, or standard input, as a whole, of bounded size.
#pragma once

#include <string>

#include "base/error.h"

namespace verge::cli {

// `path` "-" is standard input. At most 1 GiB.
Result<std::string> read_whole_file(const std::string& path);

}  // namespace verge::cli
