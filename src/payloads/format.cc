#include "payloads/format.h"

#include <cmath>
#include <iterator>

#include <fmt/format.h>

namespace verge::payloads {

void append_json_number(std::string& json, double value) {
  if (!std::isfinite(value)) {
    json.append("null");
    return;
  }
  const size_t before = json.size();
  fmt::format_to(std::back_inserter(json), "{}", value);
  if (json.find_first_of(".e", before) == std::string::npos) json.append(".0");
}

}  // namespace verge::payloads
