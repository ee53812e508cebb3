// A recorded series, to be played as if it were measured now.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace verge::cli {

struct ReplayPoint {
  std::string timestamp;  // as recorded
  double value = 0;
};

// CSV: a line "timestamp,value" a point; further columns are ignored, fields may be quoted. The first line may be a
// header. Errors name the line; `name` is the file's, for them.
Result<std::vector<ReplayPoint>> parse_replay(std::string_view csv, std::string_view name);
Result<std::vector<ReplayPoint>> read_replay(const std::string& path);

// The file's name without folders and extension, fit for one level of a topic.
std::string replay_topic_level(const std::string& path);

}  // namespace verge::cli
