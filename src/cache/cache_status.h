// Cache-Status (RFC 9211): what the cache did with a request, as a member of the field that each cache on the way adds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace verge::cache {

struct CacheStatus {
  bool is_hit = false;
  std::string_view forwarded;           // "uri-miss", "vary-miss", "stale", "method", "request", "bypass", "partial"
  std::optional<int> forwarded_status;  // the origin's
  bool stored = false;
  bool collapsed = false;
  std::optional<int64_t> ttl;  // of what is served; negative once stale
  std::string_view detail;     // a token
};

// Appends the member.
void append_cache_status(std::string& out, std::string_view cache_name, const CacheStatus& status);

}  // namespace verge::cache
