// The fields that a cache reads from origins and clients: whatever they hold, what is read of them keeps its promises.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "cache/byte_ranges.h"
#include "cache/cache_control.h"
#include "cache/freshness.h"
#include "cache/structured_field.h"
#include "cache/url_reference.h"
#include "cache/validators.h"
#include "cache/vary.h"
#include "net/http_date.h"

using namespace verge;
using namespace verge::cache;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void check_ranges(std::string_view text, uint64_t length) {
  const auto specs = parse_range(text);
  if (!specs) return;
  check(specs->size() <= kRangesMax);
  uint64_t next = 0;
  for (const ByteRange& range : satisfiable(*specs, length)) {
    check(range.first >= next && range.first <= range.last && range.last < length);
    next = range.last + 2;  // those that touch are one
  }
}

}  // namespace

// The text is divided by NUL bytes: name, value, name, value, …; the last is a URL reference.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<std::string_view> texts;
  while (texts.size() < 64) {
    const size_t end = rest.find('\0');
    texts.push_back(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  std::vector<net::HttpField> fields;
  for (size_t i = 0; i + 1 < texts.size(); i += 2) fields.push_back({texts[i], texts[i + 1]});

  for (const std::string_view text : texts) {
    check_ranges(text, 1000);
    if (const auto range = parse_content_range(text)) check(range->range.first <= range->range.last);
    static_cast<void>(parse_sf_dictionary(text));
    static_cast<void>(parse_sf_list(text));
    if (const auto seconds = parse_delta_seconds(text)) check(*seconds >= 0 && *seconds <= kSecondsMax);
    static_cast<void>(net::parse_http_date(text, 1'700'000'000));
    static_cast<void>(resolve_reference("http://a/b/c", text));
  }
  const auto targeted = parse_targeted_cache_control(fields);
  const CacheControl control = targeted ? *targeted : parse_cache_control(fields);
  const Freshness freshness =
      freshness_of(200, fields, control, targeted.has_value(), {1'700'000'000'000, 1'700'000'001'000}, {});
  check(freshness.lifetime >= 0 && freshness.lifetime <= kSecondsMax && freshness.initial_age >= 0);
  const StorageVerdict verdict = may_store("GET", fields, control, 200, fields, control, freshness);
  check(!(verdict.stores && control.is_private));
  static_cast<void>(may_use(freshness, control, false, 1'700'000'002'000));
  static_cast<void>(evaluate_preconditions(fields, fields, 1'700'000'000));
  check(selects(selectors_of(fields, fields), fields, ""));  // what is stored for a request belongs to it
  return 0;
}
