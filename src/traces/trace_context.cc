#include "traces/trace_context.h"

#include <charconv>

#include <fmt/format.h>

#include "base/hash.h"

namespace verge::traces {
namespace {

constexpr uint64_t kHighSeed = 0x7665726765206874;  // "verge ht"
constexpr size_t kTraceAt = 3;
constexpr size_t kSpanAt = kTraceAt + 32 + 1;
constexpr size_t kFlagsAt = kSpanAt + 16 + 1;
constexpr size_t kBytes = kFlagsAt + 2;
constexpr uint64_t kSampled = 1;
constexpr uint64_t kRandom = 2;

// Lower case only, as the recommendation demands.
bool read_hex(std::string_view digits, uint64_t& value) {
  for (const char c : digits) {
    if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) return false;
  }
  return std::from_chars(digits.data(), digits.data() + digits.size(), value, 16).ec == std::errc{};
}

// No name of a trace, or of a span, is all zeros.
uint64_t not_zero(uint64_t hash) { return hash == 0 ? 1 : hash; }

}  // namespace

std::optional<TraceContext> parse_traceparent(std::string_view text) {
  if (text.size() < kBytes || text[2] != '-' || text[kSpanAt - 1] != '-' || text[kFlagsAt - 1] != '-') {
    return std::nullopt;
  }
  uint64_t version = 0, flags = 0;
  TraceContext context;
  const bool is_hex = read_hex(text.substr(0, 2), version) && read_hex(text.substr(kTraceAt, 16), context.trace.high) &&
                      read_hex(text.substr(kTraceAt + 16, 16), context.trace.low) &&
                      read_hex(text.substr(kSpanAt, 16), context.span) && read_hex(text.substr(kFlagsAt, 2), flags);
  if (!is_hex || version == 0xff || context.trace.is_none() || context.span == 0) return std::nullopt;
  if (version == 0 ? text.size() != kBytes : text.size() > kBytes && text[kBytes] != '-') return std::nullopt;
  context.sampled = (flags & kSampled) != 0;
  context.random = (flags & kRandom) != 0;
  return context;
}

std::string traceparent_of(const TraceContext& context) {
  return fmt::format("00-{:016x}{:016x}-{:016x}-{:02x}", context.trace.high, context.trace.low, context.span,
                     (context.sampled ? kSampled : 0) | (context.random ? kRandom : 0));
}

std::string text_of(const TraceId& trace) { return fmt::format("{:016x}{:016x}", trace.high, trace.low); }
std::string text_of(SpanId span) { return fmt::format("{:016x}", span); }

TraceId trace_of(const EventView& event) {
  uint64_t seed = static_cast<uint64_t>(event.time.microseconds) ^ static_cast<uint64_t>(event.kind);
  seed = hash64(event.topic, seed);
  seed = hash64(event.device, seed);
  return {.high = hash64(event.payload, seed ^ kHighSeed), .low = not_zero(hash64(event.payload, seed))};
}

SpanId span_of(const TraceId& trace, const NodeId& node, Stage stage) {
  return not_zero(hash64(node.view(), trace.high ^ (trace.low + static_cast<uint64_t>(stage))));
}

}  // namespace verge::traces
