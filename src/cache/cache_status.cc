#include "cache/cache_status.h"

#include <fmt/format.h>

#include "cache/structured_field.h"

namespace verge::cache {

void append_cache_status(std::string& out, std::string_view cache_name, const CacheStatus& status) {
  append_sf_string(out, cache_name);
  const auto write = std::back_inserter(out);
  if (status.is_hit) out.append("; hit");
  if (!status.forwarded.empty()) out.append("; fwd=").append(status.forwarded);
  if (status.forwarded_status) fmt::format_to(write, "; fwd-status={}", *status.forwarded_status);
  if (status.stored) out.append("; stored");
  if (status.collapsed) out.append("; collapsed");
  if (status.ttl) fmt::format_to(write, "; ttl={}", *status.ttl);
  if (!status.detail.empty()) out.append("; detail=").append(status.detail);
}

}  // namespace verge::cache
