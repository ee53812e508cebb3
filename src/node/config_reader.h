// From a document to a configuration: every key of the schema is read, every other key is refused with the nearest
// spelling, and all that is wrong is noted.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "node/config.h"
#include "node/config_document.h"

namespace verge::node {

// `table`: how messages name the table, such as "[mqtt]"; empty for the document itself.
Error unknown_key(std::string_view key, std::string_view table, const std::vector<std::string>& known);

// Sets `config` from `document` and notes the places of the keys in config.origin. Returns what is wrong, in
// no particular order; `config` is of use only when nothing is.
std::vector<Fault> read_document(const Table& document, Config& config);

}  // namespace verge::node
