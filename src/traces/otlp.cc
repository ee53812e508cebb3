#include "traces/otlp.h"

#include <charconv>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"

namespace verge::traces {
namespace {

constexpr int kStatusError = 2;

void append_attribute(std::string& out, std::string_view key, const std::variant<std::string, int64_t, bool>& value) {
  out.append("{\"key\":");
  append_json_string(out, key);
  out.append(",\"value\":{");
  if (const auto* text = std::get_if<std::string>(&value)) {
    out.append("\"stringValue\":");
    append_json_string(out, *text);
  } else if (const auto* number = std::get_if<int64_t>(&value)) {
    fmt::format_to(std::back_inserter(out), R"("intValue":"{}")", *number);
  } else {
    out.append(std::get<bool>(value) ? "\"boolValue\":true" : "\"boolValue\":false");
  }
  out.append("}}");
}

void append_span(std::string& out, const Span& span) {
  fmt::format_to(std::back_inserter(out), R"({{"traceId":"{}","spanId":"{}")", text_of(span.trace), text_of(span.id));
  if (span.parent != 0) fmt::format_to(std::back_inserter(out), R"(,"parentSpanId":"{}")", text_of(span.parent));
  out.append(",\"name\":");
  append_json_string(out, span.name);
  fmt::format_to(std::back_inserter(out),
                 R"(,"kind":{},"startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":[)",
                 static_cast<int>(span.kind), span.begin_ns, span.end_ns);
  bool first = true;
  for (const Attribute& attribute : span.attributes) {
    if (!std::exchange(first, false)) out.push_back(',');
    append_attribute(out, attribute.key, attribute.value);
  }
  out.push_back(']');
  if (!span.links.empty()) {
    out.append(",\"links\":[");
    first = true;
    for (const Link& link : span.links) {
      fmt::format_to(std::back_inserter(out), R"({}{{"traceId":"{}","spanId":"{}"}})",
                     std::exchange(first, false) ? "" : ",", text_of(link.trace), text_of(link.span));
    }
    out.push_back(']');
  }
  if (!span.error.empty()) {
    fmt::format_to(std::back_inserter(out), R"(,"status":{{"code":{},"message":)", kStatusError);
    append_json_string(out, span.error);
    out.push_back('}');
  }
  out.push_back('}');
}

}  // namespace

std::string otlp_json(const Resource& resource, std::span<const Span> spans) {
  std::string out = "{\"resourceSpans\":[{\"resource\":{\"attributes\":[";
  append_attribute(out, "service.name", std::string("verge"));
  out.push_back(',');
  append_attribute(out, "service.version", std::string(VERGE_VERSION));
  out.push_back(',');
  append_attribute(out, "service.instance.id", resource.node_id);
  out.push_back(',');
  append_attribute(out, "verge.node", resource.node);
  out.push_back(',');
  append_attribute(out, "verge.tier", resource.tier);
  out.append("]},\"scopeSpans\":[{\"scope\":{\"name\":\"verge\"},\"spans\":[");
  bool first = true;
  for (const Span& span : spans) {
    if (!std::exchange(first, false)) out.push_back(',');
    append_span(out, span);
  }
  out.append("]}]}]}");
  return out;
}

PartialSuccess parse_otlp_answer(std::string_view json) {
  PartialSuccess said;
  simdjson::dom::parser parser;
  simdjson::dom::object partial;
  if (parser.parse(simdjson::padded_string(json))["partialSuccess"].get(partial) != simdjson::SUCCESS) return said;
  std::string_view text;
  if (partial["errorMessage"].get(text) == simdjson::SUCCESS) said.message = text;
  // An int64 is text in the JSON of protocol buffers, and a number is taken for one.
  if (partial["rejectedSpans"].get(text) == simdjson::SUCCESS) {
    std::from_chars(text.data(), text.data() + text.size(), said.rejected);
  } else if (partial["rejectedSpans"].get(said.rejected) != simdjson::SUCCESS) {
    said.rejected = 0;
  }
  return said;
}

}  // namespace verge::traces
