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
  size_t sum = sizeof(Span) + name.size() + error.size() + links.size() * sizeof(Link);
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
  bool is_random = true;
  if (from != nullptr) {
    trace = from->trace;
    is_random = from->random;
    // Else by chance, and not by its name, which whoever asks may choose.
    const bool is_wanted =
        heeds_flag_.load(std::memory_order_relaxed) ? from->sampled : writes({.low = random_here().next()});
    if (!is_wanted) return std::nullopt;
  } else {
    trace.low = random_here().next();
    if (!writes(trace)) return std::nullopt;
    trace.high = std::max<uint64_t>(1, random_here().next());
  }
  return TraceContext{.trace = trace, .span = new_span(), .sampled = true, .random = is_random};
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

std::vector<Span> Tracer::take(size_t count, size_t bytes) {
  if (taken_.empty()) {
    // All at once: event loops add meanwhile, and whoever takes may be of a lower priority.
    const std::lock_guard lock(mutex_);
    taken_.swap(spans_);
    bytes_ = 0;
  }
  std::vector<Span> some;
  some.reserve(std::min(count, taken_.size()));
  size_t taken_bytes = 0;
  while (!taken_.empty() && some.size() < count && taken_bytes < bytes) {
    taken_bytes += taken_.front().bytes();
    some.push_back(std::move(taken_.front()));
    taken_.pop_front();
    --waiting_;
  }
  return some;
}

}  // namespace verge::traces
