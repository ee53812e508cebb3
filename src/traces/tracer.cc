#include "traces/tracer.h"

#include <algorithm>
#include <optional>

#include "base/random.h"

namespace verge::traces {
namespace {

Random& random_here() {
  thread_local Random random(system_seed());
  return random;
}

}  // namespace

size_t Span::bytes() const {
  size_t sum = sizeof(Span) + name.size() + error.size();
  for (const Attribute& attribute : attributes) {
    sum += sizeof(attribute);
    if (const auto* text = std::get_if<std::string>(&attribute.value)) sum += text->size();
  }
  return sum;
}

Tracer::Tracer(const Options& options) { change(options); }

void Tracer::change(const Options& options) {
  threshold_ = options.one_in == 0 ? 0 : (kRandomBits + 1) / options.one_in;
  heeds_flag_ = options.heeds_flag;
}

SpanId Tracer::new_span() { return std::max<SpanId>(1, random_here().next()); }

std::optional<TraceContext> Tracer::begin(const TraceContext* from) const {
  TraceId trace;
  if (from != nullptr) {
    trace = from->trace;
    if (!writes(trace) && !(from->sampled && heeds_flag_.load(std::memory_order_relaxed))) return std::nullopt;
  } else {
    trace.low = random_here().next();
    if (!writes(trace)) return std::nullopt;
    trace.high = std::max<uint64_t>(1, random_here().next());
  }
  return TraceContext{.trace = trace, .span = new_span(), .sampled = true};
}

void Tracer::add(Span span) {
  const size_t bytes = span.bytes();
  {
    const std::lock_guard lock(mutex_);
    if (spans_.size() >= kSpansMax || bytes_ + bytes > kBytesMax) {
      ++dropped_;
      return;
    }
    bytes_ += bytes;
    spans_.push_back(std::move(span));
    ++waiting_;
    if (spans_.size() > 1) return;
  }
  if (filled_) filled_();
}

std::vector<Span> Tracer::take(size_t count) {
  const std::lock_guard lock(mutex_);
  std::vector<Span> taken;
  taken.reserve(std::min(count, spans_.size()));
  while (!spans_.empty() && taken.size() < count) {
    bytes_ -= spans_.front().bytes();
    taken.push_back(std::move(spans_.front()));
    spans_.pop_front();
    --waiting_;
  }
  return taken;
}

}  // namespace verge::traces
