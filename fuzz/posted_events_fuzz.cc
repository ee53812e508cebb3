// POST /v1/events: the query is the first line, the rest the body. What is taken can be published and stored, and the
// text of values is found in any bytes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/topic.h"
#include "node/ingest.h"
#include "node/json_text.h"

using namespace verge;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\n');
  const std::string_view body = end == std::string_view::npos ? input : input.substr(end + 1);
  const std::string_view query = end == std::string_view::npos ? std::string_view() : input.substr(0, end);
  if (const auto in_range = node::with_numbers_in_range(body)) {
    check(in_range->size() == body.size());
    check(!node::with_numbers_in_range(*in_range));
  }
  for (const std::string_view value : node::json_values(body)) check(value.size() <= body.size());
  check(node::json_minified(body).size() <= body.size());
  const auto events = node::parse_posted_events(Payload(body), query);
  if (!events) return 0;
  check(events->size() <= node::kEventsAPostMax);
  for (const node::PostedEvent& event : *events) check(is_topic_name(event.topic) && is_device_name(event.device));
  return 0;
}
