// Spans in OTLP's JSON (https://opentelemetry.io/docs/specs/otlp/, version 1): the body of POST /v1/traces.
//
// Names of traces and spans are hexadecimal there, numbers of 64 bits are texts, enumerations are numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "traces/span.h"

namespace verge::traces {

// Who writes: the resource of all spans.
struct Resource {
  std::string node;     // its name
  std::string node_id;  // 32 hexadecimal digits
  std::string tier;
};

// Text that is no UTF-8 is written as the replacement character.
std::string otlp_json(const Resource& resource, std::span<const Span> spans);

// What a collector says that took a batch (ExportTraceServiceResponse.partial_success).
struct PartialSuccess {
  uint64_t rejected = 0;  // spans that it did not take
  std::string message;    // why; or a warning
};
// Nothing rejected where the body is none, or has nothing to say.
PartialSuccess parse_otlp_answer(std::string_view json);

}  // namespace verge::traces
