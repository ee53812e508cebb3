// Which requests go to which worker: patterns such as "example.com/api/*", and the table of those that are in effect.
//
// A pattern is a host, as of a site ("example.com", "*.example.com" for what is below it, "*" for all), and a path,
// whose last character may be "*": then it is for all that begin so. Of the patterns that are for a request the one
// with the most specific host counts, of these one without "*", else the longest. Paths are compared as those of rules
// are: plain, without the query.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "cache/code_position.h"

namespace verge::node {

struct WorkerRoute {
  std::string host;  // lower case; "*.example.com"; "*"
  std::string path;  // begins with "/", without the "*"
  bool is_prefix = false;
  bool operator==(const WorkerRoute&) const = default;
};

// Error: workers.route.
Result<WorkerRoute> parse_worker_route(std::string_view text);
std::string text_of(const WorkerRoute& route);

class WorkerRoutes {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  // `worker`: what find() gives. Of two equal patterns at one position the one added first counts.
  void add(const WorkerRoute& route, cache::CodePosition position, size_t worker);
  // `host` and `path` as sent.
  [[nodiscard]] size_t find(cache::CodePosition position, std::string_view host, std::string_view path) const;
  [[nodiscard]] bool empty() const { return !has_.at(0) && !has_.at(1) && !has_.at(2) && !has_.at(3); }

 private:
  struct Entry {
    std::string path;
    bool is_prefix = false;
    cache::CodePosition position = cache::CodePosition::kMiss;
    size_t worker = 0;
  };
  using Entries = std::vector<Entry>;  // the most specific first
  using Hosts = std::unordered_map<std::string, Entries, StringHash, std::equal_to<>>;
  static size_t find(const Entries& entries, cache::CodePosition position, std::string_view path);

  Hosts hosts_;
  Hosts suffixes_;  // of "*.": ".example.com"
  Entries any_;
  std::array<bool, 4> has_{};  // by position
};

}  // namespace verge::node
