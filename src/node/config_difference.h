// Which settings two configurations differ in, as a person would name them: "mqtt.inflight_max".
#pragma once

#include <string>
#include <vector>

#include "node/config.h"

namespace verge::node {

// In the order of the reference; of a list of tables ("rule") the list. Empty where same_settings() holds.
std::vector<std::string> different_keys(const Config& a, const Config& b);

}  // namespace verge::node
