// Reading dates of HTTP fields (RFC 9110 section 5.6.7): the preferred form and the two obsolete ones, which a
// recipient must accept, in any case of letters; the day of the week is read past. What else a sender wrote wrongly
// (one digit for a day, another zone) is not repaired: the field is invalid then, and the caller's rule for invalid
// fields applies.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "net/http_message.h"

namespace verge::net {

// In seconds since 1970-01-01T00:00:00Z. `now`, likewise: of a year with two digits (RFC 850 form), the one is meant
// that is at most 50 years ahead.
std::optional<int64_t> parse_http_date(std::string_view text, int64_t now);

// How long to wait as Retry-After says, in seconds or as a date (RFC 9110 section 10.2.3), `most` at most; nothing
// where it says nothing that is valid. The two clocks need not agree: a date counts from the answer's own Date, and
// from `now` where there is none.
std::optional<Duration> retry_after(std::span<const HttpField> fields, WallTime now, Duration most);

}  // namespace verge::net
