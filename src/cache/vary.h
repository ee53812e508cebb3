// Which of several stored answers to one URL belongs to a request: Vary and its selecting fields (RFC 9111
// section 4.1).
//
// Values are compared after the changes that section allows: lines combined, white space around commas gone; of
// Accept-Language, which is a set with weights, also case and order.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_message.h"

namespace verge::cache {

// One selecting field as the stored answer's request had it.
struct Selector {
  std::string name;   // lower case
  std::string value;  // normalised; empty also where the request did not have it
  bool is_present = false;
  bool operator==(const Selector&) const = default;
};

// The selecting fields that `response_fields` names in Vary, with what `request_fields` has for them. Each name once,
// in the order of the alphabet. Must not be asked of an answer with "Vary: *".
std::vector<Selector> selectors_of(std::span<const net::HttpField> response_fields,
                                   std::span<const net::HttpField> request_fields);

// Whether the request has the same for all of them. `content_language` of the stored answer, or empty: it also matches
// a request that likes that language best.
bool selects(std::span<const Selector> selectors, std::span<const net::HttpField> request_fields,
             std::string_view content_language);

}  // namespace verge::cache
