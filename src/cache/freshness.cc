#include "cache/freshness.h"

#include <algorithm>
#include <array>

#include "net/http_date.h"

namespace verge::cache {
namespace {

// RFC 9110 section 15.1.
constexpr std::array kHeuristicStatuses = {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501};
// Whose meaning for caches is known; must-understand asks for it (RFC 9111 section 5.2.2.3).
constexpr std::array kUnderstoodStatuses = {200, 201, 202, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401,
                                            403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417,
                                            421, 422, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505};

bool contains(std::span<const int> statuses, int status) {
  return std::ranges::find(statuses, status) != statuses.end();
}

// The first member of the first line (section 5.1); what is no number is passed over.
Seconds age_value(std::span<const net::HttpField> fields) {
  const std::optional<std::string_view> field = net::find_field(fields, "age");
  if (!field) return 0;
  const std::string_view first = net::trim_blanks(field->substr(0, field->find(',')));
  return parse_delta_seconds(first).value_or(0);
}

std::optional<Seconds> date_of(std::span<const net::HttpField> fields, std::string_view name, Seconds now) {
  const std::optional<std::string_view> field = net::find_field(fields, name);
  return field ? net::parse_http_date(*field, now) : std::nullopt;
}

struct Lifetime {
  Seconds seconds = 0;
  LifetimeSource source = LifetimeSource::kNone;
};

Lifetime lifetime_of(int status, std::span<const net::HttpField> fields, const CacheControl& control, bool is_targeted,
                     Seconds date, Seconds now, const StoragePolicy& policy) {
  if (policy.override_ttl) return {*policy.override_ttl, LifetimeSource::kSite};
  if (!is_targeted && control.s_maxage) return {*control.s_maxage, LifetimeSource::kSharedMaxAge};
  if (control.max_age) return {*control.max_age, is_targeted ? LifetimeSource::kTargeted : LifetimeSource::kMaxAge};
  // With a targeted field, Cache-Control and Expires say nothing (RFC 9213 section 2.2).
  if (!is_targeted) {
    size_t lines = 0;
    for (const net::HttpField& field : fields) lines += net::equals_ignoring_case(field.name, "expires") ? 1 : 0;
    if (lines > 1) return {0, LifetimeSource::kExpires};
    if (lines == 1) {
      const std::optional<Seconds> expires = date_of(fields, "expires", now);
      const Seconds seconds = expires ? std::clamp<Seconds>(*expires - date, 0, kSecondsMax) : 0;
      return {seconds, LifetimeSource::kExpires};
    }
  }
  if (policy.default_ttl) return {*policy.default_ttl, LifetimeSource::kSite};
  const bool heuristic = contains(kHeuristicStatuses, status) || control.is_public;
  const std::optional<Seconds> modified = date_of(fields, "last-modified", now);
  if (!heuristic || !modified || *modified >= date || control.no_cache) return {};
  return {std::min(kHeuristicMax, (date - *modified) / 100 * policy.heuristic_percent), LifetimeSource::kHeuristic};
}

}  // namespace

std::string_view name_of(LifetimeSource source) {
  static constexpr std::array<std::string_view, 7> kNames = {"nothing", "the site", "CDN-Cache-Control", "s-maxage",
                                                             "max-age", "Expires",  "Last-Modified"};
  return kNames[static_cast<size_t>(source)];
}

Seconds Freshness::age(int64_t now_ms) const { return initial_age + std::max<int64_t>(0, now_ms - received_ms) / 1000; }

Freshness freshness_of(int status, std::span<const net::HttpField> fields, const CacheControl& control,
                       bool control_is_targeted, const ExchangeTimes& times, const StoragePolicy& policy) {
  const Seconds now = times.received_ms / 1000;
  const Seconds date = date_of(fields, "date", now).value_or(now);
  const Lifetime lifetime = lifetime_of(status, fields, control, control_is_targeted, date, now, policy);
  const Seconds delay = std::max<int64_t>(0, times.received_ms - times.requested_ms) / 1000;
  Freshness freshness{
      .lifetime = lifetime.seconds, .source = lifetime.source, .initial_age = 0, .received_ms = times.received_ms};
  freshness.initial_age = std::max(std::max<Seconds>(0, now - date), age_value(fields) + delay);
  freshness.stale_while_revalidate = control.stale_while_revalidate.value_or(policy.stale_while_revalidate.value_or(0));
  freshness.stale_if_error = control.stale_if_error.value_or(policy.stale_if_error.value_or(0));
  freshness.always_validate = control.no_cache && !policy.override_ttl;
  freshness.never_stale = control.must_revalidate || control.proxy_revalidate || control.no_cache ||
                          (!control_is_targeted && control.s_maxage.has_value());
  return freshness;
}

StorageVerdict may_store(std::string_view method, std::span<const net::HttpField> request_fields,
                         const CacheControl& request_control, int status,
                         std::span<const net::HttpField> response_fields, const CacheControl& control,
                         const Freshness& freshness) {
  if (method != "GET") return {false, "only answers to GET are stored"};
  if (status < 200 || status == 304) return {false, "the status is no answer of its own"};
  // It would be given to who asks for the whole.
  if (status == 416) return {false, "a 416 is an answer to one range"};
  if (request_control.no_store) return {false, "the request says no-store"};
  if (control.must_understand) {
    if (!contains(kUnderstoodStatuses, status)) return {false, "must-understand, and the status is not understood"};
  } else if (control.no_store) {
    return {false, "the answer says no-store"};
  }
  if (control.is_private) return {false, "the answer says private"};
  if (net::find_field(request_fields, "authorization") && !control.is_public && !control.must_revalidate &&
      !control.s_maxage) {
    return {false, "the request has Authorization, and the answer does not allow for it"};
  }
  bool varies_on_all = false;
  for_each_member(response_fields, "vary", [&](std::string_view member) { varies_on_all |= member == "*"; });
  if (varies_on_all) return {false, "the answer says Vary: *"};
  const bool can_be_validated =
      net::find_field(response_fields, "etag") || net::find_field(response_fields, "last-modified");
  const bool explicitly = freshness.source != LifetimeSource::kNone && freshness.source != LifetimeSource::kHeuristic;
  if (!explicitly && !control.is_public && !control.no_cache && !contains(kHeuristicStatuses, status)) {
    return {false, "nothing says how long an answer with this status is fresh"};
  }
  const bool is_of_use = freshness.lifetime > freshness.initial_age || can_be_validated ||
                         freshness.stale_while_revalidate > 0 || freshness.stale_if_error > 0;
  if (!is_of_use) return {false, "it is not fresh, and has nothing to validate it by"};
  return {true, "may be stored"};
}

UseVerdict may_use(const Freshness& freshness, const CacheControl& request_control, bool is_softly_purged,
                   int64_t now_ms) {
  if (freshness.always_validate) return {Use::kValidate, "no-cache"};
  if (request_control.no_cache) return {Use::kValidate, "the request says no-cache"};
  const Seconds age = freshness.age(now_ms);
  if (request_control.max_age && age > *request_control.max_age) {
    return {Use::kValidate, "older than the request's max-age"};
  }
  const Seconds left = is_softly_purged ? std::min<Seconds>(0, freshness.lifetime - age) : freshness.lifetime - age;
  if (request_control.min_fresh && left < *request_control.min_fresh) {
    return {Use::kValidate, "not as fresh as the request's min-fresh"};
  }
  if (left > 0) return {Use::kFresh, "fresh"};
  if (freshness.never_stale) return {Use::kValidate, "stale"};
  if (-left < freshness.stale_while_revalidate) return {Use::kStaleWhileRevalidating, "stale-while-revalidate"};
  if (!is_softly_purged && (request_control.max_stale_any || -left <= request_control.max_stale.value_or(-1))) {
    return {Use::kFresh, "stale, which the request's max-stale allows"};
  }
  return {Use::kValidate, "stale"};
}

bool may_use_on_error(const Freshness& freshness, const CacheControl& request_control, int64_t now_ms) {
  if (freshness.never_stale || freshness.always_validate) return false;
  if (request_control.no_cache) return false;
  const Seconds stale_if_error = std::max(freshness.stale_if_error, request_control.stale_if_error.value_or(0));
  return -freshness.left(now_ms) < stale_if_error || freshness.left(now_ms) > 0;
}

}  // namespace verge::cache
