// CBOR (RFC 8949), one data item a payload.
//
// Byte strings become texts in base64, keys that are integers their decimal text, undefined and numbers that are not
// finite null; tags are passed over and what they tag is taken. Other keys, simple values without a meaning, a second
// item and anything behind it make the payload none.
#pragma once

#include <memory>

#include "payloads/format.h"

namespace verge::payloads {

std::unique_ptr<const Format> cbor_format();

}  // namespace verge::payloads
