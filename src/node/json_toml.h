// JSON as TOML on one line, so that what comes over HTTP is read as the file is.
#pragma once

#include <string>

#include <simdjson.h>

namespace verge::node {

// Of a sound value; null becomes nothing that TOML knows.
std::string toml_of(const simdjson::dom::element& value);

}  // namespace verge::node
