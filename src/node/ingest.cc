#include "node/ingest.h"

#include <algorithm>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "model/topic.h"
#include "net/http_message.h"
#include "node/json_text.h"

namespace verge::node {
namespace {

// Room for topic, device and origin beside it.
constexpr size_t kPayloadBytesMax = kEventBytesMax - (256U << 10);

using simdjson::dom::element;
using simdjson::dom::object;

// What the query says for events that do not say it themselves.
struct Defaults {
  std::string topic;
  std::string device;
  Priority priority = Priority::kNormal;
};

Result<Priority> priority_of(std::string_view name, size_t place) {
  if (const std::optional<Priority> priority = parse_priority(name)) return *priority;
  std::vector<std::string> names;
  for (const Priority known : kPriorities) names.emplace_back(name_of(known));
  const std::string near = nearest(name, names);
  return fail("ingest.priority", fmt::format("event {}: '{}' is no priority", place, name),
              near.empty() ? "use critical, high, normal or low" : fmt::format("did you mean \"{}\"?", near));
}

std::unexpected<Error> bad_base64(size_t place) {
  return fail("ingest.shape",
              fmt::format("event {}: \"payload_base64\" is not base64, or stands beside \"payload\"", place),
              "give one of the two; base64 is that of RFC 4648 section 4, with padding");
}

// What a slip in the name of an optional member would leave unsaid.
Result<void> check_members(const object& envelope, size_t place) {
  static const std::vector<std::string> known = {"topic",  "payload",  "payload_base64",
                                                 "device", "priority", "sequence"};
  for (const auto& member : envelope) {
    if (std::ranges::find(known, member.key) != known.end()) continue;
    const std::string near = nearest(member.key, known);
    return fail("ingest.shape", fmt::format("event {}: \"{}\" is no member of an envelope", place, member.key),
                near.empty() ? "put what is to be kept into \"payload\"" : fmt::format("did you mean \"{}\"?", near));
  }
  return {};
}

// A string's own text; of any other value its JSON, with all digits that were sent.
std::string text_of(const element& value, std::string_view json) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return std::string(text);
  return json_minified(json);
}

// The text of the member that `fields[name]` is, of the object whose text is `json`.
std::string_view member_text(const object& fields, std::string_view name, std::string_view json) {
  size_t place = 0;
  for (const auto& field : fields) {
    if (field.key == name) return json_values(json)[place];
    ++place;
  }
  return json;
}

Result<std::optional<uint64_t>> sequence_of(const object& envelope, std::string_view device, size_t place) {
  element sequence;
  uint64_t number = 0;
  if (envelope["sequence"].get(sequence) != simdjson::SUCCESS) return std::nullopt;
  if (sequence.get(number) != simdjson::SUCCESS || number > kSourceSequenceMax) {
    return fail("ingest.shape",
                fmt::format("event {}: \"sequence\" is not a whole number from 0 to {}", place, kSourceSequenceMax),
                "number the events of a device 1, 2, 3, …");
  }
  if (device.empty()) {
    return fail("ingest.shape",
                fmt::format("event {}: \"sequence\" numbers the events of a device, and none is named", place),
                "add \"device\", or ?device= to the query");
  }
  return number;
}

// `json`: the text that `value` was parsed from.
Result<PostedEvent> event_of(const element& value, std::string_view json, const Defaults& defaults, size_t place) {
  object fields;
  if (value.get(fields) != simdjson::SUCCESS) {
    return fail("ingest.shape", fmt::format("event {} is not a JSON object", place),
                R"(send {"topic":"plant/press-7/oven","payload":{"temperature":80}})");
  }
  PostedEvent event{.topic = defaults.topic, .device = defaults.device, .priority = defaults.priority};
  const auto text_field = [&](const char* name) -> std::optional<std::string_view> {
    std::string_view text;
    if (fields[name].get(text) != simdjson::SUCCESS) return std::nullopt;
    return text;
  };
  if (const auto device = text_field("device")) event.device = *device;
  element payload = value;
  std::optional<std::string> bytes;  // of a payload that is given as such
  if (const auto topic = text_field("topic")) {
    event.topic = *topic;
    // A slip here would go unnoticed: a sequence that is none, for instance, recognises no repetition.
    for (const char* name : {"device", "priority"}) {
      element there;
      if (fields[name].get(there) == simdjson::SUCCESS && !text_field(name)) {
        return fail("ingest.shape", fmt::format("event {}: \"{}\" is not a string", place, name), "put it in quotes");
      }
    }
    const bool has_payload = fields["payload"].get(payload) == simdjson::SUCCESS;
    if (has_payload) json = member_text(fields, "payload", json);
    if (!has_payload) payload = value;
    element encoded;
    if (fields["payload_base64"].get(encoded) == simdjson::SUCCESS) {
      const auto text = text_field("payload_base64");
      if (text && !has_payload) bytes = from_base64(*text);
      if (!bytes) return bad_base64(place);
    }
    if (has_payload || bytes) {
      if (const Result<void> checked = check_members(fields, place); !checked) return std::unexpected(checked.error());
    }
    if (const auto name = text_field("priority")) {
      const Result<Priority> priority = priority_of(*name, place);
      if (!priority) return std::unexpected(priority.error());
      event.priority = *priority;
    }
    const auto sequence = sequence_of(fields, event.device, place);
    if (!sequence) return std::unexpected(sequence.error());
    event.sequence = *sequence;
  }
  if (!is_device_name(event.device)) {
    return fail("ingest.device", fmt::format("event {}: the device is no name", place),
                fmt::format("a device's name has up to {} bytes of UTF-8 without NUL", kDeviceBytesMax));
  }
  if (event.topic.empty()) event.topic = event.device.empty() ? "events" : "events/" + event.device;
  if (!is_topic_name(event.topic) || is_reserved_topic(event.topic)) {
    return fail("ingest.topic", fmt::format("event {}: '{}' is no topic to publish to", place, event.topic),
                "a topic has 128 levels at most, no '+', '#' or NUL, and is not in $SYS/ or $verge/");
  }
  event.payload = Payload(bytes ? *bytes : text_of(payload, json));
  if (event.payload.size() > kPayloadBytesMax) {
    return fail("ingest.too-large",
                fmt::format("event {} has {} bytes, {} are allowed", place, event.payload.size(), kPayloadBytesMax),
                "send it in parts");
  }
  return event;
}

std::unexpected<Error> not_json(size_t place, simdjson::error_code problem) {
  return fail("ingest.json", fmt::format("event {} is not JSON: {}", place, simdjson::error_message(problem)),
              "send one JSON object, an array of objects, or one object a line");
}

std::unexpected<Error> too_many() {
  return fail("ingest.too-many", fmt::format("more than {} events in one request", kEventsAPostMax),
              "send them in several requests");
}

// One object a line; empty lines are passed over.
Result<std::vector<PostedEvent>> parse_lines(simdjson::dom::parser& parser, std::string_view body,
                                             const Defaults& defaults) {
  std::vector<PostedEvent> events;
  while (!body.empty()) {
    const size_t end = body.find('\n');
    const std::string_view line = trim(body.substr(0, end));
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (line.empty()) continue;
    if (events.size() >= kEventsAPostMax) return too_many();
    element value;
    const simdjson::error_code problem = parse_json(parser, line, value);
    if (problem != simdjson::SUCCESS) return not_json(events.size() + 1, problem);
    Result<PostedEvent> event = event_of(value, line, defaults, events.size() + 1);
    if (!event) return std::unexpected(event.error());
    events.push_back(std::move(*event));
  }
  return events;
}

}  // namespace

