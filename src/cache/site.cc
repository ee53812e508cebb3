#include "cache/site.h"

#include "base/text.h"

namespace verge::cache {

std::string plain_host(std::string_view host) {
  const size_t bracket = host.rfind(']');
  const size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host = host.substr(0, colon);
  }
  if (host.ends_with('.')) host.remove_suffix(1);
  return lower(host);
}

std::optional<size_t> rule_for(const SiteOptions& site, std::string_view path, bool is_secure, PathMatch* found) {
  for (size_t i = 0; i < site.rules.size(); ++i) {
    const PathRule& rule = site.rules[i];
    if (rule.is_secure && *rule.is_secure != is_secure) continue;
    const std::optional<PathMatch> matched = match(rule.pattern, path);
    if (!matched) continue;
    if (found != nullptr) *found = *matched;
    return i;
  }
  return std::nullopt;
}

void SiteSet::settle() {
  plain.clear();
  for (const SiteOptions& site : sites) {
    plain.push_back(site.rules.empty() && site.policy.is_plain() && !site.origins.empty() && !access_log &&
                    trusted_proxies.empty());
  }
}

SiteTable::SiteTable(const std::vector<SiteOptions>& sites) {
  for (size_t i = 0; i < sites.size(); ++i) {
    for (const std::string& host : sites[i].hosts) {
      if (host == "*") {
        if (any_ == kNone) any_ = i;
      } else if (host.starts_with("*.")) {
        suffixes_.emplace(host.substr(1), i);
      } else {
        hosts_.emplace(host, i);
      }
    }
  }
}

size_t SiteTable::find(std::string_view host) const {
  if (hosts_.empty() && suffixes_.empty()) return any_;
  const std::string plain = plain_host(host);
  const auto exact = hosts_.find(plain);
  if (exact != hosts_.end()) return exact->second;
  for (size_t dot = plain.find('.'); dot != std::string::npos && !suffixes_.empty(); dot = plain.find('.', dot + 1)) {
    const auto suffix = suffixes_.find(std::string_view(plain).substr(dot));
    if (suffix != suffixes_.end()) return suffix->second;
  }
  return any_;
}

}  // namespace verge::cache
