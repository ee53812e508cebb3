// Protocol Buffers: one message a payload, of a type that a descriptor set describes (protoc --include_imports
// --descriptor_set_out).
//
// Fields have the names of the .proto file. One without presence that was not sent has its default, so that a reading
// of 0 is a reading; one with presence that was not sent is missing. Numbers are numbers, 64 bits too; an enumeration
// is its name, bytes are base64, google.protobuf.Timestamp is ms since 1970, a map is an object. Fields that the type
// does not have are passed over.
#pragma once

#include <memory>
#include <string_view>

#include "base/error.h"
#include "payloads/format.h"

namespace verge::payloads {

// A payload may be this large: what a message takes in memory is a multiple of it.
inline constexpr size_t kProtobufBytesMax = 1U << 20;

// `type`: the message's full name, as in "plant.Reading". Code rule.payload.
Result<std::unique_ptr<const Format>> protobuf_format(std::string_view descriptor_set, std::string_view type);

}  // namespace verge::payloads