Result<std::vector<PostedEvent>> parse_posted_events(const Payload& body, std::string_view query) {
  static const std::vector<std::string> parameters = {"topic", "device", "priority"};
  for (const std::string& name : net::query_parameter_names(query)) {
    if (std::ranges::find(parameters, name) != parameters.end()) continue;
    const std::string near = nearest(name, parameters);
    return fail("http.unknown-parameter", fmt::format("?{}= is no parameter of this request", name),
                near.empty() ? "use ?topic=, ?device= and ?priority=" : fmt::format("did you mean ?{}=?", near));
  }
  Defaults defaults;
  defaults.topic = net::query_parameter(query, "topic").value_or("");
  defaults.device = net::query_parameter(query, "device").value_or("");
  if (const auto name = net::query_parameter(query, "priority")) {
    const Result<Priority> priority = priority_of(*name, 1);
    if (!priority) return std::unexpected(priority.error());
    defaults.priority = *priority;
  }
  const std::string_view text = trim(body.view());
  if (text.empty())
    return fail("ingest.json", "the body is empty", "send one JSON object, an array of objects, or one object a line");

  simdjson::dom::parser parser;
  element root;
  const simdjson::error_code problem = parse_json(parser, text, root);
  if (problem != simdjson::SUCCESS) {
    // Several values one after the other are no JSON document, but they are NDJSON.
    if (text.front() == '{' && text.find('\n') != std::string_view::npos) return parse_lines(parser, text, defaults);
    return not_json(1, problem);
  }
  std::vector<PostedEvent> events;
  simdjson::dom::array array;
  if (root.get(array) != simdjson::SUCCESS) {
    Result<PostedEvent> event = event_of(root, text, defaults, 1);
    if (!event) return std::unexpected(event.error());
    events.push_back(std::move(*event));
    return events;
  }
  if (array.size() > kEventsAPostMax) return too_many();
  const std::vector<std::string_view> texts = json_values(text);
  for (const element value : array) {
    Result<PostedEvent> event = event_of(value, texts[events.size()], defaults, events.size() + 1);
    if (!event) return std::unexpected(event.error());
    events.push_back(std::move(*event));
  }
  return events;
}

}  // namespace verge::node
