// What the admin listener serves, as OpenAPI 3.1: docs/openapi.json itself.
#pragma once

#include <string_view>

namespace verge::node {

std::string_view openapi_json();

}  // namespace verge::node
