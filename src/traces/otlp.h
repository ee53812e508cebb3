// Spans in OTLP's JSON (https://opentelemetry.io/docs/specs/otlp/, version 1): the body of POST /v1/traces.
//
// Names of traces and spans are hexadecimal there, numbers of 64 bits are texts, enumerations are numbers.
#pragma once

#include <span>
#include <string>

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

}  // namespace verge::traces
