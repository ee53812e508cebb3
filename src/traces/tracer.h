// Tracer: decides which traces are written, and holds their spans until somebody takes them away.
//
// Bounds: kSpansMax spans and kBytesMax bytes, and as many that are being taken away; what comes beyond is dropped and
// counted. Whatever is traced does not wait for it.
//
// Threading: take() on one thread, the rest from any.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "traces/span.h"

namespace verge::traces {

class Tracer {
 public:
  static constexpr size_t kSpansMax = 8192;
  static constexpr size_t kBytesMax = 8U << 20;

  struct Options {
    uint64_t one_in = 0;  // so many traces is written; 0: none
    bool heeds_flag =
        false;  // of requests that are in a trace, those are written that say so; one in so many of others
  };
  explicit Tracer(const Options& options);

  // Takes effect for traces that begin from now on.
  void change(const Options& options);

  [[nodiscard]] bool writes(const TraceId& trace) const {
    return (trace.low & kRandomBits) < threshold_.load(std::memory_order_relaxed);
  }
  // The span of a request that comes, or of an event that has no bytes yet, whose parent is `from` (null: it is a
  // root); nothing where it is not written.
  [[nodiscard]] std::optional<TraceContext> begin(const TraceContext* from = nullptr) const;
  static SpanId new_span();

  void add(Span span);
  // The oldest, `count` at most, and no more after those that have `bytes` together (Span::bytes()).
  std::vector<Span> take(size_t count, size_t bytes = SIZE_MAX);
  // Is told when there are spans where there were none. Before the first is added.
  void when_filled(std::function<void()> filled) { filled_ = std::move(filled); }

  // Spans that somebody had no room for.
  void count_lost(uint64_t spans = 1) { dropped_ += spans; }

  [[nodiscard]] uint64_t dropped() const { return dropped_; }
  [[nodiscard]] uint64_t waiting() const { return waiting_; }

 private:
  static constexpr uint64_t kRandomBits = (1ULL << 56U) - 1;

  std::atomic<uint64_t> threshold_{0};
  std::atomic<bool> heeds_flag_{false};
  std::function<void()> filled_;
  std::mutex mutex_;
  std::deque<Span> spans_;  // guarded by mutex_
  size_t bytes_ = 0;        // likewise
  std::deque<Span> taken_;  // of which take() has not given all away; of its thread
  std::atomic<uint64_t> dropped_{0};
  std::atomic<uint64_t> waiting_{0};
};

}  // namespace verge::traces
