// POST /v1/events: what a client may send, as events.
//
// The body is one JSON object, an array of them, or one a line (NDJSON). An object with "topic" is an envelope: topic,
// payload (any JSON; a string is taken as its text; absent: the object itself) or payload_base64 (any bytes), device,
// priority (critical, high, normal, low; normal by default), sequence (with device: recognises repetitions). Any other
// object is a payload; its topic is the query's ?topic=, else "events/<device>" or "events", its device its own
// "device", else the query's ?device=. The query has no other parameters than these two and ?priority=, an envelope
// with a payload no other members than those above: a slip would change, unnoticed, what becomes of the event.
#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "node/event_path.h"

namespace verge::node {

inline constexpr size_t kEventsAPostMax = 10'000;

// All or nothing. Errors: http.unknown-parameter, ingest.json, ingest.shape, ingest.topic, ingest.device,
// ingest.priority, ingest.too-large, ingest.too-many; they name the event by its place, from 1.
Result<std::vector<PostedEvent>> parse_posted_events(const Payload& body, std::string_view query);

}  // namespace verge::node
