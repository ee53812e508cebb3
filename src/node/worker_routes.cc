#include "node/worker_routes.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "cache/path_pattern.h"
#include "cache/site.h"

namespace verge::node {
namespace {

constexpr size_t kBytesMax = 2048;

std::unexpected<Error> bad_route(std::string what) {
  return fail("workers.route", std::move(what),
              R"(write a host and a path, such as "example.com/api/*", "*.example.com/*" or "*/health")");
}

bool is_host(std::string_view host) {
  if (host == "*") return true;
  if (host.starts_with("*.")) host.remove_prefix(2);
  return !host.empty() && host.front() != '.' && host.back() != '.' && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == ':' ||
           c == '[' || c == ']';
  });
}

}  // namespace

Result<WorkerRoute> parse_worker_route(std::string_view text) {
  if (text.size() > kBytesMax) return bad_route("a route has 2,048 bytes at most");
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (text.starts_with(scheme)) return bad_route(fmt::format("the route {} names a scheme", json_string(text)));
  }
  const size_t slash = text.find('/');
  WorkerRoute route{.host = lower(text.substr(0, slash)),
                    .path = slash == std::string_view::npos ? "/" : std::string(text.substr(slash))};
  if (!is_host(route.host)) return bad_route(fmt::format("{} is no host of a route", json_string(route.host)));
  if (slash == std::string_view::npos) route.is_prefix = true;
  if (route.path.ends_with('*')) {
    route.path.pop_back();
    route.is_prefix = true;
  }
  if (route.path.find('*') != std::string::npos) {
    return bad_route(fmt::format("the route {} has a * that is not its last character", json_string(text)));
  }
  const bool is_visible =
      std::ranges::all_of(route.path, [](char c) { return c > ' ' && c != '\x7f' && c != '?' && c != '#'; });
  std::string scratch;
  if (!is_visible || cache::plain_path(route.path, scratch) != route.path) {
    return bad_route(fmt::format("the path of the route {} is not as paths are compared: without %, //, /., ? and #",
                                 json_string(text)));
  }
  return route;
}

std::string text_of(const WorkerRoute& route) { return route.host + route.path + (route.is_prefix ? "*" : ""); }

void WorkerRoutes::add(const WorkerRoute& route, cache::CodePosition position, size_t worker) {
  has_.at(static_cast<size_t>(position)) = true;
  Entries& entries = route.host == "*"              ? any_
                     : route.host.starts_with("*.") ? suffixes_[route.host.substr(1)]
                                                    : hosts_[route.host];
  Entry entry{.path = route.path, .is_prefix = route.is_prefix, .position = position, .worker = worker};
  const auto goes_before = [](const Entry& a, const Entry& b) {
    if (a.is_prefix != b.is_prefix) return !a.is_prefix;
    return a.path.size() > b.path.size();
  };
  entries.insert(std::ranges::upper_bound(entries, entry, goes_before), std::move(entry));
}

size_t WorkerRoutes::find(const Entries& entries, cache::CodePosition position, std::string_view path) {
  for (const Entry& entry : entries) {
    if (entry.position != position) continue;
    if (entry.is_prefix ? path.starts_with(entry.path) : path == entry.path) return entry.worker;
  }
  return kNone;
}

size_t WorkerRoutes::find(cache::CodePosition position, std::string_view host, std::string_view path) const {
  if (!has_.at(static_cast<size_t>(position))) return kNone;
  std::string scratch;
  const std::string_view plain = cache::plain_path(path, scratch);
  const std::string name = cache::plain_host(host);
  if (const auto its = hosts_.find(name); its != hosts_.end()) {
    if (const size_t worker = find(its->second, position, plain); worker != kNone) return worker;
  }
  for (size_t dot = name.find('.'); dot != std::string::npos && !suffixes_.empty(); dot = name.find('.', dot + 1)) {
    const auto its = suffixes_.find(std::string_view(name).substr(dot));
    if (its == suffixes_.end()) continue;
    if (const size_t worker = find(its->second, position, plain); worker != kNone) return worker;
  }
  return find(any_, position, plain);
}

}  // namespace verge::node
