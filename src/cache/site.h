// A site: for which hosts it stands, where its content comes from and what is cached of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "cache/freshness.h"

namespace verge::cache {

struct OriginOptions {
  std::string url;      // http://host[:port] or https://host[:port]
  uint64_t weight = 1;  // of the requests, beside the other origins' weights; 0: only when no other is well
  bool operator==(const OriginOptions&) const = default;
};

struct SiteOptions {
  std::vector<std::string> hosts;  // "example.com", "*.example.com", "*" for all others; lower case, without ports
  std::vector<OriginOptions> origins;
  StoragePolicy storage;
  uint64_t object_bytes_max = 64U << 20;  // larger answers pass through
  bool sends_client_host = true;          // the origin sees the client's Host; else its own
  Duration connect_timeout = std::chrono::seconds(5);
  Duration answer_timeout = std::chrono::seconds(60);  // until the head of an answer
  Duration idle_timeout = std::chrono::seconds(60);    // between two pieces of it
  uint64_t connections_max = 256;                      // to one origin, of one loop
  uint64_t descriptors_max = UINT64_MAX;               // those from here on are not for connections to origins
  uint64_t failures_max = 5;                           // in a row; then the origin is left alone
  Duration failure_pause = std::chrono::seconds(10);   // for so long; then one request tries it
  bool operator==(const SiteOptions&) const = default;
};

// Which site a request is for.
class SiteTable {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  explicit SiteTable(const std::vector<SiteOptions>& sites);

  // The index of the site for a Host as sent, its port included: the host itself, then the longest "*." that covers it,
  // then "*". kNone when there is none.
  [[nodiscard]] size_t find(std::string_view host) const;

 private:
  std::unordered_map<std::string, size_t, StringHash, std::equal_to<>> hosts_;
  std::unordered_map<std::string, size_t, StringHash, std::equal_to<>> suffixes_;  // of "*.": ".example.com"
  size_t any_ = kNone;
};

// Lower case, without a port and a final dot.
std::string plain_host(std::string_view host);

}  // namespace verge::cache
