// How much processor time a process has used, its threads together (proc(5), /proc/PID/stat).
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace verge::cli {

// User and system time in clock ticks, from the text of a stat file.
std::optional<uint64_t> parse_cpu_ticks(std::string_view stat);

Result<Duration> cpu_time_of(int process_id);

}  // namespace verge::cli
