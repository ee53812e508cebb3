// Records of reduced series from strangers: whatever is behind a checksum that is right decodes within bounds, or not
// at all; and what was decoded goes into a record again.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "series/reduced_series.h"
#include "series/semantic.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge::series;
  std::string record(reinterpret_cast<const char*>(data), size);
  std::string_view as_it_is = record;
  static_cast<void>(restore(as_it_is));
  verge::append_fixed(record, verge::hash64(record));
  std::string_view in = record;
  const verge::Result<Restored> restored = restore(in);
  if (!restored) return 0;
  if (!in.empty()) std::abort();
  const Window& window = restored->window;
  if (window.times.size() != window.values.size() || window.values.size() > kRecordReadingsMax) std::abort();
  for (size_t i = 0; i < window.values.size(); i += 1 + window.values.size() / 100)
    static_cast<void>(window.times.text(i));
  if (window.values.size() > 2000) return 0;
  for (const Method method : {Method::kQuantization, Method::kDoor, Method::kTransform, Method::kSemantic}) {
    const Reduced reduced = reduce(window, {.method = method, .tolerance = 0.5}, {}, dominant_season(window.values));
    std::string_view again = reduced.record;
    const verge::Result<Restored> twice = restore(again);
    if (!twice) std::abort();
    for (size_t i = 0; i < window.values.size(); ++i) {
      const double error = std::fabs(twice->window.values[i] - window.values[i]);
      if (std::isfinite(window.values[i]) && !(error <= reduced.error_bound)) std::abort();
    }
  }
  return 0;
}
