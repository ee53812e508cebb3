#include "rules/window.h"

#include "rules/paned_window.h"
#include "rules/recent_window.h"
#include "rules/session_window.h"

namespace verge::rules {

std::unique_ptr<Window> make_window(const WindowSpec& spec, std::vector<AggregateCall> aggregates) {
  switch (spec.kind) {
    case WindowKind::kTumbling:
    case WindowKind::kHopping:
      return std::make_unique<PanedWindow>(spec.size_us, spec.hop_us, std::move(aggregates));
    case WindowKind::kSession:
      return std::make_unique<SessionWindow>(spec.size_us, spec.hop_us, std::move(aggregates));
    case WindowKind::kSliding:
    case WindowKind::kCount:
      return std::make_unique<RecentWindow>(spec, std::move(aggregates));
  }
  return nullptr;
}

Accumulators make_accumulators(std::span<const AggregateCall> aggregates) {
  Accumulators accumulators;
  accumulators.reserve(aggregates.size());
  for (const AggregateCall& call : aggregates) accumulators.emplace_back(call);
  return accumulators;
}

void add_reading(Accumulators& accumulators, std::span<const Value> values, int64_t time_us) {
  for (size_t i = 0; i < accumulators.size(); ++i) accumulators[i].add(values[i], time_us);
}

size_t bytes_of(std::string_view key, const Accumulators& accumulators) {
  constexpr size_t kGroupBytes = 160;  // of maps and lists
  size_t bytes = kGroupBytes + key.size() + accumulators.size() * sizeof(Accumulator);
  for (const Accumulator& accumulator : accumulators) bytes += accumulator.bytes();
  return bytes;
}

void append_accumulators(std::string& out, const Accumulators& accumulators) {
  for (const Accumulator& accumulator : accumulators) accumulator.append_to(out);
}

bool read_accumulators(ByteReader& in, Accumulators& accumulators) {
  for (Accumulator& accumulator : accumulators) {
    if (!accumulator.read(in)) return false;
  }
  return in.ok();
}

}  // namespace verge::rules
