#include "node/site_policy.h"

#include <utility>

#include "base/hash.h"
#include "node/url_signature.h"

namespace verge::node {
namespace {

std::optional<cache::Seconds> seconds(const std::optional<Duration>& duration) {
  if (!duration) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::seconds>(*duration).count();
}

// `limit_group`: whose requests are counted together.
cache::PathPolicy options_of(const PathPolicyConfig& c, const std::shared_ptr<const cache::SignatureCheck>& signatures,
                             uint64_t limit_group) {
  cache::PathPolicy policy;
  policy.storage = {.default_ttl = seconds(c.default_ttl),
                    .override_ttl = seconds(c.override_ttl),
                    .stale_while_revalidate = seconds(c.stale_while_revalidate),
                    .stale_if_error = seconds(c.stale_if_error),
                    .heuristic_percent = static_cast<uint32_t>(c.heuristic_percent.value_or(10)),
                    .request_directives = c.request_directives.value_or(true)};
  policy.codings = c.compress.value_or(std::vector<compress::ContentCoding>());
  policy.coded_bytes_min = c.compress_bytes_min.value_or(1024);
  policy.esi = c.esi.value_or(cache::Esi::kOff);
  policy.caches = c.cache.value_or(true);
  policy.ignored_query = c.ignored_query.value_or(std::vector<std::string>());
  if (c.redirect && !c.redirect->empty()) {
    policy.redirect = {.status = static_cast<int>(c.redirect_status.value_or(302)),
                       .target = *c.redirect,
                       .keeps_query = c.redirect_query.value_or(true)};
  }
  if (c.root && !c.root->empty()) {
    policy.root = {.directory = *c.root,
                   .index = c.index.value_or("index.html"),
                   .precompressed = c.precompressed.value_or(false),
                   .dotfiles = c.dotfiles.value_or(false)};
  }
  policy.request_fields = c.request_headers.value_or(cache::FieldEdits());
  policy.answer_fields = c.answer_headers.value_or(cache::FieldEdits());
  const uint64_t a_second = c.requests_a_second.value_or(0), at_once = c.requests_at_once.value_or(0);
  if (a_second > 0 || at_once > 0) {
    policy.limit = {.group = limit_group,
                    .a_second = static_cast<double>(a_second),
                    .burst = c.requests_burst.value_or(std::max<uint64_t>(1, a_second)),
                    .at_once = at_once};
  }
  if (c.is_signed.value_or(false)) policy.signature = signatures;
  policy.settle();
  return policy;
}

cache::PathPattern pattern_of(const SiteRuleConfig& rule) {
  using Kind = cache::PathPattern::Kind;
  if (rule.path) return {.kind = Kind::kExact, .text = *rule.path};
  if (rule.glob) return {.kind = Kind::kGlob, .text = *rule.glob};
  return {.kind = Kind::kPrefix, .text = rule.prefix.value_or("/")};
}

Result<std::shared_ptr<const cache::SignatureCheck>> signatures_of(const SiteConfig& site) {
  if (site.signing_keys.empty()) return nullptr;
  std::vector<std::pair<std::string, crypto::SigningKey>> keys;
  for (const SigningKeyConfig& key : site.signing_keys) {
    Result<crypto::SigningKey> read = read_signing_key(key.file);
    if (!read) return std::unexpected(read.error());
    keys.emplace_back(key.id, std::move(*read));
  }
  return std::make_shared<const UrlSignatures>(std::move(keys));
}

Result<cache::SiteOptions> options_of(const SiteConfig& site, const ParentConfig& parent) {
  cache::SiteOptions options;
  options.hosts = site.hosts;
  for (const OriginConfig& origin : site.origins)
    options.origins.push_back({.url = origin.url, .http2 = origin.http2, .weight = origin.weight});
  options.origin_ca = site.origin_ca;
  if (site.shield && !parent.url.empty()) {
    options.shield = {.url = parent.url, .ca = parent.ca, .certificate = parent.certificate, .key = parent.key};
  }
  options.health = {.path = site.health.path,
                    .every = site.health.every,
                    .timeout = site.health.timeout,
                    .passes = site.health.passes,
                    .failures = site.health.failures};
  options.object_bytes_max = site.object_bytes_max;
  options.sends_client_host = site.sends_client_host;
  options.connect_timeout = site.connect_timeout;
  options.answer_timeout = site.answer_timeout;
  options.idle_timeout = site.idle_timeout;
  options.connections_max = site.connections_max;
  options.failures_max = site.failures_max;
  options.failure_pause = site.failure_pause;
  const auto signatures = signatures_of(site);
  if (!signatures) return std::unexpected(signatures.error());
  // By name, so that a reload that adds another site forgets nobody.
  const uint64_t group = hash64(site.hosts.front());
  options.policy = options_of(site, *signatures, group);
  for (const SiteRuleConfig& rule : site.rules) {
    const bool has_own_limit = rule.requests_a_second || rule.requests_at_once;
    const cache::PathPattern pattern = pattern_of(rule);
    cache::PathRule made{.pattern = pattern, .is_secure = std::nullopt, .policy = {}};
    if (rule.scheme != RuleScheme::kAny) made.is_secure = rule.scheme == RuleScheme::kHttps;
    made.policy = options_of(policy_of(site, rule), *signatures,
                             has_own_limit ? hash64(pattern.text, group + static_cast<uint64_t>(pattern.kind)) : group);
    options.rules.push_back(std::move(made));
  }
  return options;
}

}  // namespace

PathPolicyConfig policy_of(const PathPolicyConfig& site, const PathPolicyConfig& rule) {
  PathPolicyConfig whole = rule;
  const auto inherit = [&](auto member) {
    if (!(whole.*member)) whole.*member = site.*member;
  };
  using Policy = PathPolicyConfig;
  inherit(&Policy::cache);
  inherit(&Policy::default_ttl);
  inherit(&Policy::override_ttl);
  inherit(&Policy::stale_while_revalidate);
  inherit(&Policy::stale_if_error);
  inherit(&Policy::heuristic_percent);
  inherit(&Policy::request_directives);
  inherit(&Policy::compress);
  inherit(&Policy::compress_bytes_min);
  inherit(&Policy::esi);
  inherit(&Policy::ignored_query);
  inherit(&Policy::request_headers);
  inherit(&Policy::answer_headers);
  inherit(&Policy::is_signed);
  if (!rule.redirect && !rule.root) {
    inherit(&Policy::redirect);
    inherit(&Policy::redirect_status);
    inherit(&Policy::redirect_query);
    inherit(&Policy::root);
    inherit(&Policy::index);
    inherit(&Policy::precompressed);
    inherit(&Policy::dotfiles);
  }
  if (!rule.requests_a_second && !rule.requests_at_once) {
    inherit(&Policy::requests_a_second);
    inherit(&Policy::requests_burst);
    inherit(&Policy::requests_at_once);
  }
  return whole;
}

Result<std::vector<cache::SiteOptions>> site_options(const std::vector<SiteConfig>& sites, const ParentConfig& parent) {
  std::vector<cache::SiteOptions> options;
  for (const SiteConfig& site : sites) {
    Result<cache::SiteOptions> made = options_of(site, parent);
    if (!made) return std::unexpected(made.error());
    options.push_back(std::move(*made));
  }
  return options;
}

}  // namespace verge::node
