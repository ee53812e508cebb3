// --set KEY=VALUE: puts the value into the document before it is read, so that values from the command line are checked
// as the file's are.
#pragma once

#include <optional>
#include <string_view>

#include "node/config_document.h"
#include "node/config_origin.h"

namespace verge::node {

// Adds the override as a source to `origin` and its value to `document`. The schema says how the text is read and which
// keys there are. Values of tables and arrays of tables are TOML and replace the whole table or array; in an array of
// tables "rule.0.name" means the first element's, and one past the last appends an element. After a fault `document` is
// of no more use.
std::optional<Fault> apply_override(std::string_view override_text, Table& document, ConfigOrigin& origin);

}  // namespace verge::node
