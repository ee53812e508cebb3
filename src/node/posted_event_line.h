// A record as a line that POST /v1/events takes, and that makes the same message of it: topic, device, priority and the
// bytes of the payload. What the line does not say, since whoever posts cannot: when it happened, where it came from,
// what kind of event it was; the node that takes it is its origin, and its rules run.
#pragma once

#include <string>

#include "base/error.h"
#include "model/event.h"
#include "model/priority.h"

namespace verge::node {

// Without a line end. The payload is JSON where its bytes come back the same, else a string, else "payload_base64".
// Errors: those of parse_posted_events(), of what cannot be posted; such as ingest.topic for the node's own topics.
Result<std::string> posted_event_line(const EventView& event, Priority priority);

}  // namespace verge::node
