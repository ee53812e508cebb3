// The JSON of a node's answers, for commands that print what is in it.
#pragma once

#include <string_view>

#include <simdjson.h>

#include "base/error.h"
#include "cli/admin_client.h"

namespace verge::cli {

// What the node answered, good as long as `parser`; the problem that it named where the status is not 200. Errors:
// those of the question, the node's own, http.bad-answer.
Result<simdjson::dom::element> parsed(simdjson::dom::parser& parser, const Result<AdminAnswer>& answer);

// The array `name` of such a document. Errors: http.bad-answer.
Result<simdjson::dom::array> rows_of(simdjson::dom::element document, std::string_view name);

}  // namespace verge::cli
