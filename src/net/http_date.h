// Reading dates of HTTP fields (RFC 9110 section 5.6.7): the preferred form and the two obsolete ones, which a
// recipient must accept, in any case of letters; the day of the week is read past. What else a sender wrote wrongly
// (one digit for a day, another zone) is not repaired: the field is invalid then, and the caller's rule for invalid
// fields applies.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace verge::net {

// In seconds since 1970-01-01T00:00:00Z. `now`, likewise: of a year with two digits (RFC 850 form), the one is meant
// that is at most 50 years ahead.
std::optional<int64_t> parse_http_date(std::string_view text, int64_t now);

}  // namespace verge::net
