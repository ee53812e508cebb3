// Parses a rule's SQL:
//
//   SELECT items FROM 'filter' [AS a] [JOIN 'filter' AS b ON … WITHIN 5 s] [[LEFT] JOIN TABLE t ON …]
//   [TIMESTAMP BY time [DELAY 5 s] [LATE DROP | LATE CURRENT]] [WHERE condition]
//   [GROUP BY keys…, TUMBLING(size)] [HAVING condition] [PARTITION BY keys…]
#pragma once

#include <string_view>

#include "rules/fault.h"
#include "rules/statement.h"

namespace verge::rules {

inline constexpr size_t kSqlBytesMax = 64U << 10;
inline constexpr int64_t kWindowMicrosecondsMin = 100'000;
inline constexpr int64_t kWindowMicrosecondsMax = 24LL * 3600 * 1'000'000;
inline constexpr int64_t kDelayMicrosecondsMax = 3600LL * 1'000'000;
inline constexpr int64_t kPanesMax = 3600;    // parts of a hopping window
inline constexpr int64_t kCountMax = 10'000;  // readings of a COUNT window

Checked<Statement> parse_statement(std::string_view sql);

// The field that `text` names, as in a template's ${…}.
Checked<FieldPath> parse_field_path(std::string_view text);

}  // namespace verge::rules
