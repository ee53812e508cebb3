// Whether an answer may be stored by a shared cache, for how long it is fresh, and whether a stored one may be used for
// a request (RFC 9111 sections 3, 4.2 and 5.2; RFC 5861; RFC 9213). Pure: fields and times in, a verdict with its
// reason out. The reason is what `verge cache explain` shows.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "cache/cache_control.h"

namespace verge::cache {

// What a site says about storing. Nothing is stored for longer than its origin says unless the site does.
struct StoragePolicy {
  std::optional<Seconds> default_ttl;             // where the origin says nothing; none: heuristics only
  std::optional<Seconds> override_ttl;            // whatever the origin says, no-store and private excepted
  std::optional<Seconds> stale_while_revalidate;  // where the origin says nothing
  std::optional<Seconds> stale_if_error;
  uint32_t heuristic_percent = 10;  // of the time since Last-Modified (section 4.2.2); 0: no heuristics
  bool request_directives = true;   // whether clients' Cache-Control counts (section 5.2.1 leaves it to the cache)
  bool operator==(const StoragePolicy&) const = default;
};

// Heuristics never give more than this.
inline constexpr Seconds kHeuristicMax = 86'400;

enum class LifetimeSource : uint8_t { kNone, kSite, kTargeted, kSharedMaxAge, kMaxAge, kExpires, kHeuristic };
std::string_view name_of(LifetimeSource source);

// Of one answer, fixed when it was received or validated.
struct Freshness {
  Seconds lifetime = 0;
  LifetimeSource source = LifetimeSource::kNone;
  Seconds initial_age = 0;  // corrected_initial_age of section 4.2.3
  int64_t received_ms = 0;  // wall clock, since 1970
  Seconds stale_while_revalidate = 0;
  Seconds stale_if_error = 0;
  bool always_validate = false;  // no-cache
  bool never_stale = false;      // must-revalidate, proxy-revalidate, s-maxage: no use once stale
  bool operator==(const Freshness&) const = default;

  [[nodiscard]] Seconds age(int64_t now_ms) const;
  // Negative once stale.
  [[nodiscard]] Seconds left(int64_t now_ms) const { return lifetime - age(now_ms); }
};

// When the request was sent to the origin and when the head of its answer came; wall clock, ms since 1970.
struct ExchangeTimes {
  int64_t requested_ms = 0;
  int64_t received_ms = 0;
};

// `fields` of the answer. Without a Date it counts as made when it was received (RFC 9110 section 6.6.1).
Freshness freshness_of(int status, std::span<const net::HttpField> fields, const CacheControl& control,
                       bool control_is_targeted, const ExchangeTimes& times, const StoragePolicy& policy);

struct StorageVerdict {
  bool stores = false;
  std::string_view reason;  // a literal
};

// Section 3. `control` is what counts: the targeted one where there is one. An answer that could never be used again
// (no lifetime, nothing to validate it by) is not stored either.
StorageVerdict may_store(std::string_view method, std::span<const net::HttpField> request_fields,
                         const CacheControl& request_control, int status,
                         std::span<const net::HttpField> response_fields, const CacheControl& control,
                         const Freshness& freshness);

enum class Use : uint8_t {
  kFresh,
  kStaleWhileRevalidating,  // at once, and it is validated behind
  kValidate                 // only after the origin said that it is good, or as kStaleIfError allows
};
struct UseVerdict {
  Use use = Use::kValidate;
  std::string_view reason;
};
// Section 4 and 4.2.4. `request_control`: empty where the site does not listen to clients.
UseVerdict may_use(const Freshness& freshness, const CacheControl& request_control, bool is_softly_purged,
                   int64_t now_ms);
// Whether a stale answer may be used although the origin failed: it was out of reach, or answered 500, 502, 503 or 504
// (RFC 5861 section 4).
bool may_use_on_error(const Freshness& freshness, const CacheControl& request_control, int64_t now_ms);

}  // namespace verge::cache
