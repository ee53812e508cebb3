// Parses a rule's SQL: SELECT items FROM 'filter' [WHERE condition] [GROUP BY keys…, TUMBLING(size)].
#pragma once

#include <string_view>

#include "rules/expression.h"
#include "rules/fault.h"

namespace verge::rules {

inline constexpr size_t kSqlBytesMax = 64U << 10;
inline constexpr int64_t kWindowMicrosecondsMin = 100'000;
inline constexpr int64_t kWindowMicrosecondsMax = 24LL * 3600 * 1'000'000;

Checked<Statement> parse_statement(std::string_view sql);

// The field that `text` names, as in a template's ${…}.
Checked<FieldPath> parse_field_path(std::string_view text);

}  // namespace verge::rules
