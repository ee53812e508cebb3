// Lines of a file or of standard input, as they come, of bounded length.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace verge::cli {

// Calls `take` for each line, without its end; a last line without one counts. Calls `pause` whenever all that has
// arrived was taken and more has to be waited for, and at the end. `path` "-" is standard input. Stops at the first
// error.
Result<void> for_each_line(const std::string& path, const std::function<Result<void>(std::string_view)>& take,
                           const std::function<void()>& pause);

}  // namespace verge::cli
