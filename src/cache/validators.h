// Entity tags and preconditions (RFC 9110 sections 8.8 and 13), as a cache evaluates and sends them (RFC 9111 section
// 4.3).
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "cache/cache_control.h"
#include "net/http_message.h"

namespace verge::cache {

// Weak comparison (section 8.8.3.2): the opaque tags are the same. Tags without quotes, which some origins send, are
// compared as they are.
bool weakly_equal(std::string_view a, std::string_view b);
// Strong comparison: both are strong and the same.
bool strongly_equal(std::string_view a, std::string_view b);

// Whether the value of an If-None-Match or If-Match has the tag, or is "*".
bool any_weakly_equal(std::string_view list, std::string_view tag);

enum class Precondition {
  kNone,         // the request has none that a cache answers: send the whole
  kNotModified,  // 304
  kModified      // the client has another: send the whole
};
// If-None-Match, and without it If-Modified-Since, against a stored answer with status 200 and the like. `method` is
// GET or HEAD. If-Match and If-Unmodified-Since are the origin's to judge (RFC 9111 section 4.3.2).
Precondition evaluate_preconditions(std::span<const net::HttpField> request_fields,
                                    std::span<const net::HttpField> stored_fields, Seconds now);

// Whether a Range may be answered from the stored answer: there is no If-Range, or it names this very answer (section
// 13.1.5): a strong tag, or a date that is its Last-Modified to the letter and at least a second older than its Date.
bool range_applies(std::span<const net::HttpField> request_fields, std::span<const net::HttpField> stored_fields,
                   Seconds now);

// Whether what two answers hold can be put together (RFC 9111 section 3.4): both have the same strong tag.
bool can_be_combined(std::span<const net::HttpField> a, std::span<const net::HttpField> b);

}  // namespace verge::cache
